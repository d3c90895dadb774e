//! The binary as a process: what operators' machines ask of it, and its end.

use seckill_core::{
    order_log::topics,
    settings::{KafkaSettings, TopicSettings},
    testing::{RunningProcess, TestDatabase},
};
use secrecy::ExposeSecret;
use uuid::Uuid;

#[tokio::test(flavor = "multi_thread")]
async fn it_is_alive_ready_and_measured_and_ends_well_at_sigterm() {
    let database = TestDatabase::create().await;
    let name = format!("process-{}", Uuid::new_v4());
    let kafka = KafkaSettings {
        kafka_brokers: std::env::var("KAFKA_BROKERS").expect("KAFKA_BROKERS names the brokers to test on"),
        orders_topic: name.clone(),
        dead_letter_topic: format!("{name}-dead"),
    };
    topics::create(&kafka, &TopicSettings { orders_partitions: 2, replication_factor: 1 }).await.unwrap();
    // Sales of this database would be loaded into the ledger that all tests share.
    database.execute("DELETE FROM sales").await;
    let consumer = RunningProcess::start(
        env!("CARGO_BIN_EXE_order-consumer"),
        &[
            ("DATABASE_URL", database.url().expose_secret()),
            ("SECKILL_ORDERS_TOPIC", &kafka.orders_topic),
            ("SECKILL_DEAD_LETTER_TOPIC", &kafka.dead_letter_topic),
            ("SECKILL_CONSUMER_GROUP", &name),
        ],
    );
    assert_eq!(consumer.get("/livez").unwrap().0, 200);
    consumer.wait_for("/readyz", 200);
    let (status, metrics) = consumer.get("/metrics").unwrap();
    assert_eq!(status, 200);
    assert!(metrics.contains("# TYPE seckill_keeper gauge"), "{metrics}");

    consumer.request_stop();
    assert_eq!(consumer.ended().code(), Some(0));
    topics::delete(&kafka).await.unwrap();
}

#[test]
fn it_is_alive_and_says_what_is_missing_without_any_dependency() {
    let consumer = RunningProcess::start(
        env!("CARGO_BIN_EXE_order-consumer"),
        &[
            ("DATABASE_URL", "mysql://nobody@127.0.0.1:1/nowhere"),
            ("REDIS_URL", "redis://127.0.0.1:1/0"),
            ("KAFKA_BROKERS", "127.0.0.1:1"),
        ],
    );
    assert_eq!(consumer.get("/livez").unwrap().0, 200);
    let (status, report) = consumer.get("/readyz").unwrap();
    assert_eq!((status, &*report), (503, r#"{"missing":["mysql","kafka"],"ready":false}"#));
    consumer.request_stop();
    assert_eq!(consumer.ended().code(), Some(0));
}
