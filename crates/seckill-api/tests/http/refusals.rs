//! Refusals of orders that are well-formed: what the sale does not allow, and what HTTP does not.

use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use seckill_core::sale::{Sale, SaleSwitch};

use crate::world::{PHONE, World, terms};

fn in_seconds(seconds: i64) -> Timestamp {
    let time = Timestamp::now() + SignedDuration::from_secs(seconds);
    Timestamp::from_second(time.as_second()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn sold_out_is_409_and_a_smaller_order_may_still_fit() {
    let world = World::open(3).await;
    world.order(r#"{"user":"ada","goods":"phone","quantity":4}"#).await.problem(409, "sold-out");
    world.buy("ada", 3).await;
    world.order(PHONE).await.problem(409, "sold-out");
    world.order_by_key("late", PHONE).await.problem(409, "sold-out");
    assert_eq!(world.remaining().await, 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_winner_who_retries_a_sold_out_sale_has_their_order() {
    let world = World::open(1).await;
    let won = world.order_by_key("mine", PHONE).await;
    world.order(r#"{"user":"bob","goods":"phone"}"#).await.problem(409, "sold-out");
    let again = world.order_by_key("mine", PHONE).await;
    assert_eq!((again.status, again.json()), (202, won.json()));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_the_limit_counts_units_of_one_buyer_compared_by_bytes() {
    let world = World::of(Sale { per_buyer_limit: Some(2), ..terms(10) }).await;
    world.order(r#"{"user":"ada","goods":"phone","quantity":3}"#).await.problem(409, "limit-reached");
    world.buy("ada", 2).await;
    world.order(PHONE).await.problem(409, "limit-reached");
    for other in ["Ada", "ada ", "a\u{301}da", "ádа"] {
        world.buy(other, 2).await;
    }
    assert_eq!(world.remaining().await, 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_has_not_opened_says_when_it_will() {
    let opens_at = in_seconds(3600);
    let world = World::of(Sale { opens_at: Some(opens_at), ..terms(10) }).await;
    let problem = world.order(PHONE).await.problem(409, "sale-not-open");
    assert_eq!(problem["opensAt"], opens_at.to_string());
    assert_eq!(world.remaining().await, 10);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_has_ended_or_is_paused_sells_nothing() {
    let opened = in_seconds(-60);
    let window = Sale { opens_at: Some(opened), closes_at: Some(in_seconds(-1)), ..terms(10) };
    let over = World::of(window).await;
    let problem = over.order(PHONE).await.problem(409, "sale-ended");
    assert_eq!(problem["opensAt"], opened.to_string());
    over.end().await;
    let closed = World::of(Sale { switch: SaleSwitch::Closed, ..terms(10) }).await;
    let problem = closed.order(PHONE).await.problem(409, "sale-ended");
    assert!(problem.get("opensAt").is_none(), "it is not known: {problem}");
    closed.end().await;
    let opens_at = in_seconds(3600);
    let paused = World::of(Sale { switch: SaleSwitch::Paused, opens_at: Some(opens_at), ..terms(10) }).await;
    let problem = paused.order(PHONE).await.problem(409, "sale-paused");
    assert_eq!(problem["opensAt"], opens_at.to_string());
    assert_eq!(paused.remaining().await, 10);
    paused.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sale_that_is_not_there_is_not_found() {
    let world = World::open(10).await;
    world.api.post("/v1/sales/no-such-sale/orders", &[], PHONE).await.problem(404, "sale-not-found");
    world.api.get("/v1/sales/no-such-sale").await.problem(404, "sale-not-found");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_that_are_not_there_are_not_found() {
    let world = World::open(10).await;
    for path in ["/nowhere", "/v1", "/v1/", "/v1/sales/", "/v1/sales/a/b/c/d", "//", "/seckill", "/problems"]
    {
        world.api.get(path).await.problem(404, "not-found");
        world.api.post(path, &[], "{}").await.problem(404, "not-found");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_methods_are_405_with_allow() {
    let world = World::open(10).await;
    let order = world.buy("ada", 1).await;
    let order = world.path(&format!("/orders/{}", order["id"].as_str().unwrap()));
    let (sale, orders) = (world.path(""), world.path("/orders"));
    let paths = [
        ("/v1/sales", "GET, HEAD"),
        (&*sale, "GET, HEAD"),
        (&orders, "POST"),
        (&order, "GET, HEAD"),
        ("/", "GET, HEAD"),
        ("/seckill/add", "POST"),
        ("/livez", "GET, HEAD"),
        ("/readyz", "GET, HEAD"),
        ("/metrics", "GET, HEAD"),
        ("/problems/sold-out", "GET, HEAD"),
    ];
    for (path, allow) in paths {
        for method in [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS]
        {
            if allow.contains(method.as_str()) {
                continue;
            }
            let answer = world.api.send(method, path, &[("content-type", "application/json")], "{}").await;
            answer.problem(405, "method-not-allowed");
            assert_eq!(answer.header("allow"), Some(allow), "{path}");
        }
        let unheard_of = world.api.send(Method::from_bytes(b"BREW").unwrap(), path, &[], "").await;
        unheard_of.problem(405, "method-not-allowed");
    }
    assert_eq!(world.remaining().await, 9);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_1_to_255_visible_ascii_characters_and_one_a_request() {
    let world = World::open(10).await;
    let longest = "k".repeat(255);
    assert_eq!(world.order_by_key(&longest, PHONE).await.status, 202);
    assert_eq!(world.order_by_key("!\"#$%&'()*+,-./:;<=>?@[]^_`{|}~", PHONE).await.status, 202);
    for key in ["", &"k".repeat(256), "a b", "a\tb"] {
        world.order_by_key(key, PHONE).await.problem(400, "malformed-request");
    }
    let orders = world.path("/orders");
    let two = world.api.post(&orders, &[("idempotency-key", "a"), ("idempotency-key", "b")], PHONE).await;
    two.problem(400, "malformed-request");
    let same = world.api.post(&orders, &[("idempotency-key", "a"), ("idempotency-key", "a")], PHONE).await;
    same.problem(400, "malformed-request");
    assert_eq!(world.remaining().await, 8);
    world.end().await;
}
