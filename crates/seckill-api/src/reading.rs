//! Reading sales and orders: what a crowd may ask, at the price of a few reads a second.
//!
//! Reads run on the process's own runtime, not on that of the HTTP worker that asks: connections outlive
//! the worker that first needed them, and a client that hangs up does not break one off half way.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::web::Bytes;
use futures_util::{StreamExt, future, stream};
use jiff::Timestamp;
use seckill_core::{
    ledger::{LedgerError, OrderLookup, SaleLookup, StockLedger},
    order::{Order, OrderId, OrderStatus},
    sale::{SaleId, SaleView},
    store::{OrderStore, ReadableSales, StoreError, StoredSale},
};
use serde::Serialize;
use tokio::{runtime::Handle, task::JoinHandle, time::timeout};
use tracing::Instrument;

use crate::{
    refusal::Refusal,
    remembered::{Remembered, RememberedByKey},
    timeline::Timeline,
};

/// How old the view of one sale may be.
const SALE_GOOD_FOR: Duration = Duration::from_millis(100);
/// How old the list of sales may be, and how long a name counts as that of no sale.
const SALES_GOOD_FOR: Duration = Duration::from_secs(1);
/// How long a failed read stands for others: long enough that a crowd does not pile up behind a
/// dependency that is away.
const FAILURE_GOOD_FOR: Duration = Duration::from_millis(500);
/// How long the store may take to answer a read, which waits for no lock: where it stands still, the ledger may know.
const STORE_ANSWERS_WITHIN: Duration = Duration::from_secs(2);
/// Most sales whose view is remembered at once.
const MAX_VIEWS: usize = 1024;
/// Most reads of the ledger at once for one list of sales.
const READS_AT_ONCE: usize = 16;

/// The sales of the store.
struct StoredSales {
    /// Those that can be read, by name.
    sales: HashMap<SaleId, StoredSale>,
    /// What is answered of any other, if there are such as cannot be: it may be one of these.
    unreadable: Option<Refusal>,
}

/// The JSON of the list of all sales.
type Json = Result<Bytes, Refusal>;

/// A sale as clients see it, and its JSON.
type Viewed = Result<(Arc<SaleView>, Bytes), Refusal>;

/// Reads sales and orders. Clones share what they remember.
#[derive(Clone)]
pub struct Readings(Arc<Inner>);

struct Inner {
    ledger: StockLedger,
    store: OrderStore,
    runtime: Handle,
    stored_sales: Remembered<Result<Arc<StoredSales>, Refusal>>,
    list: Remembered<Json>,
    views: RememberedByKey<SaleId, Viewed>,
}

/// A read that runs apart from whoever waits for it.
pub(crate) struct Apart<T>(JoinHandle<Result<T, Refusal>>);

impl<T> Future for Apart<T> {
    type Output = Result<T, Refusal>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // A read that panicked has been logged by its panic.
        Pin::new(&mut self.0).poll(context).map(|read| read.unwrap_or(Err(Refusal::Overloaded)))
    }
}

#[derive(Serialize)]
struct SaleList {
    sales: Vec<SaleView>,
}

impl Readings {
    /// Reads from `ledger` and `store` on the runtime that this is called on.
    pub fn new(ledger: StockLedger, store: OrderStore) -> Self {
        Self(Arc::new(Inner {
            ledger,
            store: store.answering_within(STORE_ANSWERS_WITHIN),
            runtime: Handle::current(),
            stored_sales: Remembered::default(),
            list: Remembered::default(),
            views: RememberedByKey::new(MAX_VIEWS),
        }))
    }

    /// Notes that this process has changed how `sale` stands: whoever is told so and asks next sees it.
    pub fn note_change(&self, sale: &SaleId) {
        self.0.views.note_change(sale);
    }

    /// The JSON of one sale, at most [`SALE_GOOD_FOR`] old.
    pub async fn sale(&self, id: &SaleId) -> Result<Bytes, Refusal> {
        self.viewed(id).await.map(|(_, json)| json)
    }

    /// One sale, at most [`SALE_GOOD_FOR`] old.
    pub async fn sale_view(&self, id: &SaleId) -> Result<Arc<SaleView>, Refusal> {
        self.viewed(id).await.map(|(view, _)| view)
    }

    async fn viewed(&self, id: &SaleId) -> Viewed {
        let fetch = async {
            let (readings, id) = (self.clone(), id.clone());
            let view = self.apart(async move { readings.view(&id).await }).await;
            let viewed = view.map(|view| {
                let json = to_json(&view);
                (Arc::new(view), json)
            });
            let good_for = match viewed {
                Ok(_) => SALE_GOOD_FOR,
                Err(_) => FAILURE_GOOD_FOR,
            };
            (viewed, good_for)
        };
        self.0.views.entry(id).get(fetch).await
    }

    /// The JSON of all sales, at most [`SALES_GOOD_FOR`] old.
    pub async fn sales(&self) -> Result<Bytes, Refusal> {
        let fetch = async {
            let readings = self.clone();
            let list = self.apart(async move { readings.view_all().await }).await;
            (list.map(|list| to_json(&list)), SALES_GOOD_FOR)
        };
        self.0.list.get(fetch).await
    }

    /// The order `id` of `sale`: from the store, and while it is not there yet (or the store is away) as the
    /// ledger has it.
    pub async fn order(&self, sale: &SaleId, id: OrderId) -> Result<Order, Refusal> {
        let (readings, sale) = (self.clone(), sale.clone());
        self.apart(async move { readings.find(&sale, id).await }).await
    }

    /// How `order` came along.
    pub async fn timeline(&self, order: Order) -> Result<Timeline, Refusal> {
        let store = self.0.store.clone();
        let read = async move {
            let stored = store.timeline(&order.sale, order.id).await;
            Ok(Timeline::of(order, stored.map_err(|error| store_failed(&error))?))
        };
        self.apart(read).await
    }

    /// The statuses of those of `ids` that the store has.
    pub async fn order_statuses(&self, ids: Vec<OrderId>) -> Result<HashMap<OrderId, OrderStatus>, Refusal> {
        let store = self.0.store.clone();
        let read = async move { store.order_statuses(&ids).await.map_err(|error| store_failed(&error)) };
        self.apart(read).await
    }

    /// Why the ledger does not know `sale`: there is none, or it is not loaded yet.
    ///
    /// All names are asked for at once, at most once a second: nobody can load the store by asking for
    /// sales that do not exist, however many names they make up.
    pub async fn why_absent(&self, sale: &SaleId) -> Refusal {
        let readings = self.clone();
        match self.apart(async move { readings.stored_sales().await }).await {
            Ok(stored) if stored.sales.contains_key(sale) => Refusal::LedgerRecovering,
            Ok(stored) => stored.unreadable.unwrap_or(Refusal::SaleNotFound),
            Err(refusal) => refusal,
        }
    }

    /// Runs `read` on the process's own runtime. It is handed over at once, so that no caller's own future
    /// carries it.
    pub(crate) fn apart<T: Send + 'static>(
        &self,
        read: impl Future<Output = Result<T, Refusal>> + Send + 'static,
    ) -> Apart<T> {
        // What it logs belongs to the request that began it.
        Apart(self.0.runtime.spawn(read.in_current_span()))
    }

    async fn view(&self, id: &SaleId) -> Result<SaleView, Refusal> {
        match self.0.ledger.sale(id).await.map_err(ledger_failed)? {
            SaleLookup::Trusted(found) => Ok(found.sale.view(found.now, found.remaining)),
            SaleLookup::Untrusted => Err(Refusal::LedgerRecovering),
            SaleLookup::Absent => Err(self.why_absent(id).await),
        }
    }

    async fn view_all(&self) -> Result<SaleList, Refusal> {
        let stored = self.stored_sales().await?;
        let views =
            stored.sales.values().cloned().map(|stored| view_or_stored(self.0.ledger.clone(), stored));
        let mut sales: Vec<SaleView> = stream::iter(views).buffer_unordered(READS_AT_ONCE).collect().await;
        sales.sort_unstable_by(|a, b| a.id.cmp(&b.id));
        Ok(SaleList { sales })
    }

    async fn stored_sales(&self) -> Result<Arc<StoredSales>, Refusal> {
        let fetch = async {
            match self.0.store.readable_sales().await {
                Ok(ReadableSales { sales, unreadable }) => {
                    let sales = sales.into_iter().map(|stored| (stored.sale.id.clone(), stored)).collect();
                    let unreadable = unreadable.as_ref().map(store_failed);
                    (Ok(Arc::new(StoredSales { sales, unreadable })), SALES_GOOD_FOR)
                }
                Err(error) => (Err(store_failed(&error)), FAILURE_GOOD_FOR),
            }
        };
        self.0.stored_sales.get(fetch).await
    }

    async fn find(&self, sale: &SaleId, id: OrderId) -> Result<Order, Refusal> {
        let stored = match self.0.store.order(sale, id).await {
            Ok(Some(order)) => return Ok(order),
            Ok(None) => Ok(()),
            Err(error) => Err(store_failed(&error)),
        };
        let found = self.0.ledger.order(sale, id).await.map_err(ledger_failed);
        // What neither has is known not to be there only if both have answered.
        match (found, stored) {
            (Ok(OrderLookup::Found(found)), _) => Ok(found.order),
            (_, Err(refusal)) | (Err(refusal), Ok(())) => Err(refusal),
            (Ok(OrderLookup::Unknown), Ok(())) => Err(Refusal::OrderNotFound),
            (Ok(OrderLookup::Untrusted), Ok(())) => Err(Refusal::LedgerRecovering),
            (Ok(OrderLookup::Absent), Ok(())) => Err(self.why_absent(sale).await),
        }
    }

    /// Which of ledger and store answer `within` that time.
    pub async fn reachable(&self, within: Duration) -> (bool, bool) {
        let readings = self.clone();
        let checks = async move {
            let ledger = timeout(within, readings.0.ledger.ping());
            let (ledger, store) = future::join(ledger, timeout(within, readings.0.store.check())).await;
            Ok((ledger.is_ok_and(|answer| answer.is_ok()), store.is_ok_and(|answer| answer.is_ok())))
        };
        self.apart(checks).await.unwrap_or((false, false))
    }
}

/// A sale as the ledger has it, or else as the store has it.
async fn view_or_stored(ledger: StockLedger, stored: StoredSale) -> SaleView {
    match ledger.sale(&stored.sale.id).await {
        Ok(SaleLookup::Trusted(found)) => found.sale.view(found.now, found.remaining),
        Ok(SaleLookup::Untrusted | SaleLookup::Absent) | Err(_) => {
            let remaining = stored.sale.stock.saturating_sub(stored.sold);
            stored.sale.view(Timestamp::now(), remaining)
        }
    }
}

fn ledger_failed(error: LedgerError) -> Refusal {
    tracing::warn!(%error, "the ledger could not be read");
    error.into()
}

pub(crate) fn store_failed(error: &StoreError) -> Refusal {
    tracing::warn!(%error, "the store could not be asked");
    Refusal::StoreUnavailable
}

fn to_json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("a sale is always JSON").into()
}
