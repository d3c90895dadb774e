use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use seckill_core::order_log::OrderSubscriber;

use crate::fixture::{GATHER, PATIENCE, TestLog, ids, orders, read, read_for, store};

const MOMENT: Duration = Duration::from_secs(2);

#[tokio::test]
async fn p2_what_was_not_stored_is_read_again() {
    let log = TestLog::with_partitions(1).await;
    log.publish(10).await;
    let mut first = log.subscriber();
    let events = read(&mut first, 10);
    store(&mut first, &events[..4]);
    first.close().unwrap();

    let mut second = log.subscriber();
    assert_eq!(read(&mut second, 6), events[4..]);
    second.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn p2_rewinding_reads_again_from_what_was_stored() {
    let log = TestLog::with_partitions(1).await;
    log.publish(10).await;
    let mut subscriber = log.subscriber();
    let events = read(&mut subscriber, 10);
    subscriber.rewind().unwrap();
    assert_eq!(read(&mut subscriber, 10), events, "nothing was stored");
    store(&mut subscriber, &events[..7]);
    subscriber.rewind().unwrap();
    assert_eq!(read(&mut subscriber, 3), events[7..]);
    subscriber.close().unwrap();
    log.delete().await;
}

/// What is read while the caller wants nothing waits in the subscriber, and is no more done than what it was given.
#[tokio::test]
async fn p2_rewinding_reads_again_what_nobody_was_given_yet() {
    let log = TestLog::with_partitions(1).await;
    let published = log.publish(10).await;
    let mut subscriber = log.subscriber();
    let until = Instant::now() + PATIENCE;
    while subscriber.assigned().unwrap() == 0 {
        assert!(Instant::now() < until, "nothing was assigned");
        subscriber.poll_paused(Duration::from_millis(100)).unwrap();
    }
    subscriber.poll_paused(MOMENT).unwrap();
    subscriber.rewind().unwrap();
    assert_eq!(orders(&read(&mut subscriber, 10)), ids(&published));
    subscriber.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn a_batch_has_no_more_than_was_asked_for() {
    let log = TestLog::with_partitions(2).await;
    let published = log.publish(1_000).await;
    let mut subscriber = log.subscriber();
    let (mut events, mut largest) = (Vec::new(), 0);
    let until = Instant::now() + PATIENCE;
    while events.len() < published.len() {
        assert!(Instant::now() < until, "{} events came", events.len());
        let batch = subscriber.poll_batch(64, GATHER).unwrap();
        assert!(batch.len() <= 64);
        largest = largest.max(batch.len());
        events.extend(batch);
    }
    assert_eq!(largest, 64, "a backlog makes full batches");
    assert_eq!(orders(&events), ids(&published));
    subscriber.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn p2_a_pause_loses_nothing() {
    let log = TestLog::with_partitions(2).await;
    log.publish(10).await;
    let mut subscriber = log.subscriber();
    let before = read(&mut subscriber, 10);
    subscriber.pause_all().unwrap();
    let published = log.publish(10).await;
    subscriber.poll_paused(MOMENT).unwrap();
    assert_eq!(read_for(&mut subscriber, Duration::from_millis(300)), [], "it is paused");
    subscriber.resume_all().unwrap();
    let after = read(&mut subscriber, 10);
    assert_eq!(orders(&after), ids(&published));
    assert!(orders(&before).is_disjoint(&orders(&after)));
    subscriber.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn p2_partitions_that_come_during_a_pause_are_paused_and_lose_nothing() {
    let log = TestLog::with_partitions(2).await;
    let published = log.publish(10).await;
    let mut subscriber = log.subscriber();
    subscriber.pause_all().unwrap();
    // Joining takes place in these polls: everything is assigned while paused.
    subscriber.poll_paused(MOMENT + MOMENT).unwrap();
    assert_eq!(read_for(&mut subscriber, Duration::from_millis(300)), []);
    subscriber.resume_all().unwrap();
    assert_eq!(orders(&read(&mut subscriber, 10)), ids(&published));
    subscriber.close().unwrap();
    log.delete().await;
}

/// Polls both members until `done`.
fn poll_both(members: &mut [OrderSubscriber; 2], mut done: impl FnMut(&mut [OrderSubscriber; 2]) -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done(members) {
        assert!(Instant::now() < until, "the group did not settle");
        for member in members.iter_mut() {
            let events = member.poll_batch(500, GATHER).unwrap();
            store(member, &events);
        }
    }
}

fn lost(member: &mut OrderSubscriber) -> BTreeSet<i32> {
    member.take_revoked().into_iter().collect()
}

#[tokio::test]
async fn two_members_share_the_partitions_and_hear_what_they_lose() {
    let log = TestLog::with_partitions(4).await;
    log.publish(40).await;
    let mut first = log.subscriber();
    let events = read(&mut first, 40);
    store(&mut first, &events);
    assert_eq!(lost(&mut first), BTreeSet::new());

    let mut members = [first, log.subscriber()];
    let mut gone = BTreeSet::new();
    poll_both(&mut members, |members| {
        gone.extend(lost(&mut members[0]));
        members.iter().all(|member| member.assigned().unwrap() == 2)
    });
    assert_eq!(gone.len(), 2, "half of the four went: {gone:?}");
    assert_eq!(lost(&mut members[1]), BTreeSet::new());

    // What was stored before the partitions went was committed: nobody reads it again.
    let [mut first, mut second] = members;
    let again = read_for(&mut second, MOMENT);
    assert_eq!(orders(&again), BTreeSet::new());

    // When one leaves, the other takes over at once.
    second.close().unwrap();
    let published = log.publish(40).await;
    assert_eq!(orders(&read(&mut first, 40)), ids(&published));
    first.close().unwrap();
    log.delete().await;
}

#[tokio::test]
async fn p2_what_a_member_held_of_a_lost_partition_is_read_by_its_new_owner() {
    let log = TestLog::with_partitions(2).await;
    let published = log.publish(20).await;
    let mut first = log.subscriber();
    let held = read(&mut first, 20);
    let mut second = log.subscriber();
    let (mut taken, mut gone) = (Vec::new(), BTreeSet::new());
    let until = Instant::now() + PATIENCE;
    while taken.is_empty() || gone.is_empty() {
        assert!(Instant::now() < until, "the group did not settle");
        assert_eq!(first.poll_batch(500, GATHER).unwrap(), [], "everything was read before");
        gone.extend(lost(&mut first));
        taken.extend(second.poll_batch(500, GATHER).unwrap());
    }
    taken.extend(read_for(&mut second, MOMENT));
    let kept: Vec<_> = held.into_iter().filter(|event| !gone.contains(&event.partition)).collect();
    assert!(orders(&kept).is_disjoint(&orders(&taken)), "nobody reads what another still holds");
    assert_eq!(&orders(&kept) | &orders(&taken), ids(&published));

    // Storing what was lost moves nothing.
    for partition in &gone {
        first.store(*partition, 1_000).unwrap();
    }
    first.close().unwrap();
    second.close().unwrap();
    log.delete().await;
}

/// A member that waits for the store, loses partitions meanwhile, and has them back once it reads again.
#[tokio::test(flavor = "multi_thread")]
async fn p2_what_was_lost_during_a_pause_is_read_when_it_comes_back_after_it() {
    let log = TestLog::with_partitions(4).await;
    let mut waiting = log.subscriber();
    let until = Instant::now() + PATIENCE;
    let settling = || assert!(Instant::now() < until, "the group did not settle");
    while waiting.assigned().unwrap() < 4 {
        settling();
        waiting.poll_paused(GATHER).unwrap();
    }
    waiting.pause_all().unwrap();
    let mut other = log.subscriber();
    while (waiting.assigned().unwrap(), other.assigned().unwrap()) != (2, 2) {
        settling();
        waiting.poll_paused(GATHER).unwrap();
        other.poll_batch(500, GATHER).unwrap();
    }
    waiting.resume_all().unwrap();
    other.close().unwrap();
    while waiting.assigned().unwrap() < 4 {
        settling();
        waiting.poll_batch(500, GATHER).unwrap();
    }
    let published = log.publish(40).await;
    assert_eq!(orders(&read(&mut waiting, published.len())), ids(&published));
    waiting.close().unwrap();
    log.delete().await;
}
