//! Clients that behave badly: that reset their connections, are slow, or are far too many.

use std::{
    fmt::Write,
    net::SocketAddr,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use anyhow::Context;
use seckill_core::sale::SaleId;
use tokio::{io::AsyncWriteExt, net::TcpStream, sync::watch, task::JoinSet};

use super::world::UnderWay;
use crate::{
    history::{Attempt, History},
    load::{self, LoadArgs},
    recorder::Kind,
};

/// Pause between two connections that are reset.
const RESET_EVERY: Duration = Duration::from_millis(10);
/// Slow clients of each API: half of them write slowly, half never read.
const SLOW: usize = 500;
/// Pause between two bytes of a slow writer.
const BYTE_EVERY: Duration = Duration::from_millis(300);
/// Connections of an overload.
const CROWD: u16 = 5_000;

/// Sends requests and resets their connections: in their head, in their body, or before the answer. Whether the last
/// kind got an order nobody knows: their buyers are not in the history.
pub async fn reset(apis: Vec<SocketAddr>, sale: String, stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut number = 0;
    while !*stop.borrow() {
        number += 1;
        let body = format!(r#"{{"user":"reset-{number}","goods":"flash"}}"#);
        let request = format!(
            "POST /v1/sales/{sale}/orders HTTP/1.1\r\nHost: x\r\nIdempotency-Key: reset-{number}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let length = match number % 3 {
            0 => request.len(),
            1 => request.len() - body.len() / 2,
            _ => request.len() / 3,
        };
        if let Ok(mut connection) = TcpStream::connect(apis[number % apis.len()]).await {
            let _ = connection.write_all(&request.as_bytes()[..length]).await;
            // Closed at once and with a reset, not after a farewell.
            let _ = connection.set_zero_linger();
        }
        tokio::time::sleep(RESET_EVERY).await;
    }
    Ok(())
}

/// Holds many connections that are hardly used.
pub async fn slow(apis: Vec<SocketAddr>, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
    let mut clients = JoinSet::new();
    for api in apis {
        for number in 0..SLOW {
            if number.is_multiple_of(2) {
                clients.spawn(write_slowly(api));
            } else {
                clients.spawn(never_read(api));
            }
        }
    }
    let _ = stop.wait_for(|stop| *stop).await;
    clients.shutdown().await;
    Ok(())
}

async fn write_slowly(api: SocketAddr) {
    loop {
        let Ok(mut connection) = TcpStream::connect(api).await else { return };
        let request =
            b"POST /v1/sales/none/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{\"user\":\"slow";
        for byte in request {
            if connection.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(BYTE_EVERY).await;
        }
    }
}

async fn never_read(api: SocketAddr) {
    loop {
        let Ok(mut connection) = TcpStream::connect(api).await else { return };
        // Goes on until the answers fill all that lies between, and then waits for ever or is cut off.
        while connection.write_all(b"GET /v1/sales HTTP/1.1\r\nHost: x\r\n\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// A crowd that asks as fast as it can; what it is told goes to `history`.
pub fn overload(urls: &[String], sale: &str, history: &Path) -> anyhow::Result<UnderWay> {
    let args = LoadArgs {
        url: urls.to_vec(),
        sale: SaleId::parse(sale)?,
        also_in: Vec::new(),
        buyers: None,
        duration: Some(Duration::from_secs(3_600)),
        connections: CROWD,
        keyed_share: 0.5,
        replay_every: None,
        returning_every: None,
        quantity: 1,
        remark_length: 0,
        follow_every: None,
        rate: None,
        timeout: Duration::from_secs(10),
        retry_for: Duration::from_secs(5),
        threads: 1,
        hooks: Vec::new(),
        progress: false,
    };
    let history = history.to_owned();
    let shut = Arc::new(AtomicBool::new(false));
    let shut_by_us = Arc::clone(&shut);
    // A runtime of its own: its work must not hold up the one that measures.
    let crowd = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(load::run_until_shut(&args, Some(history), None, shut)).map_err(anyhow::Error::from)
    });
    Ok(UnderWay::begin(|mut stop| async move {
        let _ = stop.wait_for(|stop| *stop).await;
        shut_by_us.store(true, Ordering::Relaxed);
        let joined = tokio::task::spawn_blocking(|| crowd.join()).await?;
        joined.ok().context("the crowd's thread panicked")?.map(drop)
    }))
}

/// Longest time that nearly all orders of an overloaded system may take: what is accepted is accepted within two seconds
/// or is `pending`. The rest is the crowd's own, on the same machine.
const BOUNDED: Duration = Duration::from_secs(4);

/// Longest time that 95 in 100 of its refusals may take: they are given at once. A disk that stands still for two seconds,
/// as disks do under this, holds up those who are let in then, and they are refused when it goes on.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What an overload came to, and what of it is not as it should be. How fast refusals are is asked of the `others`, the
/// usual buyers: the crowd has one thread to read all its answers. That each 503 says when to come again is for the
/// checks of the sale, which look at every answer.
pub fn judge(crowd: &History, others: &History) -> (String, Vec<String>) {
    let mut problems = Vec::new();
    let mut note = String::from("overload:");
    let is_accepted = |attempt: &Attempt| Kind::of(attempt) == Kind::Accepted;
    let is_refused = |attempt: &Attempt| {
        attempt.answer().is_some_and(|answer| answer.code.as_deref() == Some("overloaded"))
    };
    for (who, what, took, percent, bound) in [
        ("of the crowd", "accepted", times_of(crowd, is_accepted), 99, BOUNDED),
        ("of the crowd", "refused", times_of(crowd, is_refused), 99, Duration::MAX),
        ("of the others", "refused", times_of(others, is_refused), 95, AT_ONCE),
    ] {
        let Some(nearly_all) = percentile(&took, percent) else {
            problems.push(format!("none {who} was {what} under overload"));
            continue;
        };
        let within = nearly_all.as_millis();
        let _ = write!(note, " {} {who} {what}, p{percent} {within} ms;", took.len());
        if nearly_all > bound {
            problems.push(format!("{what}: {} in a hundred took {within} ms or longer", 100 - percent));
        }
    }
    (note, problems)
}

/// What each of some attempts took, the shortest first.
fn times_of(told: &History, is_meant: impl Fn(&Attempt) -> bool) -> Vec<Duration> {
    let meant = told.attempts.iter().filter(|attempt| is_meant(attempt));
    let mut took: Vec<_> =
        meant.map(|attempt| Duration::from_micros(attempt.end_us - attempt.start_us)).collect();
    took.sort_unstable();
    took
}

fn percentile(sorted: &[Duration], percent: usize) -> Option<Duration> {
    Some(sorted[sorted.len().checked_sub(1)? * percent / 100])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Answer, Outcome};

    fn attempt(took: Duration, outcome: Outcome) -> Attempt {
        Attempt { end_us: u64::try_from(took.as_micros()).unwrap(), ..Attempt::ended(outcome) }
    }

    fn refused(took: Duration) -> Attempt {
        let answer = Answer { status: 503, code: Some("overloaded".into()), ..Answer::default() };
        attempt(took, Outcome::Answered(answer))
    }

    fn accepted(took: Duration) -> Attempt {
        attempt(took, Outcome::accepted())
    }

    fn told(attempts: Vec<Attempt>) -> History {
        History { attempts }
    }

    #[test]
    fn p6_a_refusal_that_comes_late_is_a_problem() {
        let crowd = told(vec![accepted(Duration::from_secs(1)), refused(Duration::from_secs(2))]);
        let (note, problems) = judge(&crowd, &told(vec![refused(Duration::from_millis(5))]));
        assert!(note.ends_with("1 of the crowd refused, p99 2000 ms; 1 of the others refused, p95 5 ms;"));
        assert!(problems.is_empty(), "{problems:?}");
        let (_, problems) = judge(&crowd, &told(vec![refused(Duration::from_millis(1_001))]));
        assert_eq!(problems, ["refused: 5 in a hundred took 1001 ms or longer"]);
    }

    #[test]
    fn p6_an_overload_in_which_nobody_is_accepted_or_refused_is_a_problem() {
        let (_, problems) = judge(&told(vec![]), &told(vec![accepted(Duration::ZERO)]));
        assert_eq!(
            problems,
            [
                "none of the crowd was accepted under overload",
                "none of the crowd was refused under overload",
                "none of the others was refused under overload",
            ]
        );
        let late = told(vec![accepted(Duration::from_secs(5)), refused(Duration::ZERO)]);
        assert_eq!(judge(&late, &late).1, ["accepted: 1 in a hundred took 5000 ms or longer"]);
    }
}
