//! `DELETE /order`: hand-made orders are gone; those of a sale are cancelled, hidden, and kept.

use std::sync::Arc;

use reqwest::Method;
use seckill_core::{
    order::{OrderId, OrderStatus},
    order_log::OrderPublisher,
    settings::KafkaSettings,
};

use crate::{
    office::{Office, TOKEN, id, text},
    world::RunningApi,
};

#[tokio::test(flavor = "multi_thread")]
async fn delete_order_cancels_an_order_of_a_sale_and_keeps_it_for_audit() {
    let office = Office::open(10).await;
    let (kept, bought) = (office.buy("bob", 1).await, office.buy("ada", 4).await);
    assert_eq!(office.world.remaining().await, 5);
    assert_eq!(office.delete(&[text(&bought, "id")]).await, 1);

    let path = format!("/order/{}", text(&bought, "id"));
    office.get(&path).await.problem(404, "order-not-found");
    let all = office.get("/order/all").await.json();
    assert_eq!((all.as_array().unwrap().len(), &all[0]["id"]), (1, &kept["id"]));
    assert_eq!(office.delete(&[text(&bought, "id")]).await, 0, "it is gone already");

    // The units are back once the consumer has read it, and not by the API before.
    assert_eq!(office.world.remaining().await, 5);
    office.consume(1).await;
    assert_eq!(office.world.remaining().await, 9);
    let stored = office.stored(&bought).await;
    assert_eq!((stored.status, stored.buyer.as_str()), (OrderStatus::Cancelled, "ada"));
    let sale = office.world.store.sale(&office.world.sale).await.unwrap().unwrap();
    assert_eq!(sale.sold, 1);
    let buyers = office.api.get(&office.world.path(&format!("/orders/{}", text(&bought, "id")))).await;
    assert_eq!((buyers.status, &buyers.json()["status"]), (200, &"cancelled".into()));
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn delete_order_deletes_hand_made_orders_and_counts_what_it_did() {
    let office = Office::open(10).await;
    let hand = office.make(r#"{"user":"ada","goods":"phone","openid":"again"}"#).await;
    let edit = format!(r#"{{"id":{},"user":"eve"}}"#, hand["id"]);
    office.ask(Method::PUT, "/order", &edit).await;
    let bought = office.buy("bob", 1).await;
    let unknown = OrderId::fresh().to_string();
    let ids = [text(&hand, "id"), text(&bought, "id"), &unknown, text(&hand, "id")];
    assert_eq!(office.delete(&ids).await, 2);
    assert_eq!(office.get("/order/all").await.body, "[]");
    assert_eq!(office.delete(&[]).await, 0);
    let answer = office.ask(Method::DELETE, "/order", "[]").await;
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    office.make(r#"{"user":"ada","goods":"phone","openid":"again"}"#).await;
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_an_order_that_was_cancelled_before_is_deleted_and_returns_its_units_once() {
    let office = Office::open(10).await;
    let bought = office.buy("ada", 4).await;
    office.delete(&[text(&bought, "id")]).await;
    office.consume(1).await;
    // As if an operator's first attempt had been cut off behind the cancellation.
    office.world.database.execute("UPDATE orders SET deleted_at = NULL").await;
    assert_eq!(office.delete(&[text(&bought, "id")]).await, 1);
    assert_eq!(office.world.remaining().await, 10);
    assert_eq!(office.stored(&bought).await.status, OrderStatus::Cancelled);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_is_only_hidden() {
    let office = Office::open(10).await;
    let bought = office.buy("ada", 1).await;
    office.world.database.execute("UPDATE orders SET status = 'rejected'").await;
    assert_eq!(office.delete(&[text(&bought, "id")]).await, 1);
    assert_eq!(office.stored(&bought).await.status, OrderStatus::Rejected);
    office.get(&format!("/order/{}", text(&bought, "id"))).await.problem(404, "order-not-found");
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_delete_order_refuses_what_is_no_list_of_ids() {
    let office = Office::open(1).await;
    office.make(r#"{"user":"ada","goods":"phone"}"#).await;
    for body in ["", "{}", "[1]", "[null]", "\"x\"", "[\"x\""] {
        office.ask(Method::DELETE, "/order", body).await.problem(400, "malformed-request");
    }
    office.ask(Method::DELETE, "/order", "[\"x\"]").await.names_field("id");
    let many = format!("[{}]", vec![format!("\"{}\"", OrderId::fresh()); 200].join(","));
    office.ask(Method::DELETE, "/order", &many).await.problem(413, "payload-too-large");
    assert_eq!(office.get("/order/all").await.json().as_array().unwrap().len(), 1);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_without_the_order_log_an_order_is_not_hidden_and_deleting_it_later_does() {
    let office = Office::open(10).await;
    let bought = office.buy("ada", 4).await;
    let mut parts = office.world.parts().await;
    parts.admin_token = Some(TOKEN.into());
    let nowhere = KafkaSettings { kafka_brokers: "127.0.0.1:1".into(), ..office.world.kafka.clone() };
    parts.publisher = Arc::new(OrderPublisher::new(&nowhere).unwrap());
    let away = RunningApi::start(parts, &[]);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let body = format!("[{}]", bought["id"]);
    let answer = away.send(Method::DELETE, "/order", &headers, &body).await;
    let problem = answer.problem(503, "order-log-unavailable");
    assert!(text(&problem, "detail").contains("once more does no harm"), "{problem}");
    assert_eq!(office.get(&format!("/order/{}", id(&bought))).await.json()["status"], "confirmed");
    assert_eq!(office.delete(&[text(&bought, "id")]).await, 1);
    office.consume(1).await;
    assert_eq!(office.world.remaining().await, 10);
    away.stop().await;
    office.end().await;
}
