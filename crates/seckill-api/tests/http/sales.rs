//! `GET /v1/sales` and `GET /v1/sales/{sale}`.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use seckill_core::sale::{Sale, SaleSwitch};
use serde_json::Value;

use crate::world::{World, terms};

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_has_the_shape_of_the_contract() {
    let opens_at = Timestamp::from_second(1_700_000_000).unwrap();
    let closes_at = Timestamp::now() + SignedDuration::from_hours(1);
    let closes_at = Timestamp::from_second(closes_at.as_second()).unwrap();
    let sale = Sale {
        title: "春节 <sale>".into(),
        per_buyer_limit: Some(2),
        opens_at: Some(opens_at),
        closes_at: Some(closes_at),
        ..terms(10)
    };
    let world = World::of(sale).await;
    world.buy("ada", 2).await;
    let answer = world.api.get(&world.path("")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let sale = answer.json();
    let mut fields: Vec<_> = sale.as_object().unwrap().keys().cloned().collect();
    fields.sort_unstable();
    assert_eq!(fields.join(" "), "closesAt id opensAt perBuyerLimit remaining serverTime state stock title");
    assert_eq!((&sale["id"], &sale["title"]), (&world.sale.as_str().into(), &"春节 <sale>".into()));
    assert_eq!(
        (&sale["stock"], &sale["remaining"], &sale["perBuyerLimit"]),
        (&10.into(), &8.into(), &2.into())
    );
    assert_eq!(sale["state"], "open");
    assert_eq!(sale["opensAt"], "2023-11-14T22:13:20Z");
    assert_eq!(sale["closesAt"], closes_at.to_string());
    let server_time: Timestamp = sale["serverTime"].as_str().unwrap().parse().unwrap();
    assert!(server_time.duration_since(Timestamp::now()).abs().as_secs() < 10);

    let head = world.api.send(Method::HEAD, &world.path(""), &[], "").await;
    assert_eq!((head.status, &*head.body), (200, ""));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_list_has_every_sale_loaded_or_not() {
    let world = World::open(10).await;
    let unloaded = Sale { stock: 7, ..terms(7) };
    world.store.create_sale(&unloaded, "test").await.unwrap();
    let answer = world.api.get("/v1/sales").await;
    assert_eq!(answer.status, 200);
    let list = answer.json();
    let sales = list["sales"].as_array().unwrap();
    assert_eq!(sales.len(), 2, "{list}");
    let of = |id: &str| sales.iter().find(|sale| sale["id"] == id).unwrap();
    assert_eq!(of(world.sale.as_str())["remaining"], 10);
    assert_eq!(of(unloaded.id.as_str())["remaining"], 7);
    // Until it is loaded it cannot be said how it stands now.
    world.api.get(&format!("/v1/sales/{}", unloaded.id)).await.problem(503, "ledger-recovering");
    let order = r#"{"user":"ada","goods":"phone"}"#;
    let path = format!("/v1/sales/{}/orders", unloaded.id);
    world.api.post(&path, &[], order).await.problem(503, "ledger-recovering");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_sale_that_the_store_cannot_read_hides_no_other() {
    let world = World::open(10).await;
    let spoilt = terms(7);
    world.store.create_sale(&spoilt, "test").await.unwrap();
    world.database.execute(&format!("UPDATE sales SET state = 'ajar' WHERE id = '{}'", spoilt.id)).await;
    let list = world.api.get("/v1/sales").await.json();
    let listed: Vec<_> = list["sales"].as_array().unwrap().iter().map(|sale| &sale["id"]).collect();
    assert_eq!(listed, [world.sale.as_str()]);
    // It is there, whatever its row says; of any name it cannot be said now that there is no such sale.
    world.api.get(&format!("/v1/sales/{}", spoilt.id)).await.problem(503, "store-unavailable");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_says_in_which_state_it_is() {
    let state = async |sale: Sale, sell: bool| -> Value {
        let world = World::of(sale).await;
        if sell {
            // Who is told of an order and looks sees it, although the sale was looked at just before.
            assert_eq!(world.api.get(&world.path("")).await.json()["state"], "open");
            world.buy("ada", 1).await;
        }
        let state = world.api.get(&world.path("")).await.json()["state"].clone();
        world.end().await;
        state
    };
    let hour = SignedDuration::from_hours(1);
    assert_eq!(state(Sale { opens_at: Some(Timestamp::now() + hour), ..terms(1) }, false).await, "scheduled");
    assert_eq!(state(terms(1), false).await, "open");
    assert_eq!(state(terms(1), true).await, "soldOut");
    assert_eq!(state(Sale { switch: SaleSwitch::Paused, ..terms(1) }, false).await, "paused");
    assert_eq!(state(Sale { switch: SaleSwitch::Closed, ..terms(1) }, false).await, "ended");
    assert_eq!(state(Sale { closes_at: Some(Timestamp::now() - hour), ..terms(1) }, false).await, "ended");
}
