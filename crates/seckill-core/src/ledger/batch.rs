//! Micro-batching: a task takes whatever waits, has it decided in one call, and hands each answer back.
//!
//! One call is under way at a time, and no two begin within [`CALL_EVERY`] of each other, so that the
//! next batch gathers by itself: under load batches are large and cheap, and a lone order waits for nobody.

use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

use deadpool_redis::redis::{RedisError, aio::MultiplexedConnection};
use futures_util::future;
use jiff::Timestamp;
use metrics::{Histogram, histogram};
use tokio::{
    sync::mpsc::{self, error::TrySendError},
    task::JoinHandle,
    time::Instant,
};

use super::{
    LedgerError, LedgerOrder, RecordState, ReserveOutcome, StockLedger, change,
    reserve::{self, OfSale},
};
use crate::{
    order::{Order, OrderId, OrderRequest, OrderStatus, Units},
    sale::SaleId,
    traces::{Kind, TraceContext},
};

/// Most orders in one call: beyond that the call gets longer, not cheaper an order.
pub const MAX_BATCH: usize = 128;

/// Shortest time from the beginning of one call to that of the next. What a call costs Redis, and its orders' request
/// costs Kafka, hardly depends on how many orders it is of.
pub const CALL_EVERY: Duration = Duration::from_millis(1);

/// How long a call whose answer was lost is repeated. Half of [`super::ACCEPT_WITHIN`]: the rest is the order log's.
/// Nothing is sent later than this after its order was admitted (see [`ReservationQueue::start`]).
pub const REPEAT_FOR: Duration = Duration::from_secs(1);
const REPEAT_PAUSE: Duration = Duration::from_millis(20);

/// An order that asks the ledger for units.
#[derive(Clone, Debug)]
pub struct Reservation {
    /// The sale it takes units of.
    pub sale: SaleId,
    /// Its identity.
    pub id: OrderId,
    /// What it asks for.
    pub request: OrderRequest,
}

impl Reservation {
    pub(super) fn reserved(&self, left: Units, at: Timestamp, epoch: u64) -> LedgerOrder {
        let (sale, request) = (self.sale.clone(), self.request.clone());
        let order = Order::new(self.id, sale, request, Some(left), at, OrderStatus::Pending);
        LedgerOrder { order, epoch, state: RecordState::Live, in_outbox: true }
    }
}

/// Orders whose events are in the order log, so that the outbox need not keep them.
#[derive(Clone, Debug)]
pub struct Settled {
    /// Their sale.
    pub sale: SaleId,
    /// The epoch in which their units were taken.
    pub epoch: u64,
    /// Which they are: some, and no more than one call decides.
    pub ids: Vec<OrderId>,
}

/// The call that decided an order, together with others.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    /// When it was sent.
    pub sent: SystemTime,
    /// How long until the answer was there, repetitions included.
    pub took: Duration,
    /// How many orders it decided.
    pub orders: usize,
}

impl Call {
    /// Puts the call into the trace of the order `id`, which it decided. A call serves many orders: each that is
    /// recorded has it as a span of its own.
    pub fn record(&self, trace: &TraceContext, id: OrderId, failed: Option<&LedgerError>) {
        let Some(mut span) = trace.child_since(self.sent, Kind::Client, "EVALSHA reserve") else { return };
        span.set("db.system.name", "redis");
        span.set("db.operation.name", "EVALSHA");
        span.set("db.stored_procedure.name", "reserve");
        span.set("seckill.batch.orders", i64::try_from(self.orders).unwrap_or(i64::MAX));
        span.set("seckill.order.id", id.to_string());
        if let Some(error) = failed {
            span.fail("ledger", error.to_string());
        }
        span.end_at(self.sent + self.took);
    }
}

/// The bounded queue in front of the ledger. `T` is what the caller wants back with each answer.
pub struct ReservationQueue<T> {
    sender: mpsc::Sender<(Reservation, T)>,
}

impl<T> Clone for ReservationQueue<T> {
    fn clone(&self) -> Self {
        Self { sender: self.sender.clone() }
    }
}

impl<T: Send + 'static> ReservationQueue<T> {
    /// Starts the task that decides what is submitted, and takes what is `settled` out of the outbox.
    ///
    /// `admit` is called right before an order is sent, however long it waited: if it keeps the ticket, the order is
    /// never sent. It must keep it if, [`REPEAT_FOR`] from now, somebody may have been told what became of the order.
    /// `decided` is called with each call and the orders that it decided, on that task: it must not block. The task
    /// ends when every clone of the queue is gone and all that was submitted is decided, and `settled` is closed and
    /// empty.
    pub fn start(
        ledger: StockLedger,
        capacity: usize,
        settled: mpsc::UnboundedReceiver<Settled>,
        admit: impl FnMut(T) -> Option<T> + Send + 'static,
        decided: impl FnMut(Vec<DecidedOrder<T>>, Call) + Send + 'static,
    ) -> (Self, JoinHandle<()>) {
        let (sender, submitted) = mpsc::channel(capacity);
        let measures = Measures {
            sizes: histogram!("seckill_ledger_batch_size"),
            seconds: histogram!("seckill_ledger_call_seconds"),
        };
        let batcher = Batcher { ledger, connection: None, admit, decided, measures };
        (Self { sender }, tokio::spawn(batcher.run(submitted, settled)))
    }

    /// Puts an order into the queue; gives it back if the queue is full or its task has ended.
    pub fn submit(&self, reservation: Reservation, ticket: T) -> Result<(), (Reservation, T)> {
        self.sender.try_send((reservation, ticket)).map_err(|error| match error {
            TrySendError::Full(submitted) | TrySendError::Closed(submitted) => submitted,
        })
    }

    /// How many orders wait.
    pub fn depth(&self) -> usize {
        self.sender.max_capacity() - self.sender.capacity()
    }
}

struct Batcher<A, F> {
    ledger: StockLedger,
    /// Kept between batches: a checkout from the pool costs a round trip.
    connection: Option<deadpool_redis::Connection>,
    admit: A,
    decided: F,
    measures: Measures,
}

/// What is measured of the calls.
struct Measures {
    sizes: Histogram,
    seconds: Histogram,
}

impl<A, F> Batcher<A, F> {
    async fn run<T>(
        mut self,
        mut submitted: mpsc::Receiver<(Reservation, T)>,
        mut settled: mpsc::UnboundedReceiver<Settled>,
    ) where
        A: FnMut(T) -> Option<T>,
        F: FnMut(Vec<DecidedOrder<T>>, Call),
    {
        let (mut orders, mut acks) = (Vec::with_capacity(MAX_BATCH), Vec::new());
        let (mut orders_open, mut acks_open) = (true, true);
        let mut next_call = Instant::now();
        while orders_open || acks_open {
            tokio::time::sleep_until(next_call).await;
            tokio::select! {
                received = submitted.recv_many(&mut orders, MAX_BATCH), if orders_open => {
                    orders_open = received > 0;
                }
                received = settled.recv(), if acks_open => {
                    acks_open = received.is_some();
                    acks.extend(received);
                    while orders.len() < MAX_BATCH && let Ok(order) = submitted.try_recv() {
                        orders.push(order);
                    }
                }
            }
            // What has been acknowledged meanwhile travels along.
            let mut ids = counted_ids(&acks);
            while ids < MAX_BATCH
                && let Ok(ack) = settled.try_recv()
            {
                ids += ack.ids.len();
                acks.push(ack);
            }
            next_call = Instant::now() + CALL_EVERY;
            self.flush(&mut orders, &mut acks).await;
        }
    }

    /// Decides `orders` and settles `acks`, by a call each; leaves both empty.
    async fn flush<T>(&mut self, orders: &mut Vec<(Reservation, T)>, acks: &mut Vec<Settled>)
    where
        A: FnMut(T) -> Option<T>,
        F: FnMut(Vec<DecidedOrder<T>>, Call),
    {
        // First, for it may take longer than some of the orders can wait.
        let connection = match self.connection.take() {
            Some(connection) => Ok(connection),
            None => self.ledger.connection().await,
        };
        // Without one nothing is sent, and every order is refused.
        let admitted = orders.drain(..).filter_map(|(order, ticket)| {
            let ticket = if connection.is_ok() { (self.admit)(ticket)? } else { ticket };
            Some((order, ticket))
        });
        let batches = by_sale(admitted);
        let connected = connection.as_deref();
        let settling = settle(connected, std::mem::take(acks));
        let (decided, ()) =
            future::join(decide(&self.ledger, connected, &of_sales(&batches)), settling).await;
        if decided.as_ref().is_none_or(|decided| !decided.first_call_failed) {
            self.connection = connection.ok();
        }
        if let Some(decided) = decided {
            self.answer(batches, decided);
        }
    }

    fn answer<T>(&mut self, batches: Vec<Batch<T>>, decided: BatchDecided)
    where
        F: FnMut(Vec<DecidedOrder<T>>, Call),
    {
        let BatchDecided { outcomes, call, .. } = decided;
        if let Some(error) = outcomes.iter().find_map(|outcome| outcome.as_ref().err()) {
            let undecided = outcomes.iter().filter(|outcome| outcome.is_err()).count();
            tracing::warn!(%error, orders = undecided, "the ledger did not decide orders of a batch");
        }
        self.measures.sizes.record(call.orders as f64);
        self.measures.seconds.record(call.took);
        let orders = batches.into_iter().flat_map(|batch| batch.reservations.into_iter().zip(batch.tickets));
        let orders = orders.zip(outcomes);
        let decided =
            orders.map(|((reservation, ticket), outcome)| DecidedOrder { reservation, ticket, outcome });
        (self.decided)(decided.collect(), call);
    }
}

/// Orders of one sale, and what their callers want back.
pub(super) struct Batch<T> {
    pub(super) reservations: Vec<Reservation>,
    tickets: Vec<T>,
}

/// The orders of `batches`, as a call takes them.
pub(super) fn of_sales<T>(batches: &[Batch<T>]) -> Vec<OfSale<'_>> {
    batches.iter().map(|batch| (&batch.reservations[0].sale, &batch.reservations[..])).collect()
}

/// Groups `orders` by sale, in the order in which they came; almost always there is one.
pub(super) fn by_sale<T>(orders: impl Iterator<Item = (Reservation, T)>) -> Vec<Batch<T>> {
    let mut places: HashMap<SaleId, usize> = HashMap::new();
    let mut batches: Vec<Batch<T>> = Vec::new();
    let mut place = 0;
    for (reservation, ticket) in orders {
        if batches.get(place).is_none_or(|batch| batch.reservations[0].sale != reservation.sale) {
            place = *places.entry(reservation.sale.clone()).or_insert(batches.len());
        }
        if place == batches.len() {
            batches.push(Batch { reservations: Vec::new(), tickets: Vec::new() });
        }
        batches[place].reservations.push(reservation);
        batches[place].tickets.push(ticket);
    }
    batches
}

/// What is known of one order's decision.
pub type Decided = Result<ReserveOutcome, LedgerError>;

/// An order that was submitted, and what became of it.
#[derive(Debug)]
pub struct DecidedOrder<T> {
    /// The order.
    pub reservation: Reservation,
    /// What its caller wants back.
    pub ticket: T,
    /// What the ledger answered.
    pub outcome: Decided,
}

/// What is known of the decisions of one call.
struct BatchDecided {
    /// One for each order, sale by sale.
    outcomes: Vec<Decided>,
    /// The connection of the first call is not to be used again, whatever a second call said.
    first_call_failed: bool,
    call: Call,
}

/// Decides `batches`, if there are any. A call whose answer was lost is repeated: `reserve.lua` answers the second one
/// from the records that the first one left.
async fn decide(
    ledger: &StockLedger,
    connection: Result<&MultiplexedConnection, &LedgerError>,
    batches: &[OfSale<'_>],
) -> Option<BatchDecided> {
    if batches.is_empty() {
        return None;
    }
    let (sent, started) = (SystemTime::now(), Instant::now());
    let first = match connection {
        Ok(connection) => reserve_each(&mut connection.clone(), batches).await,
        Err(error) => Err(error.clone()),
    };
    let orders = counted(batches);
    let (outcomes, first_call_failed) = match first {
        Ok(outcomes) => {
            let failed = outcomes.iter().any(Result::is_err);
            (outcomes, failed)
        }
        Err(LedgerError::Unknown(lost)) => (decide_again(ledger, batches, started, lost).await, true),
        Err(error) => (vec![Err(error); orders], true),
    };
    let call = Call { sent, took: started.elapsed(), orders };
    Some(BatchDecided { outcomes, first_call_failed, call })
}

/// How many orders a call decides.
fn counted(batches: &[OfSale<'_>]) -> usize {
    batches.iter().map(|(_, batch)| batch.len()).sum()
}

/// Decides `batches` and says of each order, sale by sale, what became of it.
async fn reserve_each(
    connection: &mut MultiplexedConnection,
    batches: &[OfSale<'_>],
) -> Result<Vec<Decided>, LedgerError> {
    let decided = reserve::reserve_on(connection, batches).await?;
    let each = |((_, batch), decided): (&OfSale<'_>, reserve::DecidedOfSale)| match decided {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(error) => vec![Err(error); batch.len()],
    };
    Ok(batches.iter().zip(decided).flat_map(each).collect())
}

/// Repeats a call that `started` then and whose answer was `lost`, for a while. However long a connection takes:
/// nothing is sent after that while, when the buyer may have been told already what became of the order.
async fn decide_again(
    ledger: &StockLedger,
    batches: &[OfSale<'_>],
    started: Instant,
    mut lost: RedisError,
) -> Vec<Decided> {
    let orders = counted(batches);
    let mut known = vec![Err(LedgerError::Unknown(lost.clone())); orders];
    while started.elapsed() < REPEAT_FOR {
        let asked = match tokio::time::timeout_at(started + REPEAT_FOR, ledger.connection()).await {
            Ok(Ok(mut connection)) => reserve_each(&mut connection, batches).await,
            Ok(Err(error)) => Err(error),
            Err(_) => break,
        };
        match asked {
            Err(LedgerError::Unknown(error)) => lost = error,
            // Refused now says nothing of the first call.
            Err(LedgerError::Unavailable(_)) => tokio::time::sleep(REPEAT_PAUSE).await,
            Err(error @ LedgerError::Corrupt(_)) => return vec![Err(error); orders],
            Ok(outcomes) => {
                let refused =
                    outcomes.iter().any(|outcome| matches!(outcome, Err(LedgerError::Unavailable(_))));
                known = outcomes.into_iter().map(|outcome| after_lost_answer(outcome, &lost)).collect();
                if !refused {
                    break;
                }
                tokio::time::sleep(REPEAT_PAUSE).await;
            }
        }
    }
    known
}

/// What a second call's outcome is worth where the answer to the first was `lost`. An order that is there is
/// there. A refusal says nothing of the first call: it may have taken units in a ledger that is being rebuilt
/// now, with the order in its outbox, or its command may still be on its way.
fn after_lost_answer(outcome: Decided, lost: &RedisError) -> Decided {
    match outcome {
        Ok(ReserveOutcome::Reserved(_) | ReserveOutcome::Replayed(_) | ReserveOutcome::Conflict)
        | Err(LedgerError::Unknown(_) | LedgerError::Corrupt(_)) => outcome,
        Ok(
            ReserveOutcome::SoldOut { .. }
            | ReserveOutcome::LimitReached
            | ReserveOutcome::NotOpen { .. }
            | ReserveOutcome::Ended { .. }
            | ReserveOutcome::Paused { .. }
            | ReserveOutcome::Absent
            | ReserveOutcome::Untrusted,
        )
        | Err(LedgerError::Unavailable(_)) => Err(LedgerError::Unknown(lost.clone())),
    }
}

/// Takes settled orders out of the outbox. Failing costs nothing: the relay publishes them once more.
async fn settle(connection: Result<&MultiplexedConnection, &LedgerError>, settled: Vec<Settled>) {
    if settled.is_empty() {
        return;
    }
    let sales = settled.iter().map(|Settled { sale, epoch, ids }| (sale, *epoch, &ids[..]));
    let result = match connection {
        Ok(connection) => change::settle_on(&mut connection.clone(), sales).await,
        Err(error) => Err(error.clone()),
    };
    if let Err(error) = result {
        let orders = counted_ids(&settled);
        tracing::warn!(%error, orders, "settled orders stay in the outbox for the relay");
    }
}

fn counted_ids(settled: &[Settled]) -> usize {
    settled.iter().map(|settled| settled.ids.len()).sum()
}
