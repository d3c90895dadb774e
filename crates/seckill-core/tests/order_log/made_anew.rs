//! The topic is deleted and made anew under the same name, while members of the group read it.

use std::{
    thread,
    time::{Duration, Instant},
};

use seckill_core::order_log::{LogObserver, OrderSubscriber};

use crate::fixture::{GATHER, PATIENCE, TestLog, ids, orders, read, read_for, store};

/// How long a member may take to find the new topic.
const FOUND_WITHIN: Duration = Duration::from_secs(15);

/// Reads and stores until all of `wanted` have come, from whatever offset on.
fn read_all(member: &mut OrderSubscriber, wanted: &[seckill_core::event::OrderEvent]) -> Duration {
    let (mut missing, began) = (ids(wanted), Instant::now());
    while !missing.is_empty() {
        assert!(began.elapsed() < FOUND_WITHIN, "{} of {} never came", missing.len(), wanted.len());
        let events = member.poll_batch(500, GATHER).unwrap();
        store(member, &events);
        for order in orders(&events) {
            missing.remove(&order);
        }
    }
    began.elapsed()
}

/// A member that has read and stored `count` events.
async fn member_at(log: &TestLog, count: usize) -> OrderSubscriber {
    log.publish(count).await;
    let mut member = log.subscriber();
    let events = read(&mut member, count);
    store(&mut member, &events);
    member
}

#[tokio::test]
async fn p2_a_shorter_topic_is_read_from_its_beginning() {
    let log = TestLog::with_partitions(2).await;
    let mut member = member_at(&log, 100).await;
    log.delete_orders().await;
    read_for(&mut member, Duration::from_secs(2));
    log.make_orders(2).await;
    let published = log.publish(10).await;
    let took = read_all(&mut member, &published);
    eprintln!("found after {took:?}");
    member.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn p2_a_topic_that_has_grown_longer_in_the_meantime_is_read_from_its_beginning() {
    let log = TestLog::with_partitions(2).await;
    let mut member = member_at(&log, 10).await;
    // Unseen by the member, which does not poll meanwhile.
    log.delete_orders().await;
    log.make_orders(2).await;
    let published = log.publish(200).await;
    let took = read_all(&mut member, &published);
    eprintln!("found after {took:?}");
    member.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn p2_an_offset_that_is_stored_after_the_change_skips_nothing() {
    let log = TestLog::with_partitions(1).await;
    let mut late = log.subscriber();
    log.publish(10).await;
    let held = read(&mut late, 10);
    log.delete_orders().await;
    log.make_orders(1).await;
    let published = log.publish(50).await;
    // What the store has just committed, of the topic that is gone: the group's offset is now in the middle of the new.
    store(&mut late, &held);
    late.close().unwrap();

    let observer = LogObserver::new(&log.kafka, &log.group).unwrap();
    assert_eq!(observer.lag().await.unwrap(), 50);
    assert!(!observer.has_reached(&[(0, 1)].into()).await.unwrap());
    let mut next = log.subscriber();
    read_all(&mut next, &published);
    next.close().unwrap();
    let until = Instant::now() + PATIENCE;
    while observer.lag().await.unwrap() > 0 {
        assert!(Instant::now() < until, "what was stored is of the new topic");
    }
    log.delete().await;
}

#[tokio::test]
async fn p2_all_members_of_a_group_find_it() {
    let log = TestLog::with_partitions(4).await;
    let mut members = [member_at(&log, 40).await, log.subscriber()];
    let until = Instant::now() + PATIENCE;
    while members.iter().any(|member| member.assigned().unwrap() != 2) {
        assert!(Instant::now() < until, "the group did not settle");
        for member in &mut members {
            let events = member.poll_batch(500, GATHER).unwrap();
            store(member, &events);
        }
    }
    log.delete_orders().await;
    log.make_orders(4).await;
    let published = log.publish(200).await;
    let (mut missing, began) = (ids(&published), Instant::now());
    while !missing.is_empty() {
        assert!(began.elapsed() < FOUND_WITHIN, "{} never came", missing.len());
        for member in &mut members {
            let events = member.poll_batch(500, GATHER).unwrap();
            store(member, &events);
            missing.retain(|order| !orders(&events).contains(order));
        }
    }
    eprintln!("found after {:?}", began.elapsed());
    // Each on a thread of its own, as in life: who leaves waits for the others to take part in what that changes.
    let leaving = members.map(|member| thread::spawn(move || member.close()));
    for left in leaving {
        left.join().unwrap().unwrap();
    }
    log.delete().await;
}
