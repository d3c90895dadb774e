//! When an accepted order is in MySQL: some of the orders are looked for until their rows are there.
//!
//! What counts is what another connection can read, after the COMMIT: the times in the row are from before it.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;
use seckill_core::order::OrderId;

use crate::{buyer::Run, exit::Failure, history::Outcome, witness::StoreWitness};

/// How often MySQL is asked: what is measured is right to so much.
const ASK_EVERY: Duration = Duration::from_millis(2);

/// How long the last orders are waited for once nobody buys any more.
const WAIT: Duration = Duration::from_secs(30);

/// Longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 120_000_000;

/// Takes accepted orders from the buyers.
#[derive(Debug)]
pub struct Followed {
    every: u64,
    new: Mutex<Vec<(OrderId, u64)>>,
    nobody_buys: AtomicBool,
}

impl Followed {
    /// Takes every `every`-th buyer's order.
    pub fn every(every: u64) -> Self {
        Self { every, new: Mutex::default(), nobody_buys: AtomicBool::new(false) }
    }

    /// Notes that the order of buyer `number`, who was to ask at `start_us` of the run, was accepted.
    pub fn accepted(&self, number: u64, outcome: &Outcome, start_us: u64) {
        if !number.is_multiple_of(self.every) {
            return;
        }
        if let Outcome::Answered(answer) = outcome
            && let Some(order) = answer.order
        {
            self.new.lock().unwrap_or_else(PoisonError::into_inner).push((order.id, start_us));
        }
    }
}

/// When the orders that were followed were there.
#[derive(Debug)]
pub struct Seen {
    /// From the request's start, in microseconds.
    pub latency: Histogram<u64>,
    /// How many were not there in the end.
    pub missing: u64,
}

/// A thread that looks for the orders.
#[derive(Debug)]
pub struct Following(JoinHandle<Result<Seen, Failure>>);

impl Following {
    /// Waits until the last order is there, but not for ever.
    pub fn end(self, run: &Run) -> Result<Seen, Failure> {
        if let Some(followed) = &run.followed {
            followed.nobody_buys.store(true, Ordering::Release);
        }
        self.0.join().map_err(|_| anyhow::anyhow!("the following thread panicked"))?
    }
}

/// Starts to look for the orders of `run` in `database`, if any are to be followed.
pub fn follow(run: &Arc<Run>, database: Option<&str>) -> Result<Option<Following>, Failure> {
    if run.followed.is_none() {
        return Ok(None);
    }
    let database = database.ok_or_else(|| Failure::Usage("--follow-every needs --database-url".into()))?;
    let (run, database) = (Arc::clone(run), database.to_owned());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(Some(Following(std::thread::spawn(move || runtime.block_on(look(&run, &database))))))
}

async fn look(run: &Run, database: &str) -> Result<Seen, Failure> {
    let mut store = StoreWitness::connect(database).await?;
    let mut latency = Histogram::new_with_bounds(1, LONGEST_US, 3).expect("valid bounds");
    let mut open: HashMap<OrderId, u64> = HashMap::new();
    let mut ends = None;
    loop {
        if let Some(followed) = &run.followed {
            // Read before the list: what was accepted before is then in it.
            if ends.is_none() && followed.nobody_buys.load(Ordering::Acquire) {
                ends = Some(Instant::now() + WAIT);
            }
            open.extend(followed.new.lock().unwrap_or_else(PoisonError::into_inner).drain(..));
        }
        for id in store.which_are_there(open.keys()).await? {
            if let Some(start_us) = open.remove(&id) {
                latency.saturating_record(run.now_us().saturating_sub(start_us));
            }
        }
        if ends.is_some_and(|ends| open.is_empty() || Instant::now() >= ends) {
            return Ok(Seen { latency, missing: open.len() as u64 });
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
