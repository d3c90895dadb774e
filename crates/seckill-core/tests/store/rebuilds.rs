//! Epochs, the snapshot that a ledger is rebuilt from, and the keeper's lock.

use std::time::Duration;

use seckill_core::{
    order::{OrderStatus, Units},
    store::{IncomingEvent, TakenEpoch},
    testing::TestDatabase,
};

use super::events::{cancelled, create, order, placed, sale_id, write};

#[tokio::test]
async fn only_the_latest_rebuild_is_admitted() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let sale = sale_id("default");
    let taken = |epoch, never_loaded| Some(TakenEpoch { epoch, never_loaded });
    assert_eq!(store.take_rebuild_epoch(&sale).await.unwrap(), taken(1, true));
    assert_eq!(store.take_rebuild_epoch(&sale).await.unwrap(), taken(2, true));
    assert!(!store.admit_epoch(&sale, 1).await.unwrap(), "overtaken");
    assert!(!store.admit_epoch(&sale, 3).await.unwrap(), "never taken");
    assert_eq!(store.sale(&sale).await.unwrap().unwrap().epoch, 0);
    assert!(store.admit_epoch(&sale, 2).await.unwrap());
    assert!(store.admit_epoch(&sale, 2).await.unwrap(), "again, after a lost answer");
    let stored = store.sale(&sale).await.unwrap().unwrap();
    assert_eq!((stored.epoch, stored.rebuild_epoch), (2, 2));
    assert_eq!(store.take_rebuild_epoch(&sale).await.unwrap(), taken(3, false));
    assert_eq!(store.take_rebuild_epoch(&sale_id("nowhere")).await.unwrap(), None);
    assert!(!store.admit_epoch(&sale_id("nowhere"), 0).await.unwrap());
}

#[tokio::test]
async fn a_snapshot_has_every_order_of_its_sale_in_pages() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 6_000).await;
    create(&store, "t", 10).await;
    let mut expected = Vec::new();
    for _batch in 0..13 {
        let orders: Vec<_> = (0..400).map(|n| order("s", &format!("{n}"), 1)).collect();
        let events: Vec<IncomingEvent> = orders.iter().map(placed).collect();
        store.write_batch(&events).await.unwrap();
        expected.extend(orders.iter().map(|order| order.id));
    }
    write(&store, placed(&order("t", "a", 1))).await;
    expected.sort_unstable();
    let mut snapshot = store.snapshot(&sale_id("s")).await.unwrap().unwrap();
    assert_eq!(snapshot.sale().sold, 5_200);
    let (mut ids, mut pages) = (Vec::new(), 0);
    loop {
        let page = snapshot.next_page().await.unwrap();
        if page.is_empty() {
            break;
        }
        pages += 1;
        ids.extend(page.iter().map(|order| order.id));
    }
    assert_eq!(pages, 6);
    assert_eq!(ids, expected);
    assert!(store.snapshot(&sale_id("nowhere")).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_snapshot_is_one_moment_while_writers_go_on() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 100_000).await;
    let writing = database.store();
    let writer = tokio::spawn(async move {
        loop {
            let orders: Vec<_> = (0..50).map(|n| order("s", &format!("{n}"), 2)).collect();
            let mut events: Vec<IncomingEvent> = orders.iter().map(placed).collect();
            events.push(cancelled(&orders[0]));
            writing.write_batch(&events).await.unwrap();
        }
    });
    for _round in 0..15 {
        tokio::time::sleep(Duration::from_millis(10)).await;
        let mut snapshot = store.snapshot(&sale_id("s")).await.unwrap().unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
        let mut units: Units = 0;
        loop {
            let page = snapshot.next_page().await.unwrap();
            if page.is_empty() {
                break;
            }
            let live = page.iter().filter(|order| order.status == OrderStatus::Confirmed);
            units += live.map(|order| order.quantity.units()).sum::<Units>();
        }
        assert_eq!(units, snapshot.sale().sold);
    }
    writer.abort();
    assert!(store.sale(&sale_id("s")).await.unwrap().unwrap().sold > 0);
    // Cut off in the middle of a call: whatever it was, it must not come back through the pool.
    let _cancelled = writer.await;
}

#[tokio::test]
async fn there_is_one_keeper() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let mut keeper = store.try_keep().await.unwrap().expect("nobody keeps yet");
    assert!(keeper.still_held().await);
    assert!(store.try_keep().await.unwrap().is_none());
    keeper.release().await;
    let mut next = store.try_keep().await.unwrap().expect("free again");
    assert!(next.still_held().await);
}
