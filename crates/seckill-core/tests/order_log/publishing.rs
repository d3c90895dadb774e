use std::{
    sync::mpsc,
    time::{Duration, Instant},
};

use seckill_core::{
    event::OrderEvent,
    order_log::{LogObserver, OrderPublisher, PublisherLimits},
    traces::TraceContext,
};

use crate::fixture::{PATIENCE, TestLog, event, read};

fn text<'a>(raw: &'a seckill_core::order_log::RawEvent, name: &str) -> &'a str {
    std::str::from_utf8(raw.header(name).unwrap_or_else(|| panic!("no header {name}"))).unwrap()
}

#[tokio::test]
async fn what_is_published_is_read_with_its_headers() {
    let log = TestLog::with_partitions(3).await;
    let (publisher, event) = (log.publisher(), event());
    let (sender, receiver) = mpsc::channel();
    let trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let context = TraceContext::parse(trace).unwrap();
    let told = move |delivery| sender.send(delivery).unwrap();
    publisher.publish_all([publisher.prepare(&event, event.encode().into(), Some(&context), told)]);
    let position = receiver.recv_timeout(PATIENCE).unwrap().unwrap();

    let mut subscriber = log.subscriber();
    let raw = read(&mut subscriber, 1).remove(0);
    assert_eq!((raw.partition, raw.offset), (position.partition, position.offset));
    assert_eq!(OrderEvent::decode(raw.key.as_deref(), raw.value.as_deref()).unwrap(), event);
    assert_eq!(text(&raw, "ce_specversion"), "1.0");
    assert_eq!(text(&raw, "ce_type"), "seckill.order.placed");
    assert_eq!(text(&raw, "ce_source"), "/seckill");
    assert!(text(&raw, "ce_id").starts_with(&event.key()));
    assert_eq!(text(&raw, "content-type"), "application/json");
    assert_eq!(text(&raw, "traceparent"), trace);
    publisher.publish_and_wait(&event).await.unwrap();
    let raw = read(&mut subscriber, 1).remove(0);
    let id = event.key().replace('-', "");
    assert_eq!(text(&raw, "traceparent"), format!("00-{id}-{}-00", &id[16..]), "where nobody records");
    subscriber.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn a_lone_event_does_not_wait_for_the_clients_clock() {
    let log = TestLog::with_partitions(1).await;
    let (publisher, event) = (log.publisher(), event());
    publisher.publish_and_wait(&event).await.unwrap();
    let mut took = Vec::new();
    for _ in 0..100 {
        let sent = Instant::now();
        publisher.publish_and_wait(&event).await.unwrap();
        took.push(sent.elapsed());
    }
    // That ticks in milliseconds: the soonest would be later than one, however fast Kafka is.
    let soonest = took.iter().min().unwrap();
    assert!(*soonest < Duration::from_millis(1), "{took:?}");
    log.delete().await;
}

#[tokio::test]
async fn p3_all_of_an_order_is_in_one_partition() {
    let log = TestLog::with_partitions(6).await;
    let event = event();
    let first = log.publisher().publish_and_wait(&event).await.unwrap();
    let again = log.publisher().publish_and_wait(&event).await.unwrap();
    assert_eq!((again.partition, again.offset), (first.partition, first.offset + 1));
    log.delete().await;
}

#[tokio::test]
async fn a_dead_letter_is_the_original_with_its_reason_and_can_be_replayed() {
    let log = TestLog::with_partitions(1).await;
    log.publish(1).await;
    let publisher = log.publisher();
    let mut subscriber = log.subscriber();
    let original = read(&mut subscriber, 1).remove(0);
    publisher.publish_dead_letter(&original, "no such sale").await.unwrap();

    let observer = LogObserver::new(&log.kafka, &log.group).unwrap();
    let letter = observer.dead_letters().await.unwrap().remove(0);
    assert_eq!((&letter.key, &letter.value), (&original.key, &original.value));
    assert_eq!(letter.headers[..original.headers.len()], original.headers);
    assert_eq!(text(&letter, "error"), "no such sale");
    assert_eq!(text(&letter, "topic"), log.kafka.orders_topic);
    assert_eq!((text(&letter, "partition"), text(&letter, "offset")), ("0", "0"));

    publisher.replay(&letter).await.unwrap();
    let replayed = read(&mut subscriber, 1).remove(0);
    assert_eq!((&replayed.key, &replayed.value), (&original.key, &original.value));
    assert_eq!(replayed.headers, original.headers);
    subscriber.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn p6_a_full_queue_answers_at_once() {
    let log = TestLog::unmade();
    let limits = PublisherLimits { queue_messages: 5, ..PublisherLimits::default() };
    // Nothing listens on port 1, so that nothing leaves the queue.
    let kafka = seckill_core::settings::KafkaSettings { kafka_brokers: "127.0.0.1:1".into(), ..log.kafka };
    let publisher = OrderPublisher::with_limits(&kafka, limits).unwrap();
    for _ in 0..5 {
        publisher.publish(&event(), |_| {});
    }
    let (sender, receiver) = mpsc::channel();
    publisher.publish(&event(), move |delivery| sender.send(delivery).unwrap());
    let refused = receiver.try_recv().expect("the callback has run").unwrap_err();
    assert!(refused.to_string().contains("not taken"), "{refused}");
    assert_eq!(publisher.in_flight(), 5);
}
