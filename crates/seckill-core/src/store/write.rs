//! The consumer's transaction: a batch of events becomes orders, all of it or nothing.

use std::{borrow::Cow, sync::Arc, time::SystemTime};

use diesel::{
    BoolExpressionMethods, ExpressionMethods, Insertable, QueryDsl, Queryable, Selectable, SelectableHelper,
    dsl::{insert_into, update},
};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::Timestamp as SqlTimestamp;
use metrics::histogram;
use tokio::time::Instant;

use super::{
    OrderStore, StoreError,
    decide::{Batch, Body, Totals},
    rows::{SharedText, from_sql_units, order_id, order_status, to_sql_time, to_sql_units},
    schema::{orders, sales, stock_returns},
    session::{Connection, Session},
    timeline::{self, Logged},
};
use crate::{
    event::{OrderEvent, OrderEventKind},
    order::OrderStatus,
    sale::SaleId,
    traces::{Kind, TraceContext},
};

/// An event as it came from the order log.
#[derive(Clone, Debug)]
pub struct IncomingEvent {
    /// What it says.
    pub event: OrderEvent,
    /// The message's value, to be kept with the order.
    pub raw: Arc<str>,
    /// Where it is in the log, if it came from there, to be kept with the order.
    pub logged: Option<Logged>,
}

impl IncomingEvent {
    /// An event of the message `raw`.
    pub fn new(event: OrderEvent, raw: &[u8]) -> Self {
        // `from_utf8_lossy` alone would do; it looks through what is valid, as all of ours is, much more slowly.
        let raw = std::str::from_utf8(raw).map_or_else(|_| String::from_utf8_lossy(raw).into(), Arc::from);
        Self { event, raw, logged: None }
    }

    /// The same, which is at `logged`.
    #[must_use]
    pub fn logged(self, logged: Logged) -> Self {
        Self { logged: Some(logged), ..self }
    }
}

/// What became of an event. Each is an expected result.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum WriteOutcome {
    /// The order is stored and has its units.
    Confirmed,
    /// The store knew already; nothing was changed.
    Duplicate,
    /// The order did not fit into the stock. It is stored as rejected, and its units shall go back to
    /// the ledger. Only a ledger that lost data lets this happen.
    Rejected,
    /// The order is stored as cancelled, and its units shall go back to the ledger.
    Cancelled,
    /// Dead letter: taken before a rebuild that could not see it. Nothing was stored.
    SupersededEpoch,
    /// Dead letter: its id is that of another order. Nothing was stored.
    ConflictingPayload,
    /// Dead letter: there is no such sale. Nothing was stored.
    UnknownSale,
}

impl WriteOutcome {
    /// All that there are.
    pub const ALL: [Self; 7] = [
        Self::Confirmed,
        Self::Duplicate,
        Self::Rejected,
        Self::Cancelled,
        Self::SupersededEpoch,
        Self::ConflictingPayload,
        Self::UnknownSale,
    ];

    /// Why the event must become a dead letter; none: it must not.
    pub fn dead_letter_reason(self) -> Option<&'static str> {
        match self {
            Self::Confirmed | Self::Duplicate | Self::Rejected | Self::Cancelled => None,
            Self::SupersededEpoch => Some("superseded epoch"),
            Self::ConflictingPayload => Some("conflicting payload"),
            Self::UnknownSale => Some("unknown sale"),
        }
    }

    /// Its name, as metrics say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Confirmed => "confirmed",
            Self::Duplicate => "duplicate",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::SupersededEpoch => "superseded_epoch",
            Self::ConflictingPayload => "conflicting_payload",
            Self::UnknownSale => "unknown_sale",
        }
    }

    /// Whether the order's units shall now go back to the ledger.
    pub fn returns_units(self) -> bool {
        matches!(self, Self::Rejected | Self::Cancelled)
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sales)]
struct LockedSale {
    id: String,
    stock: i64,
    sold: i64,
    epoch: i64,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders)]
struct KnownRow {
    id: Vec<u8>,
    sale_id: Option<String>,
    user: String,
    goods: String,
    quantity: i64,
    remark: Option<String>,
    status: String,
}

/// Rows of the largest statement: whole ones of it are what a backlog is best written by.
pub const FULL_STATEMENT: usize = 512;

/// Borrows nothing, so that statements of it can stay prepared.
#[derive(Insertable)]
#[diesel(table_name = orders, treat_none_as_default_value = false)]
struct NewOrderRow {
    id: [u8; 16],
    sale_id: SharedText,
    user: SharedText,
    goods: SharedText,
    quantity: i64,
    remark: Option<SharedText>,
    openid: String,
    remain_count: Option<i64>,
    status: &'static str,
    kafka_raw_message: SharedText,
    created_date: SqlTimestamp,
    update_date: SqlTimestamp,
    log_position: Option<String>,
    published_at: Option<SqlTimestamp>,
    written_at: SqlTimestamp,
}

impl NewOrderRow {
    /// The order of an event, which came to `status` and is written `now`.
    fn of(
        IncomingEvent { event, raw, logged }: &IncomingEvent,
        status: OrderStatus,
        now: SqlTimestamp,
    ) -> Self {
        let order = &event.order;
        // A cancellation that came first says nothing of where the order was placed.
        let logged = logged.filter(|_| event.kind == OrderEventKind::Placed);
        Self {
            id: *order.id.as_bytes(),
            sale_id: SharedText::of(&order.sale),
            user: SharedText::of(&order.buyer),
            goods: SharedText::of(&order.goods),
            quantity: to_sql_units(order.quantity.units()),
            remark: order.remark.as_ref().map(SharedText::of),
            openid: order.openid.clone(),
            remain_count: order.remain_count.map(to_sql_units),
            status: status.as_str(),
            kafka_raw_message: SharedText::of(Arc::clone(raw)),
            created_date: to_sql_time(order.created_date),
            update_date: now,
            log_position: logged.map(|logged| logged.position.to_string()),
            published_at: logged.and_then(|logged| logged.at).map(to_sql_time),
            written_at: now,
        }
    }
}

impl OrderStore {
    /// Writes `events` in one transaction and says what became of each, in their order. Replaying
    /// events is harmless.
    ///
    /// Tries once: after a transient failure the same batch may be given again. After a failure that
    /// [is about the data](StoreError::is_about_the_data) give the events one by one: the one that still
    /// fails alone can never be stored.
    pub async fn write_batch(&self, events: &[IncomingEvent]) -> Result<Vec<WriteOutcome>, StoreError> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let started = Instant::now();
        let written = self
            .bounded(async {
                let mut session = self.session().await?;
                session.begin().await?;
                let written = write(&mut session, events).await;
                session.settle(written).await
            })
            .await;
        histogram!("seckill_store_write_seconds").record(started.elapsed());
        written
    }
}

/// Puts one [`OrderStore::write_batch`] of so many `events`, `began` then and over now, into `trace`. A transaction
/// serves many orders: each that is recorded has it as a span of its own.
pub fn record_write(trace: &TraceContext, began: SystemTime, events: usize, failed: Option<&StoreError>) {
    let Some(mut span) = trace.child_since(began, Kind::Client, "COMMIT orders") else { return };
    span.set("db.system.name", "mysql");
    span.set("db.operation.name", "COMMIT");
    span.set("db.collection.name", "orders");
    span.set("seckill.batch.orders", i64::try_from(events).unwrap_or(i64::MAX));
    if let Some(error) = failed {
        span.fail("store", error.to_string());
    }
}

async fn write(session: &mut Session, events: &[IncomingEvent]) -> Result<Vec<WriteOutcome>, StoreError> {
    let now = Timestamp::now();
    for known in [Known::Nothing, Known::Read] {
        match write_as_new(session, events, known, now).await? {
            AsNew::Written(outcomes) => return Ok(outcomes),
            AsNew::KeyTaken => {}
            AsNew::NeedsLocks => break,
        }
    }
    let sales = lock_sales(session, events).await?;
    let mut batch = Batch::of(sales);
    read_known_orders(session, events, &mut batch).await?;
    let outcomes = batch.decide_all(events);
    insert_orders(session, events, &batch, now).await?;
    cancel_orders(session, &batch, now).await?;
    count_sold(session, &batch).await?;
    Ok(outcomes)
}

/// What is looked up before a batch is written as new.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Known {
    /// Nothing: the store knows none of its orders, almost always.
    Nothing,
    /// Which of its orders the store knows. Whoever asks again has the event in the log twice: among a crowd nearly
    /// every full batch has such an order.
    Read,
}

/// What came of writing a batch as new. Unless it is written, nothing is, and nothing is locked.
enum AsNew {
    Written(Vec<WriteOutcome>),
    /// The store knows an order that was taken for new.
    KeyTaken,
    /// It holds something other than new orders that fit, and duplicates: that takes the locks of its sales.
    NeedsLocks,
}

/// Writes `events` as if they were orders that fit and that the store does not know, but for those that are `known`.
///
/// A sale's row is locked last, by the statement that counts what it sells and looks whether all of it may be: until
/// the COMMIT right behind it nobody else writes orders of that sale, and before it everybody inserts side by side.
async fn write_as_new(
    session: &mut Session,
    events: &[IncomingEvent],
    known: Known,
    now: Timestamp,
) -> Result<AsNew, StoreError> {
    let mut batch = Batch::of_limitless_sales(events);
    if known == Known::Read {
        read_known_orders(session, events, &mut batch).await?;
    }
    let outcomes = batch.decide_all(events);
    if !are_all_new(&outcomes) {
        return Ok(AsNew::NeedsLocks);
    }
    let failed = match insert_orders(session, events, &batch, now).await {
        Ok(()) if count_new(session, &batch).await? => return Ok(AsNew::Written(outcomes)),
        Ok(()) => AsNew::NeedsLocks,
        Err(error) if error.is_taken_key() => AsNew::KeyTaken,
        Err(error) => return Err(error),
    };
    // Some may have been inserted by now: as if they had not.
    session.begin_anew().await?;
    Ok(failed)
}

/// Whether every event is an order to insert, or one that is known or in the batch twice. That the store knows no other
/// is then told by their keys: none is taken.
fn are_all_new(outcomes: &[WriteOutcome]) -> bool {
    outcomes.iter().all(|outcome| matches!(outcome, WriteOutcome::Confirmed | WriteOutcome::Duplicate))
}

/// Locks the rows of the batch's sales. From here to the end of the transaction nobody else decides
/// anything of these sales. All writers lock in the order of the names, so none waits in a circle.
async fn lock_sales(
    connection: &mut Connection,
    events: &[IncomingEvent],
) -> Result<Vec<(SaleId, Totals)>, StoreError> {
    let mut names: Vec<&str> = events.iter().map(|incoming| incoming.event.order.sale.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let rows: Vec<LockedSale> = if let [name] = names[..] {
        // One sale is the usual case, and its statement can be kept prepared.
        let query = sales::table.find(name).select(LockedSale::as_select());
        query.for_update().load(connection).await?
    } else {
        let query = sales::table.filter(sales::id.eq_any(names)).order(sales::id);
        query.select(LockedSale::as_select()).for_update().load(connection).await?
    };
    let mut locked = Vec::with_capacity(rows.len());
    for row in rows {
        let sale = SaleId::parse(&row.id).map_err(|error| StoreError::Corrupt(error.to_string()))?;
        let totals = Totals {
            stock: from_sql_units("sales.stock", row.stock)?,
            sold: from_sql_units("sales.sold", row.sold)?,
            epoch: from_sql_units("sales.epoch", row.epoch)?,
        };
        locked.push((sale, totals));
    }
    Ok(locked)
}

/// Reads which of the batch's orders the store has. It needs no lock of its own. Where the sales are locked, nobody else
/// commits orders of theirs. Where they are not, an order that is committed after the read makes our `INSERT` fail on its
/// key, and the batch is tried again; and to place a known order once more changes nothing.
async fn read_known_orders(
    connection: &mut Connection,
    events: &[IncomingEvent],
    batch: &mut Batch<'_>,
) -> Result<(), StoreError> {
    let ids: Vec<&[u8]> = events.iter().map(|incoming| &incoming.event.order.id.as_bytes()[..]).collect();
    let known = orders::table.filter(orders::id.eq_any(ids)).select(KnownRow::as_select());
    for row in known.load::<KnownRow>(connection).await? {
        let body = Body {
            sale: row.sale_id.map(Cow::Owned),
            buyer: row.user.into(),
            goods: row.goods.into(),
            units: from_sql_units("orders.quantity", row.quantity)?,
            remark: row.remark.map(Cow::Owned),
        };
        batch.know_order(order_id(&row.id)?, body, order_status(&row.status)?);
    }
    Ok(())
}

async fn insert_orders(
    connection: &mut Connection,
    events: &[IncomingEvent],
    batch: &Batch<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    let now = to_sql_time(now);
    let new_orders = batch.new_orders();
    let rows = new_orders.iter().map(|new| NewOrderRow::of(&events[new.event], new.status, now));
    insert_rows(connection, rows).await
}

/// Inserts `rows` by statements of 512, 256, … 1 of them. There are but ten such statements, so they stay prepared: to
/// prepare one of just so many rows costs both sides about as much as to run it, for each of its values is described.
/// The descriptions are kept, which is why none is larger. A backlog goes by few statements: where cores are short, each
/// waits for its turn on both sides.
async fn insert_rows(
    connection: &mut Connection,
    mut rows: impl ExactSizeIterator<Item = NewOrderRow>,
) -> Result<(), StoreError> {
    insert_blocks::<FULL_STATEMENT>(connection, &mut rows).await?;
    insert_blocks::<256>(connection, &mut rows).await?;
    insert_blocks::<128>(connection, &mut rows).await?;
    insert_blocks::<64>(connection, &mut rows).await?;
    insert_blocks::<32>(connection, &mut rows).await?;
    insert_blocks::<16>(connection, &mut rows).await?;
    insert_blocks::<8>(connection, &mut rows).await?;
    insert_blocks::<4>(connection, &mut rows).await?;
    insert_blocks::<2>(connection, &mut rows).await?;
    insert_blocks::<1>(connection, &mut rows).await
}

/// Inserts as many of `rows` as `SIZE` goes into, and leaves the rest.
async fn insert_blocks<const SIZE: usize>(
    connection: &mut Connection,
    rows: &mut impl ExactSizeIterator<Item = NewOrderRow>,
) -> Result<(), StoreError> {
    while rows.len() >= SIZE {
        let Ok(block) = <Box<[_; SIZE]>>::try_from(rows.take(SIZE).collect::<Box<[_]>>()) else {
            unreachable!("there are as many");
        };
        insert_into(orders::table).values(block).execute(connection).await?;
    }
    Ok(())
}

/// Marks stored orders as cancelled, and notes all orders whose units shall go back.
async fn cancel_orders(
    connection: &mut Connection,
    batch: &Batch<'_>,
    now: Timestamp,
) -> Result<(), StoreError> {
    if !batch.cancelled().is_empty() {
        let ids: Vec<&[u8]> = batch.cancelled().iter().map(|id| &id.as_bytes()[..]).collect();
        update(orders::table.filter(orders::id.eq_any(ids)))
            .set((
                orders::status.eq(OrderStatus::Cancelled.as_str()),
                orders::update_date.eq(to_sql_time(now)),
            ))
            .execute(connection)
            .await?;
    }
    if !batch.returned().is_empty() {
        timeline::note_cancelled(connection, batch.returned(), now).await?;
        let mut rows = Vec::with_capacity(batch.returned().len());
        for (order, sale) in batch.returned() {
            rows.push((
                stock_returns::order_id.eq(&order.as_bytes()[..]),
                stock_returns::sale_id.eq(sale.as_str()),
            ));
        }
        insert_into(stock_returns::table).values(rows).execute(connection).await?;
    }
    Ok(())
}

/// Counts what a batch of new orders sells, if every sale has room for it and has admitted no later epoch than its
/// events are of; false: some sale has not, or there is none. All writers lock in the order of the names, so none waits
/// in a circle.
async fn count_new(connection: &mut Connection, batch: &Batch<'_>) -> Result<bool, StoreError> {
    for change in batch.sold() {
        let sold = sales::sold + to_sql_units(change.after - change.before);
        let with_room = sales::id
            .eq(change.sale.as_str())
            .and(sales::epoch.le(to_sql_units(change.earliest_epoch)))
            .and(sales::stock.ge(sold));
        let counted =
            update(sales::table.filter(with_room)).set(sales::sold.eq(sold)).execute(connection).await?;
        if counted != 1 {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Counts what was sold and given back. The guard repeats what was decided above on the row itself: if
/// it ever fails, the batch is not written at all.
async fn count_sold(connection: &mut Connection, batch: &Batch<'_>) -> Result<(), StoreError> {
    for change in batch.sold() {
        let as_decided = sales::id
            .eq(change.sale.as_str())
            .and(sales::sold.eq(to_sql_units(change.before)))
            .and(sales::stock.ge(to_sql_units(change.after)));
        let counted = update(sales::table.filter(as_decided))
            .set(sales::sold.eq(to_sql_units(change.after)))
            .execute(connection)
            .await?;
        if counted != 1 {
            return Err(StoreError::StockGuard(change.sale));
        }
    }
    Ok(())
}
