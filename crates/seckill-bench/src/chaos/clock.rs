//! An API whose clock is wrong: sale windows follow the clock of Redis, not its own.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use anyhow::{Context, ensure};
use jiff::{SignedDuration, Timestamp, fmt::rfc2822};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use super::{process::Kind, world::World};
use crate::http::Connection;

/// How far the clock is moved, as libfaketime reads it.
const RIGHT: &str = "+0";
const AHEAD: &str = "+1h";
/// How long it may take until the process has noticed.
const MOVED_WITHIN: Duration = Duration::from_secs(10);

/// Starts `api` anew with a clock that jumps ahead by an hour, and sees that it still sells what is open until in half
/// an hour, and not what opens in half an hour.
pub async fn set_ahead(world: &mut World, api: &str) -> anyhow::Result<()> {
    let library = world.fake_time.clone().context("no libfaketime")?;
    world.processes.stop(api).await?;
    let clock = clock_of(world, api);
    let settings = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_str().context("the folder's name is not UTF-8")?),
        ("FAKETIME_CACHE_DURATION", "1"),
        // Time that only passes is not what is wrong.
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    // Not before it is ready: the waits of librdkafka are not seen by libfaketime, which only sees what they take for
    // now. Begun with a wrong clock, they last an hour longer, and it never gets as far as a connection.
    std::fs::write(&clock, RIGHT)?;
    world.processes.start_with(api, &settings)?;
    world.processes.wait_until_ready(api).await?;
    std::fs::write(&clock, AHEAD)?;
    let ends = Instant::now() + MOVED_WITHIN;
    while time_told_by(world, api).await?.duration_since(Timestamp::now()) < SignedDuration::from_mins(59) {
        ensure!(Instant::now() < ends, "the clock of {api} does not move");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
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

/// What time it is, by the head of an answer of `api`.
async fn time_told_by(world: &World, api: &str) -> anyhow::Result<Timestamp> {
    let mut connection = TcpStream::connect(world.processes.address(api)?).await?;
    connection.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer).await?;
    let date =
        answer.lines().find_map(|line| line.strip_prefix("date: ")).context("an answer without a date")?;
    Ok(rfc2822::parse(date)?.timestamp())
}

/// Starts whichever API has a wrong clock anew with the right one. It is killed: libfaketime holds up the waits of
/// librdkafka that an orderly stop is made of, which a wrong clock by itself does not.
pub async fn set_right(world: &mut World) -> anyhow::Result<()> {
    for api in world.processes.names(Kind::Api) {
        let clock = clock_of(world, &api);
        if clock.exists() {
            world.processes.kill(&api).await?;
            world.processes.start(&api)?;
            std::fs::remove_file(clock)?;
        }
    }
    Ok(())
}

/// The file that says what `api` takes for the time.
fn clock_of(world: &World, api: &str) -> PathBuf {
    world.folder.join(format!("clock-of-{api}"))
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
