//! How each fault is done, and how it is undone.

use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::sync::watch;

use super::{
    clients, clock, disk,
    fault::Fault,
    mysql, poison,
    process::{Kind, Processes},
    replicas,
    schedule::Blow,
    services::Service,
    stage::{BROKERS, REPLICAS},
    world::{UnderWay, World},
};

/// How long a consumer of the storm lives, and how long it is away.
const COME_AND_GO: Duration = Duration::from_secs(2);

/// How long it takes until every consumer waits for a locked table; offsets are committed meanwhile, every 200 ms.
const UNTIL_ALL_WAIT: Duration = Duration::from_millis(1_500);

/// How long a repair may take to succeed.
const REPAIR_WITHIN: Duration = Duration::from_secs(20);

/// Memory below what any Redis needs: nothing more can be written.
const TOO_LITTLE_MEMORY: &str = "1mb";

/// Begins a fault. `lasts` is for those that end by themselves.
pub async fn begin(world: &mut World, blow: &Blow, sale: &str, lasts: Duration) -> anyhow::Result<()> {
    let api = one_of(&world.processes.names(Kind::Api), blow.pick);
    let consumer = one_of(&world.processes.names(Kind::Consumer), blow.pick);
    let keeper = world.processes.keeper().await.unwrap_or_else(|| consumer.clone());
    match blow.fault {
        Fault::KillApi => world.processes.kill(&api).await,
        Fault::KillConsumer => world.processes.kill(&consumer).await,
        Fault::KillKeeper => world.processes.kill(&keeper).await,
        Fault::RollingRestart => restart_one_by_one(world).await,
        Fault::StopApi => world.processes.signal(&api, "STOP").await,
        Fault::StopConsumer => world.processes.signal(&consumer, "STOP").await,
        Fault::StopKeeper => {
            // Half way through a rebuild, if the moment is right: when it wakes, another one has done it.
            world.redis(&["FLUSHALL"]).await?;
            tokio::time::sleep(Duration::from_millis((blow.pick % 700) as u64)).await;
            world.processes.signal(&keeper, "STOP").await
        }
        Fault::RedisKill => world.services.signal(Service::Redis, "KILL").await,
        Fault::RedisOldCopy => world.services.copy_redis().await,
        Fault::RedisFlush => world.redis(&["FLUSHALL"]).await,
        Fault::RedisScriptFlush => world.redis(&["SCRIPT", "FLUSH"]).await,
        Fault::RedisPause => world.redis(&["CLIENT", "PAUSE", &lasts.as_millis().to_string(), "ALL"]).await,
        Fault::RedisMemory => world.redis(&["CONFIG", "SET", "maxmemory", TOO_LITTLE_MEMORY]).await,
        Fault::MysqlKill => world.services.signal(Service::Mysql, "KILL").await,
        Fault::MysqlLock => mysql::lock_tables(world).await,
        Fault::KillWhileLocked => {
            mysql::lock_tables(world).await?;
            // By then each consumer has a batch that it cannot write.
            tokio::time::sleep(UNTIL_ALL_WAIT).await;
            for consumer in world.processes.names(Kind::Consumer) {
                world.processes.kill(&consumer).await?;
            }
            Ok(())
        }
        Fault::MysqlReadOnly => mysql::set_read_only(world, true).await,
        Fault::MysqlDeadlocks => {
            let connection = world.mysql_root().await?;
            let sale = sale.to_owned();
            world.under_way.push(UnderWay::begin(|stop| mysql::deadlocks(connection, sale, stop)));
            Ok(())
        }
        Fault::KafkaKill => world.services.signal(Service::Kafka, "KILL").await,
        Fault::KafkaStop => world.services.signal(Service::Kafka, "STOP").await,
        Fault::Poison => poison::spread(&world.log, sale).await,
        Fault::Rebalance => {
            let mut extra = Processes::new(
                world.binaries.clone(),
                world.folder.clone(),
                &[("consumer-3", Kind::Consumer)],
            )?;
            extra.set(world.processes.settings().clone());
            world.under_way.push(UnderWay::begin(|stop| come_and_go(extra, stop)));
            Ok(())
        }
        Fault::TopicDeleted => world.log.delete_orders().await,
        Fault::RedisLostReplies => world.proxies()?.swallow_replies("redis").await,
        Fault::KafkaLostReplies => world.proxies()?.swallow_replies("kafka").await,
        Fault::MysqlLostReplies => world.proxies()?.swallow_replies("mysql").await,
        Fault::SlowAndSplit => world.proxies()?.slow_and_split().await,
        Fault::CutAtCommit => {
            world.proxies()?.commit_cut.set(true);
            Ok(())
        }
        Fault::ClientResets => {
            let (apis, sale) = (world.processes.api_addresses(), sale.to_owned());
            world.under_way.push(UnderWay::begin(|stop| clients::reset(apis, sale, stop)));
            Ok(())
        }
        Fault::SlowClients => {
            let apis = world.processes.api_addresses();
            world.under_way.push(UnderWay::begin(|stop| clients::slow(apis, stop)));
            Ok(())
        }
        Fault::Overload => {
            let crowd = clients::overload(&world.processes.api_urls(), sale, &world.overload_history(sale))?;
            world.under_way.push(crowd);
            Ok(())
        }
        Fault::ClockAhead => clock::set_ahead(world, &api).await,
        Fault::RedisDiskFull => disk::fill(world, Service::Redis),
        Fault::MysqlDiskFull => disk::fill(world, Service::Mysql),
        Fault::KafkaDiskFull => disk::fill(world, Service::Kafka),
        Fault::RedisFailover => replicas::lose_primary(world).await,
        Fault::LeaderKill => replicas::kill_leader(world, blow.pick, 0).await,
        Fault::TwoOfThree => replicas::kill_leader(world, blow.pick, 1).await,
    }
}

/// Ends what goes on again and again.
pub async fn end_under_way(world: &mut World) -> anyhow::Result<()> {
    let mut outcome = Ok(());
    for under_way in world.under_way.drain(..) {
        outcome = under_way.end().await.and(outcome);
    }
    outcome
}

/// In which order faults that struck together are ended: first what makes a server run at all, then what is set in
/// it (locks before settings, which wait for them), then our own processes.
pub const fn order_of_ending(fault: Fault) -> u8 {
    match fault {
        Fault::RedisKill | Fault::MysqlKill | Fault::KafkaKill => 0,
        Fault::RedisOldCopy | Fault::KafkaStop => 1,
        Fault::MysqlLock | Fault::KillWhileLocked => 2,
        Fault::RedisMemory | Fault::MysqlReadOnly => 3,
        _ => 4,
    }
}

/// Ends a fault: everything that the system needs is there again.
pub async fn end(world: &mut World, fault: Fault) -> anyhow::Result<()> {
    match fault {
        Fault::RedisOldCopy => {
            world.services.signal(Service::Redis, "KILL").await?;
            let is_older = world.services.copy_is_older().await?;
            world.services.put_copy_back().await?;
            ensure!(is_older, "Redis has written nothing since the copy was made");
            world.services.start(Service::Redis).await
        }
        Fault::RedisKill => world.services.start(Service::Redis).await,
        Fault::RedisMemory => world.redis(&["CONFIG", "SET", "maxmemory", "0"]).await,
        Fault::MysqlKill => world.services.start(Service::Mysql).await,
        Fault::MysqlLock | Fault::KillWhileLocked => {
            world.locks = None;
            start_all(world)
        }
        Fault::MysqlReadOnly => mysql::set_read_only(world, false).await,
        Fault::KafkaKill => world.services.start(Service::Kafka).await,
        Fault::KafkaStop => world.services.signal(Service::Kafka, "CONT").await,
        Fault::KillApi | Fault::KillConsumer | Fault::KillKeeper => start_all(world),
        Fault::StopApi | Fault::StopConsumer | Fault::StopKeeper => {
            for name in world.processes.all() {
                world.processes.signal(&name, "CONT").await?;
            }
            Ok(())
        }
        Fault::RedisLostReplies
        | Fault::KafkaLostReplies
        | Fault::MysqlLostReplies
        | Fault::SlowAndSplit
        | Fault::CutAtCommit => world.proxies()?.clear().await,
        Fault::ClockAhead => clock::set_right(world).await,
        Fault::RedisDiskFull => disk::make_room(world, Service::Redis).await,
        Fault::MysqlDiskFull => disk::make_room(world, Service::Mysql).await,
        Fault::KafkaDiskFull => disk::make_room(world, Service::Kafka).await,
        Fault::TopicDeleted => world.admin(&["topics", "create"]).await,
        Fault::RedisFailover => world.services.start_all(&REPLICAS).await,
        Fault::LeaderKill | Fault::TwoOfThree => world.services.start_all(&BROKERS).await,
        Fault::ClientResets
        | Fault::SlowClients
        | Fault::Overload
        | Fault::RollingRestart
        | Fault::RedisFlush
        | Fault::RedisScriptFlush
        | Fault::RedisPause
        | Fault::MysqlDeadlocks
        | Fault::Poison
        | Fault::Rebalance => Ok(()),
    }
}

/// What was decided and not yet written when the topic went is in the ledger alone: an operator has it published again.
pub async fn repair(world: &World) -> anyhow::Result<()> {
    let ends = Instant::now() + REPAIR_WITHIN;
    loop {
        let (code, said) = world.admin_says(&["reconcile", "--repair", "--yes"]).await?;
        // While a sale goes on there is always something on its way: 1 without a complaint is that, and no failure.
        // What librdkafka logs meanwhile is no complaint.
        let complains = said.lines().any(|line| !line.starts_with('{'));
        if code == Some(0) || (code == Some(1) && !complains) {
            return Ok(());
        }
        ensure!(Instant::now() < ends, "stock-admin reconcile --repair: {said}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

fn start_all(world: &mut World) -> anyhow::Result<()> {
    for name in world.processes.all() {
        world.processes.start(&name)?;
    }
    Ok(())
}

fn one_of(names: &[String], pick: usize) -> String {
    names[pick % names.len()].clone()
}

async fn restart_one_by_one(world: &mut World) -> anyhow::Result<()> {
    for name in world.processes.all() {
        world.processes.stop(&name).await?;
        world.processes.start(&name)?;
        world.processes.wait_until_ready(&name).await?;
    }
    Ok(())
}

/// A consumer that comes and goes: half of the times it takes its leave, half of the times it is killed.
async fn come_and_go(mut extra: Processes, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut killed = false;
    while !*stop.borrow() {
        extra.start("consumer-3")?;
        let _ = tokio::time::timeout(COME_AND_GO, stop.wait_for(|stop| *stop)).await;
        if killed {
            extra.stop("consumer-3").await?;
        } else {
            extra.kill("consumer-3").await?;
        }
        killed = !killed;
        let _ = tokio::time::timeout(COME_AND_GO, stop.wait_for(|stop| *stop)).await;
    }
    Ok(())
}
