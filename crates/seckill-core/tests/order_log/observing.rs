use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use seckill_core::{
    order_log::{
        ErrorCode, LogError, LogObserver,
        topics::{self, TopicOutcome},
    },
    settings::TopicSettings,
};

use crate::fixture::{TestLog, ids, orders, read, store};

#[tokio::test]
async fn p2_the_log_is_reached_only_when_everything_is_committed() {
    let log = TestLog::with_partitions(2).await;
    let observer = LogObserver::new(&log.kafka, &log.group).unwrap();
    let empty = observer.end_offsets().await.unwrap();
    assert_eq!(empty, BTreeMap::from([(0, 0), (1, 0)]));
    assert!(observer.has_reached(&empty).await.unwrap(), "there is nothing to reach");

    let published = log.publish(20).await;
    let ends = observer.end_offsets().await.unwrap();
    assert_eq!(ends.values().sum::<i64>(), 20);
    assert!(!observer.has_reached(&ends).await.unwrap(), "nothing is committed");
    assert!(observer.has_reached(&empty).await.unwrap(), "the earlier end is still the beginning");
    assert_eq!(observer.lag().await.unwrap(), 20);
    assert_eq!(observer.committed().await.unwrap(), BTreeMap::new());

    let mut subscriber = log.subscriber();
    let events = read(&mut subscriber, 20);
    assert!(!observer.has_reached(&ends).await.unwrap(), "reading alone commits nothing");
    store(&mut subscriber, &events[..19]);
    subscriber.close().unwrap();
    assert!(!observer.has_reached(&ends).await.unwrap(), "one is missing");
    assert_eq!(observer.lag().await.unwrap(), 1);
    let committed = observer.committed().await.unwrap();
    let left = observer.events_between(&committed, &ends).await.unwrap();
    assert_eq!(left, events[19..]);
    assert_eq!(observer.undone().await.unwrap(), left);

    let mut subscriber = log.subscriber();
    let rest = read(&mut subscriber, 1);
    store(&mut subscriber, &rest);
    subscriber.close().unwrap();
    assert!(observer.has_reached(&ends).await.unwrap());
    assert_eq!(observer.lag().await.unwrap(), 0);
    let all = observer.events_between(&BTreeMap::new(), &ends).await.unwrap();
    assert_eq!(orders(&all), ids(&published));
    log.delete().await;
}

#[tokio::test]
async fn p4_nobody_waits_for_the_end_of_a_log_that_was_made_anew() {
    let log = TestLog::with_partitions(2).await;
    let observer = LogObserver::new(&log.kafka, &log.group).unwrap();
    log.publish(20).await;
    let ends = observer.end_offsets().await.unwrap();
    log.delete_orders().await;
    log.make_orders(2).await;
    let began = Instant::now();
    // What the client knows of the old topic may be told first.
    while !matches!(
        observer.has_reached(&ends).await,
        Err(LogError::Kafka { code: ErrorCode::OffsetOutOfRange, .. })
    ) {
        assert!(began.elapsed() < Duration::from_secs(10), "it would be waited for for ever");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    log.delete().await;
}

#[tokio::test]
async fn topics_are_made_once_and_described() {
    let log = TestLog::unmade();
    let names = || [log.kafka.orders_topic.clone(), log.kafka.dead_letter_topic.clone()];
    let missing = topics::describe(&log.kafka).await.unwrap();
    assert!(missing.iter().all(|topic| topic.partitions == 0 && topic.settings.is_empty()), "{missing:?}");

    let settings = TopicSettings { orders_partitions: 5, replication_factor: 1 };
    let made = topics::create(&log.kafka, &settings).await.unwrap();
    assert_eq!(made, names().map(TopicOutcome::Created));
    let other = TopicSettings { orders_partitions: 9, ..settings };
    assert_eq!(topics::create(&log.kafka, &other).await.unwrap(), names().map(TopicOutcome::Existed));

    let described = topics::describe(&log.kafka).await.unwrap();
    let shapes: Vec<_> = described.iter().map(|topic| (topic.partitions, topic.replicas)).collect();
    assert_eq!(shapes, [(5, 1), (1, 1)], "what is there stays as it is");
    for topic in &described {
        assert_eq!(topic.settings["min.insync.replicas"], "1");
        assert_eq!(topic.settings["unclean.leader.election.enable"], "false");
    }
    topics::delete(&log.kafka).await.unwrap();
}

#[tokio::test]
async fn orders_and_dead_letters_may_not_share_a_topic() {
    let log = TestLog::unmade();
    let mut kafka = log.kafka;
    kafka.dead_letter_topic = kafka.orders_topic.clone();
    let refused = LogObserver::new(&kafka, &log.group).err().expect("refused");
    assert!(refused.to_string().starts_with("SECKILL_DEAD_LETTER_TOPIC: "), "{refused}");
}
