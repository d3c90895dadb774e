//! Whether a fault took effect, where something counts it: a fault that does nothing would pass every check.

use super::{fault::Fault, mysql, process::Kind, world::World};

/// How often what a fault brings about has happened so far.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Evidence {
    /// The fault.
    pub fault: Fault,
    /// What it brings about, to stand behind "no".
    pub what: &'static str,
    /// How often.
    pub count: u64,
}

/// What there is of `faults`. Nothing of one that nobody counts, or whose counter cannot be read.
pub async fn of(world: &World, faults: &[Fault]) -> Vec<Evidence> {
    let mut found = Vec::new();
    for &fault in faults {
        let Some(what) = what(fault) else { continue };
        match count(world, fault).await {
            Ok(count) => found.push(Evidence { fault, what, count }),
            Err(error) => eprintln!("chaos: cannot count whether a {what}: {error:#}"),
        }
    }
    found
}

const fn what(fault: Fault) -> Option<&'static str> {
    match fault {
        Fault::CutAtCommit => Some("COMMIT was cut"),
        Fault::MysqlDeadlocks => Some("deadlock happened"),
        Fault::RedisMemory => Some("command was refused for lack of memory"),
        Fault::MysqlReadOnly | Fault::MysqlLostReplies | Fault::MysqlDiskFull => {
            Some("batch of a consumer failed")
        }
        _ => None,
    }
}

async fn count(world: &World, fault: Fault) -> anyhow::Result<u64> {
    match fault {
        Fault::CutAtCommit => Ok(world.cut_commits()),
        Fault::MysqlDeadlocks => mysql::deadlocks_so_far(world).await,
        Fault::RedisMemory => world.redis_errors("OOM").await,
        _ => Ok(world.processes.counted(Kind::Consumer, "seckill_consumer_write_failures_total").await),
    }
}
