//! The faults: what each is called, how long it lasts, how often it strikes, and what may be expected after it.

use std::{fmt, time::Duration};

/// A thing that goes wrong while a sale is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    KillApi,
    KillConsumer,
    KillKeeper,
    RollingRestart,
    StopApi,
    StopConsumer,
    StopKeeper,
    RedisKill,
    RedisOldCopy,
    RedisFlush,
    RedisScriptFlush,
    RedisPause,
    RedisMemory,
    MysqlKill,
    MysqlLock,
    KillWhileLocked,
    MysqlReadOnly,
    MysqlDeadlocks,
    KafkaKill,
    KafkaStop,
    TopicDeleted,
    Poison,
    Rebalance,
    RedisLostReplies,
    KafkaLostReplies,
    MysqlLostReplies,
    CutAtCommit,
    SlowAndSplit,
    ClientResets,
    SlowClients,
    Overload,
    ClockAhead,
    RedisDiskFull,
    MysqlDiskFull,
    KafkaDiskFull,
    RedisFailover,
    LeaderKill,
    TwoOfThree,
}

/// What a fault needs beside the services and the processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needs {
    /// Nothing.
    Nothing,
    /// Proxies between processes and services.
    Proxies,
    /// APIs that let few orders wait.
    ShortQueue,
    /// The library that shows a process another time.
    FakeTime,
    /// Servers on disks so small that they can be filled.
    SmallDisks,
    /// Several brokers, and a Redis with replicas.
    Replicas,
}

/// How hard a run is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// The selection of the test command: minutes.
    Quick,
    /// Everything, for as long as the issue of each asks.
    Full,
}

/// What there is to know of a fault before it strikes.
#[derive(Clone, Copy, Debug)]
pub struct Traits {
    /// What it is called: on the command line, in the table.
    pub name: &'static str,
    /// What it does, in a few words.
    pub about: &'static str,
    /// Seconds after its end within which the system shall be as before.
    pub target: u64,
    /// How often it strikes in a quick run (0: not in it) and in a full one.
    pub times: (usize, usize),
    /// Shortest and longest time that it lasts, in milliseconds, in a quick run.
    pub quick_ms: (u64, u64),
    /// The same in a full run.
    pub full_ms: (u64, u64),
}

const fn traits(
    name: &'static str,
    about: &'static str,
    target: u64,
    times: (usize, usize),
    quick_ms: (u64, u64),
    full_ms: (u64, u64),
) -> Traits {
    Traits { name, about, target, times, quick_ms, full_ms }
}

impl Fault {
    /// All of them, in the order in which they strike.
    pub const ALL: [Self; 38] = [
        Self::KillApi,
        Self::KillConsumer,
        Self::KillKeeper,
        Self::RollingRestart,
        Self::StopApi,
        Self::StopConsumer,
        Self::StopKeeper,
        Self::RedisKill,
        Self::RedisOldCopy,
        Self::RedisFlush,
        Self::RedisScriptFlush,
        Self::RedisPause,
        Self::RedisMemory,
        Self::MysqlKill,
        Self::MysqlLock,
        Self::KillWhileLocked,
        Self::MysqlReadOnly,
        Self::MysqlDeadlocks,
        Self::KafkaKill,
        Self::KafkaStop,
        Self::TopicDeleted,
        Self::Poison,
        Self::Rebalance,
        Self::RedisLostReplies,
        Self::KafkaLostReplies,
        Self::MysqlLostReplies,
        Self::CutAtCommit,
        Self::SlowAndSplit,
        Self::ClientResets,
        Self::SlowClients,
        Self::Overload,
        Self::ClockAhead,
        Self::RedisDiskFull,
        Self::MysqlDiskFull,
        Self::KafkaDiskFull,
        Self::RedisFailover,
        Self::LeaderKill,
        Self::TwoOfThree,
    ];

    /// What there is to know of it.
    #[rustfmt::skip]
    pub const fn traits(self) -> Traits {
        match self {
            Self::KillApi => traits("kill-api", "kill -9 of an API, started again", 10, (1, 17), (100, 1500), (100, 1500)),
            Self::KillConsumer => traits("kill-consumer", "kill -9 of a consumer, started again", 10, (0, 17), (100, 1500), (100, 1500)),
            Self::KillKeeper => traits("kill-keeper", "kill -9 of the consumer that is the keeper", 10, (1, 16), (100, 1500), (100, 1500)),
            Self::RollingRestart => traits("rolling-restart", "SIGTERM and start of each process, one after the other", 10, (0, 2), (0, 500), (0, 500)),
            Self::StopApi => traits("stop-api", "SIGSTOP of an API, then SIGCONT", 30, (0, 1), (4_000, 6_000), (60_000, 60_000)),
            Self::StopConsumer => traits("stop-consumer", "SIGSTOP of a consumer, then SIGCONT", 30, (0, 1), (11_000, 12_000), (60_000, 60_000)),
            Self::StopKeeper => traits("stop-keeper", "SIGSTOP of the keeper in the middle of a rebuild, then SIGCONT", 30, (0, 1), (34_000, 35_000), (60_000, 60_000)),
            Self::RedisKill => traits("redis-kill", "kill -9 of Redis, started again", 15, (0, 3), (200, 1500), (200, 5_000)),
            Self::RedisOldCopy => traits("redis-old-copy", "kill -9 of Redis, started with a copy of its AOF made before", 15, (1, 3), (800, 2_000), (800, 4_000)),
            Self::RedisFlush => traits("redis-flush", "FLUSHALL", 15, (0, 3), (100, 500), (100, 500)),
            Self::RedisScriptFlush => traits("redis-script-flush", "SCRIPT FLUSH", 15, (0, 3), (100, 500), (100, 500)),
            Self::RedisPause => traits("redis-pause", "CLIENT PAUSE ALL", 15, (0, 3), (1_500, 4_000), (1_500, 6_000)),
            Self::RedisMemory => traits("redis-memory", "CONFIG SET maxmemory below what is used", 15, (0, 2), (1_500, 4_000), (1_500, 6_000)),
            Self::MysqlKill => traits("mysql-kill", "kill -9 of MySQL, started again", 30, (0, 3), (500, 3_000), (500, 8_000)),
            Self::MysqlLock => traits("mysql-lock", "LOCK TABLES orders WRITE, sales WRITE", 30, (0, 2), (2_000, 5_000), (5_000, 15_000)),
            Self::KillWhileLocked => traits("kill-while-locked", "kill -9 of all consumers while they wait for locked tables", 30, (1, 2), (500, 1_500), (500, 1_500)),
            Self::MysqlReadOnly => traits("mysql-read-only", "SET GLOBAL read_only = 1", 30, (0, 2), (2_000, 4_000), (3_000, 10_000)),
            Self::MysqlDeadlocks => traits("mysql-deadlocks", "transactions that deadlock with the consumers'", 30, (0, 2), (3_000, 5_000), (5_000, 10_000)),
            Self::KafkaKill => traits("kafka-kill", "kill -9 of Kafka, started again", 30, (1, 3), (500, 3_000), (500, 8_000)),
            Self::KafkaStop => traits("kafka-stop", "SIGSTOP of Kafka, then SIGCONT", 30, (0, 1), (4_000, 6_000), (30_000, 30_000)),
            Self::TopicDeleted => traits("topic-deleted", "the orders topic deleted, made anew, and what was lost published again", 30, (1, 1), (1_000, 2_000), (1_000, 5_000)),
            Self::Poison => traits("poison", "six kinds of bad messages on the topic", 30, (0, 3), (300, 1_000), (300, 1_000)),
            Self::Rebalance => traits("rebalance", "consumers come and go every 2 s", 30, (0, 2), (6_000, 8_000), (20_000, 30_000)),
            Self::RedisLostReplies => traits("redis-lost-replies", "what Redis answers the APIs is swallowed", 15, (1, 3), (1_000, 3_000), (1_000, 8_000)),
            Self::KafkaLostReplies => traits("kafka-lost-replies", "what Kafka answers the APIs is swallowed", 30, (1, 3), (2_500, 5_000), (2_500, 15_000)),
            Self::MysqlLostReplies => traits("mysql-lost-replies", "what MySQL answers the consumers is swallowed", 30, (0, 3), (1_000, 3_000), (1_000, 10_000)),
            Self::CutAtCommit => traits("cut-at-commit", "consumers' connections cut right before or right after a COMMIT is done", 30, (1, 2), (3_000, 4_000), (10_000, 20_000)),
            Self::SlowAndSplit => traits("slow-and-split", "everything late and in small pieces, both ways", 15, (0, 2), (3_000, 5_000), (10_000, 15_000)),
            Self::ClientResets => traits("client-resets", "clients reset their connections in the middle of a request", 5, (0, 1), (3_000, 5_000), (15_000, 20_000)),
            Self::SlowClients => traits("slow-clients", "a thousand clients that write byte by byte or never read", 5, (0, 1), (4_000, 6_000), (20_000, 30_000)),
            Self::Overload => traits("overload", "5,000 more connections that ask as fast as they can", 5, (0, 1), (5_000, 8_000), (15_000, 20_000)),
            Self::ClockAhead => traits("clock-ahead", "an API whose clock is an hour ahead", 10, (0, 1), (1_000, 2_000), (3_000, 5_000)),
            Self::RedisDiskFull => traits("redis-disk-full", "the disk of Redis is full", 60, (0, 2), (2_000, 4_000), (3_000, 10_000)),
            Self::MysqlDiskFull => traits("mysql-disk-full", "the disk of MySQL is full", 60, (0, 2), (4_000, 8_000), (10_000, 20_000)),
            Self::KafkaDiskFull => traits("kafka-disk-full", "the disk of Kafka is full", 60, (0, 2), (2_000, 4_000), (3_000, 10_000)),
            Self::RedisFailover => traits("redis-failover", "kill -9 of the primary, and Sentinel promotes a replica that missed writes", 15, (0, 3), (5_000, 8_000), (5_000, 12_000)),
            Self::LeaderKill => traits("kafka-leader-kill", "kill -9 of a broker of three that leads", 30, (0, 2), (2_000, 4_000), (3_000, 10_000)),
            Self::TwoOfThree => traits("kafka-two-of-three", "kill -9 of two brokers of three", 30, (0, 2), (2_000, 4_000), (3_000, 10_000)),
        }
    }

    /// What it is called.
    pub const fn name(self) -> &'static str {
        self.traits().name
    }

    /// How long it may last, at this pace.
    pub fn lasts(self, pace: Pace) -> std::ops::RangeInclusive<u64> {
        let (least, most) = match pace {
            Pace::Quick => self.traits().quick_ms,
            Pace::Full => self.traits().full_ms,
        };
        least..=most
    }

    /// How often it strikes, at this pace.
    pub const fn times(self, pace: Pace) -> usize {
        match pace {
            Pace::Quick => self.traits().times.0,
            Pace::Full => self.traits().times.1,
        }
    }

    /// Seconds after its end within which the system shall be as before.
    pub const fn target(self) -> Duration {
        Duration::from_secs(self.traits().target)
    }

    /// Whether orders must go on being accepted while it lasts.
    pub const fn leaves_orders_accepted(self) -> bool {
        matches!(
            self,
            Self::KillConsumer
                | Self::KillKeeper
                | Self::StopConsumer
                | Self::MysqlKill
                | Self::MysqlLock
                | Self::KillWhileLocked
                | Self::MysqlReadOnly
                | Self::MysqlDeadlocks
                | Self::Poison
                | Self::Rebalance
                | Self::MysqlLostReplies
                | Self::CutAtCommit
                | Self::ClientResets
                | Self::SlowClients
                | Self::ClockAhead
                | Self::MysqlDiskFull
        )
    }

    /// What it needs.
    pub const fn needs(self) -> Needs {
        match self {
            Self::RedisLostReplies
            | Self::KafkaLostReplies
            | Self::MysqlLostReplies
            | Self::CutAtCommit
            | Self::SlowAndSplit => Needs::Proxies,
            Self::Overload => Needs::ShortQueue,
            Self::ClockAhead => Needs::FakeTime,
            Self::RedisDiskFull | Self::MysqlDiskFull | Self::KafkaDiskFull => Needs::SmallDisks,
            Self::RedisFailover | Self::LeaderKill | Self::TwoOfThree => Needs::Replicas,
            _ => Needs::Nothing,
        }
    }

    /// Whether it puts bad messages on the topic.
    pub const fn is_poison(self) -> bool {
        matches!(self, Self::Poison)
    }

    /// Whether another fault may strike at the same time.
    pub const fn can_be_paired(self) -> bool {
        // Those that start processes wait for them to be ready, which they never are without their services; and an
        // overloaded machine makes every other fault's recovery a matter of chance. What needs other servers than the
        // usual ones cannot be paired with what does not.
        !matches!(self.needs(), Needs::FakeTime | Needs::SmallDisks | Needs::Replicas)
            && !matches!(self, Self::RollingRestart | Self::TopicDeleted | Self::Overload | Self::SlowClients)
    }

    /// Whether some buyer is answered otherwise than with an order or a refusal while it lasts, or it did nothing.
    pub const fn is_felt(self) -> bool {
        matches!(self, Self::RedisLostReplies | Self::KafkaLostReplies)
    }

    /// Whether another server takes the place of the one that is gone: then it is healed while it lasts, and once more
    /// when the one that was gone comes back.
    pub const fn is_taken_over(self) -> bool {
        matches!(self, Self::RedisFailover)
    }

    /// Whether no buyer may be answered 5xx or cut off because of it.
    pub const fn is_unnoticed(self) -> bool {
        matches!(self, Self::RollingRestart)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|fault| fault.name() == text)
            .ok_or_else(|| "no such fault; --list names them".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn every_fault_is_known_by_its_name() {
        for fault in Fault::ALL {
            assert_eq!(fault.name().parse(), Ok(fault));
        }
        assert_eq!(Fault::ALL.map(Fault::name).iter().collect::<HashSet<_>>().len(), Fault::ALL.len());
        assert!("kill-cat".parse::<Fault>().is_err());
    }

    #[test]
    fn every_fault_strikes_in_a_full_run() {
        for fault in Fault::ALL {
            assert!(fault.times(Pace::Full) > 0, "{fault}");
            for pace in [Pace::Quick, Pace::Full] {
                assert!(!fault.lasts(pace).is_empty(), "{fault}");
            }
        }
    }

    #[test]
    fn a_full_run_kills_fifty_times() {
        let kills = [Fault::KillApi, Fault::KillConsumer, Fault::KillKeeper];
        assert_eq!(kills.map(|fault| fault.times(Pace::Full)).iter().sum::<usize>(), 50);
    }
}
