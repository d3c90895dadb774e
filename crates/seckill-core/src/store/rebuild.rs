//! What a rebuild of a sale's ledger needs: epochs, and one consistent picture of the sale.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, SelectableHelper, dsl::update};
use diesel_async::RunQueryDsl;

use super::{
    OrderStore, StoreError, StoredSale,
    rows::{OrderRow, to_sql_units},
    sales,
    schema::{orders, sales as sales_table},
    session::{self, Connection, Session},
};
use crate::{
    order::{Order, OrderId},
    sale::SaleId,
};

/// Orders a page of a snapshot.
const PAGE: i64 = 5_000;

/// Everything that is read in the transaction is as it was at its beginning, whatever is committed
/// meanwhile. Nothing is locked.
const BEGIN_SNAPSHOT: &str = "\
    SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; \
    START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY";

/// An epoch that a rebuild has taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TakenEpoch {
    /// Its number.
    pub epoch: u64,
    /// Whether no epoch had been admitted by then: the sale has never been in the ledger, and no rebuild
    /// that took its epoch earlier will bring it there any more. Only what is read in the same transaction
    /// can say so.
    pub never_loaded: bool,
}

impl OrderStore {
    /// Takes the next epoch of the sale `id` for a rebuild; none: there is no such sale.
    pub async fn take_rebuild_epoch(&self, id: &SaleId) -> Result<Option<TakenEpoch>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            session.begin().await?;
            let taken = take_epoch(&mut session, id).await;
            session.settle(taken).await
        })
        .await
    }

    /// Admits `epoch` for the sale `id`: from the commit on, new orders of older epochs are refused.
    /// False: another rebuild has taken a later epoch since (or there is no such sale).
    pub async fn admit_epoch(&self, id: &SaleId, epoch: u64) -> Result<bool, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let epoch = to_sql_units(epoch);
            let not_overtaken =
                sales_table::table.find(id.as_str()).filter(sales_table::rebuild_epoch.eq(epoch));
            let admitted = update(not_overtaken)
                .set(sales_table::epoch.eq(epoch))
                .execute(&mut *session)
                .await
                .map_err(StoreError::from);
            Ok(session.settle(admitted).await? == 1)
        })
        .await
    }

    /// A consistent picture of the sale `id` and all its orders; none: there is no such sale.
    pub async fn snapshot(&self, id: &SaleId) -> Result<Option<Snapshot>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            session.begin_with(BEGIN_SNAPSHOT).await?;
            let read = match sales::load(&mut session, id).await {
                Ok(Some(sale)) => sale,
                other => return session.settle(other).await.map(|_none| None),
            };
            let answer_within = self.options.answer_within;
            Ok(Some(Snapshot { session, sale: read, last: None, answer_within }))
        })
        .await
    }
}

async fn take_epoch(connection: &mut Connection, id: &SaleId) -> Result<Option<TakenEpoch>, StoreError> {
    update(sales_table::table.find(id.as_str()))
        .set(sales_table::rebuild_epoch.eq(sales_table::rebuild_epoch + 1))
        .execute(connection)
        .await?;
    let taken = sales::load(connection, id).await?;
    Ok(taken.map(|sale| TakenEpoch { epoch: sale.rebuild_epoch, never_loaded: sale.epoch == 0 }))
}

/// A sale and its orders as they were together at one moment, read in pages. Holds a connection.
pub struct Snapshot {
    session: Session,
    sale: StoredSale,
    last: Option<OrderId>,
    answer_within: Duration,
}

impl Snapshot {
    /// The sale.
    pub fn sale(&self) -> &StoredSale {
        &self.sale
    }

    /// The next orders, by id, whatever their status. An empty page: that was all.
    pub async fn next_page(&mut self) -> Result<Vec<Order>, StoreError> {
        let limit = self.answer_within;
        let page = session::bounded(limit, async {
            let read = read_page(&mut self.session, &self.sale.sale.id, self.last).await;
            match read {
                Ok(page) => Ok(page),
                Err(error) => self.session.settle(Err(error)).await,
            }
        });
        let page = page.await?;
        if let Some(last) = page.last() {
            self.last = Some(last.id);
        } else {
            session::bounded(limit, self.session.settle(Ok(()))).await?;
        }
        Ok(page)
    }
}

async fn read_page(
    connection: &mut Connection,
    sale: &SaleId,
    after: Option<OrderId>,
) -> Result<Vec<Order>, StoreError> {
    // No id is all zeroes: a UUID has its version in it.
    let after = after.map_or([0; 16], |id| *id.as_bytes());
    let query = orders::table
        .filter(orders::sale_id.eq(sale.as_str()))
        .filter(orders::id.gt(&after[..]))
        .order(orders::id)
        .limit(PAGE)
        .select(OrderRow::as_select());
    let rows: Vec<OrderRow> = query.load(connection).await?;
    rows.into_iter().map(Order::try_from).collect()
}
