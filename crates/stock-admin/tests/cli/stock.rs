//! `stock add` and `stock set`.

use std::thread;

use seckill_core::sale::SaleId;
use serde_json::json;

use crate::support::{Site, run};

async fn both_sides_have(site: &Site, sale: &SaleId, stock: u64, remaining: u64) {
    let (stored, ledger) = (site.in_store(sale).await, site.in_ledger(sale).await);
    assert_eq!((stored.sale.stock, ledger.sale.stock, ledger.remaining), (stock, stock, remaining));
    assert_eq!(stored.adjustment, ledger.adjustment);
}

#[tokio::test]
async fn stock_goes_up_and_down_by_what_is_said_on_both_sides() {
    let mut site = Site::new().await;
    let sale = site.sale(100).await;
    site.hold(&sale, 10).await;
    let name = sale.as_str();

    let added =
        site.run(&["stock", "add", name, "25", "--reason", "a new pallet", "--json"]).expect(0).json();
    assert_eq!((&added["stock"], &added["remaining"]), (&json!(125), &json!(115)));
    both_sides_have(&site, &sale, 125, 115).await;

    let taken = site.run(&["stock", "add", name, "-15", "--reason", "broken"]).expect(0);
    assert_eq!(taken.stdout, format!("sale {sale}: stock 110, 100 left\n"));
    both_sides_have(&site, &sale, 110, 100).await;

    site.run(&["stock", "set", name, "10"]).expect(0);
    both_sides_have(&site, &sale, 10, 0).await;
    site.run(&["stock", "set", name, "40"]).expect(0);
    both_sides_have(&site, &sale, 40, 30).await;

    let history = site.store.history(&sale).await.unwrap();
    let all: Vec<_> = history.iter().map(|it| (it.delta, it.reason.as_str())).collect();
    assert_eq!(all, [(100, "created"), (25, "a new pallet"), (-15, "broken"), (-100, "set"), (30, "set")]);
}

#[tokio::test]
async fn stock_never_falls_below_what_is_held() {
    let mut site = Site::new().await;
    let sale = site.sale(100).await;
    site.hold(&sale, 10).await;
    let name = sale.as_str();
    for arguments in [
        &["stock", "add", name, "-91", "--reason", "r"][..],
        &["stock", "add", name, "-1000000000", "--reason", "r"],
        &["stock", "set", name, "9"],
        &["stock", "set", name, "0"],
    ] {
        let said = site.refused(&sale, arguments).await;
        assert!(said.contains("nothing was changed"), "{said}");
    }
    site.run(&["stock", "set", name, "10"]).expect(0);
    both_sides_have(&site, &sale, 10, 0).await;
}

#[tokio::test]
async fn stock_never_rises_above_the_maximum() {
    let mut site = Site::new().await;
    let sale = site.sale(100).await;
    let said = site.refused(&sale, &["stock", "add", sale.as_str(), "1000000000", "--reason", "r"]).await;
    assert!(said.contains("at most 1000000000"), "{said}");
}

#[tokio::test]
async fn changes_at_once_are_each_made_or_refused() {
    let mut site = Site::new().await;
    let sale = site.sale(100).await;
    let running: Vec<_> = (0..6)
        .map(|_| {
            let mut command = site.command(&["stock", "add", sale.as_str(), "7", "--reason", "r"]);
            thread::spawn(move || run(&mut command))
        })
        .collect();
    let mut made = 0;
    for ran in running {
        let ran = ran.join().unwrap();
        match ran.code {
            0 => made += 1,
            1 => assert!(ran.complaint().contains("another operator"), "{ran:?}"),
            _ => panic!("{ran:?}"),
        }
    }
    assert!(made > 0, "nobody got through");
    both_sides_have(&site, &sale, 100 + 7 * made, 100 + 7 * made).await;
}
