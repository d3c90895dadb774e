//! Everything one test works with, and nobody else.

use std::{
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use clap::Parser;
use reqwest::Method;
use seckill_api::{
    app::{Api, Parts},
    settings::Settings,
};
pub use seckill_core::testing::terms;
use seckill_core::{
    ledger::{LedgerSale, SaleLookup, StockLedger, load::SwapOutcome},
    order::{OrderId, OrderIdSecret, Units},
    order_log::{LogObserver, OrderPublisher, topics},
    sale::{Sale, SaleId},
    settings::{GroupSettings, KafkaSettings, TopicSettings},
    shutdown::{self, ShutdownSwitch},
    store::OrderStore,
    telemetry::Metrics,
    testing::{TestDatabase, patient_ledger, patient_redis},
};
use serde_json::Value;
use tokio::{sync::OnceCell, task::JoinHandle};

use crate::answer::Answer;

/// A process has one recorder; the tests of this binary share it.
static METRICS: OnceCell<Metrics> = OnceCell::const_new();

/// Makes order ids of keys.
pub const SECRET: &[u8] = b"a secret of these tests";

/// The plainest order.
pub const PHONE: &str = r#"{"user":"ada","goods":"phone"}"#;

pub struct World {
    /// Dropped with the world.
    pub database: TestDatabase,
    pub store: OrderStore,
    pub ledger: StockLedger,
    pub kafka: KafkaSettings,
    pub sale: SaleId,
    pub api: RunningApi,
}

/// A server and how to stop it.
pub struct RunningApi {
    pub address: SocketAddr,
    stop: ShutdownSwitch,
    running: JoinHandle<std::io::Result<()>>,
}

pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: eval \"$(scripts/services env)\""))
}

impl World {
    /// A world whose only sale has `stock` units.
    pub async fn open(stock: Units) -> Self {
        Self::of(terms(stock)).await
    }

    /// A world whose only sale is `sale`, in store and ledger.
    pub async fn of(sale: Sale) -> Self {
        let name = sale.id.clone();
        let kafka = KafkaSettings {
            kafka_brokers: variable("KAFKA_BROKERS"),
            orders_topic: name.to_string(),
            dead_letter_topic: format!("{name}-dead"),
        };
        topics::create(&kafka, &TopicSettings { orders_partitions: 3, replication_factor: 1 }).await.unwrap();
        let database = TestDatabase::create().await;
        let store = database.store();
        database.execute("DELETE FROM sales").await;
        store.create_sale(&sale, "test").await.unwrap();
        let ledger = patient_ledger();
        load(&store, &ledger, &name).await;
        let api = RunningApi::start(parts(&database, &ledger, &kafka, &name).await, &[]);
        Self { database, store, ledger, kafka, sale: name, api }
    }

    /// What another server of the same system is made of.
    pub async fn parts(&self) -> Parts {
        parts(&self.database, &self.ledger, &self.kafka, &self.sale).await
    }

    /// The path of the sale, and what follows in it.
    pub fn path(&self, rest: &str) -> String {
        format!("/v1/sales/{}{rest}", self.sale)
    }

    /// Asks for an order by `body`.
    pub async fn order(&self, body: &str) -> Answer {
        self.api.post(&self.path("/orders"), &[], body).await
    }

    /// The same, with an `Idempotency-Key`.
    pub async fn order_by_key(&self, key: &str, body: &str) -> Answer {
        self.api.post(&self.path("/orders"), &[("idempotency-key", key)], body).await
    }

    /// Takes an order of `quantity` units, and says which.
    pub async fn buy(&self, user: &str, quantity: Units) -> Value {
        let answer =
            self.order(&format!("{{\"user\":\"{user}\",\"goods\":\"phone\",\"quantity\":{quantity}}}")).await;
        assert_eq!(answer.status, 202, "{}", answer.body);
        answer.json()
    }

    pub async fn ledger_sale(&self) -> LedgerSale {
        match self.ledger.sale(&self.sale).await.unwrap() {
            SaleLookup::Trusted(sale) => sale,
            other => panic!("{other:?}"),
        }
    }

    pub async fn remaining(&self) -> Units {
        self.ledger_sale().await.remaining
    }

    /// Loads the sale into the ledger once more, from what the store has.
    pub async fn reload(&self) {
        load(&self.store, &self.ledger, &self.sale).await;
    }

    /// Makes an order one that is not known to be in the log.
    pub async fn back_into_the_outbox(&self, id: OrderId) {
        // Its API settles it behind its answer, and must have done so before.
        let began = Instant::now();
        while self.ledger_sale().await.outbox > 0 {
            assert!(began.elapsed() < Duration::from_secs(10), "the API does not settle the order");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let outbox = format!("seckill:{{{}}}:outbox", self.sale);
        let mut add = deadpool_redis::redis::cmd("ZADD");
        add.arg(outbox).arg(1).arg(id.as_bytes());
        add.query_async::<()>(&mut raw_redis().await).await.unwrap();
    }

    /// Takes `units` out of those that are left, as if somebody had changed the ledger by hand.
    pub async fn lose_units(&self, units: i64) {
        let mut lose = deadpool_redis::redis::cmd("HINCRBY");
        lose.arg(format!("seckill:{{{}}}:sale", self.sale)).arg("remaining").arg(-units);
        lose.query_async::<()>(&mut raw_redis().await).await.unwrap();
    }

    /// Takes the sale's keys away, as FLUSHALL would.
    pub async fn lose_the_ledger(&self) {
        let mut raw = raw_redis().await;
        let pattern = format!("seckill:{{{}}}:*", self.sale);
        let keys: Vec<String> =
            deadpool_redis::redis::cmd("KEYS").arg(pattern).query_async(&mut raw).await.unwrap();
        if !keys.is_empty() {
            deadpool_redis::redis::cmd("DEL").arg(keys).query_async::<()>(&mut raw).await.unwrap();
        }
    }

    /// Stops the server and takes everything away that this test made.
    pub async fn end(self) {
        self.lose_the_ledger().await;
        self.api.stop().await;
        topics::delete(&self.kafka).await.unwrap();
    }
}

async fn raw_redis() -> deadpool_redis::redis::aio::MultiplexedConnection {
    patient_redis(&variable("REDIS_URL")).await
}

impl RunningApi {
    /// Starts a server on a free port, with `flags`.
    pub fn start(parts: Parts, flags: &[&str]) -> Self {
        let mut command_line = vec!["seckill-api", "--workers", "2"];
        if !flags.contains(&"--lame-duck-seconds") {
            command_line.extend(["--lame-duck-seconds", "0"]);
        }
        let settings = Settings::try_parse_from(command_line.iter().chain(flags)).unwrap();
        let api = Api::build("127.0.0.1:0".parse().unwrap(), &settings.limits, parts).unwrap();
        let address = api.address();
        let (stop, stopping) = shutdown::channel();
        let running = tokio::spawn(api.run(async move { stopping.requested().await }));
        Self { address, stop, running }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, &[], "").await
    }

    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut all = vec![("content-type", "application/json")];
        all.extend_from_slice(headers);
        self.send(Method::POST, path, &all, body).await
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let url = format!("http://{}{path}", self.address);
        let client = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().unwrap();
        let mut request = client.request(method, url).body(body.to_owned());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Answer::of(request.send().await.unwrap()).await
    }

    /// Asks it to stop, and goes on.
    pub fn request_stop(&self) {
        self.stop.request();
    }

    /// Asks it to stop, and waits until it has.
    pub async fn stop(self) {
        self.stop.request();
        self.running.await.unwrap().unwrap();
    }
}

async fn parts(database: &TestDatabase, ledger: &StockLedger, kafka: &KafkaSettings, sale: &SaleId) -> Parts {
    let metrics = METRICS.get_or_init(async || Metrics::install().unwrap()).await;
    let group = GroupSettings { consumer_group: sale.to_string() };
    Parts {
        ledger: ledger.clone(),
        store: database.store(),
        publisher: Arc::new(OrderPublisher::new(kafka).unwrap()),
        observer: LogObserver::new(kafka, &group).unwrap(),
        orders_topic: kafka.orders_topic.clone(),
        metrics: metrics.clone(),
        order_id_secret: OrderIdSecret::new(SECRET),
        admin_token: None,
        buyer_tokens: None,
        may_buy_on_page: false,
        default_sale: sale.clone(),
    }
}

/// Loads `sale` into the ledger from the store, in the steps of a rebuild that has nothing to wait for.
async fn load(store: &OrderStore, ledger: &StockLedger, sale: &SaleId) {
    let epoch = store.take_rebuild_epoch(sale).await.unwrap().unwrap().epoch;
    assert!(ledger.begin_rebuild(sale, epoch).await.unwrap());
    assert!(store.admit_epoch(sale, epoch).await.unwrap());
    let mut loading = ledger.start_loading(sale, epoch).await.unwrap();
    let mut snapshot = store.snapshot(sale).await.unwrap().unwrap();
    loop {
        let orders = snapshot.next_page().await.unwrap();
        if orders.is_empty() {
            break;
        }
        loading.add(&orders).await.unwrap();
    }
    let stored = snapshot.sale();
    assert_eq!(loading.swap_in(&stored.sale, stored.adjustment).await.unwrap(), SwapOutcome::Swapped);
}
