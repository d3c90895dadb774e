//! From the order log into the store: poll → decode → write → store the offset.
//!
//! All of it runs on one thread of its own. Rebalance callbacks run inside its polls, so that nothing is
//! being written while partitions come and go; and an offset moves only after the COMMIT that it stands for.

use std::{
    collections::{BTreeMap, HashSet},
    io,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use backon::{BackoffBuilder, ExponentialBuilder};
use futures_util::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use metrics::{counter, histogram};
use seckill_core::{
    event::OrderEvent,
    order::Order,
    order_log::{LogError, OrderPublisher, OrderSubscriber, Position, RawEvent},
    shutdown::Shutdown,
    store::{FULL_STATEMENT, IncomingEvent, Logged, OrderStore, StoreError, WriteOutcome},
};
use tokio::{
    runtime::{Builder, Runtime},
    sync::Notify,
};
use tracing::Instrument;

use crate::{
    dead_letter::{self, DeadLetter},
    measures,
    traced::BatchTrace,
};

/// Most events in one transaction: a backlog is written by statements that the store keeps prepared.
const MAX_BATCH: usize = 2 * FULL_STATEMENT;
/// Most dead letters on their way at once.
const LETTERS_AT_ONCE: usize = 100;
/// How long a batch gathers once it has begun.
const MAX_WAIT: Duration = Duration::from_millis(20);

/// Writes what the order log says into the store.
pub struct Consumer {
    /// The log, as a member of the consumer group.
    pub subscriber: OrderSubscriber,
    store: OrderStore,
    dead_letters: Arc<OrderPublisher>,
    returns: Arc<Notify>,
    shutdown: Shutdown,
    /// Runs what is asynchronous on this thread, which so waits for the store's answers itself: nobody must first wake
    /// up to tell it of one.
    runtime: Runtime,
}

/// Why a step was given up: none of its offsets has moved, and nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The log failed.
    #[error(transparent)]
    Log(#[from] LogError),
    /// A stop was asked for while the store was away.
    #[error("stopped before the batch could be stored")]
    Stopped,
}

impl Consumer {
    /// A consumer that writes what `subscriber` reads into `store`, which must be nobody else's: its connections answer
    /// only while this one works. What cannot be stored goes to `dead_letters`, and `returns` is told when units wait to
    /// go back to the ledger.
    pub fn new(
        subscriber: OrderSubscriber,
        store: OrderStore,
        dead_letters: Arc<OrderPublisher>,
        returns: Arc<Notify>,
        shutdown: Shutdown,
    ) -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        Ok(Self { subscriber, store, dead_letters, returns, shutdown, runtime })
    }

    /// Writes until a stop is asked for, then leaves the group.
    pub fn run(mut self) -> Result<(), LogError> {
        measures::writer_from_zero();
        while !self.shutdown.is_requested() {
            match self.step() {
                Ok(_) => {}
                Err(StepError::Stopped) => break,
                Err(StepError::Log(error)) => {
                    tracing::error!(%error, "a batch was given up and will be read again");
                    self.subscriber.rewind()?;
                    self.pause_for(Duration::from_secs(1));
                }
            }
        }
        self.subscriber.close()
    }

    /// Takes one batch all the way; says how many events were in it. Waits a moment if there is none.
    pub fn step(&mut self) -> Result<usize, StepError> {
        // Here, however the step before has ended: one that was given up while the store was away has left it paused.
        self.subscriber.resume_all()?;
        let batch = self.subscriber.poll_batch(MAX_BATCH, MAX_WAIT)?;
        // Everything polled so far of a partition that was lost belongs to its new owner.
        let batch = without(batch, &self.subscriber.take_revoked());
        if batch.is_empty() {
            return Ok(0);
        }
        histogram!("seckill_consumer_batch_size").record(batch.len() as f64);
        let (events, read) = (batch.len(), Instant::now());
        let written = self.write(Decoded::of(batch, self.subscriber.topic()))?;
        self.finish(written)?;
        histogram!("seckill_consumer_batch_seconds").record(read.elapsed());
        Ok(events)
    }

    /// Writes a batch, as often as it takes: while the store is away its partitions are paused and the polls
    /// go on, so that the group keeps this member.
    fn write(&mut self, mut decoded: Decoded) -> Result<Written, StepError> {
        let mut backoff = backoff();
        loop {
            let began = SystemTime::now();
            let attempted = self.attempt(&decoded.events);
            decoded.trace.attempted(began, decoded.events.len(), attempted.as_ref().err());
            match attempted {
                Ok(outcomes) => return Ok(Written { decoded, outcomes }),
                Err(error) => {
                    counter!("seckill_consumer_write_failures_total").increment(1);
                    tracing::warn!(%error, events = decoded.events.len(), "a batch could not be written; trying again");
                }
            }
            self.subscriber.pause_all()?;
            let pause = backoff.next().unwrap_or(MAX_BACKOFF);
            self.subscriber.poll_paused(pause)?;
            decoded.forget(&self.subscriber.take_revoked());
            if self.shutdown.is_requested() {
                return Err(StepError::Stopped);
            }
        }
    }

    /// One attempt at the whole batch. If something in it can never be stored, each event is tried alone.
    fn attempt(&self, events: &[IncomingEvent]) -> Result<Vec<Stored>, StoreError> {
        match self.runtime.block_on(self.store.write_batch(events)) {
            Ok(outcomes) => return Ok(outcomes.into_iter().map(Stored::Outcome).collect()),
            Err(error) if !error.is_about_the_data() => return Err(error),
            Err(error) => {
                tracing::warn!(%error, "a batch cannot be written as a whole; writing its events one by one");
            }
        }
        let mut stored = Vec::with_capacity(events.len());
        for event in events.chunks(1) {
            match self.runtime.block_on(self.store.write_batch(event)) {
                Ok(outcomes) => stored.extend(outcomes.into_iter().map(Stored::Outcome)),
                Err(error) if !error.is_about_the_data() => return Err(error),
                Err(error) => stored.push(Stored::Never(error.to_string())),
            }
        }
        Ok(stored)
    }

    /// After the COMMIT: dead letters first, then the offsets, then the units that go back.
    fn finish(&self, written: Written) -> Result<(), StepError> {
        let Written { outcomes, decoded } = written;
        let Decoded { messages, events, mut poison, next_offsets, mut trace } = decoded;
        let mut units_return = false;
        count(&outcomes);
        let (committed, confirm_seconds) = (Timestamp::now(), histogram!("seckill_consumer_confirm_seconds"));
        for ((message, event), stored) in messages.into_iter().zip(events).zip(outcomes) {
            let reason = match stored {
                Stored::Never(reason) => Some(reason),
                Stored::Outcome(outcome) => {
                    units_return |= outcome.returns_units();
                    let order = &event.event.order;
                    if outcome == WriteOutcome::Confirmed {
                        let late = committed.duration_since(order.created_date);
                        confirm_seconds.record(late.as_secs_f64().max(0.0));
                    }
                    let reason = outcome.dead_letter_reason();
                    if reason.is_none() {
                        trace.committed(&message, outcome.name()).in_scope(|| say(order, outcome));
                    }
                    reason.map(str::to_owned)
                }
            };
            poison.extend(reason.map(|reason| DeadLetter::new(message, reason)));
        }
        // Many at once, and still in their order: of one order, a cancellation stays behind what it cancels.
        let letters = stream::iter(&poison).map(|letter| {
            let scope = trace.set_aside(&letter.message, &letter.reason);
            dead_letter::send(&self.dead_letters, letter).instrument(scope)
        });
        self.runtime.block_on(letters.buffered(LETTERS_AT_ONCE).try_collect::<()>())?;
        for (partition, offset) in next_offsets {
            self.subscriber.store(partition, offset)?;
        }
        if units_return {
            self.returns.notify_one();
        }
        Ok(())
    }

    fn pause_for(&self, pause: Duration) {
        self.runtime.block_on(async {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = self.shutdown.requested() => {}
            }
        });
    }
}

fn count(outcomes: &[Stored]) {
    for outcome in WriteOutcome::ALL {
        let so_many =
            outcomes.iter().filter(|stored| matches!(stored, Stored::Outcome(of) if *of == outcome)).count();
        if so_many > 0 {
            counter!("seckill_consumer_events_total", "outcome" => outcome.name()).increment(so_many as u64);
        }
    }
}

fn say(order: &Order, outcome: WriteOutcome) {
    let (id, sale) = (order.id, &order.sale);
    if outcome == WriteOutcome::Rejected {
        tracing::error!(order = %id, %sale, "an order did not fit the stock: the ledger had lost data");
    }
    tracing::debug!(order = %id, %sale, outcome = outcome.name(), "an event is committed");
}

const MAX_BACKOFF: Duration = Duration::from_secs(2);

fn backoff() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(MAX_BACKOFF)
        .with_jitter()
        .without_max_times()
        .build()
}

fn without(batch: Vec<RawEvent>, revoked: &HashSet<i32>) -> Vec<RawEvent> {
    batch.into_iter().filter(|event| !revoked.contains(&event.partition)).collect()
}

/// A batch, read.
#[derive(Default)]
struct Decoded {
    /// The messages that are events, and what they say, one for one.
    messages: Vec<RawEvent>,
    events: Vec<IncomingEvent>,
    poison: Vec<DeadLetter>,
    /// Where each partition goes on after this batch.
    next_offsets: BTreeMap<i32, i64>,
    trace: BatchTrace,
}

impl Decoded {
    fn of(batch: Vec<RawEvent>, topic: &str) -> Self {
        let mut decoded = Self { trace: BatchTrace::begin(topic, &batch), ..Self::default() };
        for message in batch {
            decoded.next_offsets.insert(message.partition, message.offset + 1);
            match OrderEvent::decode(message.key.as_deref(), message.value.as_deref()) {
                Ok(event) => {
                    let raw = message.value.as_deref().unwrap_or_default();
                    decoded.events.push(IncomingEvent::new(event, raw).logged(logged(&message)));
                    decoded.messages.push(message);
                }
                Err(error) => decoded.poison.push(DeadLetter::new(message, error.to_string())),
            }
        }
        decoded
    }

    /// Drops what belongs to partitions that were lost: their new owner reads it again.
    fn forget(&mut self, revoked: &HashSet<i32>) {
        if revoked.is_empty() {
            return;
        }
        let (messages, events) = (std::mem::take(&mut self.messages), std::mem::take(&mut self.events));
        for (message, event) in messages.into_iter().zip(events) {
            if !revoked.contains(&message.partition) {
                self.messages.push(message);
                self.events.push(event);
            }
        }
        self.poison.retain(|letter| !revoked.contains(&letter.message.partition));
        self.next_offsets.retain(|partition, _| !revoked.contains(partition));
        self.trace.forget(revoked);
    }
}

/// Where `message` is in the log, and since when.
fn logged(message: &RawEvent) -> Logged {
    let at = message.timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok());
    Logged { position: Position { partition: message.partition, offset: message.offset }, at }
}

/// What became of one event.
enum Stored {
    Outcome(WriteOutcome),
    /// No retry can ever store it.
    Never(String),
}

struct Written {
    decoded: Decoded,
    outcomes: Vec<Stored>,
}
