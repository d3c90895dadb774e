//! What goes wrong is told apart by what can be done about it.

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use seckill_core::{
    settings::SettingsError,
    store::{Contention, OrderStore, StoreError, StoreOptions, WriteOutcome, migrate},
    testing::TestDatabase,
};
use secrecy::SecretString;
use tokio::{net::TcpListener, time::timeout};

use super::events::{create, order, placed, sale_id, sold};

/// Kills the one connection that the database has besides the killer's own.
const KILL_THE_OTHER: &str = "\
    SET @kill = (SELECT CONCAT('KILL ', MIN(id)) FROM information_schema.processlist \
                 WHERE db = DATABASE() AND id <> CONNECTION_ID()); \
    PREPARE kill_it FROM @kill; EXECUTE kill_it";

fn store_at(url: &str) -> Result<OrderStore, SettingsError> {
    OrderStore::connect(&SecretString::from(url.to_owned()), StoreOptions::default())
}

#[tokio::test]
async fn a_closed_port_is_unavailable_at_once() {
    let store = store_at("mysql://seckill:secret@127.0.0.1:1/seckill").unwrap();
    let started = Instant::now();
    let failures = [
        store.check().await.unwrap_err(),
        store.write_batch(&[placed(&order("s", "a", 1))]).await.unwrap_err(),
        store.try_keep().await.err().unwrap(),
        migrate(&SecretString::from("mysql://seckill:secret@127.0.0.1:1/seckill")).await.unwrap_err(),
    ];
    for failure in failures {
        assert!(matches!(failure, StoreError::Unavailable(_)), "{failure:?}");
        assert!(failure.is_transient());
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn a_silent_port_is_unavailable_in_time() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = silent.local_addr().unwrap().port();
    let store = store_at(&format!("mysql://seckill:secret@127.0.0.1:{port}/seckill")).unwrap();
    let started = Instant::now();
    assert!(store.check().await.unwrap_err().is_transient());
    assert!(started.elapsed() < Duration::from_millis(1_500));
    assert!(store.sales().await.unwrap_err().is_transient());
    assert!(started.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn what_is_no_address_is_said_to_be_none() {
    for url in ["postgres://x@127.0.0.1/seckill", "mysql://x:hunter2@127.0.0.1:notaport/seckill", "mysql://"]
    {
        let failure = store_at(url).err().unwrap_or_else(|| panic!("{url} was taken"));
        assert!(failure.to_string().starts_with("DATABASE_URL: "), "{failure}");
        assert!(!failure.to_string().contains("hunter2"), "{failure}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadlock_is_told_from_everything_else() {
    let database = TestDatabase::create().await;
    let store = database.store();
    for sale in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        create(&store, sale, 10).await;
    }
    let events = [placed(&order("a", "x", 1)), placed(&order("b", "x", 1))];
    let writing = store.clone();
    let batch = events.clone();
    // The batch takes `a` and waits for `b`; then the other, which has written more, asks for `a`.
    let other = database.execute(
        "BEGIN; UPDATE sales SET title = 'x' WHERE id <> 'a'; DO SLEEP(2); \
         UPDATE sales SET title = 'x' WHERE id = 'a'; COMMIT",
    );
    let delayed = async {
        database.wait_for_connection("state = 'User sleep'").await;
        writing.write_batch(&batch).await
    };
    let ((), written) = tokio::join!(other, delayed);
    let failure = written.unwrap_err();
    assert!(matches!(failure, StoreError::Retry(Contention::Deadlock)), "{failure:?}");
    assert!(failure.is_transient() && !failure.is_about_the_data());
    assert_eq!(store.write_batch(&events).await.unwrap(), [WriteOutcome::Confirmed; 2]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lock_that_is_not_granted_is_told_from_everything_else() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let events = [placed(&order("s", "x", 1))];
    let other = database.execute("BEGIN; UPDATE sales SET title = 'x'; DO SLEEP(8); COMMIT");
    let delayed = async {
        database.wait_for_connection("state = 'User sleep'").await;
        store.write_batch(&events).await
    };
    let ((), written) = tokio::join!(other, delayed);
    let failure = written.unwrap_err();
    assert!(matches!(failure, StoreError::Retry(Contention::LockWait)), "{failure:?}");
    assert_eq!(store.write_batch(&events).await.unwrap(), [WriteOutcome::Confirmed]);
}

#[tokio::test]
async fn a_value_that_the_database_never_takes_is_told_from_a_broken_database() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let fine = placed(&order("s", "a", 1));
    let mut too_long = placed(&order("s", "b", 1));
    too_long.raw = "x".repeat(70_000).into();
    let failure = store.write_batch(&[fine.clone(), too_long.clone()]).await.unwrap_err();
    assert!(matches!(failure, StoreError::Query { code: Some(1406), .. }), "{failure:?}");
    assert!(failure.is_about_the_data() && !failure.is_transient());
    assert_eq!(sold(&store, "s").await, 0, "all or nothing");
    assert_eq!(store.write_batch(std::slice::from_ref(&fine)).await.unwrap(), [WriteOutcome::Confirmed]);
    assert!(store.write_batch(&[too_long]).await.unwrap_err().is_about_the_data());

    // The openid of an order is unique, whoever wrote it.
    let mut forged = placed(&order("s", "c", 1));
    forged.event.order.openid.clone_from(&fine.event.order.openid);
    assert!(store.write_batch(&[forged]).await.unwrap_err().is_about_the_data());

    let mut ancient = placed(&order("s", "d", 1));
    ancient.event.order.created_date = "-000001-01-01T00:00:00Z".parse().unwrap();
    let failure = store.write_batch(&[ancient]).await.unwrap_err();
    assert!(failure.is_about_the_data(), "{failure:?}");

    database.execute("DROP TABLE stock_returns").await;
    let failure = store.returns(&BTreeSet::new(), 1).await.unwrap_err();
    assert!(matches!(failure, StoreError::Query { code: Some(1146), .. }), "{failure:?}");
    assert!(!failure.is_about_the_data() && !failure.is_transient());
}

#[tokio::test]
async fn a_call_that_is_dropped_halfway_leaves_nothing_to_the_next() {
    let database = TestDatabase::create().await;
    let options = StoreOptions { max_connections: 1, ..StoreOptions::default() };
    let store = OrderStore::connect(database.url(), options).unwrap();
    create(&store, "s", 10).await;
    let event = placed(&order("s", "a", 1));
    for pause in 0..60 {
        let _cut_off =
            timeout(Duration::from_micros(pause * 60), store.write_batch(std::slice::from_ref(&event))).await;
        let _cut_off = timeout(Duration::from_micros(pause * 30), store.sales()).await;
        let sale = store.sale(&sale_id("s")).await.unwrap().unwrap();
        assert_eq!(sale.sale.id, sale_id("s"));
        assert!(sale.sold <= 1);
    }
    store.write_batch(&[event]).await.unwrap();
    assert_eq!(sold(&store, "s").await, 1);
}

#[tokio::test]
async fn a_connection_that_died_while_idle_is_replaced_unseen() {
    let database = TestDatabase::create().await;
    let store = database.store();
    store.check().await.unwrap();
    database.execute(KILL_THE_OTHER).await;
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_connection_that_dies_in_use_is_unavailable() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let mut snapshot = store.snapshot(&sale_id("default")).await.unwrap().unwrap();
    database.execute(KILL_THE_OTHER).await;
    let failure = snapshot.next_page().await.unwrap_err();
    assert!(matches!(failure, StoreError::Unavailable(_)), "{failure:?}");
    assert!(snapshot.next_page().await.is_err());
    drop(snapshot);
    store.check().await.unwrap();
}

#[tokio::test]
async fn a_keeper_knows_that_it_has_lost_its_lock() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let mut keeper = store.try_keep().await.unwrap().unwrap();
    database.execute(KILL_THE_OTHER).await;
    assert!(!keeper.still_held().await);
    assert!(!keeper.still_held().await);
    let mut next = store.try_keep().await.unwrap().expect("free again");
    assert!(next.still_held().await);
}
