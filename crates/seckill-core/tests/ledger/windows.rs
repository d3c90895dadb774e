//! The sale's window follows the ledger's own clock, whatever the caller's says.

use std::time::Duration;

use jiff::Timestamp;
use seckill_core::{
    ledger::{ReserveOutcome, StockLedger},
    sale::Sale,
};

use super::support::{buy_one, drop_sale, ledger, open, terms};

/// Waits until the ledger's clock says `at`.
async fn until(ledger: &StockLedger, at: Timestamp) {
    while ledger.now().await.unwrap() < at {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn a_window_opens_and_closes_by_the_ledgers_clock() {
    let ledger = ledger();
    let now = ledger.now().await.unwrap();
    let later = now + Duration::from_secs(2);
    let end = later + Duration::from_secs(3);
    let sale = Sale { opens_at: Some(later), closes_at: Some(end), ..terms(5) };
    open(&ledger, &sale).await;

    let early = buy_one(&ledger, &sale.id).await;
    let ReserveOutcome::NotOpen { opens_at: Some(told) } = early else { panic!("{early:?}") };
    assert_eq!(told.as_millisecond(), later.as_millisecond());
    until(&ledger, later).await;
    assert!(matches!(buy_one(&ledger, &sale.id).await, ReserveOutcome::Reserved(_)));
    until(&ledger, end).await;
    let late = buy_one(&ledger, &sale.id).await;
    assert_eq!(late, ReserveOutcome::Ended { opens_at: Some(told) });
    drop_sale(&sale.id).await;
}

#[tokio::test]
async fn an_order_that_was_taken_is_replayed_after_the_end() {
    let ledger = ledger();
    let sale = terms(5);
    open(&ledger, &sale).await;
    let id = seckill_core::order::OrderId::fresh();
    let ask = [super::support::reservation(&sale.id, id, "winner", 2)];
    assert!(matches!(ledger.reserve(&sale.id, &ask).await.unwrap()[0], ReserveOutcome::Reserved(_)));
    ledger.adjust(&sale.id, 2, 5, seckill_core::sale::SaleSwitch::Closed, None).await.unwrap();

    assert!(matches!(ledger.reserve(&sale.id, &ask).await.unwrap()[0], ReserveOutcome::Replayed(_)));
    assert_eq!(buy_one(&ledger, &sale.id).await, ReserveOutcome::Ended { opens_at: None });
    drop_sale(&sale.id).await;
}
