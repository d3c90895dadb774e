//! The processes of the system under test: two APIs, two consumers, and now and then a third.

use std::{
    fs::OpenOptions,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use anyhow::{Context, bail, ensure};
use tokio::process::{Child, Command};

use crate::http::{Connection, Target};

/// How long a process may take until it is ready, while all that it needs is there.
const READY_WITHIN: Duration = Duration::from_secs(60);
/// How long a process may take to stop when asked to: docs/contract-tests.md says 30 s.
const STOP_WITHIN: Duration = Duration::from_secs(30);
/// How often a process is asked whether it is ready.
const ASK_EVERY: Duration = Duration::from_millis(20);

/// What a process is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `seckill-api`.
    Api,
    /// `order-consumer`.
    Consumer,
}

/// One process of the system, running or not.
#[derive(Debug)]
pub struct Process {
    /// Its name: `api-1`.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// Where it listens, whenever it runs.
    pub address: SocketAddr,
    child: Option<Child>,
}

/// All of them, and how they are started.
#[derive(Debug)]
pub struct Processes {
    members: Vec<Process>,
    binaries: PathBuf,
    logs: PathBuf,
    settings: Settings,
}

/// Environment variables of the processes, by what they are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Of APIs.
    pub api: Vec<(String, String)>,
    /// Of consumers.
    pub consumer: Vec<(String, String)>,
}

impl Processes {
    /// Those of `names`, none of which runs yet. Their output goes to files in `logs`.
    pub fn new(binaries: PathBuf, logs: PathBuf, names: &[(&str, Kind)]) -> anyhow::Result<Self> {
        let mut members = Vec::new();
        let mut taken = Vec::new();
        for &(name, kind) in names {
            // The port stays its own for the whole run: where it listens must not change by a restart. Held until
            // all have one, so that no two are given the same.
            let listener = TcpListener::bind("127.0.0.1:0")?;
            let address = listener.local_addr()?;
            taken.push(listener);
            members.push(Process { name: name.to_owned(), kind, address, child: None });
        }
        Ok(Self { members, binaries, logs, settings: Settings::default() })
    }

    /// What all that are started from now on are set to.
    pub fn set(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// What they are set to.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The names of all of one kind.
    pub fn names(&self, kind: Kind) -> Vec<String> {
        self.members.iter().filter(|member| member.kind == kind).map(|member| member.name.clone()).collect()
    }

    /// The names of all.
    pub fn all(&self) -> Vec<String> {
        self.members.iter().map(|member| member.name.clone()).collect()
    }

    /// Where `name` listens.
    pub fn address(&self, name: &str) -> anyhow::Result<SocketAddr> {
        self.members
            .iter()
            .find(|member| member.name == name)
            .map(|member| member.address)
            .with_context(|| format!("no {name}"))
    }

    /// Where the APIs listen, as `http://host:port`.
    pub fn api_urls(&self) -> Vec<String> {
        self.api_addresses().iter().map(|address| format!("http://{address}")).collect()
    }

    /// Where the APIs listen.
    pub fn api_addresses(&self) -> Vec<SocketAddr> {
        self.members.iter().filter(|member| member.kind == Kind::Api).map(|member| member.address).collect()
    }

    fn member(&mut self, name: &str) -> anyhow::Result<&mut Process> {
        self.members.iter_mut().find(|member| member.name == name).with_context(|| format!("no {name}"))
    }

    /// Starts `name` if it does not run.
    pub fn start(&mut self, name: &str) -> anyhow::Result<()> {
        self.start_with(name, &[])
    }

    /// Starts `name` with some more settings, if it does not run.
    pub fn start_with(&mut self, name: &str, more: &[(&str, &str)]) -> anyhow::Result<()> {
        let log = self.logs.join(format!("{name}.log"));
        let (binaries, settings) = (self.binaries.clone(), self.settings.clone());
        let member = self.member(name)?;
        if member.is_running() {
            return Ok(());
        }
        let (binary, settings) = match member.kind {
            Kind::Api => ("seckill-api", settings.api),
            Kind::Consumer => ("order-consumer", settings.consumer),
        };
        let binary = binaries.join(binary);
        let mut command = Command::new(&binary);
        command.envs(settings).envs(more.iter().copied()).env("SECKILL_LISTEN", member.address.to_string());
        member.child = Some(spawn(&mut command, &log)?);
        Ok(())
    }

    /// `kill -9`, and waits until it is gone.
    pub async fn kill(&mut self, name: &str) -> anyhow::Result<()> {
        let member = self.member(name)?;
        if let Some(mut child) = member.child.take() {
            child.kill().await?;
        }
        Ok(())
    }

    /// SIGTERM, and waits until it has ended, as it must: by itself, in time, with 0.
    pub async fn stop(&mut self, name: &str) -> anyhow::Result<()> {
        let member = self.member(name)?;
        let Some(mut child) = member.child.take() else { return Ok(()) };
        if let Some(pid) = child.id() {
            signal("TERM", pid).await?;
        }
        let Ok(status) = tokio::time::timeout(STOP_WITHIN, child.wait()).await else {
            child.kill().await?;
            bail!("{name} did not stop within {STOP_WITHIN:?} of SIGTERM");
        };
        let status = status?;
        ensure!(status.success(), "{name} ended with {status} after SIGTERM");
        Ok(())
    }

    /// Sends `name` a signal, if it runs.
    pub async fn signal(&mut self, name: &str, signal_name: &str) -> anyhow::Result<()> {
        match self.member(name)?.child.as_ref().and_then(Child::id) {
            Some(pid) => signal(signal_name, pid).await,
            None => Ok(()),
        }
    }

    /// Waits until `name` says that it is ready.
    pub async fn wait_until_ready(&mut self, name: &str) -> anyhow::Result<()> {
        self.wait_for(name, "/readyz").await
    }

    /// Waits until `GET path` of `name` is answered 200.
    pub async fn wait_for(&mut self, name: &str, path: &str) -> anyhow::Result<()> {
        let log = self.logs.join(format!("{name}.log"));
        let member = self.member(name)?;
        let ends = Instant::now() + READY_WITHIN;
        while member.get(path).await.is_none_or(|(status, _)| status != 200) {
            ensure!(member.is_running(), "{name} has ended by itself; see {}", log.display());
            ensure!(
                Instant::now() < ends,
                "{name} does not answer GET {path} with 200; see {}",
                log.display()
            );
            tokio::time::sleep(ASK_EVERY).await;
        }
        Ok(())
    }

    /// The consumer that is the keeper now, by its own word.
    pub async fn keeper(&self) -> Option<String> {
        for member in self.members.iter().filter(|member| member.kind == Kind::Consumer) {
            let metrics = member.get("/metrics").await.map(|(_, body)| body).unwrap_or_default();
            if metrics.lines().any(|line| line == "seckill_keeper 1") {
                return Some(member.name.clone());
            }
        }
        None
    }

    /// What the counter `name` of all processes of a kind that answer adds up to.
    pub async fn counted(&self, kind: Kind, name: &str) -> u64 {
        let mut sum = 0;
        for member in self.members.iter().filter(|member| member.kind == kind) {
            let metrics = member.get("/metrics").await.map(|(_, body)| body).unwrap_or_default();
            let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
            sum += value.unwrap_or_default();
        }
        sum
    }

    /// Resident memory of `name` in bytes, if it runs.
    pub fn memory(&self, name: &str) -> Option<u64> {
        let pid = self.members.iter().find(|member| member.name == name)?.child.as_ref()?.id()?;
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
    }
}

impl Process {
    fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Status and body of `GET path`, if there is an answer within a second.
    async fn get(&self, path: &str) -> Option<(u16, String)> {
        let asked = async {
            let target = Target { host: self.address.to_string(), address: self.address };
            let mut connection = Connection::open(target.address).await.ok()?;
            let request =
                format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", target.host);
            let response = connection.send(request.as_bytes()).await.ok()?;
            Some((response.status, String::from_utf8_lossy(response.body).into_owned()))
        };
        tokio::time::timeout(Duration::from_secs(1), asked).await.ok()?
    }
}

/// Starts a process that ends with us; what it says goes to the end of the file `log`.
pub fn spawn(command: &mut Command, log: &Path) -> anyhow::Result<Child> {
    let log = OpenOptions::new().create(true).append(true).open(log)?;
    command
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        // Ctrl-C is for us, and we stop them in order.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .with_context(|| format!("cannot start {}", command.as_std().get_program().display()))
}

/// Sends a signal to a process of ours.
pub async fn signal(name: &str, pid: u32) -> anyhow::Result<()> {
    let status = Command::new("sh").args(["-c", &format!("kill -{name} {pid}")]).status().await?;
    ensure!(status.success(), "cannot send SIG{name} to process {pid}");
    Ok(())
}
