//! Everything one test works with, and nobody else.

use std::{sync::Arc, time::Duration};

use order_consumer::{
    consume::{Consumer, StepError},
    keeper::Keeper,
};
use rdkafka::{
    admin::{AdminClient, AdminOptions, AlterConfig, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    config::ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    ledger::{LedgerOrder, LedgerSale, Reservation, ReserveOutcome, SaleLookup, StockLedger},
    order::{BuyerId, Goods, OrderId, OrderRequest, OrderStatus, Quantity, Units},
    order_log::{LogObserver, OrderPublisher, OrderSubscriber, RawEvent, topics},
    sale::{Sale, SaleId},
    settings::{GroupSettings, KafkaSettings, TopicSettings},
    shutdown::{self, ShutdownSwitch},
    store::{OrderStore, StoreOptions},
    testing::{TestDatabase, patient_ledger, patient_redis, terms},
};
use tokio::{sync::Notify, time::Instant};

pub struct World {
    pub database: TestDatabase,
    pub store: OrderStore,
    pub ledger: StockLedger,
    pub publisher: Arc<OrderPublisher>,
    pub kafka: KafkaSettings,
    pub group: GroupSettings,
    pub sale: SaleId,
    pub keeper: Keeper,
    pub owed: Arc<Notify>,
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: eval \"$(scripts/services env)\""))
}

/// Makes a sale in the store.
pub async fn create_sale(store: &OrderStore, name: &str, stock: Units) -> SaleId {
    let sale = Sale { id: SaleId::parse(name).unwrap(), ..terms(stock) };
    store.create_sale(&sale, "test").await.unwrap();
    sale.id
}

async fn raw() -> deadpool_redis::redis::aio::MultiplexedConnection {
    patient_redis(&variable("REDIS_URL")).await
}

impl World {
    /// A world whose only sale has `stock` units, in the store and not yet in the ledger.
    pub async fn new(stock: Units) -> Self {
        let name = OrderId::fresh().to_string();
        let kafka = KafkaSettings {
            kafka_brokers: variable("KAFKA_BROKERS"),
            orders_topic: format!("test-{name}"),
            dead_letter_topic: format!("test-{name}-dead"),
        };
        topics::create(&kafka, &TopicSettings { orders_partitions: 3, replication_factor: 1 }).await.unwrap();
        let group = GroupSettings { consumer_group: format!("test-{name}") };
        let database = TestDatabase::create().await;
        let store = database.store();
        database.execute("DELETE FROM sales").await;
        let sale = create_sale(&store, &format!("test-{name}"), stock).await;
        let ledger = patient_ledger();
        let publisher = Arc::new(OrderPublisher::new(&kafka).unwrap());
        let keeper = Keeper {
            store: store.clone(),
            ledger: ledger.clone(),
            publisher: publisher.clone(),
            observer: LogObserver::new(&kafka, &group).unwrap(),
        };
        let owed = Arc::new(Notify::new());
        Self { database, store, ledger, publisher, kafka, group, sale, keeper, owed }
    }

    /// The same, with the sale loaded by the keeper.
    pub async fn open(stock: Units) -> Self {
        let world = Self::new(stock).await;
        world.keeper.rebuild_untrusted().await.unwrap();
        assert_eq!(world.ledger_sale().await.remaining, stock);
        world
    }

    pub fn consumer(&self) -> (Consumer, ShutdownSwitch) {
        self.consumer_of(self.database.store())
    }

    pub fn consumer_of(&self, store: OrderStore) -> (Consumer, ShutdownSwitch) {
        self.consumer_with(store, self.publisher.clone())
    }

    pub fn consumer_with(
        &self,
        store: OrderStore,
        dead_letters: Arc<OrderPublisher>,
    ) -> (Consumer, ShutdownSwitch) {
        let (stop, stopping) = shutdown::channel();
        let consumer = Consumer::new(
            OrderSubscriber::new(&self.kafka, &self.group).unwrap(),
            store,
            dead_letters,
            self.owed.clone(),
            stopping,
        )
        .unwrap();
        (consumer, stop)
    }

    /// Lets a consumer work until it has seen `events` events, then stops it in good order.
    pub async fn consume(&self, events: usize) {
        let (consumer, _stop) = self.consumer();
        Self::work(consumer, events).await;
    }

    /// The same, by `consumer`.
    pub async fn work(mut consumer: Consumer, events: usize) {
        let work = tokio::task::spawn_blocking(move || {
            let started = std::time::Instant::now();
            let mut seen = 0;
            while seen < events {
                assert!(started.elapsed() < Duration::from_secs(30), "only {seen} of {events} events came");
                seen += consumer.step().unwrap();
            }
            consumer.subscriber.close().unwrap();
            seen
        });
        assert_eq!(work.await.unwrap(), events);
    }

    /// What came of the first step of `consumer` that found something to do, which is its last; nothing: it found
    /// nothing within `patience`.
    pub async fn first_step(mut consumer: Consumer, patience: Duration) -> Result<usize, StepError> {
        let work = tokio::task::spawn_blocking(move || {
            let started = std::time::Instant::now();
            loop {
                match consumer.step() {
                    Ok(0) if started.elapsed() < patience => {}
                    other => {
                        consumer.subscriber.close().unwrap();
                        return other;
                    }
                }
            }
        });
        work.await.unwrap()
    }

    pub fn reservation(&self, id: OrderId, quantity: u64) -> Reservation {
        let request = OrderRequest {
            buyer: BuyerId::parse(id.to_string()).unwrap(),
            goods: Goods::parse("phone").unwrap(),
            quantity: Quantity::new(quantity).unwrap(),
            remark: None,
        };
        Reservation { sale: self.sale.clone(), id, request }
    }

    /// Takes units in the ledger, as an API does before it publishes.
    pub async fn reserve(&self, quantity: u64) -> LedgerOrder {
        let ask = self.reservation(OrderId::fresh(), quantity);
        match self.ledger.reserve(&self.sale, &[ask]).await.unwrap().remove(0) {
            ReserveOutcome::Reserved(order) => order,
            other => panic!("{other:?}"),
        }
    }

    /// All that an API does for an order.
    pub async fn buy(&self, quantity: u64) -> LedgerOrder {
        let order = self.reserve(quantity).await;
        self.publisher.publish_and_wait(&order.placed_event()).await.unwrap();
        self.ledger.settle(&self.sale, order.epoch, &[order.order.id]).await.unwrap();
        order
    }

    pub async fn cancel(&self, order: &LedgerOrder) {
        let event = OrderEvent { kind: OrderEventKind::Cancelled, ..order.placed_event() };
        self.publisher.publish_and_wait(&event).await.unwrap();
    }

    pub async fn status(&self, id: OrderId) -> Option<OrderStatus> {
        self.store.order(&self.sale, id).await.unwrap().map(|order| order.status)
    }

    /// Waits until the store has the order as `status`.
    pub async fn until_status(&self, id: OrderId, status: OrderStatus) {
        let until = Instant::now() + Duration::from_secs(30);
        while self.status(id).await != Some(status) {
            assert!(Instant::now() < until, "{id} is not {status:?}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn sold(&self) -> Units {
        self.store.sale(&self.sale).await.unwrap().unwrap().sold
    }

    pub async fn ledger_sale(&self) -> LedgerSale {
        match self.ledger.sale(&self.sale).await.unwrap() {
            SaleLookup::Trusted(sale) => sale,
            other => panic!("{other:?}"),
        }
    }

    /// Whether the ledger decides orders of `sale`.
    pub async fn is_trusted(&self, sale: &SaleId) -> bool {
        matches!(self.ledger.sale(sale).await.unwrap(), SaleLookup::Trusted(_))
    }

    /// Locks the sale's row in the store, as a batch of the consumer does, for so long.
    pub async fn hold_the_row(&self, hold: Duration) {
        self.hold_the_row_of(&self.sale, hold).await;
    }

    /// The same of another sale.
    pub async fn hold_the_row_of(&self, sale: &SaleId, hold: Duration) {
        let seconds = hold.as_secs_f64();
        let sql =
            format!("BEGIN; UPDATE sales SET title = title WHERE id = '{sale}'; DO SLEEP({seconds}); COMMIT");
        self.database.execute(&sql).await;
    }

    /// Writes something into the sale's hash that no script of ours does.
    pub async fn damage(&self, field: &str, value: &str) {
        let mut raw = raw().await;
        let mut hset = deadpool_redis::redis::cmd("HSET");
        hset.arg(format!("seckill:{{{}}}:sale", self.sale)).arg(field).arg(value);
        hset.query_async::<()>(&mut raw).await.unwrap();
    }

    /// Writes something in place of an order's record that no script of ours does.
    pub async fn damage_order(&self, id: OrderId) {
        let mut hset = deadpool_redis::redis::cmd("HSET");
        hset.arg(format!("seckill:{{{}}}:orders", self.sale)).arg(id.as_bytes()).arg("L spoilt");
        hset.query_async::<()>(&mut raw().await).await.unwrap();
    }

    /// Puts something in place of a key of the sale that no script of ours can work with.
    pub async fn spoil(&self, key: &str) {
        let mut set = deadpool_redis::redis::cmd("SET");
        set.arg(format!("seckill:{{{}}}:{key}", self.sale)).arg("spoilt");
        set.query_async::<()>(&mut raw().await).await.unwrap();
    }

    /// Puts an order of the outbox so far into the future.
    pub async fn age_in_the_outbox(&self, id: OrderId, by: Duration) {
        let mut raw = raw().await;
        let mut zincrby = deadpool_redis::redis::cmd("ZINCRBY");
        let by = u64::try_from(by.as_millis()).unwrap();
        zincrby.arg(format!("seckill:{{{}}}:outbox", self.sale)).arg(by).arg(id.as_bytes());
        zincrby.query_async::<f64>(&mut raw).await.unwrap();
    }

    /// Takes the sale's keys away, as FLUSHALL would.
    pub async fn lose_the_ledger(&self) {
        let mut raw = raw().await;
        let pattern = format!("seckill:{{{}}}:*", self.sale);
        let keys: Vec<String> =
            deadpool_redis::redis::cmd("KEYS").arg(pattern).query_async(&mut raw).await.unwrap();
        if !keys.is_empty() {
            deadpool_redis::redis::cmd("DEL").arg(keys).query_async::<()>(&mut raw).await.unwrap();
        }
    }

    /// The dead letters, waiting until there are `count`.
    pub async fn dead_letters(&self, count: usize) -> Vec<RawEvent> {
        let observer = LogObserver::new(&self.kafka, &self.group).unwrap();
        let started = Instant::now();
        loop {
            let letters = observer.dead_letters().await.unwrap();
            if letters.len() >= count || started.elapsed() > Duration::from_secs(10) {
                return letters;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Their reasons.
    pub async fn dead_letter_reasons(&self, count: usize) -> Vec<String> {
        let reason = |letter: &RawEvent| String::from_utf8(letter.header("error").unwrap().to_vec()).unwrap();
        self.dead_letters(count).await.iter().map(reason).collect()
    }

    /// From now on the topic of orders takes no batch of messages of more than `bytes`.
    pub async fn limit_batches(&self, bytes: u32) {
        let topic = AlterConfig::new(ResourceSpecifier::Topic(&self.kafka.orders_topic));
        let bytes = bytes.to_string();
        let limited = topic.set("max.message.bytes", &bytes);
        self.admin().alter_configs([&limited], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.kafka.kafka_brokers).create().unwrap()
    }

    /// The same world with a dead-letter topic that takes no message of more than `bytes`.
    pub async fn with_dead_letters_of(mut self, bytes: u32) -> Self {
        let (old, new) = (&self.kafka.dead_letter_topic, format!("{}-small", self.kafka.dead_letter_topic));
        let bytes = bytes.to_string();
        let topic = NewTopic::new(&new, 1, TopicReplication::Fixed(1)).set("max.message.bytes", &bytes);
        let admin = self.admin();
        for made in admin.create_topics([&topic], &AdminOptions::new()).await.unwrap() {
            made.unwrap();
        }
        admin.delete_topics(&[old], &AdminOptions::new()).await.unwrap();
        self.kafka.dead_letter_topic = new;
        self.publisher = Arc::new(OrderPublisher::new(&self.kafka).unwrap());
        self
    }

    /// Puts a message into partition 0 of the order log, as anybody may who can write to it.
    pub async fn place(&self, key: &str, value: Option<&[u8]>) {
        let producer: FutureProducer = ClientConfig::new()
            .set("bootstrap.servers", &self.kafka.kafka_brokers)
            .set("message.max.bytes", "2000000")
            .create()
            .unwrap();
        let mut record = FutureRecord::to(&self.kafka.orders_topic).partition(0).key(key);
        record.payload = value;
        producer.send(record, Duration::from_secs(5)).await.unwrap();
    }

    /// Takes everything away that this test made.
    pub async fn end(self) {
        self.lose_the_ledger().await;
        topics::delete(&self.kafka).await.unwrap();
    }

    /// A store that is away.
    pub fn no_store() -> OrderStore {
        OrderStore::connect(&"mysql://nobody:nothing@127.0.0.1:1/nowhere".into(), StoreOptions::default())
            .unwrap()
    }
}
