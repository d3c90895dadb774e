//! Orders of the original system, written into a sale: a batch in one transaction, which stays open until the
//! ledger decides nothing any more. The order of the steps is that of [`crate::change`].

use std::collections::HashMap;

use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper,
    dsl::{insert_into, update},
};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::{
    OrderStore, SaleLock, StoreError, StoredSale, audit,
    rows::{SaleRow, order_id, to_sql_time, to_sql_units},
    schema::{orders, sales},
    session::{self, Connection},
};
use crate::{
    order::{Order, OrderId, Remark, Units},
    sale::SaleId,
};

/// An order of the original, as it will be stored.
#[derive(Clone, Debug)]
pub struct ImportedOrder {
    /// The order, confirmed.
    pub order: Order,
    /// The original's raw message.
    pub raw: Option<String>,
}

/// What is written of an import in one transaction.
#[derive(Clone, Debug)]
pub struct ImportBatch<'a> {
    /// The orders; none of them is in the store, and all are of the lock's sale.
    pub orders: &'a [ImportedOrder],
    /// The admitted epoch in which the ledger set the import's units aside; none: it has not yet.
    pub set_aside_in: Option<u64>,
    /// An audit row: why and who, and the number that it must be above. Needed where nothing is set aside.
    pub audit: Option<ImportAudit>,
}

/// What the audit says of an import.
#[derive(Clone, Debug)]
pub struct ImportAudit {
    /// What was done, at most 500 characters.
    pub reason: String,
    /// Who, at most 128 characters.
    pub actor: String,
    /// The last number that the ledger has applied to this sale, or 0.
    pub above: u64,
}

/// What became of [`SaleLock::begin_import`].
pub enum BeginImport<'lock> {
    /// The orders are written, in an open transaction.
    Begun(PendingImport<'lock>),
    /// Refused: there is no such sale.
    UnknownSale,
    /// Refused: the stock has no room for them.
    Short {
        /// Units of confirmed orders.
        sold: Units,
    },
    /// Refused: a rebuild has been admitted since the units were set aside, and has put them up for sale.
    Reloaded,
}

/// Orders that are written and not committed. The sale's row is locked meanwhile, and the consumer waits.
#[must_use = "neither committed nor rolled back"]
pub struct PendingImport<'lock> {
    lock: &'lock mut SaleLock,
    after: StoredSale,
}

/// What the store has already of the orders that shall be imported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KnownToStore {
    /// Orders by their id: the sale of each, if it is of one.
    pub ids: HashMap<OrderId, Option<String>>,
    /// Orders by their `openid`, without spaces at its end: the database takes no notice of those.
    pub openids: HashMap<String, OrderId>,
}

impl OrderStore {
    /// What the store has of these ids and `openid`s.
    pub async fn known_orders(&self, ids: &[OrderId], openids: &[&str]) -> Result<KnownToStore, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let read = read_known(&mut session, ids, openids).await;
            session.settle(read).await
        })
        .await
    }
}

async fn read_known(
    connection: &mut Connection,
    ids: &[OrderId],
    openids: &[&str],
) -> Result<KnownToStore, StoreError> {
    let mut known = KnownToStore::default();
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
    let by_id = orders::table.filter(orders::id.eq_any(ids)).select((orders::id, orders::sale_id));
    for (id, sale) in by_id.load::<(Vec<u8>, Option<String>)>(connection).await? {
        known.ids.insert(order_id(&id)?, sale);
    }
    let by_openid =
        orders::table.filter(orders::openid.eq_any(openids.to_vec())).select((orders::openid, orders::id));
    for (openid, id) in by_openid.load::<(String, Vec<u8>)>(connection).await? {
        known.openids.insert(openid.trim_end_matches(' ').to_owned(), order_id(&id)?);
    }
    Ok(known)
}

/// Why a batch is not begun.
enum Refusal {
    UnknownSale,
    Short { sold: Units },
    Reloaded,
}

impl SaleLock {
    /// Writes `batch` in a transaction that stays open.
    pub async fn begin_import(&mut self, batch: &ImportBatch<'_>) -> Result<BeginImport<'_>, StoreError> {
        let limit = self.answer_within;
        let begun = session::bounded(limit, async {
            self.session.resume()?;
            self.session.begin().await?;
            let written = write(&mut self.session, &self.sale, batch).await;
            if !matches!(written, Ok(Ok(_))) {
                // Nothing was written: what is committed here is an empty transaction.
                return self.session.settle(written).await;
            }
            written
        });
        Ok(match begun.await? {
            Ok(after) => BeginImport::Begun(PendingImport { lock: self, after }),
            Err(Refusal::UnknownSale) => BeginImport::UnknownSale,
            Err(Refusal::Short { sold }) => BeginImport::Short { sold },
            Err(Refusal::Reloaded) => BeginImport::Reloaded,
        })
    }
}

impl PendingImport<'_> {
    /// The sale as it will be once this is committed; its `epoch` is the one that is admitted now.
    pub fn after(&self) -> &StoredSale {
        &self.after
    }

    /// Takes the next epoch, for a rebuild that sees these orders: none of an earlier epoch can, and none of a
    /// later one begins before this transaction ends.
    pub async fn take_epoch(&mut self) -> Result<u64, StoreError> {
        let session = &mut self.lock.session;
        let epoch = self.after.rebuild_epoch + 1;
        let taken = session::bounded(self.lock.answer_within, async {
            let named = sales::table.find(self.lock.sale.as_str());
            let set = sales::rebuild_epoch.eq(to_sql_units(epoch));
            match update(named).set(set).execute(&mut **session).await {
                Ok(_) => Ok(epoch),
                Err(error) => session.settle(Err(error.into())).await,
            }
        });
        self.after.rebuild_epoch = taken.await?;
        Ok(self.after.rebuild_epoch)
    }

    /// Stores the orders. If this fails as unavailable, they may or may not be stored.
    pub async fn commit(self) -> Result<StoredSale, StoreError> {
        session::bounded(self.lock.answer_within, self.lock.session.settle(Ok(()))).await?;
        Ok(self.after)
    }

    /// Takes all of it back.
    pub async fn rollback(self) -> Result<(), StoreError> {
        session::bounded(self.lock.answer_within, self.lock.session.settle_undone()).await
    }
}

/// Writes `batch` into the open transaction, and gives the sale as it is then.
async fn write(
    connection: &mut Connection,
    id: &SaleId,
    batch: &ImportBatch<'_>,
) -> Result<Result<StoredSale, Refusal>, StoreError> {
    let query = sales::table.find(id.as_str()).select(SaleRow::as_select()).for_update();
    let row: Option<SaleRow> = query.first(connection).await.optional()?;
    let Some(row) = row else { return Ok(Err(Refusal::UnknownSale)) };
    let mut after = StoredSale::try_from(row)?;
    if batch.set_aside_in.is_some_and(|epoch| epoch != after.epoch) {
        return Ok(Err(Refusal::Reloaded));
    }
    let sold = after.sold;
    after.sold += batch.orders.iter().map(|it| it.order.quantity.units()).sum::<Units>();
    if after.sold > after.sale.stock {
        return Ok(Err(Refusal::Short { sold }));
    }
    if let Some(audit) = &batch.audit {
        let above = audit.above.max(after.adjustment);
        after.adjustment = audit::record(connection, id, 0, &audit.reason, &audit.actor, above).await?;
    }
    insert(connection, batch.orders).await?;
    let counted = update(sales::table.find(id.as_str()).filter(sales::stock.ge(to_sql_units(after.sold))))
        .set((
            sales::sold.eq(to_sql_units(after.sold)),
            sales::adjustment.eq(to_sql_units(after.adjustment)),
            sales::update_date.eq(to_sql_time(Timestamp::now())),
        ))
        .execute(connection)
        .await?;
    if counted == 1 { Ok(Ok(after)) } else { Err(StoreError::StockGuard(id.clone())) }
}

/// Inserts rows. Their steps beyond "taken" stay empty: nobody knows when the original came to them.
async fn insert(connection: &mut Connection, imported: &[ImportedOrder]) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(imported.len());
    for ImportedOrder { order, raw } in imported {
        rows.push((
            orders::id.eq(&order.id.as_bytes()[..]),
            orders::sale_id.eq(order.sale.as_str()),
            orders::user.eq(order.buyer.as_str()),
            orders::goods.eq(order.goods.as_str()),
            orders::quantity.eq(to_sql_units(order.quantity.units())),
            orders::remark.eq(order.remark.as_ref().map(Remark::as_str)),
            orders::openid.eq(&order.openid),
            orders::remain_count.eq(order.remain_count.map(to_sql_units)),
            orders::status.eq(order.status.as_str()),
            orders::kafka_raw_message.eq(raw.as_deref()),
            orders::created_date.eq(to_sql_time(order.created_date)),
            orders::update_date.eq(to_sql_time(order.update_date)),
        ));
    }
    if !rows.is_empty() {
        insert_into(orders::table).values(rows).execute(connection).await?;
    }
    Ok(())
}
