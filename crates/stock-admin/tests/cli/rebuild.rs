//! `rebuild`: a sale's ledger loaded anew by the keeper, on demand.

use std::time::Duration;

use seckill_core::{ledger::SaleLookup, order::OrderStatus};
use serde_json::json;

use crate::{
    at_work::AtWork,
    support::{Site, raw, run, run_beside},
};

#[tokio::test(flavor = "multi_thread")]
async fn p2_p4_a_rebuild_keeps_every_order_and_mends_what_was_damaged() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::all(&site);
    let sale = site.sale_by_keeper(100).await;
    let written = site.buy(Some(&work.publisher), &sale, 3).await;
    site.becomes(&written, OrderStatus::Confirmed).await;
    let in_the_outbox = site.take(&sale, 4).await;
    let mut hset = deadpool_redis::redis::cmd("HSET");
    hset.arg(format!("seckill:{{{sale}}}:sale")).arg("remaining").arg(1);
    hset.query_async::<()>(&mut raw().await).await.unwrap();

    let before = site.in_ledger(&sale).await.epoch;
    let said = run_beside(site.command(&["rebuild", sale.as_str(), "--yes", "--json"])).await;
    let said = said.expect(0).json();
    assert_eq!(said["rebuilt"][0]["remaining"], 93, "{said}");
    assert!(said["seconds"].as_f64().unwrap() > 3.0, "late acknowledgements were not waited for: {said}");
    let ledger = site.in_ledger(&sale).await;
    assert_eq!((ledger.remaining, ledger.orders, ledger.outbox), (93, 2, 0));
    assert!(ledger.epoch > before);
    site.becomes(&in_the_outbox, OrderStatus::Confirmed).await;
    work.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rebuilds_at_once_of_all_sales_end_with_all_loaded() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::all(&site);
    let (one, two) = (site.sale_by_keeper(5).await, site.sale_by_keeper(7).await);
    site.buy(Some(&work.publisher), &one, 2).await;
    let arguments = ["rebuild", "--yes", "--json"];
    let (all, single) = tokio::join!(
        run_beside(site.command(&arguments)),
        run_beside(site.command(&["rebuild", one.as_str(), "--yes"])),
    );
    single.expect(0);
    assert_eq!(all.expect(0).json()["rebuilt"].as_array().unwrap().len(), 2);
    assert_eq!((site.in_ledger(&one).await.remaining, site.in_ledger(&two).await.remaining), (3, 7));
    work.end().await;
}

#[tokio::test]
async fn without_an_order_consumer_a_rebuild_is_refused_and_the_sale_sells_on() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    let said = site.refused(&sale, &["rebuild", sale.as_str(), "--yes"]).await;
    assert!(said.contains("no order-consumer runs") && said.contains("nothing was changed"), "{said}");
    site.hold(&sale, 1).await;
}

#[tokio::test]
async fn without_yes_and_without_a_terminal_a_rebuild_is_refused() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    for arguments in [&["rebuild", sale.as_str()][..], &["rebuild", "--all"]] {
        let said = site.refused(&sale, arguments).await;
        assert!(said.contains("--yes"), "{said}");
    }
    let ran = site.run(&["rebuild", "no-such-sale", "--yes"]).expect(1);
    assert!(ran.complaint().contains("there is no sale no-such-sale"), "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rebuild_that_takes_too_long_says_who_is_at_it_and_is_finished_later() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::all(&site);
    let sale = site.sale_by_keeper(10).await;
    let arguments = ["rebuild", sale.as_str(), "--yes", "--within", "1", "--json"];
    let ran = run_beside(site.command(&arguments)).await.expect(1);
    let error: serde_json::Value = serde_json::from_str(ran.complaint()).unwrap();
    assert_eq!(error["error"], json!("refused"));
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("sell nothing") && message.contains("an order-consumer is at it"), "{message}");
    assert!(!matches!(site.ledger.sale(&sale).await.unwrap(), SaleLookup::Trusted(_)));
    site.loaded(&sale).await;
    assert_eq!(site.in_ledger(&sale).await.remaining, 10);
    work.end().await;
}

#[tokio::test]
async fn a_rebuild_halts_nothing_where_a_service_that_it_needs_is_away() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    let before = site.everything(&sale).await;
    let ran = run(site
        .command(&["rebuild", sale.as_str(), "--yes"])
        .env("KAFKA_BROKERS", "127.0.0.1:1")
        .timeout(Duration::from_secs(60)));
    assert!(ran.expect(69).stderr.contains("KAFKA_BROKERS"));
    assert_eq!(site.everything(&sale).await, before);
}
