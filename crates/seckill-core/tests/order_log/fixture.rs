//! A log of one test alone.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, NewTopic, TopicReplication},
    client::DefaultClientContext,
};
use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, OrderStatus, Quantity},
    order_log::{OrderPublisher, OrderSubscriber, RawEvent},
    sale::SaleId,
    settings::{GroupSettings, KafkaSettings},
};

/// How long anything here may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(30);
/// How long a batch may gather.
pub const GATHER: Duration = Duration::from_millis(20);

/// Topics and a group with names of their own; [`TestLog::delete`] removes them.
pub struct TestLog {
    pub kafka: KafkaSettings,
    pub group: GroupSettings,
}

impl TestLog {
    /// Names only.
    pub fn unmade() -> Self {
        let name = format!("seckill-test-{}", uuid::Uuid::new_v4());
        Self {
            kafka: KafkaSettings {
                kafka_brokers: std::env::var("KAFKA_BROKERS")
                    .expect("KAFKA_BROKERS names the Kafka to test with"),
                orders_topic: name.clone(),
                dead_letter_topic: format!("{name}.dead"),
            },
            group: GroupSettings { consumer_group: name },
        }
    }

    /// Topics, the orders one with `partitions`.
    pub async fn with_partitions(partitions: i32) -> Self {
        let log = Self::unmade();
        log.make_orders(partitions).await;
        log.make(&log.kafka.dead_letter_topic, 1).await;
        log
    }

    /// The topic of orders, where it is not there.
    pub async fn make_orders(&self, partitions: i32) {
        self.make(&self.kafka.orders_topic, partitions).await;
    }

    async fn make(&self, topic: &str, partitions: i32) {
        let topic = NewTopic::new(topic, partitions, TopicReplication::Fixed(1));
        for made in self.admin().create_topics([&topic], &options()).await.unwrap() {
            made.unwrap();
        }
    }

    /// Deletes the topic of orders alone.
    pub async fn delete_orders(&self) {
        for gone in self.admin().delete_topics(&[&self.kafka.orders_topic], &options()).await.unwrap() {
            gone.unwrap();
        }
    }

    pub fn publisher(&self) -> OrderPublisher {
        OrderPublisher::new(&self.kafka).unwrap()
    }

    pub fn subscriber(&self) -> OrderSubscriber {
        OrderSubscriber::new(&self.kafka, &self.group).unwrap()
    }

    /// Publishes `count` orders and waits until they are in the log.
    pub async fn publish(&self, count: usize) -> Vec<OrderEvent> {
        let publisher = self.publisher();
        let events: Vec<OrderEvent> = (0..count).map(|_| event()).collect();
        for event in &events {
            publisher.publish(event, |_| {});
        }
        publisher.flush(PATIENCE).await.unwrap();
        events
    }

    pub async fn delete(self) {
        let topics = [self.kafka.orders_topic.as_str(), self.kafka.dead_letter_topic.as_str()];
        self.admin().delete_topics(&topics, &options()).await.unwrap();
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        ClientConfig::new().set("bootstrap.servers", &self.kafka.kafka_brokers).create().unwrap()
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(PATIENCE))
}

/// A new order, placed.
pub fn event() -> OrderEvent {
    let request = OrderRequest {
        buyer: BuyerId::parse("买家").unwrap(),
        goods: Goods::parse("phone").unwrap(),
        quantity: Quantity::ONE,
        remark: None,
    };
    let at = Timestamp::from_millisecond(1_763_942_701_123).unwrap();
    let sale = SaleId::parse("test").unwrap();
    let order = Order::new(OrderId::fresh(), sale, request, Some(7), at, OrderStatus::Accepted);
    OrderEvent { kind: OrderEventKind::Placed, epoch: 1, order, at }
}

/// Reads until `count` events have come, and fails if they do not.
#[track_caller]
pub fn read(subscriber: &mut OrderSubscriber, count: usize) -> Vec<RawEvent> {
    let until = Instant::now() + PATIENCE;
    let mut events = Vec::new();
    while events.len() < count {
        assert!(Instant::now() < until, "{} of {count} events came", events.len());
        events.extend(subscriber.poll_batch(500, GATHER).unwrap());
    }
    events
}

/// Reads for `duration`.
pub fn read_for(subscriber: &mut OrderSubscriber, duration: Duration) -> Vec<RawEvent> {
    let until = Instant::now() + duration;
    let mut events = Vec::new();
    while Instant::now() < until {
        events.extend(subscriber.poll_batch(500, GATHER).unwrap());
    }
    events
}

/// Marks `events` as done.
pub fn store(subscriber: &mut OrderSubscriber, events: &[RawEvent]) {
    for event in events {
        subscriber.store(event.partition, event.offset + 1).unwrap();
    }
}

/// Which orders `events` are of.
pub fn orders(events: &[RawEvent]) -> BTreeSet<OrderId> {
    let decode = |event: &RawEvent| OrderEvent::decode(event.key.as_deref(), event.value.as_deref()).unwrap();
    events.iter().map(|event| decode(event).order.id).collect()
}

/// Which orders were published.
pub fn ids(events: &[OrderEvent]) -> BTreeSet<OrderId> {
    events.iter().map(|event| event.order.id).collect()
}
