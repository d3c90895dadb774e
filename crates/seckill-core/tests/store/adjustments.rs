//! Changes to a sale: one at a time, numbered, and never below what is sold.

use seckill_core::{
    sale::{MAX_STOCK, SaleSwitch},
    store::{AdjustmentRequest, BeginAdjustment, OrderStore, PendingAdjustment, SaleLock, StockChange},
    testing::TestDatabase,
};

use super::events::{create, order, placed, sale_id, write};

fn request(stock: StockChange) -> AdjustmentRequest {
    AdjustmentRequest { stock, switch: None, reason: "because".into(), actor: "ann".into(), above: 0 }
}

async fn lock(store: &OrderStore, sale: &str) -> SaleLock {
    store.lock_sale(&sale_id(sale)).await.unwrap().expect("nobody else holds it")
}

async fn begun<'lock>(lock: &'lock mut SaleLock, request: &AdjustmentRequest) -> PendingAdjustment<'lock> {
    match lock.begin(request).await.unwrap() {
        BeginAdjustment::Begun(pending) => pending,
        _ => panic!("refused"),
    }
}

#[tokio::test]
async fn what_is_committed_is_there_with_its_record_and_what_is_rolled_back_is_not() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let before = create(&store, "s", 10).await;
    let mut lock = lock(&store, "s").await;

    let pending = begun(&mut lock, &request(StockChange::By(-3))).await;
    assert!(pending.number() > before.adjustment);
    assert_eq!(pending.after().sale.stock, 7);
    assert_eq!(store.sale(&sale_id("s")).await.unwrap().unwrap(), before, "others do not see it yet");
    pending.rollback().await.unwrap();
    assert_eq!(store.sale(&sale_id("s")).await.unwrap().unwrap(), before);

    let closing = AdjustmentRequest { switch: Some(SaleSwitch::Closed), ..request(StockChange::To(4)) };
    let after = begun(&mut lock, &closing).await.commit().await.unwrap();
    assert_eq!((after.sale.stock, after.sale.switch), (4, SaleSwitch::Closed));
    assert_eq!(store.sale(&sale_id("s")).await.unwrap().unwrap(), after);
    let again = begun(&mut lock, &request(StockChange::Keep)).await.commit().await.unwrap();
    assert_eq!((again.sale.clone(), again.adjustment > after.adjustment), (after.sale, true));

    let history = store.history(&sale_id("s")).await.unwrap();
    let deltas: Vec<i64> = history.iter().map(|adjustment| adjustment.delta).collect();
    assert_eq!(deltas, [10, -6, 0]);
    assert_eq!(history[2].number, again.adjustment);
    assert_eq!((history[1].reason.as_str(), history[1].actor.as_str()), ("because", "ann"));
}

#[tokio::test]
async fn p1_stock_never_goes_below_what_is_sold() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let before = create(&store, "s", 10).await;
    write(&store, placed(&order("s", "a", 4))).await;
    let mut lock = lock(&store, "s").await;
    for change in [StockChange::By(-7), StockChange::By(i64::MIN), StockChange::To(3)] {
        let refused = lock.begin(&request(change)).await.unwrap();
        assert!(matches!(refused, BeginAdjustment::BelowSold { sold: 4 }), "{change:?}");
    }
    for change in [StockChange::By(i64::MAX), StockChange::To(u64::MAX), StockChange::To(MAX_STOCK + 1)] {
        let refused = lock.begin(&request(change)).await.unwrap();
        assert!(matches!(refused, BeginAdjustment::AboveMaximum), "{change:?}");
    }
    assert_eq!(store.sale(&sale_id("s")).await.unwrap().unwrap().adjustment, before.adjustment);
    let lowest = begun(&mut lock, &request(StockChange::By(-6))).await.commit().await.unwrap();
    assert_eq!((lowest.sale.stock, lowest.sold), (4, 4));
}

#[tokio::test]
async fn p2_whether_a_change_raises_is_the_stores_word() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let mut lock = lock(&store, "s").await;
    let cases = [
        (StockChange::By(1), true),
        (StockChange::Keep, true),
        (StockChange::By(-1), false),
        (StockChange::To(9), false),
    ];
    for (change, raises) in cases {
        let pending = begun(&mut lock, &request(change)).await;
        assert_eq!(pending.raises(), raises, "{change:?}");
        pending.rollback().await.unwrap();
    }
}

#[tokio::test]
async fn one_operator_at_a_time_changes_a_sale() {
    let (database, other_database) = (TestDatabase::create().await, TestDatabase::create().await);
    let store = database.store();
    let held = lock(&store, "default").await;
    assert!(store.lock_sale(&sale_id("default")).await.unwrap().is_none());
    assert!(store.lock_sale(&sale_id("other")).await.unwrap().is_some(), "another sale is free");
    let elsewhere = other_database.store().lock_sale(&sale_id("default")).await.unwrap();
    assert!(elsewhere.is_some(), "the same sale of another database is free");
    held.release().await;
    let again = lock(&store, "default").await;
    drop(again);
    // Dropping closes the connection; the server needs a moment to see it.
    for _attempt in 0..100 {
        if store.lock_sale(&sale_id("default")).await.unwrap().is_some() {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the lock outlives its holder");
}

#[tokio::test]
async fn a_change_that_nobody_ends_is_rolled_back_with_its_lock() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let before = create(&store, "s", 10).await;
    let mut lock = lock(&store, "s").await;
    let pending = begun(&mut lock, &request(StockChange::To(5))).await;
    drop(pending);
    let again = lock.begin(&request(StockChange::Keep)).await;
    assert!(again.is_err_and(|error| error.is_transient()));
    drop(lock);
    let stored = write(&store, placed(&order("s", "a", 1))).await;
    assert_eq!(stored, seckill_core::store::WriteOutcome::Confirmed, "the row is free again");
    assert_eq!(store.sale(&sale_id("s")).await.unwrap().unwrap().sale, before.sale);
}

#[tokio::test]
async fn numbers_stay_above_what_the_ledger_has_seen() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    create(&store, "t", 10).await;
    let (mut first, mut second) = (lock(&store, "s").await, lock(&store, "t").await);
    let restored = AdjustmentRequest { above: 5_000, ..request(StockChange::Keep) };
    let after = begun(&mut first, &restored).await.commit().await.unwrap();
    assert_eq!(after.adjustment, 5_001);
    let next = begun(&mut second, &request(StockChange::Keep)).await.commit().await.unwrap();
    assert_eq!(next.adjustment, 5_002);
    assert_eq!(store.history(&sale_id("s")).await.unwrap().len(), 2);
}

#[tokio::test]
async fn a_sale_that_is_not_there_cannot_be_changed() {
    let database = TestDatabase::create().await;
    let store = database.store();
    let mut lock = lock(&store, "nowhere").await;
    assert_eq!(lock.sale(), &sale_id("nowhere"));
    let refused = lock.begin(&request(StockChange::To(1))).await.unwrap();
    assert!(matches!(refused, BeginAdjustment::UnknownSale));
}
