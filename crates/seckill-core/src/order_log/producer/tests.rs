//! On the real Kafka: what cannot be provoked from outside.

use std::{sync::mpsc, time::Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};

use super::*;
use crate::{
    order_log::{PublisherLimits, topic_id::TopicIds},
    settings::KafkaSettings,
};

/// A topic of one test alone.
async fn topic() -> (KafkaSettings, AdminClient<config::Quiet>) {
    let settings = KafkaSettings {
        kafka_brokers: std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS names the Kafka to test with"),
        orders_topic: format!("seckill-test-{}", uuid::Uuid::new_v4()),
        dead_letter_topic: "seckill-test-unused".into(),
    };
    let admin: AdminClient<_> = config::create(&config::client(&settings).unwrap(), config::Quiet).unwrap();
    let topic = NewTopic::new(&settings.orders_topic, 1, TopicReplication::Fixed(1));
    admin.create_topics([&topic], &options()).await.unwrap().remove(0).unwrap();
    (settings, admin)
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(Duration::from_secs(5)))
}

fn send(producer: &Producer, topic: &str) -> mpsc::Receiver<Delivery> {
    let (sender, receiver) = mpsc::channel();
    let record =
        Record { topic, key: Some(b"k"), value: Some(b"v"), headers: OwnedHeaders::new(), slot: None };
    producer.send(record, Box::new(move |delivery| sender.send(delivery).unwrap()));
    receiver
}

#[tokio::test]
async fn p2_a_producer_beyond_help_is_replaced_and_every_caller_hears() {
    let (settings, admin) = topic().await;
    let config = config::producer(&settings, PublisherLimits::default()).unwrap();
    let producer =
        Producer::new(config, Reach::new(TopicIds::new(&settings).unwrap(), &settings.orders_topic)).unwrap();
    let patience = Duration::from_secs(10);
    send(&producer, &settings.orders_topic).recv_timeout(patience).unwrap().unwrap();

    let waiting = send(&producer, &settings.orders_topic);
    producer.break_down();
    // Acknowledged or given up, but not forgotten.
    let _ = waiting.recv_timeout(patience).unwrap();

    let until = Instant::now() + patience;
    while send(&producer, &settings.orders_topic).recv_timeout(patience).unwrap().is_err() {
        assert!(Instant::now() < until, "no new producer");
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(producer.watch().in_flight(), 0);
    assert!(!producer.watch().is_stalled());
    admin.delete_topics(&[&settings.orders_topic], &options()).await.unwrap().remove(0).unwrap();
}

#[tokio::test]
async fn p6_a_log_that_has_no_client_is_stalled() {
    let (settings, admin) = topic().await;
    let config = config::producer(&settings, PublisherLimits::default()).unwrap();
    // As it is while a client that was beyond help cannot be replaced.
    let current = RwLock::new(Current { generation: 0, client: None });
    let reach = Arc::new(Reach::new(TopicIds::new(&settings).unwrap(), &settings.orders_topic));
    let producer = Producer(Arc::new(Shared { config, current, watch: Arc::new(AckWatch::new()), reach }));
    let refused = send(&producer, &settings.orders_topic).recv_timeout(Duration::from_secs(10)).unwrap();
    assert!(matches!(refused, Err(PublishError::NotSent(_))), "{refused:?}");
    assert!(producer.watch().is_stalled(), "orders would be reserved that nobody can publish");
    admin.delete_topics(&[&settings.orders_topic], &options()).await.unwrap().remove(0).unwrap();
}
