//! `reconcile --repair`: what can be mended safely is, and what cannot is named.

use deadpool_redis::redis;
use seckill_core::{
    ledger::LedgerOrder,
    order::OrderStatus,
    sale::{SaleId, SaleSwitch},
    store::{AdjustmentRequest, BeginAdjustment, StockChange},
};
use serde_json::{Value, json};

use crate::{
    at_work::{AtWork, cancelled},
    support::{Ran, Site, raw, run_beside},
};

async fn repair(site: &Site, sale: &SaleId) -> Ran {
    run_beside(site.command(&["reconcile", sale.as_str(), "--repair", "--yes", "--json"])).await
}

async fn set_in_ledger(sale: &SaleId, field: &str, value: u64) {
    let mut hset = redis::cmd("HSET");
    hset.arg(format!("seckill:{{{sale}}}:sale")).arg(field).arg(value);
    hset.query_async::<()>(&mut raw().await).await.unwrap();
}

/// Takes an order out of the ledger by hand, and its units with it: as a lost write would.
async fn forget(order: &LedgerOrder) {
    let mut hdel = redis::cmd("HDEL");
    hdel.arg(format!("seckill:{{{}}}:orders", order.order.sale)).arg(&order.order.id.as_bytes()[..]);
    hdel.query_async::<()>(&mut raw().await).await.unwrap();
    let mut hincrby = redis::cmd("HINCRBY");
    hincrby.arg(format!("seckill:{{{}}}:sale", order.order.sale));
    hincrby.arg("remaining").arg(order.order.quantity.units());
    hincrby.query_async::<()>(&mut raw().await).await.unwrap();
}

fn lines(json: &Value, what: &str) -> String {
    let lines: Vec<&str> = json[what].as_array().unwrap().iter().filter_map(Value::as_str).collect();
    lines.join("\n")
}

#[tokio::test]
async fn a_sale_that_adds_up_is_left_as_it_is() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    site.hold(&sale, 3).await;
    let before = site.everything(&sale).await;
    // Nothing is halted, so nothing is asked.
    let said =
        run_beside(site.command(&["reconcile", sale.as_str(), "--repair", "--json"])).await.expect(0).json();
    assert_eq!((&said["mended"], &said["notMended"]), (&json!([]), &json!([])));
    assert_eq!(site.everything(&sale).await, before);
}

#[tokio::test]
async fn without_yes_and_without_a_terminal_nothing_is_mended() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    set_in_ledger(&sale, "remaining", 3).await;
    let said = site.refused(&sale, &["reconcile", sale.as_str(), "--repair"]).await;
    assert!(said.contains("--yes"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_stranded_returns_and_missed_adjustments_are_mended_without_a_keeper() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::writer(&site);
    let sale = site.sale(10).await;
    let order = site.buy(Some(&work.publisher), &sale, 4).await;
    work.publisher.publish_and_wait(&cancelled(&order)).await.unwrap();
    site.becomes(&order, OrderStatus::Cancelled).await;
    assert_eq!(site.in_ledger(&sale).await.remaining, 6, "nobody has given the units back yet");
    // A raise, cut off after the store had it.
    let mut lock = site.store.lock_sale(&sale).await.unwrap().unwrap();
    let request = AdjustmentRequest {
        stock: StockChange::By(5),
        switch: Some(SaleSwitch::Paused),
        reason: "test".into(),
        actor: "test".into(),
        above: site.in_ledger(&sale).await.adjustment,
    };
    let BeginAdjustment::Begun(pending) = lock.begin(&request).await.unwrap() else { panic!("refused") };
    pending.commit().await.unwrap();
    lock.release().await;
    let found = site.run(&["reconcile", sale.as_str(), "--json"]).expect(1).json();
    assert_eq!(found["sales"][0]["drift"], 5, "the store's stock is what counts: {found}");

    let said = repair(&site, &sale).await.expect(0).json();
    let mended = lines(&said, "mended");
    assert!(mended.contains("units of 1 cancelled") && mended.contains("the store's terms now"), "{said}");
    let ledger = site.in_ledger(&sale).await;
    assert_eq!((ledger.sale.stock, ledger.remaining, ledger.sale.switch), (15, 15, SaleSwitch::Paused));
    let history = site.store.history(&sale).await.unwrap();
    assert_eq!(history.last().unwrap().actor, "olga", "who mended is in the audit");
    assert_eq!(repair(&site, &sale).await.expect(0).json()["mended"], json!([]), "mended once");
    work.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_order_that_only_the_ledger_has_is_published_again() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::writer(&site);
    let sale = site.sale(10).await;
    let lost_by_the_log = site.buy(None, &sale, 3).await;
    site.run(&["reconcile", sale.as_str()]).expect(1);
    let said = repair(&site, &sale).await.expect(0).json();
    assert!(
        lines(&said, "mended").contains("1 order that only the ledger had is in the log again"),
        "{said}"
    );
    site.becomes(&lost_by_the_log, OrderStatus::Confirmed).await;
    assert_eq!(site.in_store(&sale).await.sold, 3);
    site.run(&["reconcile", sale.as_str()]).expect(0);
    work.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_ledger_that_does_not_add_up_is_loaded_anew() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::all(&site);
    let sale = site.sale_by_keeper(10).await;
    let order = site.buy(Some(&work.publisher), &sale, 3).await;
    site.becomes(&order, OrderStatus::Confirmed).await;
    set_in_ledger(&sale, "remaining", 2).await;
    site.run(&["reconcile", sale.as_str()]).expect(1);
    let said = repair(&site, &sale).await.expect(0).json();
    assert!(lines(&said, "mended").contains("its ledger was loaded anew"), "{said}");
    assert_eq!(site.in_ledger(&sale).await.remaining, 7);

    forget(&order).await;
    site.run(&["reconcile", sale.as_str()]).expect(1);
    repair(&site, &sale).await.expect(0);
    assert_eq!(site.in_ledger(&sale).await.remaining, 7, "the store knew the order");
    work.end().await;
}

#[tokio::test]
async fn what_nobody_is_there_to_load_is_named() {
    let mut site = Site::to_work_on().await;
    let (sale, unloaded) = (site.sale(10).await, site.unloaded_sale(5).await.sale.id);
    set_in_ledger(&sale, "remaining", 2).await;
    let said = run_beside(site.command(&["reconcile", "--repair", "--yes", "--json"])).await.expect(1).json();
    let left = lines(&said, "notMended");
    for sale in [&sale, &unloaded] {
        let line = format!("sale {sale}: its ledger must be loaded anew, and no order-consumer runs");
        assert!(left.contains(&line), "{said}");
    }
    let text = run_beside(site.command(&["reconcile", "--repair", "--yes"])).await.expect(1).stdout;
    assert!(text.contains("NOT mended: sale"), "{text}");
    site.hold(&sale, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_order_that_cannot_be_stored_is_named_and_not_dropped() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::all(&site);
    let sale = site.sale_by_keeper(10).await;
    let order = site.buy(None, &sale, 3).await;
    // Its event is of an epoch that the store has closed by now: it always becomes a dead letter.
    site.database.execute("UPDATE sales SET epoch = epoch + 10, rebuild_epoch = rebuild_epoch + 10").await;
    let said = repair(&site, &sale).await.expect(1).json();
    let left = lines(&said, "notMended");
    assert!(left.contains(&order.order.id.to_string()) && left.contains("dead-letters list"), "{said}");
    assert_eq!(site.in_ledger(&sale).await.remaining, 7, "its units are still held for it");
    work.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_a_store_that_contradicts_itself_is_named() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::all(&site);
    let sale = site.sale_by_keeper(10).await;
    let order = site.buy(Some(&work.publisher), &sale, 3).await;
    site.becomes(&order, OrderStatus::Confirmed).await;
    site.database.execute("UPDATE sales SET sold = 5").await;
    let said = repair(&site, &sale).await.expect(1).json();
    let left = lines(&said, "notMended");
    assert!(left.contains("orders hold 3 units, and it counts 5 as sold"), "{said}");
    assert_eq!(said["drift"], true);
    work.end().await;
}
