//! Kafka was paused for so long that its brokers are fenced: for a moment it names none to whoever asks. A client of
//! librdkafka that hears so may forget them all.

use std::{
    mem, thread,
    time::{Duration, Instant},
};

use seckill_core::{
    order_log::{LogObserver, OrderPublisher, PublisherLimits},
    settings::KafkaSettings,
};

use crate::{
    fixture::{PATIENCE, TestLog, event, ids, orders, read, store},
    naming::Naming,
};

/// A log whose brokers are named by way of `Naming`.
pub async fn log() -> (TestLog, Naming) {
    let log = TestLog::with_partitions(3).await;
    let naming = Naming::before(&log.kafka.kafka_brokers);
    let kafka = KafkaSettings { kafka_brokers: naming.address.to_string(), ..log.kafka };
    (TestLog { kafka, ..log }, naming)
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_member_whose_client_has_lost_all_brokers_joins_anew() {
    let (log, naming) = log().await;
    let mut member = log.subscriber();
    log.publish(5).await;
    let events = read(&mut member, 5);
    store(&mut member, &events);

    naming.pause();
    while !naming.is_whole() {
        member.poll_batch(10, Duration::from_millis(20)).unwrap();
    }
    let published = log.publish(5).await;
    let (mut missing, began) = (ids(&published), Instant::now());
    while !missing.is_empty() {
        if began.elapsed() > PATIENCE {
            mem::forget(member); // to close a client without brokers may take for ever
            panic!("{} orders never came", missing.len());
        }
        for order in orders(&member.poll_batch(10, Duration::from_millis(20)).unwrap()) {
            missing.remove(&order);
        }
    }
    member.close().unwrap();
    log.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_producer_that_has_lost_all_brokers_is_replaced() {
    let (log, naming) = log().await;
    let limits = PublisherLimits { message_timeout: Duration::from_secs(3), ..PublisherLimits::default() };
    let publisher = OrderPublisher::with_limits(&log.kafka, limits).unwrap();
    publisher.publish_and_wait(&event()).await.unwrap();

    naming.pause();
    while !naming.is_whole() {
        thread::sleep(Duration::from_millis(100));
    }
    let began = Instant::now();
    while publisher.publish_and_wait(&event()).await.is_err() {
        assert!(began.elapsed() < PATIENCE, "nothing is acknowledged any more");
    }
    log.delete().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_an_observer_that_has_lost_all_brokers_looks_again() {
    let (log, naming) = log().await;
    let observer = LogObserver::new(&log.kafka, &log.group).unwrap();
    observer.end_offsets().await.unwrap();

    naming.pause();
    while !naming.is_whole() {
        let _ = observer.ping().await;
    }
    let began = Instant::now();
    while observer.end_offsets().await.is_err() {
        assert!(began.elapsed() < PATIENCE, "it sees nothing any more");
    }
    log.delete().await;
}
