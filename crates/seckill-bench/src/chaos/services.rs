//! Redis, Kafka and MySQL of our own, as `scripts/services` runs them: started, killed, stopped, set back.

use std::{
    fmt,
    path::{Path, PathBuf},
    process::Stdio,
};

use anyhow::{Context, ensure};
use tokio::process::Command;

use super::process::signal;

/// A server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Service {
    Redis,
    Mysql,
    Kafka,
    /// One of three brokers of a cluster, from 1 on.
    Broker(usize),
    /// One of three Redis, of which one is the primary.
    Replica(usize),
    /// One of their three Sentinels.
    Sentinel(usize),
    /// What leads to the primary.
    Door,
}

impl fmt::Display for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Redis => f.write_str("redis"),
            Self::Mysql => f.write_str("mariadb"),
            Self::Kafka => f.write_str("kafka"),
            Self::Broker(number) => write!(f, "kafka{number}"),
            Self::Replica(number) => write!(f, "redis{number}"),
            Self::Sentinel(number) => write!(f, "sentinel{number}"),
            Self::Door => f.write_str("door"),
        }
    }
}

/// Where they are and how they are handled.
#[derive(Clone, Debug)]
pub struct Services {
    /// `scripts/services`.
    pub script: PathBuf,
    /// Where they keep their state.
    pub directory: PathBuf,
}

impl Services {
    /// Starts `service` if it does not run, and waits until it answers.
    pub async fn start(&self, service: Service) -> anyhow::Result<()> {
        self.start_all(&[service]).await
    }

    /// The same of several at once, which may need each other.
    pub async fn start_all(&self, services: &[Service]) -> anyhow::Result<()> {
        self.run("up", services).await.map(drop)
    }

    /// Stops them.
    pub async fn stop_all(&self, services: &[Service]) -> anyhow::Result<()> {
        self.run("down", services).await.map(drop)
    }

    /// Where it is reached, as the programs are told.
    pub async fn address(&self, service: Service) -> anyhow::Result<String> {
        let said = self.run("env", &[service]).await?;
        let address =
            said.split('\'').nth(1).with_context(|| format!("scripts/services env said {said:?}"))?;
        Ok(address.to_owned())
    }

    /// The id of its process.
    pub async fn pid(&self, service: Service) -> anyhow::Result<u32> {
        let pid = self.run("pid", &[service]).await?;
        pid.trim().parse().with_context(|| format!("scripts/services pid said {pid:?}"))
    }

    /// Sends it a signal, if it runs. After KILL, waits until it is gone: nothing of it writes any more.
    pub async fn signal(&self, service: Service, name: &str) -> anyhow::Result<()> {
        let Ok(pid) = self.pid(service).await else { return Ok(()) };
        signal(name, pid).await?;
        while name == "KILL" && is_alive(pid) {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        Ok(())
    }

    /// Copies what Redis has on disk now. A file that is being written to is copied as far as it goes, which is
    /// how a crash would leave it.
    pub async fn copy_redis(&self) -> anyhow::Result<()> {
        let copy = self.redis("copy");
        shell(&format!("rm -rf '{copy}' && cp -r '{}' '{copy}'", self.redis("data"))).await
    }

    /// Whether Redis has written anything since the copy was made.
    pub async fn copy_is_older(&self) -> anyhow::Result<bool> {
        let mut compare = Command::new("diff");
        compare.args(["-rq", &self.redis("data"), &self.redis("copy")]);
        let status = compare.stdout(Stdio::null()).status().await?;
        // As diff has it: 0 no difference, 1 some, else trouble.
        ensure!(matches!(status.code(), Some(0 | 1)), "{compare:?} ended with {status}");
        Ok(status.code() == Some(1))
    }

    /// Puts the copy in the place of what Redis has on disk. Redis must not run.
    pub async fn put_copy_back(&self) -> anyhow::Result<()> {
        let data = self.redis("data");
        shell(&format!("rm -rf '{data}' && cp -r '{}' '{data}'", self.redis("copy"))).await
    }

    fn redis(&self, folder: &str) -> String {
        self.directory.join("redis").join(folder).display().to_string()
    }

    /// Where a service keeps everything.
    pub fn folder(&self, service: Service) -> PathBuf {
        self.directory.join(service.to_string())
    }

    /// MySQL's socket, for what only root may do.
    pub fn mysql_socket(&self) -> PathBuf {
        self.folder(Service::Mysql).join("data/mariadbd.sock")
    }

    async fn run(&self, command: &str, services: &[Service]) -> anyhow::Result<String> {
        let output = Command::new(&self.script)
            .arg(command)
            .args(services.iter().map(Service::to_string))
            .env("SECKILL_SERVICES", "native")
            .env("SECKILL_SERVICES_DIR", &self.directory)
            // Of whichever services we were started with: these may be others.
            .env_remove("DATABASE_URL")
            .env_remove("REDIS_URL")
            .env_remove("KAFKA_BROKERS")
            .output()
            .await
            .with_context(|| format!("cannot run {}", self.script.display()))?;
        ensure!(
            output.status.success(),
            "scripts/services {command} {services:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }
}

/// Whether any thread of a process runs. One that has ended and was not waited for by its parent has a last one.
fn is_alive(pid: u32) -> bool {
    let Ok(stat) = std::fs::read_to_string(Path::new("/proc").join(pid.to_string()).join("stat")) else {
        return false;
    };
    // The command's name may hold brackets and spaces: the state and, 17 fields on, the threads come behind it.
    let mut fields = stat.rsplit_once(')').map(|(_, rest)| rest.split_whitespace()).into_iter().flatten();
    let (state, threads) = (fields.next(), fields.nth(16));
    state != Some("Z") || threads != Some("1")
}

async fn shell(command: &str) -> anyhow::Result<()> {
    let output = Command::new("sh").args(["-c", command]).output().await?;
    ensure!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{process::Command, thread::sleep, time::Duration};

    use super::*;

    #[test]
    fn a_process_is_alive_until_its_last_thread_has_ended() {
        let script = "import ctypes, threading, time\n\
                      threading.Thread(target=time.sleep, args=(60,)).start()\n\
                      ctypes.CDLL(None).pthread_exit(None)";
        let mut child = Command::new("python3").args(["-c", script]).stdin(Stdio::null()).spawn().unwrap();
        let stat = format!("/proc/{}/stat", child.id());
        while !std::fs::read_to_string(&stat).unwrap().contains(") Z ") {
            sleep(Duration::from_millis(20));
        }
        assert!(is_alive(child.id()), "one of its threads still runs");
        child.kill().unwrap();
        while is_alive(child.id()) {
            sleep(Duration::from_millis(5));
        }
        child.wait().unwrap();
        assert!(!is_alive(child.id()));
    }
}
