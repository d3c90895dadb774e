//! What a rebuild of a sale's ledger needs: epochs, and one consistent picture of the sale.

use std::time::Duration;

use diesel::{ExpressionMethods, QueryDsl, SelectableHelper, dsl::update};
use diesel_async::RunQueryDsl;
use futures_util::{StreamExt, TryStreamExt, stream::TryChunksError};
use tokio::sync::mpsc;

use super::{
    OrderStore, StoreError, StoredSale,
    rows::{OrderRow, to_sql_units},
    sales,
    schema::{orders, sales as sales_table},
    session::{self, Connection, Session},
};
use crate::{order::Order, sale::SaleId};

/// Orders a page of a snapshot: as many as the ledger is given at once. Three pages are in memory.
const PAGE: usize = 1_000;

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
            Ok(Some(Snapshot { sale: read, session: Some(session), pages: None, answer_within }))
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

/// A sale and its orders as they were together at one moment. Holds a connection.
///
/// One statement reads them all, in the order of its index, while earlier pages are being used: a statement a page
/// would go through the index from its beginning each time.
pub struct Snapshot {
    sale: StoredSale,
    /// Until it is read.
    session: Option<Session>,
    /// From then on.
    pages: Option<mpsc::Receiver<Result<Vec<Order>, StoreError>>>,
    answer_within: Duration,
}

impl Snapshot {
    /// The sale.
    pub fn sale(&self) -> &StoredSale {
        &self.sale
    }

    /// The next orders, by id, whatever their status. An empty page: that was all. After an error there is no more.
    pub async fn next_page(&mut self) -> Result<Vec<Order>, StoreError> {
        if let Some(session) = self.session.take() {
            // One page is read ahead.
            let (sender, pages) = mpsc::channel(1);
            tokio::spawn(read(session, self.sale.sale.id.clone(), self.answer_within, sender));
            self.pages = Some(pages);
        }
        let next = match &mut self.pages {
            Some(pages) => pages.recv().await,
            None => None,
        };
        next.unwrap_or_else(|| Err(StoreError::Unavailable("the snapshot has been read to its end".into())))
    }
}

/// Reads all orders of `sale` and sends them in pages, the last of them empty. Ends early if nobody wants them.
async fn read(
    mut session: Session,
    sale: SaleId,
    answer_within: Duration,
    sender: mpsc::Sender<Result<Vec<Order>, StoreError>>,
) {
    let read = send_pages(&mut session, &sale, answer_within, &sender).await;
    if let Ok(false) = read {
        // In the middle of an answer: the connection is closed with the session.
        return;
    }
    let settled = session::bounded(answer_within, session.settle(read)).await;
    // Nobody may be there any more, and then nobody needs to know.
    let _ = sender.send(settled.map(|_complete| Vec::new())).await;
}

/// Sends all pages that have orders; false: nobody wants them.
async fn send_pages(
    connection: &mut Connection,
    sale: &SaleId,
    answer_within: Duration,
    sender: &mpsc::Sender<Result<Vec<Order>, StoreError>>,
) -> Result<bool, StoreError> {
    let query = orders::table
        .filter(orders::sale_id.eq(sale.as_str()))
        .order(orders::id)
        .select(OrderRow::as_select());
    let begun =
        session::bounded(answer_within, async { Ok(query.load_stream::<OrderRow>(connection).await?) });
    let mut rows = begun.await?.try_chunks(PAGE);
    loop {
        let page = session::bounded(answer_within, async {
            rows.next().await.transpose().map_err(|TryChunksError(_, error)| StoreError::from(error))
        });
        let Some(page) = page.await? else { return Ok(true) };
        let page: Vec<Order> = page.into_iter().map(Order::try_from).collect::<Result<_, _>>()?;
        if sender.send(Ok(page)).await.is_err() {
            return Ok(false);
        }
    }
}
