//! `sale …`: making, showing and switching sales.

use seckill_core::{sale::SaleSwitch, store::OrderStore, testing::patient_ledger};
use serde_json::json;

use crate::support::{Site, load};

#[tokio::test]
async fn a_created_sale_is_shown_listed_and_audited_as_it_was_asked_for() {
    let mut site = Site::new().await;
    let sale = site.name();
    let arguments = ["sale", "create", sale.as_str(), "--stock", "50", "--title", "Phones", "--json"];
    let terms = ["--per-buyer-limit", "2", "--opens-at", "2020-01-01T00:00:00Z"];
    let created =
        site.run(&[&arguments[..], &terms, &["--closes-at", "2199-01-01T00:00:00Z"]].concat()).expect(0);
    assert_eq!(created.json()["loaded"], false, "no order-consumer runs here");

    let shown = site.run(&["sale", "show", sale.as_str(), "--json"]).expect(0).json();
    for (name, value) in [
        ("id", json!(sale)),
        ("title", json!("Phones")),
        ("stock", json!(50)),
        ("remaining", json!(50)),
        ("held", json!(0)),
        ("sold", json!(0)),
        ("perBuyerLimit", json!(2)),
        ("opensAt", json!("2020-01-01T00:00:00Z")),
        ("closesAt", json!("2199-01-01T00:00:00Z")),
        ("state", json!("open")),
        ("ledger", json!("not loaded")),
    ] {
        assert_eq!(shown[name], value, "{name} of {shown}");
    }
    let mut again = site.run(&["stock", "show", sale.as_str(), "--json"]).expect(0).json();
    again["serverTime"] = shown["serverTime"].clone();
    assert_eq!(again, shown);

    let listed = site.run(&["sale", "list", "--json"]).expect(0).json();
    let names: Vec<_> = listed["sales"].as_array().unwrap().iter().map(|it| it["id"].clone()).collect();
    assert_eq!(names, [json!(sale), json!("default")]);
    let text = site.run(&["sale", "list"]).expect(0).stdout;
    assert!(text.contains(sale.as_str()), "{text}");

    let history = site.run(&["sale", "history", sale.as_str(), "--json"]).expect(0).json();
    let made = &history["adjustments"][0];
    assert_eq!(
        (&made["delta"], &made["actor"], &made["reason"]),
        (&json!(50), &json!("olga"), &json!("created"))
    );
}

#[tokio::test]
async fn create_waits_until_an_order_consumer_has_loaded_the_sale() {
    let mut site = Site::new().await;
    let sale = site.name();
    let (store, name): (OrderStore, _) = (site.database.store(), sale.clone());
    let keeper = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let ledger = patient_ledger();
            loop {
                if let Some(stored) = store.sale(&name).await.unwrap() {
                    return load(&ledger, &stored).await;
                }
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
        });
    });
    let created = site.run(&["sale", "create", sale.as_str(), "--stock", "3", "--json"]).expect(0).json();
    keeper.join().unwrap();
    assert_eq!((&created["loaded"], &created["remaining"]), (&json!(true), &json!(3)));
}

#[tokio::test]
async fn creating_a_sale_that_exists_is_refused() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let said = site.refused(&sale, &["sale", "create", sale.as_str(), "--stock", "99"]).await;
    assert!(said.contains("already"), "{said}");
}

#[tokio::test]
async fn every_command_on_a_sale_that_is_not_there_says_so() {
    let mut site = Site::with_topics().await;
    let sale = site.name();
    let name = sale.as_str();
    for arguments in [
        &["sale", "show", name][..],
        &["sale", "history", name],
        &["sale", "open", name],
        &["sale", "pause", name],
        &["sale", "close", name, "--yes"],
        &["stock", "show", name],
        &["stock", "add", name, "5", "--reason", "r"],
        &["stock", "set", name, "5"],
        &["reset", name, "--to", "5", "--yes"],
        &["reconcile", name],
    ] {
        let said = site.refused(&sale, arguments).await;
        assert_eq!(said, format!("stock-admin: there is no sale {name}"), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_sale_is_paused_opened_and_closed_on_both_sides() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    for (command, switch, state) in [
        ("pause", SaleSwitch::Paused, "paused"),
        ("open", SaleSwitch::Open, "open"),
        ("close", SaleSwitch::Closed, "ended"),
    ] {
        let shown = site.run(&["sale", command, sale.as_str(), "--json"]).expect(0).json();
        assert_eq!(shown["state"], state);
        let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
        assert_eq!((stored.sale.switch, ledger.sale.switch), (switch, switch));
        assert_eq!(stored.adjustment, ledger.adjustment);
        assert_eq!((stored.sale.stock, ledger.remaining), (10, 10));
    }
    let history = site.store.history(&sale).await.unwrap();
    let reasons: Vec<_> = history.iter().map(|it| it.reason.as_str()).collect();
    assert_eq!(reasons, ["created", "paused", "open", "closed"]);
}

#[tokio::test]
async fn a_sale_that_no_ledger_has_is_not_changed() {
    let mut site = Site::new().await;
    let sale = site.unloaded_sale(10).await.sale.id;
    let name = sale.as_str();
    for arguments in [
        &["sale", "pause", name][..],
        &["stock", "add", name, "5", "--reason", "r"],
        &["stock", "set", name, "5"],
        &["reset", name, "--to", "5", "--yes"],
    ] {
        let said = site.refused(&sale, arguments).await;
        assert!(said.contains("not loaded"), "{said}");
    }
}
