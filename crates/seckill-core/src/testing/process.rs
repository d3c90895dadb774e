//! A service's binary, running: for tests of what only a process does.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;

/// How long a process has for an orderly stop.
const STOP_WITHIN: Duration = Duration::from_secs(30);
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A running process that listens; killed with this value, if it has not ended.
pub struct RunningProcess {
    child: Child,
    address: SocketAddr,
}

impl RunningProcess {
    /// Starts `program` on a free port of loopback, with the settings `variables`, and waits until it says in
    /// its log where it listens.
    pub fn start(program: &str, variables: &[(&str, &str)]) -> Self {
        let mut child = Command::new(program)
            .envs([("SECKILL_LISTEN", "127.0.0.1:0"), ("SECKILL_LOG_FORMAT", "json"), ("RUST_LOG", "info")])
            .envs(variables.iter().copied())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{program}: {error}"));
        let mut log = BufReader::new(child.stderr.take().expect("stderr is a pipe")).lines();
        let address = log.by_ref().map_while(Result::ok).find_map(|line| address_in(&line));
        // Nobody reads on, and a full pipe would hold the process up.
        thread::spawn(move || log.map_while(Result::ok).for_each(drop));
        Self { child, address: address.unwrap_or_else(|| panic!("{program} does not say where it listens")) }
    }

    /// Status and body of `GET path`; nothing if nobody answers.
    pub fn get(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(self.address).ok()?;
        stream.set_read_timeout(Some(ANSWER_WITHIN)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }

    /// Waits until `GET path` is answered with `status`.
    pub fn wait_for(&self, path: &str, status: u16) {
        let started = Instant::now();
        while self.get(path).is_none_or(|(answered, _)| answered != status) {
            assert!(started.elapsed() < ANSWER_WITHIN, "GET {path} is not answered {status}");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends SIGTERM.
    pub fn request_stop(&self) {
        let sent = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "the process can be signalled");
    }

    /// Waits for its end, as long as an orderly stop may take.
    pub fn ended(mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(started.elapsed() < STOP_WITHIN, "it did not end within {STOP_WITHIN:?}");
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for RunningProcess {
    fn drop(&mut self) {
        // One that has ended cannot be killed, and need not be.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn address_in(line: &str) -> Option<SocketAddr> {
    let line: Value = serde_json::from_str(line).ok()?;
    line.get("address")?.as_str()?.parse().ok()
}
