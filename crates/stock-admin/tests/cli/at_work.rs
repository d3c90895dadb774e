//! An order-consumer at work beside the command: its keeper and its writer, in this process.

use std::{sync::Arc, time::Duration};

use order_consumer::{consume::Consumer, keeper::Keeper};
use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    ledger::{LedgerOrder, Reservation, ReserveOutcome, SaleLookup},
    order::{BuyerId, Goods, OrderId, OrderRequest, OrderStatus, Quantity, Units},
    order_log::{LogObserver, OrderPublisher, OrderSubscriber, RawEvent},
    sale::SaleId,
    settings::GroupSettings,
    shutdown::{self, Shutdown, ShutdownSwitch},
};
use tokio::{
    runtime::Handle,
    sync::Notify,
    task::JoinHandle,
    time::{Instant, timeout},
};

use crate::support::Site;

/// How long anything may take that a consumer does by itself.
const WITHIN: Duration = Duration::from_secs(30);

impl Site {
    /// A site with topics and nothing but its own sales: the ledger of the default sale is everybody's.
    pub async fn to_work_on() -> Self {
        let site = Self::with_topics().await;
        site.database.execute("DELETE FROM sales").await;
        site
    }

    /// The group of this site's consumers.
    pub fn group(&self) -> GroupSettings {
        GroupSettings { consumer_group: self.kafka.orders_topic.clone() }
    }

    /// A sale that the keeper has loaded.
    pub async fn sale_by_keeper(&mut self, stock: Units) -> SaleId {
        let sale = self.unloaded_sale(stock).await.sale.id;
        self.loaded(&sale).await;
        sale
    }

    /// Waits until a keeper has loaded the sale.
    pub async fn loaded(&self, sale: &SaleId) {
        let started = Instant::now();
        while !matches!(self.ledger.sale(sale).await.unwrap(), SaleLookup::Trusted(_)) {
            assert!(started.elapsed() < WITHIN, "nobody loads the sale");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Takes units in the ledger and does no more: the order is in the outbox.
    pub async fn take(&self, sale: &SaleId, units: Units) -> LedgerOrder {
        let request = OrderRequest {
            buyer: BuyerId::parse("ben").unwrap(),
            goods: Goods::parse("phone").unwrap(),
            quantity: Quantity::new(units).unwrap(),
            remark: None,
        };
        let reservation = Reservation { sale: sale.clone(), id: OrderId::fresh(), request };
        match self.ledger.reserve(sale, &[reservation]).await.unwrap().remove(0) {
            ReserveOutcome::Reserved(order) => order,
            other => panic!("{other:?}"),
        }
    }

    /// All that an API does for an order, with its event lost if `publisher` is none.
    pub async fn buy(&self, publisher: Option<&OrderPublisher>, sale: &SaleId, units: Units) -> LedgerOrder {
        let taken = self.take(sale, units).await;
        if let Some(publisher) = publisher {
            publisher.publish_and_wait(&taken.placed_event()).await.unwrap();
        }
        self.ledger.settle(sale, taken.epoch, &[taken.order.id]).await.unwrap();
        taken
    }

    /// Waits until the store has the order with `status`.
    pub async fn becomes(&self, order: &LedgerOrder, status: OrderStatus) {
        let started = Instant::now();
        loop {
            let stored = self.store.order(&order.order.sale, order.order.id).await.unwrap();
            let now = stored.map(|order| order.status);
            if now == Some(status) {
                return;
            }
            assert!(started.elapsed() < WITHIN, "{status:?} expected, {now:?} found");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The dead letters, once there are `count`.
    pub async fn letters(&self, count: usize) -> Vec<RawEvent> {
        let observer = LogObserver::new(&self.kafka, &self.group()).unwrap();
        let started = Instant::now();
        loop {
            let letters = observer.dead_letters().await.unwrap();
            if letters.len() >= count {
                return letters;
            }
            assert!(started.elapsed() < WITHIN, "{count} dead letters expected, {letters:?} found");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
}

/// The event that cancels an order.
pub fn cancelled(order: &LedgerOrder) -> OrderEvent {
    OrderEvent { kind: OrderEventKind::Cancelled, ..order.placed_event() }
}

/// What of an order-consumer runs.
pub struct AtWork {
    pub publisher: Arc<OrderPublisher>,
    stop: ShutdownSwitch,
    running: Vec<JoinHandle<()>>,
}

impl AtWork {
    /// The keeper and the writer. (Who gives units back is not among them.)
    pub fn all(site: &Site) -> Self {
        let (mut work, stopping) = Self::nobody(site);
        work.run_keeper(site, stopping.clone());
        work.run_writer(site, stopping);
        work
    }

    /// The writer alone.
    pub fn writer(site: &Site) -> Self {
        let (mut work, stopping) = Self::nobody(site);
        work.run_writer(site, stopping);
        work
    }

    fn nobody(site: &Site) -> (Self, Shutdown) {
        let (stop, stopping) = shutdown::channel();
        let publisher = Arc::new(OrderPublisher::new(&site.kafka).unwrap());
        (Self { publisher, stop, running: Vec::new() }, stopping)
    }

    fn run_keeper(&mut self, site: &Site, stopping: Shutdown) {
        let keeper = Keeper {
            store: site.store.clone(),
            ledger: site.ledger.clone(),
            publisher: self.publisher.clone(),
            observer: LogObserver::new(&site.kafka, &site.group()).unwrap(),
        };
        // What it awaits is not `Send`: it stays on a thread of its own.
        let runtime = Handle::current();
        self.running.push(tokio::task::spawn_blocking(move || runtime.block_on(keeper.run(stopping))));
    }

    fn run_writer(&mut self, site: &Site, stopping: Shutdown) {
        let consumer = Consumer::new(
            OrderSubscriber::new(&site.kafka, &site.group()).unwrap(),
            site.database.store(),
            self.publisher.clone(),
            Arc::new(Notify::new()),
            stopping,
        )
        .unwrap();
        self.running.push(tokio::task::spawn_blocking(move || consumer.run().unwrap()));
    }

    /// Stops all of it in good order.
    pub async fn end(self) {
        self.stop.request();
        for running in self.running {
            timeout(WITHIN, running).await.expect("it stops in time").expect("it does not panic");
        }
    }
}
