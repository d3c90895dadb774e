//! Writes the history and measures, away from the threads that send requests.

use std::{
    collections::BTreeMap,
    fs::File,
    io::{self, BufWriter, Write},
    path::Path,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use hdrhistogram::Histogram;
use seckill_core::order::OrderStatus;
use serde::Serialize;

use crate::{
    buyer::micros,
    history::{Answer, Attempt, Call, Outcome},
};

/// How long the recorder lets attempts gather. Waking it for each one would cost more than sending it.
const GATHER: Duration = Duration::from_millis(5);

/// How long a slice of the timeline is.
pub const SLICE: Duration = Duration::from_millis(250);

/// Longest latency that is told apart, in microseconds.
const LONGEST_US: u64 = 120_000_000;

/// Longest timeline, one day: what ends later is counted in its last slice.
const MOST_SLICES: usize = 4 * 86_400;

/// How an attempt ended, as the summary counts it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Kind {
    Accepted,
    Replayed,
    Pending,
    SoldOut,
    Refused,
    /// 429 and 503: nothing done, try again.
    TryAgain,
    /// An answer that the interface does not describe.
    Unclear,
    /// Sent, no answer.
    Unknown,
    /// No connection.
    Unsent,
    /// A `GET` of an order.
    Look,
}

impl Kind {
    /// How `attempt` ended.
    pub fn of(attempt: &Attempt) -> Self {
        match &attempt.outcome {
            Outcome::Unsent(_) => Self::Unsent,
            Outcome::Unknown(_) => Self::Unknown,
            Outcome::Answered(_) if attempt.call != Call::Order => Self::Look,
            Outcome::Answered(answer) => Self::of_answer(answer),
        }
    }

    fn of_answer(answer: &Answer) -> Self {
        match answer.order_status() {
            Some(OrderStatus::Pending) => Self::Pending,
            Some(OrderStatus::Accepted | OrderStatus::Confirmed) if answer.replayed => Self::Replayed,
            Some(OrderStatus::Accepted | OrderStatus::Confirmed) => Self::Accepted,
            Some(OrderStatus::Rejected | OrderStatus::Cancelled) => Self::Refused,
            None if answer.is_sold_out() => Self::SoldOut,
            None if answer.is_try_again() => Self::TryAgain,
            None if answer.code.is_some() && answer.status < 500 => Self::Refused,
            None => Self::Unclear,
        }
    }
}

/// What the attempts of one kind took.
#[derive(Clone, Debug)]
pub struct Measure {
    /// Latencies in microseconds.
    pub latency: Histogram<u64>,
    /// When the first of them was sent.
    pub first_start_us: u64,
    /// When the last of them ended.
    pub last_end_us: u64,
    /// How many ended in each [`SLICE`] since the run began.
    pub timeline: Vec<u32>,
}

/// What the attempts of each kind took.
pub type Measures = BTreeMap<Kind, Measure>;

/// Takes attempts from the sending threads.
#[derive(Debug, Default)]
pub struct Recorder {
    gathered: Mutex<Vec<Attempt>>,
    finished: AtomicBool,
}

impl Recorder {
    /// Hands over an attempt whose outcome is known.
    pub fn record(&self, attempt: Attempt) {
        self.gathered.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
    }

    /// Says that nothing more will come: [`Self::run`] writes the rest and returns.
    pub fn finish(&self) {
        self.finished.store(true, Ordering::Release);
    }

    /// Measures what is handed over and writes it to `path`, until [`Self::finish`].
    pub fn run(&self, path: Option<&Path>) -> io::Result<Measures> {
        let mut file = path.map(File::create).transpose()?.map(BufWriter::new);
        let mut measures = Measures::new();
        let mut batch = Vec::new();
        loop {
            // Read before the swap: what was recorded before `finish` is then in this batch.
            let last = self.finished.load(Ordering::Acquire);
            std::mem::swap(&mut batch, &mut *self.gathered.lock().unwrap_or_else(PoisonError::into_inner));
            for attempt in batch.drain(..) {
                measure(&mut measures, &attempt);
                if let Some(file) = &mut file {
                    serde_json::to_writer(&mut *file, &attempt)?;
                    file.write_all(b"\n")?;
                }
            }
            if last {
                if let Some(mut file) = file {
                    file.flush()?;
                }
                return Ok(measures);
            }
            std::thread::sleep(GATHER);
        }
    }
}

fn measure(measures: &mut Measures, attempt: &Attempt) {
    let measure = measures.entry(Kind::of(attempt)).or_insert_with(|| Measure {
        latency: Histogram::new_with_bounds(1, LONGEST_US, 3).expect("valid bounds"),
        first_start_us: attempt.start_us,
        last_end_us: attempt.end_us,
        timeline: Vec::new(),
    });
    measure.latency.saturating_record(attempt.end_us - attempt.start_us + attempt.late_us);
    measure.first_start_us = measure.first_start_us.min(attempt.start_us);
    measure.last_end_us = measure.last_end_us.max(attempt.end_us);
    let slice = usize::try_from(attempt.end_us / micros(SLICE)).unwrap_or(usize::MAX).min(MOST_SLICES - 1);
    if measure.timeline.len() <= slice {
        measure.timeline.resize(slice + 1, 0);
    }
    measure.timeline[slice] += 1;
}
