//! Partitions come while nobody can say where the group goes on.

use std::time::{Duration, Instant};

use crate::{
    fenced,
    fixture::{PATIENCE, ids, orders, read, read_for, store},
};

#[tokio::test(flavor = "multi_thread")]
async fn p4_what_was_done_is_not_read_again_because_nobody_could_say_so() {
    let (log, naming) = fenced::log().await;
    log.publish(5).await;
    let mut first = log.subscriber();
    let events = read(&mut first, 5);
    store(&mut first, &events);
    first.close().unwrap();

    naming.be_deaf(true);
    let mut second = log.subscriber();
    let began = Instant::now();
    assert_eq!(read_for(&mut second, Duration::from_secs(10)), []);
    naming.be_deaf(false);
    let published = log.publish(5).await;
    assert_eq!(orders(&read(&mut second, 5)), ids(&published));
    assert!(began.elapsed() < PATIENCE, "it takes {:?} to go on", began.elapsed());
    second.close().unwrap();
    log.delete().await;
}
