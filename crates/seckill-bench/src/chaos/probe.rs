//! Tells how long the system takes to recover: a buyer asks each API again and again until it is served.

use std::{
    path::PathBuf,
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, Instant},
};

use anyhow::Context;
use seckill_core::sale::SaleId;

use super::{mysql, world::World};
use crate::{
    buyer::{Client, Fate, Run, Tally},
    http::Target,
    recorder::{Measures, Recorder},
    request::{Crowd, Requests},
};

/// How often an API is asked.
const ASK_EVERY: Duration = Duration::from_millis(50);
/// How often the consumers' offsets are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// How long an answer may take: an API that is stopped must not hold up the next question for long.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long the system may take at all. Then it has not recovered.
pub const GIVE_UP: Duration = Duration::from_secs(120);

/// How long the system took after a fault's end.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Recovery {
    /// Until every API had accepted an order (or rightly refused it as sold out).
    pub accepting: Duration,
    /// Until the consumers had written all that was in the log by then, a process was the keeper, and the sale that is
    /// held throughout was answered, too: everything is as before.
    pub whole: Duration,
}

impl Recovery {
    /// The slowest of several; none if one never came.
    pub fn slowest(recoveries: &[Option<Self>]) -> Option<Self> {
        let recoveries: Vec<Self> = recoveries.iter().copied().collect::<Option<_>>()?;
        Some(Self {
            accepting: recoveries.iter().map(|recovery| recovery.accepting).max()?,
            whole: recoveries.iter().map(|recovery| recovery.whole).max()?,
        })
    }
}

/// A buyer who asks. Its attempts are part of the history that is checked.
#[derive(Debug)]
pub struct Probe {
    run: Arc<Run>,
    clients: Vec<Client>,
    recording: std::thread::JoinHandle<std::io::Result<Measures>>,
    next: u64,
}

impl Probe {
    /// Asks for units of `sale` at each of `urls`; its history goes to `history`.
    pub async fn start(urls: &[String], sale: SaleId, history: PathBuf) -> anyhow::Result<Self> {
        let name = format!("probe-{:x}", jiff::Timestamp::now().as_millisecond());
        let run = Arc::new(Run {
            crowd: Crowd {
                run: name,
                sales: vec![sale],
                quantity: 1,
                keyed_share: 1.0,
                replay_every: None,
                returning_every: None,
                remark_length: 0,
            },
            answer_within: ANSWER_WITHIN,
            // One attempt a buyer: the next attempt is another's.
            retry_for: Duration::ZERO,
            began: Instant::now(),
            recorder: Recorder::default(),
            keeps_history: true,
            followed: None,
            tally: Tally::default(),
            stop: AtomicBool::new(false),
        });
        let mut clients = Vec::new();
        for url in urls {
            let target = Target::resolve(url).await.map_err(anyhow::Error::msg)?;
            let requests = Arc::new(Requests::render(&run.crowd, &target.host));
            clients.push(Client::new(Arc::clone(&run), &[(target, requests)], 0));
        }
        let recorded = Arc::clone(&run);
        let recording = std::thread::spawn(move || recorded.recorder.run(Some(&history)));
        Ok(Self { run, clients, recording, next: 0 })
    }

    /// Waits until the system has recovered, with the sale that `held` asks for, where there is one. None: it did not.
    pub async fn recovery(
        &mut self,
        held: Option<&mut Self>,
        world: &World,
        healed: Instant,
    ) -> Option<Recovery> {
        tokio::time::timeout(GIVE_UP, self.recovered(held, world, healed)).await.ok()
    }

    async fn recovered(&mut self, held: Option<&mut Self>, world: &World, healed: Instant) -> Recovery {
        self.served().await;
        let accepting = healed.elapsed();
        let ends = loop {
            match world.log.ends().await {
                Ok((orders, _)) => break orders,
                Err(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        };
        while !world.log.is_written(&ends).await.unwrap_or(false) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        while !mysql::is_kept(world).await.unwrap_or(false) {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        if let Some(held) = held {
            held.served().await;
        }
        Recovery { accepting, whole: healed.elapsed() }
    }

    /// Asks each API until it has accepted an order, or rightly refused it as sold out.
    async fn served(&mut self) {
        for client in &mut self.clients {
            loop {
                self.next += 1;
                if matches!(client.buy(self.next, Duration::ZERO).await, Fate::Accepted | Fate::SoldOut) {
                    break;
                }
                tokio::time::sleep(ASK_EVERY).await;
            }
        }
    }

    /// Ends, once its history is written.
    pub fn finish(self) -> anyhow::Result<()> {
        self.run.recorder.finish();
        self.recording.join().ok().context("the probe's recording thread panicked")??;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_of_two_recoveries_counts_and_one_that_never_came_is_never() {
        let after = |accepting, whole| {
            Some(Recovery { accepting: Duration::from_secs(accepting), whole: Duration::from_secs(whole) })
        };
        assert_eq!(Recovery::slowest(&[after(1, 9), after(2, 3)]), after(2, 9));
        assert_eq!(Recovery::slowest(&[after(1, 9), None]), None);
    }
}
