//! `reset SALE --to N`: afterwards exactly N units are left, whatever is held.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use seckill_core::{
    ledger::{RecordState, ReserveOutcome, StockLedger},
    sale::{SaleId, SaleSwitch},
    upkeep::realign::{RealignOutcome, realign},
};

use crate::support::{Site, reserve, run, run_beside};

/// Sells unit by unit, and gives every other one back.
async fn trade(ledger: StockLedger, sale: SaleId) {
    loop {
        if let ReserveOutcome::Reserved(bought) = reserve(&ledger, &sale, 1).await
            && bought.order.id.as_bytes()[15] % 2 == 0
        {
            ledger.release(&sale, &[bought.order]).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn resets_of_a_sale_that_sells_lose_and_invent_no_unit() {
    let mut site = Site::new().await;
    let sale = site.sale(1000).await;
    let traders: Vec<_> = (0..3).map(|_| tokio::spawn(trade(site.ledger.clone(), sale.clone()))).collect();
    for to in ["500", "0", "2000", "300"] {
        let arguments = ["reset", sale.as_str(), "--to", to, "--yes", "--json"];
        let said = site.run(&arguments).expect(0).json();
        assert_eq!(said["remaining"].to_string(), to);
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    for trader in &traders {
        trader.abort();
    }
    for trader in traders {
        assert!(trader.await.unwrap_err().is_cancelled(), "a trader failed");
    }

    let mut live = 0;
    let visit = site.ledger.visit_orders(&sale, |found| {
        if found.state == RecordState::Live {
            live += found.order.quantity.units();
        }
    });
    visit.await.unwrap();
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    assert!(live > 0, "nothing was sold");
    assert_eq!((ledger.sale.stock, stored.sale.stock), (ledger.remaining + live, ledger.remaining + live));
    let history = site.store.history(&sale).await.unwrap();
    let sum: i64 = history.iter().map(|it| it.delta).sum();
    assert_eq!(u64::try_from(sum).unwrap(), stored.sale.stock, "the audit adds up to the stock");
}

#[tokio::test]
async fn reset_leaves_exactly_n_whatever_is_held_and_the_sale_sells_on() {
    let mut site = Site::new().await;
    let sale = site.sale(100).await;
    site.hold(&sale, 30).await;
    for to in [0_u64, 100, 5, 70, 70] {
        let text = to.to_string();
        site.run(&["reset", sale.as_str(), "--to", &text, "--yes"]).expect(0);
        let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
        assert_eq!((ledger.remaining, ledger.sale.stock, stored.sale.stock), (to, to + 30, to + 30));
        assert_eq!((ledger.sale.switch, stored.sale.switch), (SaleSwitch::Open, SaleSwitch::Open));
        assert_eq!(ledger.adjustment, stored.adjustment);
    }
}

#[tokio::test]
async fn reset_of_a_paused_sale_leaves_it_paused() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    site.run(&["sale", "pause", sale.as_str()]).expect(0);
    site.run(&["reset", sale.as_str(), "--to", "4", "--yes"]).expect(0);
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    assert_eq!((ledger.sale.switch, stored.sale.switch), (SaleSwitch::Paused, SaleSwitch::Paused));
    assert_eq!(ledger.remaining, 4);
}

#[tokio::test]
async fn reset_without_yes_and_without_a_terminal_is_refused() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let said = site.refused(&sale, &["reset", sale.as_str(), "--to", "4"]).await;
    assert!(said.contains("--yes"), "{said}");
}

#[tokio::test]
async fn reset_beyond_the_maximum_is_refused_without_pausing_the_sale() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    site.hold(&sale, 1).await;
    let said = site.refused(&sale, &["reset", sale.as_str(), "--to", "1000000000", "--yes"]).await;
    assert!(said.contains("at most 1000000000"), "{said}");
}

#[tokio::test]
async fn while_one_operator_changes_a_sale_the_other_is_told_and_changes_nothing() {
    let mut site = Site::new().await;
    let sale = site.sale(100).await;
    let first = site.store.lock_sale(&sale).await.unwrap().expect("nobody else is at it");
    let said = site.refused(&sale, &["reset", sale.as_str(), "--to", "4", "--yes"]).await;
    assert!(said.contains("another operator is changing sale"), "{said}");
    first.release().await;
    site.run(&["reset", sale.as_str(), "--to", "4", "--yes"]).expect(0);
    assert_eq!(site.in_ledger(&sale).await.remaining, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_is_over_in_a_moment_is_waited_for() {
    let mut site = Site::new().await;
    let sale = site.sale(100).await;
    let first = site.store.lock_sale(&sale).await.unwrap().expect("nobody else is at it");
    let mut command = site.command(&["reset", sale.as_str(), "--to", "4", "--yes"]);
    let second = thread::spawn(move || run(&mut command));
    tokio::time::sleep(Duration::from_millis(1500)).await;
    assert!(!second.is_finished(), "it did not wait");
    first.release().await;
    second.join().unwrap().expect(0);
    assert_eq!(site.in_ledger(&sale).await.remaining, 4);
}

/// Buys unit by unit, and gives what was left after each.
async fn buy(ledger: StockLedger, sale: SaleId, stop: Arc<AtomicBool>) -> Vec<u64> {
    let mut left = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if let ReserveOutcome::Reserved(bought) = reserve(&ledger, &sale, 1).await {
            left.push(bought.order.remain_count.unwrap());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    left
}

/// Waits until a hundred more orders are taken than now.
async fn sell_on(site: &Site, sale: &SaleId) {
    let now = site.in_ledger(sale).await.orders;
    while site.in_ledger(sale).await.orders < now + 100 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p1_p4_a_reset_under_load_leaves_exactly_n_at_one_moment() {
    let mut site = Site::new().await;
    let sale = site.sale(5_000).await;
    let stop = Arc::new(AtomicBool::new(false));
    let buyers: Vec<_> =
        (0..4).map(|_| tokio::spawn(buy(site.ledger.clone(), sale.clone(), stop.clone()))).collect();
    sell_on(&site, &sale).await;
    run_beside(site.command(&["reset", sale.as_str(), "--to", "777000", "--yes"])).await.expect(0);
    sell_on(&site, &sale).await;
    stop.store(true, Ordering::Relaxed);
    let mut left = Vec::new();
    for buyer in buyers {
        left.extend(buyer.await.unwrap());
    }

    // Each unit sold once: before the reset 4999, 4998 …, after it 776999, 776998 …, and nothing else.
    let (mut after, mut before): (Vec<u64>, Vec<u64>) = left.iter().partition(|left| **left > 5_000);
    before.sort_unstable_by(|a, b| b.cmp(a));
    after.sort_unstable_by(|a, b| b.cmp(a));
    assert!(!before.is_empty() && !after.is_empty(), "{} and {} were sold", before.len(), after.len());
    assert!(before.iter().copied().eq((0..5_000).rev().take(before.len())), "{before:?}");
    assert!(after.iter().copied().eq((0..777_000).rev().take(after.len())), "{after:?}");
    let sold = u64::try_from(left.len()).unwrap();
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    assert_eq!((ledger.orders, ledger.sale.stock - ledger.remaining), (sold, sold));
    assert_eq!((ledger.sale.stock, stored.adjustment), (stored.sale.stock, ledger.adjustment));
}

#[tokio::test]
async fn a_reset_that_fails_after_its_pause_resumes_the_sale() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    site.hold(&sale, 2).await;
    // The store takes no other stock: the pause succeeds, and what follows fails.
    site.database.execute("ALTER TABLE sales ADD CONSTRAINT frozen CHECK (stock IN (10, 100))").await;
    let ran = site.run(&["reset", sale.as_str(), "--to", "3", "--yes"]).expect(1);
    assert!(!ran.complaint().contains("resumed"), "{ran:?}");
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    assert_eq!((ledger.sale.stock, ledger.remaining, ledger.sale.switch), (10, 8, SaleSwitch::Open));
    assert_eq!((stored.sale.stock, stored.adjustment), (10, ledger.adjustment));
    let history = site.store.history(&sale).await.unwrap();
    assert_eq!(history.last().unwrap().reason, "reset: given up");
    site.hold(&sale, 1).await;
}

#[tokio::test]
async fn a_reset_that_cannot_even_resume_the_sale_says_so() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    // The store numbers one more change, which is the pause's, and no other.
    let last = site.in_store(&sale).await.adjustment + 1;
    let full =
        format!("ALTER TABLE sales ADD CONSTRAINT full CHECK (adjustment <= {last} OR id = 'default')");
    site.database.execute(&full).await;
    let ran = site.run(&["reset", sale.as_str(), "--to", "3", "--yes"]).expect(1);
    assert!(ran.complaint().contains("until an order-consumer has resumed it"), "{ran:?}");
    assert_eq!(site.in_ledger(&sale).await.sale.switch, SaleSwitch::Paused);
    // Which it does.
    site.database.execute("ALTER TABLE sales DROP CONSTRAINT full").await;
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    let outcome = realign(&site.store, &site.ledger, (&stored, &ledger), "keeper").await.unwrap();
    assert_eq!(outcome, RealignOutcome::Realigned);
    let ledger = site.in_ledger(&sale).await;
    assert_eq!((ledger.remaining, ledger.sale.switch), (10, SaleSwitch::Open));
}

#[tokio::test]
async fn resets_at_once_leave_what_one_of_them_said_and_tell_the_losers() {
    let mut site = Site::new().await;
    let sale = site.sale(100).await;
    site.hold(&sale, 8).await;
    let running: Vec<_> = [20_u64, 40, 60]
        .map(|to| {
            let mut command = site.command(&["reset", sale.as_str(), "--to", &to.to_string(), "--yes"]);
            (to, thread::spawn(move || run(&mut command)))
        })
        .into();
    let mut winners = Vec::new();
    for (to, ran) in running {
        let ran = ran.join().unwrap();
        match ran.code {
            0 => winners.push(to),
            1 => assert!(ran.complaint().contains("nothing was changed"), "{ran:?}"),
            _ => panic!("{ran:?}"),
        }
    }
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    assert!(winners.contains(&ledger.remaining), "{winners:?}, {ledger:?}");
    assert_eq!((ledger.sale.stock, stored.sale.stock), (ledger.remaining + 8, ledger.remaining + 8));
    assert_eq!(ledger.sale.switch, SaleSwitch::Open);
}
