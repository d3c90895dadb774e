//! What happens to servers that have replicas: brokers of a cluster, and the Redis that Sentinel watches.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use deadpool_redis::redis;

use super::{
    services::Service,
    stage::{BROKERS, REPLICAS},
    world::World,
};

/// How long the replicas miss what the primary does. It goes on meanwhile: `min-replicas-max-lag` is more.
const MISSED: Duration = Duration::from_millis(1_500);
/// How long it may take until both replicas follow again.
const FOLLOWED_WITHIN: Duration = Duration::from_secs(30);

/// How long Sentinel may take to promote a replica: two seconds until it misses the primary, and a try or two.
const PROMOTED_WITHIN: Duration = Duration::from_secs(60);

/// Kills the broker that leads a partition, and so many others.
pub async fn kill_leader(world: &World, pick: usize, others: usize) -> anyhow::Result<()> {
    let leader = world.log.leader(i32::try_from(pick % 12)?).await?;
    let leader =
        BROKERS.iter().position(|&broker| broker == Service::Broker(leader)).context("no such broker")?;
    for next in 0..=others {
        world.services.signal(BROKERS[(leader + next) % BROKERS.len()], "KILL").await?;
    }
    Ok(())
}

/// Lets the replicas miss writes, then kills the primary. The replicas are killed, too, so that they do not hear
/// afterwards what was sent to them, and started again: Sentinel can only choose one that lacks something.
pub async fn lose_primary(world: &World) -> anyhow::Result<()> {
    let (primary, replicas) = roles(world).await?;
    for &replica in &replicas {
        world.services.signal(replica, "STOP").await?;
    }
    tokio::time::sleep(MISSED).await;
    world.services.signal(primary, "KILL").await?;
    for &replica in &replicas {
        world.services.signal(replica, "KILL").await?;
    }
    world.services.start_all(&replicas).await
}

/// The primary that both replicas follow, and those. The server that was the primary before the last strike may still
/// be on its way to being one of them.
async fn roles(world: &World) -> anyhow::Result<(Service, Vec<Service>)> {
    let ends = Instant::now() + FOLLOWED_WITHIN;
    loop {
        for primary in REPLICAS {
            let address = world.services.address(primary).await?;
            if is_followed(&address).await.unwrap_or(false) {
                return Ok((primary, REPLICAS.into_iter().filter(|&other| other != primary).collect()));
            }
        }
        ensure!(Instant::now() < ends, "no Redis is a primary that is followed");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until Sentinel has made another server the primary, while the one that was it is dead, and says when.
pub async fn another_primary(world: &World) -> anyhow::Result<Instant> {
    let ends = Instant::now() + PROMOTED_WITHIN;
    let mut addresses = Vec::new();
    for replica in REPLICAS {
        addresses.push(world.services.address(replica).await?);
    }
    loop {
        for address in &addresses {
            let said = replication(address).await.unwrap_or_default();
            if line(&said, "role:") == Some("master") {
                return Ok(Instant::now());
            }
        }
        ensure!(Instant::now() < ends, "no replica was made the primary");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn is_followed(address: &str) -> anyhow::Result<bool> {
    let said = replication(address).await?;
    Ok(line(&said, "role:") == Some("master") && line(&said, "min_slaves_good_slaves:") == Some("2"))
}

/// What a server says of its part in the replication.
async fn replication(address: &str) -> anyhow::Result<String> {
    let mut connection = redis::Client::open(address)?.get_multiplexed_async_connection().await?;
    Ok(redis::cmd("INFO").arg("replication").query_async(&mut connection).await?)
}

fn line<'a>(said: &'a str, wanted: &str) -> Option<&'a str> {
    said.lines().find_map(|line| line.strip_prefix(wanted))
}
