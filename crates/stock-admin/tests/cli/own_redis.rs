//! A Redis server that one test may treat badly.

use std::path::PathBuf;

use assert_cmd::Command;
use seckill_core::order::OrderId;

use crate::support::run;

/// A Redis server of a test's own, whose settings may be changed; it goes with this value.
pub struct OwnRedis {
    directory: PathBuf,
    pub url: String,
}

impl OwnRedis {
    /// Starts one, on a port of its own.
    pub fn start() -> Self {
        let directory = std::env::temp_dir().join(format!("seckill-admin-{}", OrderId::fresh()));
        let mut server = Self { directory, url: String::new() };
        server.services(&["up", "redis"]);
        let env = server.services(&["env"]);
        let url = env.lines().find_map(|line| line.strip_prefix("export REDIS_URL='"));
        let url = url.expect("scripts/services env gives it").trim_end_matches('\'');
        server.url.push_str(url);
        server
    }

    fn services(&self, arguments: &[&str]) -> String {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/services");
        let mut command = Command::new(script);
        command.args(arguments).env_remove("REDIS_URL").env("SECKILL_SERVICES", "native");
        run(command.env("SECKILL_SERVICES_DIR", &self.directory)).expect(0).stdout
    }
}

impl Drop for OwnRedis {
    fn drop(&mut self) {
        self.services(&["wipe", "redis"]);
        std::fs::remove_dir_all(&self.directory).expect("the directory can be removed");
    }
}
