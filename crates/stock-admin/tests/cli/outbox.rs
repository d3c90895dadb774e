//! `outbox list` and `outbox publish`: orders whose events are not known to be in the order log.

use std::time::Duration;

use seckill_core::{order::OrderStatus, upkeep::relay::STALE_AFTER};
use serde_json::json;

use crate::{at_work::AtWork, support::Site};

#[tokio::test]
async fn the_outbox_shows_each_order_with_its_age() {
    let mut site = Site::to_work_on().await;
    let (sale, other) = (site.sale(10).await, site.sale(10).await);
    let (old, new) = (site.take(&sale, 2).await, site.take(&sale, 1).await);
    tokio::time::sleep(Duration::from_millis(300)).await;
    site.take(&other, 1).await;

    let listed = site.run(&["outbox", "list", sale.as_str(), "--json"]).expect(0).json();
    let entries = listed["entries"].as_array().unwrap();
    let seen: Vec<_> = entries.iter().map(|it| (&it["order"], &it["units"], &it["user"])).collect();
    let ben = json!("ben");
    assert_eq!(seen, [(&json!(old.order.id), &json!(2), &ben), (&json!(new.order.id), &json!(1), &ben)]);
    assert!(entries.iter().all(|it| it["ageMs"].as_u64().unwrap() >= 300), "{listed}");

    let all = site.run(&["outbox", "list", "--json"]).expect(0).json();
    assert_eq!(all["entries"].as_array().unwrap().len(), 3);
    let short = site.run(&["outbox", "list", sale.as_str(), "--limit", "1"]).expect(0).stdout;
    assert!(short.contains(&old.order.id.to_string()) && short.contains("and 1 more"), "{short}");
    assert!(!short.contains(&new.order.id.to_string()), "{short}");
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_p5_stale_orders_are_published_settled_and_written_once() {
    let mut site = Site::to_work_on().await;
    let sale = site.sale(10).await;
    let forgotten = site.take(&sale, 2).await;
    tokio::time::sleep(STALE_AFTER + Duration::from_millis(200)).await;
    let fresh = site.take(&sale, 1).await;

    let published = site.run(&["outbox", "publish", sale.as_str(), "--json"]).expect(0).json();
    assert_eq!(published["published"], 1, "{published}");
    let listed = site.run(&["outbox", "list", sale.as_str(), "--json"]).expect(0).json();
    assert_eq!(listed["entries"].as_array().unwrap().len(), 1, "settled, and only that: {listed}");
    assert_eq!(listed["entries"][0]["order"], json!(fresh.order.id));
    let again = site.run(&["outbox", "publish"]).expect(0).stdout;
    assert!(again.starts_with("published 0 orders"), "{again}");

    // By somebody else as well, as if two operators had been at it.
    let work = AtWork::writer(&site);
    work.publisher.publish_and_wait(&forgotten.placed_event()).await.unwrap();
    let last = site.buy(Some(&work.publisher), &sale, 1).await;
    site.becomes(&forgotten, OrderStatus::Confirmed).await;
    site.becomes(&last, OrderStatus::Confirmed).await;
    assert_eq!(site.in_store(&sale).await.sold, 3);
    work.end().await;
}

#[tokio::test]
async fn the_outbox_of_a_sale_that_is_not_there_is_refused() {
    let site = Site::to_work_on().await;
    for command in ["list", "publish"] {
        let ran = site.run(&["outbox", command, "no-such-sale"]).expect(1);
        assert!(ran.complaint().contains("there is no sale"), "{ran:?}");
    }
}
