//! Numbered, audited changes to a sale. Who makes one holds the sale's lock, writes the change in a
//! transaction, may tell the ledger in between, and commits or rolls back.

use std::time::Duration;

use diesel::{ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper, dsl::update};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::{
    OrderStore, StoreError, StoredSale, audit, locks,
    rows::{SaleRow, to_sql_time, to_sql_units},
    schema::sales,
    session::{self, Connection, Session},
};
use crate::{
    order::Units,
    sale::{MAX_STOCK, SaleId, SaleSwitch},
};

/// What shall become of a sale's stock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StockChange {
    /// It stays.
    Keep,
    /// So many units more, or fewer.
    By(i64),
    /// Exactly so many units, sold ones included.
    To(Units),
}

/// A change to a sale, before it is made.
#[derive(Clone, Debug)]
pub struct AdjustmentRequest {
    /// What becomes of the stock.
    pub stock: StockChange,
    /// What becomes of the switch; none: it stays.
    pub switch: Option<SaleSwitch>,
    /// Why, at most 500 characters.
    pub reason: String,
    /// Who, at most 128 characters.
    pub actor: String,
    /// The last number the ledger has applied to this sale; 0 if that is not known. The new number is
    /// greater, even where the database has lost numbers that the ledger has seen.
    pub above: u64,
}

/// What became of [`SaleLock::begin`].
pub enum BeginAdjustment<'lock> {
    /// The change is written, in an open transaction.
    Begun(PendingAdjustment<'lock>),
    /// Refused: there is no such sale.
    UnknownSale,
    /// Refused: so many units are sold already.
    BelowSold {
        /// Units of confirmed orders.
        sold: Units,
    },
    /// Refused: more than [`MAX_STOCK`].
    AboveMaximum,
}

/// The right to change a sale, on a connection of its own. Ends when dropped, or when nothing is done
/// with it for half a minute.
pub struct SaleLock {
    pub(super) session: Session,
    pub(super) sale: SaleId,
    pub(super) answer_within: Duration,
}

/// A change that is written and not committed. While it is pending the sale's row is locked, and the
/// consumer waits: whatever is done in between must be short. Dropped without a word, it is rolled back
/// together with its lock, which is then good for nothing else.
#[must_use = "neither committed nor rolled back"]
pub struct PendingAdjustment<'lock> {
    lock: &'lock mut SaleLock,
    before: Units,
    after: StoredSale,
}

impl OrderStore {
    /// Takes the right to change the sale `id`; none: somebody else is changing it.
    pub async fn lock_sale(&self, id: &SaleId) -> Result<Option<SaleLock>, StoreError> {
        self.lock_sale_within(id, 0).await
    }

    /// The same, and waits up to `seconds` for whoever is changing it.
    pub async fn lock_sale_within(&self, id: &SaleId, seconds: u32) -> Result<Option<SaleLock>, StoreError> {
        let locked = self.try_lock(id.as_str(), seconds).await?;
        let answer_within = self.options.answer_within;
        Ok(locked.map(|session| SaleLock { session, sale: id.clone(), answer_within }))
    }
}

/// Why a change is not begun.
enum Refusal {
    UnknownSale,
    BelowSold { sold: Units },
    AboveMaximum,
}

impl SaleLock {
    /// The sale that may be changed.
    pub fn sale(&self) -> &SaleId {
        &self.sale
    }

    /// Writes a change in a transaction that stays open.
    pub async fn begin(&mut self, request: &AdjustmentRequest) -> Result<BeginAdjustment<'_>, StoreError> {
        let limit = self.answer_within;
        let begun = session::bounded(limit, async {
            self.session.resume()?;
            self.session.begin().await?;
            let written = write(&mut self.session, &self.sale, request).await;
            if !matches!(written, Ok(Ok(_))) {
                // Nothing was written: what is committed here is an empty transaction.
                return self.session.settle(written).await;
            }
            written
        });
        Ok(match begun.await? {
            Ok(Written { before, after }) => {
                BeginAdjustment::Begun(PendingAdjustment { lock: self, before, after })
            }
            Err(Refusal::UnknownSale) => BeginAdjustment::UnknownSale,
            Err(Refusal::BelowSold { sold }) => BeginAdjustment::BelowSold { sold },
            Err(Refusal::AboveMaximum) => BeginAdjustment::AboveMaximum,
        })
    }

    /// Gives the lock back at once. (Dropping does so too, a moment later.)
    pub async fn release(mut self) {
        let limit = self.answer_within;
        let released = session::bounded(limit, locks::release(&mut self.session, self.sale.as_str())).await;
        if let Err(error) = released {
            // The connection is closed next, and the lock goes with it.
            tracing::debug!(%error, sale = %self.sale, "a sale's lock was not given back by hand");
        }
    }
}

impl PendingAdjustment<'_> {
    /// Its number.
    pub fn number(&self) -> u64 {
        self.after.adjustment
    }

    /// The sale as it will be once this is committed.
    pub fn after(&self) -> &StoredSale {
        &self.after
    }

    /// Whether it takes nothing away from the store's stock, so that the store may be the first to have it.
    ///
    /// What the ledger has does not matter: it may lag behind the store, or be rebuilt at any moment from
    /// what the store had before.
    pub fn raises(&self) -> bool {
        self.after.sale.stock >= self.before
    }

    /// Makes the change. If this fails as unavailable, it may or may not be made.
    pub async fn commit(self) -> Result<StoredSale, StoreError> {
        session::bounded(self.lock.answer_within, self.lock.session.settle(Ok(()))).await?;
        Ok(self.after)
    }

    /// Takes the change back, with its number.
    pub async fn rollback(self) -> Result<(), StoreError> {
        session::bounded(self.lock.answer_within, self.lock.session.settle_undone()).await
    }
}

/// A change as it is in the open transaction: the stock before, and the sale after.
struct Written {
    before: Units,
    after: StoredSale,
}

/// Writes `request` into the open transaction.
async fn write(
    connection: &mut Connection,
    id: &SaleId,
    request: &AdjustmentRequest,
) -> Result<Result<Written, Refusal>, StoreError> {
    let query = sales::table.find(id.as_str()).select(SaleRow::as_select()).for_update();
    let row: Option<SaleRow> = query.first(connection).await.optional()?;
    let Some(row) = row else { return Ok(Err(Refusal::UnknownSale)) };
    let mut after = StoredSale::try_from(row)?;
    let before = after.sale.stock;
    let sold = after.sold;
    let wanted = match request.stock {
        StockChange::Keep => Some(before),
        StockChange::By(delta) => before.checked_add_signed(delta),
        StockChange::To(units) => Some(units),
    };
    // None: less than nothing.
    let Some(stock) = wanted.filter(|stock| *stock >= sold) else {
        return Ok(Err(Refusal::BelowSold { sold }));
    };
    after.sale.stock = stock;
    if after.sale.stock > MAX_STOCK {
        return Ok(Err(Refusal::AboveMaximum));
    }
    let delta = to_sql_units(after.sale.stock) - to_sql_units(before);
    let above = request.above.max(after.adjustment);
    after.sale.switch = request.switch.unwrap_or(after.sale.switch);
    after.adjustment = audit::record(connection, id, delta, &request.reason, &request.actor, above).await?;
    let stock = to_sql_units(after.sale.stock);
    let changed = update(sales::table.find(id.as_str()).filter(sales::sold.le(stock)))
        .set((
            sales::stock.eq(stock),
            sales::state.eq(after.sale.switch.as_str()),
            sales::adjustment.eq(to_sql_units(after.adjustment)),
            sales::update_date.eq(to_sql_time(Timestamp::now())),
        ))
        .execute(connection)
        .await?;
    if changed == 1 { Ok(Ok(Written { before, after })) } else { Err(StoreError::StockGuard(id.clone())) }
}
