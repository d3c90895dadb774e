//! An API whose clock is wrong: sale windows follow the clock of Redis, not its own.

use std::time::Duration;

use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp};
use tokio::time::timeout;

use super::{process::Kind, world::World};
use crate::http::Connection;

/// How far ahead the clock is, as libfaketime reads it.
const AHEAD: &str = "+1h";
/// How often it is started before it is given up, and how long each start may take to be ready.
const STARTS: usize = 4;
const READY_WITHIN: Duration = Duration::from_secs(10);

/// Starts `api` anew with a clock that is an hour ahead, and sees that it still sells what is open until in half an
/// hour, and not what opens in half an hour.
pub async fn set_ahead(world: &mut World, api: &str) -> anyhow::Result<()> {
    let library = world.fake_time.clone().context("no libfaketime")?;
    world.processes.stop(api).await?;
    start_ahead(world, api, &library).await?;
    let soon = (Timestamp::now() + SignedDuration::from_mins(30)).to_string();
    let (closing, opening) = (
        format!("closing-{}", Timestamp::now().as_millisecond()),
        format!("opening-{}", Timestamp::now().as_millisecond()),
    );
    world.admin(&["sale", "create", &closing, "--stock", "5", "--title", "C", "--closes-at", &soon]).await?;
    world.admin(&["sale", "create", &opening, "--stock", "5", "--title", "O", "--opens-at", &soon]).await?;
    for sale in [&closing, &opening] {
        world.processes.wait_for(api, &format!("/v1/sales/{sale}")).await?;
    }
    for (sale, expected) in [(&closing, 202), (&opening, 409)] {
        let status = order(world, api, sale).await?;
        ensure!(
            status == expected,
            "{api}, an hour ahead, answered {status} for sale {sale}, not {expected}"
        );
    }
    Ok(())
}

/// Starts `api` with the wrong clock, as often as it takes: where librdkafka waits until some moment (to ask Kafka once
/// more for what it did not get at once), libfaketime lets it wait for an hour longer.
async fn start_ahead(world: &mut World, api: &str, library: &str) -> anyhow::Result<()> {
    let settings = [
        ("LD_PRELOAD", library),
        ("FAKETIME", AHEAD),
        // Time that only passes is not what is wrong.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    for _ in 0..STARTS {
        world.processes.start_with(api, &settings)?;
        if let Ok(ready) = timeout(READY_WITHIN, world.processes.wait_until_ready(api)).await {
            return ready;
        }
        world.processes.kill(api).await?;
    }
    anyhow::bail!("{api} was not ready with a wrong clock in {STARTS} starts")
}

/// Starts every API anew with the right clock. They are killed: libfaketime holds up the waits of librdkafka that an
/// orderly stop is made of, which a wrong clock by itself does not.
pub async fn set_right(world: &mut World) -> anyhow::Result<()> {
    for api in world.processes.names(Kind::Api) {
        world.processes.kill(&api).await?;
        world.processes.start(&api)?;
        world.processes.wait_until_ready(&api).await?;
    }
    Ok(())
}

async fn order(world: &World, api: &str, sale: &str) -> anyhow::Result<u16> {
    let body = r#"{"user":"punctual","goods":"flash"}"#;
    let request = format!(
        "POST /v1/sales/{sale}/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
    // A sale's keys are loaded a moment after the sale can be read.
    for _ in 0..100 {
        let mut connection = Connection::open(world.processes.address(api)?).await?;
        let status = connection.send(request.as_bytes()).await?.status;
        if status != 503 {
            return Ok(status);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    Ok(503)
}
