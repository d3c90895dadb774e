//! `POST` and `GET` of `/v1/sales/{sale}/orders`: what buyers get.

use std::{collections::HashSet, sync::Arc};

use futures_util::future;
use jiff::Timestamp;
use seckill_core::order::OrderId;

use crate::world::{PHONE, RunningApi, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_answered_202_with_its_location_in_the_shape_of_the_contract() {
    let world = World::open(10).await;
    let answer = world.order(r#"{"user":"ada","goods":"phone","quantity":2,"remark":"red"}"#).await;
    assert_eq!(answer.status, 202, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    assert_eq!(answer.header("idempotency-replayed"), None);
    let order = answer.json();
    let id = order["id"].as_str().unwrap();
    let created: Timestamp = order["createdDate"].as_str().unwrap().parse().unwrap();
    assert_eq!(OrderId::parse(id).unwrap().uuid().get_version_num(), 7);
    assert_eq!(answer.header("location"), Some(&*world.path(&format!("/orders/{id}"))));
    assert_eq!(order["openid"], format!("{id}-{}", created.as_millisecond()));
    assert!(created.duration_since(Timestamp::now()).abs().as_secs() < 10);
    for (field, expected) in [("user", "ada"), ("goods", "phone"), ("remark", "red"), ("status", "accepted")]
    {
        assert_eq!(order[field], expected);
    }
    assert_eq!((order["quantity"].as_u64(), order["remainCount"].as_u64()), (Some(2), Some(8)));
    assert_eq!(order["sale"], world.sale.as_str());
    assert_eq!(order["updateDate"], order["createdDate"]);
    let mut fields: Vec<_> = order.as_object().unwrap().keys().cloned().collect();
    fields.sort_unstable();
    let expected = "createdDate goods id openid quantity remainCount remark sale status updateDate user";
    assert_eq!(fields.join(" "), expected);

    // Its location answers it.
    let found = world.api.get(answer.header("location").unwrap()).await;
    assert_eq!(found.status, 200);
    assert_eq!(found.json()["openid"], order["openid"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_order_does_not_say_has_its_default() {
    let world = World::open(10).await;
    let order = world.order(PHONE).await.json();
    assert_eq!(order["quantity"], 1);
    assert!(order["remark"].is_null());
    assert_eq!(order["remainCount"], 9);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_retry_by_key_is_the_same_order_and_says_so() {
    let world = World::open(10).await;
    let first = world.order_by_key("once", PHONE).await;
    assert_eq!((first.status, first.header("idempotency-replayed")), (202, None));
    assert_eq!(OrderId::parse(first.json()["id"].as_str().unwrap()).unwrap().uuid().get_version_num(), 8);
    for _ in 0..3 {
        // Fields in another order, and what is said elsewhere by default, are the same request.
        let again = world.order_by_key("once", r#"{"quantity":1, "goods":"phone","user":"ada"}"#).await;
        assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
        assert_eq!(again.header("location"), first.header("location"));
        assert_eq!(again.json(), first.json());
    }
    assert_eq!(world.remaining().await, 9);

    // Another buyer's key of the same name is another order.
    let other = world.order_by_key("once", r#"{"user":"bob","goods":"phone"}"#).await;
    assert_eq!((other.status, other.header("idempotency-replayed")), (202, None));
    assert_ne!(other.json()["id"], first.json()["id"]);
    assert_eq!(world.remaining().await, 8);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_key_with_another_body_is_a_conflict() {
    let world = World::open(10).await;
    world.order_by_key("once", PHONE).await;
    for body in [
        r#"{"user":"ada","goods":"phone","quantity":2}"#,
        r#"{"user":"ada","goods":"tablet"}"#,
        r#"{"user":"ada","goods":"phone","remark":""}"#,
        r#"{"user":"ada","goods":"phone "}"#,
    ] {
        let problem = world.order_by_key("once", body).await.problem(422, "idempotency-conflict");
        assert_eq!(problem["errors"][0]["field"], "Idempotency-Key");
    }
    assert_eq!(world.remaining().await, 9);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_hundred_requests_at_once_by_one_key_are_one_order() {
    let world = Arc::new(World::open(1000).await);
    let (mut orders, mut replayed) = (HashSet::new(), 0);
    let requests = (0..100).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.order_by_key("at-once", PHONE).await })
    });
    for answer in future::join_all(requests).await {
        let answer = answer.unwrap();
        assert_eq!(answer.status, 202, "{}", answer.body);
        replayed += usize::from(answer.header("idempotency-replayed").is_some());
        orders.insert(answer.json()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!((orders.len(), replayed), (1, 99));
    assert_eq!(world.remaining().await, 999);
    let Ok(world) = Arc::try_unwrap(world).map_err(drop) else { panic!("still shared") };
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p3_without_a_key_every_request_is_an_order_until_all_is_sold() {
    let world = Arc::new(World::open(30).await);
    let requests = (0..100).map(|_| {
        let world = Arc::clone(&world);
        tokio::spawn(async move { world.order(PHONE).await })
    });
    let mut orders = HashSet::new();
    for answer in future::join_all(requests).await {
        let answer = answer.unwrap();
        if answer.status == 202 {
            orders.insert(answer.json()["id"].as_str().unwrap().to_owned());
        } else {
            answer.problem(409, "sold-out");
        }
    }
    assert_eq!(orders.len(), 30);
    assert_eq!(world.remaining().await, 0);
    let Ok(world) = Arc::try_unwrap(world).map_err(drop) else { panic!("still shared") };
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_two_servers_are_one_and_a_restarted_one_is_the_same() {
    let world = World::open(10).await;
    let first = world.order_by_key("once", PHONE).await;
    let other = RunningApi::start(world.parts().await, &[]);
    let again = other.post(&world.path("/orders"), &[("idempotency-key", "once")], PHONE).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
    assert_eq!(again.json(), first.json());
    other.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_an_order_that_is_not_there_is_not_found() {
    let world = World::open(10).await;
    let unknown = OrderId::fresh();
    world.api.get(&world.path(&format!("/orders/{unknown}"))).await.problem(404, "order-not-found");
    world.api.get(&format!("/v1/sales/no-such-sale/orders/{unknown}")).await.problem(404, "sale-not-found");
    // It is of this sale only.
    let order = world.buy("ada", 1).await;
    let id = order["id"].as_str().unwrap();
    world.api.get(&format!("/v1/sales/no-such-sale/orders/{id}")).await.problem(404, "sale-not-found");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_ids_that_are_none_are_malformed() {
    let world = World::open(10).await;
    let simple = OrderId::fresh().uuid().simple().to_string();
    for id in [
        "1",
        "not-an-id",
        "%00",
        "%E4%B9%B0",
        "..%2f..",
        "'; DROP TABLE orders; --",
        &simple,
        &"9".repeat(36),
    ] {
        world.api.get(&world.path(&format!("/orders/{id}"))).await.problem(400, "malformed-request");
    }
    for sale in ["%7Bx%7D", "a%20b", "%00", "-x", &"x".repeat(65), "%E4%B9%B0"] {
        world.api.get(&format!("/v1/sales/{sale}")).await.problem(400, "malformed-request");
        world
            .api
            .post(&format!("/v1/sales/{sale}/orders"), &[], PHONE)
            .await
            .problem(400, "malformed-request");
    }
    assert_eq!(world.remaining().await, 10);
    world.end().await;
}
