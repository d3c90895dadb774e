//! A ledger that may have lost something decides nothing, and a rebuild that was overtaken changes nothing.

use deadpool_redis::redis::cmd;
use seckill_core::{
    ledger::{AdjustOutcome, OrderLookup, ReleaseOutcome, ReserveOutcome, SaleLookup, load::SwapOutcome},
    order::{Order, OrderId, OrderStatus},
    sale::SaleSwitch,
};

use super::support::{buy_one, drop_sale, key_of, ledger, load, open, raw, reservation, terms};

#[tokio::test]
async fn an_unknown_sale_is_absent() {
    let (ledger, sale) = (ledger(), terms(1));
    assert_eq!(buy_one(&ledger, &sale.id).await, ReserveOutcome::Absent);
    assert_eq!(ledger.sale(&sale.id).await.unwrap(), SaleLookup::Absent);
    assert_eq!(ledger.order(&sale.id, OrderId::fresh()).await.unwrap(), OrderLookup::Absent);
}

#[tokio::test]
async fn p1_the_fence_of_another_server_or_another_history_is_not_trusted() {
    for field in ["fence", "replid"] {
        let sale = terms(1);
        open(&ledger(), &sale).await;
        let mut other = cmd("HSET");
        other.arg(key_of(&sale.id, "sale")).arg(field).arg("0".repeat(40));
        other.query_async::<()>(&mut raw().await).await.unwrap();
        nothing_is_decided(&sale).await;
    }
}

#[tokio::test]
async fn a_fence_of_before_there_were_histories_stands() {
    let (ledger, sale) = (ledger(), terms(1));
    open(&ledger, &sale).await;
    let mut without = cmd("HDEL");
    without.arg(key_of(&sale.id, "sale")).arg("replid");
    without.query_async::<()>(&mut raw().await).await.unwrap();
    assert!(matches!(ledger.sale(&sale.id).await.unwrap(), SaleLookup::Trusted(_)));
    assert!(matches!(buy_one(&ledger, &sale.id).await, ReserveOutcome::Reserved(_)));
    drop_sale(&sale.id).await;
}

#[tokio::test]
async fn p4_what_a_rebuild_loaded_that_was_given_up_goes_with_the_next() {
    let (ledger, sale) = (ledger(), terms(3));
    assert!(ledger.begin_rebuild(&sale.id, 1).await.unwrap());
    drop(ledger.start_loading(&sale.id, 1).await.unwrap());
    let given_up = async || {
        let mut exists = cmd("EXISTS");
        exists.arg(key_of(&sale.id, "rebuild:1:orders"));
        exists.query_async::<bool>(&mut raw().await).await.unwrap()
    };
    assert!(given_up().await);
    assert!(ledger.begin_rebuild(&sale.id, 7).await.unwrap());
    assert!(!given_up().await, "it takes room that the next needs");
    drop_sale(&sale.id).await;
}

#[tokio::test]
async fn p1_a_lost_key_is_seen_and_nothing_is_decided() {
    for part in ["buyers", "orders", "outbox"] {
        let sale = terms(1);
        open(&ledger(), &sale).await;
        cmd("DEL").arg(key_of(&sale.id, part)).query_async::<()>(&mut raw().await).await.unwrap();
        nothing_is_decided(&sale).await;
    }
}

async fn nothing_is_decided(sale: &seckill_core::sale::Sale) {
    let ledger = ledger();
    let id = OrderId::fresh();
    let ask = reservation(&sale.id, id, "buyer", 1);
    let order = Order::new(
        id,
        sale.id.clone(),
        ask.request.clone(),
        Some(0),
        jiff::Timestamp::now(),
        OrderStatus::Cancelled,
    );
    assert_eq!(ledger.reserve(&sale.id, &[ask]).await.unwrap(), [ReserveOutcome::Untrusted]);
    assert_eq!(ledger.release(&sale.id, &[order]).await.unwrap(), ReleaseOutcome::Untrusted);
    let adjusted = ledger.adjust(&sale.id, 9, 9, SaleSwitch::Open, None).await.unwrap();
    assert_eq!(adjusted, AdjustOutcome::Untrusted);
    assert_eq!(ledger.sale(&sale.id).await.unwrap(), SaleLookup::Untrusted);
    assert_eq!(ledger.order(&sale.id, id).await.unwrap(), OrderLookup::Untrusted);
    drop_sale(&sale.id).await;
}

#[tokio::test]
async fn p1_a_rebuild_that_was_overtaken_cannot_undo_its_successor() {
    let (ledger, sale) = (ledger(), terms(3));
    assert!(ledger.begin_rebuild(&sale.id, 1).await.unwrap());
    let slow = ledger.start_loading(&sale.id, 1).await.unwrap();

    assert_eq!(load(&ledger, &sale, 1, 2, &[]).await, SwapOutcome::Swapped);
    assert!(matches!(buy_one(&ledger, &sale.id).await, ReserveOutcome::Reserved(_)));

    assert_eq!(slow.swap_in(&sale, 1).await.unwrap(), SwapOutcome::Superseded);
    assert!(!ledger.begin_rebuild(&sale.id, 1).await.unwrap(), "a past epoch must not take the fence off");
    let SaleLookup::Trusted(found) = ledger.sale(&sale.id).await.unwrap() else { panic!("not trusted") };
    assert_eq!((found.remaining, found.epoch), (2, 2));
    drop_sale(&sale.id).await;
}

#[tokio::test]
async fn p1_a_rebuild_notices_that_the_ledger_lost_what_was_loaded() {
    let (ledger, sale) = (ledger(), terms(3));
    assert!(ledger.begin_rebuild(&sale.id, 1).await.unwrap());
    let loading = ledger.start_loading(&sale.id, 1).await.unwrap();
    cmd("DEL").arg(key_of(&sale.id, "rebuild:1:orders")).query_async::<()>(&mut raw().await).await.unwrap();
    assert_eq!(loading.swap_in(&sale, 1).await.unwrap(), SwapOutcome::Incomplete);

    assert!(ledger.begin_rebuild(&sale.id, 2).await.unwrap());
    let loading = ledger.start_loading(&sale.id, 2).await.unwrap();
    drop_sale(&sale.id).await; // as FLUSHALL would
    assert_eq!(loading.swap_in(&sale, 1).await.unwrap(), SwapOutcome::Superseded);
    assert_eq!(ledger.sale(&sale.id).await.unwrap(), SaleLookup::Absent);
    drop_sale(&sale.id).await;
}

#[tokio::test]
async fn p3_tombstones_survive_a_rebuild_and_answer_retries() {
    let (ledger, sale) = (ledger(), terms(3));
    let (live, dead) = (OrderId::fresh(), OrderId::fresh());
    let order = |id: OrderId, buyer: &str, status| {
        let request = reservation(&sale.id, id, buyer, 1).request;
        Order::new(id, sale.id.clone(), request, Some(2), jiff::Timestamp::now(), status)
    };
    let orders = [order(live, "a", OrderStatus::Confirmed), order(dead, "b", OrderStatus::Cancelled)];
    assert_eq!(load(&ledger, &sale, 1, 1, &orders).await, SwapOutcome::Swapped);

    let asks = [reservation(&sale.id, live, "a", 1), reservation(&sale.id, dead, "b", 1)];
    let outcomes = ledger.reserve(&sale.id, &asks).await.unwrap();
    let statuses: Vec<OrderStatus> = outcomes
        .into_iter()
        .map(|outcome| match outcome {
            ReserveOutcome::Replayed(found) => found.order.status,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(statuses, [OrderStatus::Accepted, OrderStatus::Cancelled]);
    let SaleLookup::Trusted(found) = ledger.sale(&sale.id).await.unwrap() else { panic!("not trusted") };
    assert_eq!(found.remaining, 2);
    drop_sale(&sale.id).await;
}
