//! Sales are made once and read back.

use jiff::{SignedDuration, Timestamp};
use seckill_core::{
    sale::{Sale, SaleSwitch},
    store::{CreateOutcome, ReadableSales, StoredSale},
    testing::TestDatabase,
};

use super::events::{new_sale, sale_id};

#[tokio::test]
async fn a_sale_is_read_back_as_it_was_made() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let sale = Sale {
        per_buyer_limit: Some(2),
        opens_at: Some(Timestamp::from_millisecond(1_763_942_701_123).unwrap()),
        closes_at: Some(Timestamp::from_millisecond(1_763_942_801_001).unwrap()),
        switch: SaleSwitch::Paused,
        ..new_sale("s", 1_000_000_000)
    };
    let CreateOutcome::Created(stored) = store.create_sale(&sale, "ann").await.unwrap() else {
        panic!("it is new")
    };
    let history = store.history(&sale.id).await.unwrap();
    assert_eq!(history.len(), 1);
    assert_eq!((history[0].delta, history[0].actor.as_str()), (1_000_000_000, "ann"));
    let adjustment = history[0].number;
    let created = stored.created;
    assert!(created <= history[0].at && created > history[0].at - SignedDuration::from_secs(5));
    assert_eq!(
        stored,
        StoredSale { sale: sale.clone(), sold: 0, adjustment, epoch: 0, rebuild_epoch: 0, created }
    );
    assert_eq!(store.sale(&sale.id).await.unwrap(), Some(stored));
    assert_eq!(store.sale(&sale_id("S")).await.unwrap(), None, "names are told apart by case");
}

#[tokio::test]
async fn a_sale_that_is_there_stays_as_it_is() {
    let database = TestDatabase::create().await;
    let store = database.store();
    store.create_sale(&new_sale("s", 5), "ann").await.unwrap();
    let again = store.create_sale(&new_sale("s", 9), "bob").await.unwrap();
    assert_eq!(again, CreateOutcome::AlreadyExists);
    assert_eq!(store.sale(&sale_id("s")).await.unwrap().unwrap().sale.stock, 5);
    assert_eq!(store.history(&sale_id("s")).await.unwrap().len(), 1);
    let names: Vec<String> = store.sales().await.unwrap().iter().map(|s| s.sale.id.to_string()).collect();
    assert_eq!(names, ["default", "s"]);
}

#[tokio::test]
async fn a_sale_that_cannot_be_read_is_told_by_name_and_hides_no_other() {
    let database = TestDatabase::create().await;
    let store = database.store();
    for name in ["a", "b", "c"] {
        store.create_sale(&new_sale(name, 5), "ann").await.unwrap();
    }
    database.execute("UPDATE sales SET state = 'ajar' WHERE id = 'b'").await;
    let why = r#"the database holds what it cannot hold: sale b: sales.state = "ajar""#;
    assert_eq!(store.sales().await.unwrap_err().to_string(), why);
    let ReadableSales { sales, unreadable } = store.readable_sales().await.unwrap();
    assert_eq!(unreadable.unwrap().to_string(), why);
    let names: Vec<&str> = sales.iter().map(|stored| stored.sale.id.as_str()).collect();
    assert_eq!(names, ["a", "c", "default"]);
}

#[tokio::test]
async fn the_store_says_how_its_server_is_set_up() {
    let database = TestDatabase::create().await;
    let store = database.store();
    store.check().await.unwrap();
    let described = store.describe().await.unwrap();
    assert!(!described.version.is_empty());
    assert!(["REPEATABLE-READ", "READ-COMMITTED"].contains(&described.transaction_isolation.as_str()));
    assert!(["0", "1", "2"].contains(&described.flush_log_at_commit.as_str()));
    assert!(described.max_connections.parse::<u32>().unwrap() > 0);
    assert!(!described.read_only);
    assert!(described.clock_ahead_ms.abs() < 60_000, "{}", described.clock_ahead_ms);
}
