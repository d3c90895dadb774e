use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use seckill_core::{
    order_log::{LogObserver, OrderPublisher, OrderSubscriber, PublisherLimits},
    settings::KafkaSettings,
};

use crate::fixture::{PATIENCE, TestLog, event};

/// Brokers where nothing listens.
fn nowhere() -> TestLog {
    let log = TestLog::unmade();
    TestLog { kafka: KafkaSettings { kafka_brokers: "127.0.0.1:1".into(), ..log.kafka }, ..log }
}

#[test]
fn p6_a_log_that_does_not_answer_is_stalled_and_its_events_fail_in_time() {
    let log = nowhere();
    let limits = PublisherLimits { message_timeout: Duration::from_secs(3), ..PublisherLimits::default() };
    let publisher = OrderPublisher::with_limits(&log.kafka, limits).unwrap();
    assert!(!publisher.is_stalled());
    let (sender, receiver) = mpsc::channel();
    let started = Instant::now();
    publisher.publish(&event(), move |delivery| sender.send(delivery).unwrap());
    assert!(!publisher.is_stalled(), "it was only just sent");
    thread::sleep(Duration::from_millis(1_200));
    assert!(publisher.is_stalled());

    let failed = receiver.recv_timeout(PATIENCE).unwrap();
    assert!(failed.is_err());
    assert!(started.elapsed() >= Duration::from_secs(2), "{:?}", started.elapsed());
    assert!(publisher.is_stalled(), "what has just failed is no reason to take more");
    thread::sleep(Duration::from_millis(1_100));
    assert!(!publisher.is_stalled(), "somebody has to find out that it is back");
}

#[tokio::test]
async fn p6_whoever_asks_a_log_that_is_away_hears_so() {
    let log = nowhere();
    let observer = LogObserver::new(&log.kafka, &log.group).unwrap();
    let started = Instant::now();
    assert!(observer.ping().await.is_err());
    assert!(observer.end_offsets().await.is_err());
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
}

#[test]
fn a_subscriber_of_a_log_that_is_away_reads_nothing_and_can_leave() {
    let log = nowhere();
    let mut subscriber = OrderSubscriber::new(&log.kafka, &log.group).unwrap();
    let until = Instant::now() + Duration::from_secs(2);
    while Instant::now() < until {
        let batch =
            subscriber.poll_batch(10, Duration::from_millis(20)).expect("passing trouble is no error");
        assert!(batch.is_empty());
    }
    let started = Instant::now();
    // Left or given up: a stop has a deadline.
    let _ = subscriber.close();
    assert!(started.elapsed() < Duration::from_secs(15), "{:?}", started.elapsed());
}
