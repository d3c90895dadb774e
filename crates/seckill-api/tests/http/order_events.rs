//! `GET /v1/sales/{sale}/orders/{id}/events`.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use reqwest::Method;
use seckill_api::{feed::OrderFeed, reading::Readings};
use seckill_core::order::{Order, OrderId, OrderStatus};

use crate::{listening::Listening, world::World, writer::Writer};

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_told_from_now_until_it_is_final() {
    let world = World::open(10).await;
    let order = world.buy("ada", 1).await;
    let path = world.path(&format!("/orders/{}/events", order["id"].as_str().unwrap()));
    let mut listening = Listening::to(&world.api, &path, None).await.ok().unwrap();
    let mut other = Listening::to(&world.api, &path, None).await.ok().unwrap();
    let first = listening.next().await.unwrap();
    assert_eq!((&*first.name, first.id.as_deref()), ("order", Some("accepted")));
    assert_eq!(first.data, order);

    let writer = Writer::start(&world);
    let last = listening.next().await.unwrap();
    assert_eq!((&*last.name, last.id.as_deref()), ("order", Some("confirmed")));
    assert_eq!((&last.data["id"], &last.data["status"]), (&order["id"], &"confirmed".into()));
    assert!(listening.next().await.is_none(), "the stream has ended");
    assert_eq!(other.next().await.unwrap().data["status"], "accepted");
    assert_eq!(other.next().await.unwrap().data, last.data);

    // Later there is nothing more to wait for.
    let mut late = Listening::to(&world.api, &path, None).await.ok().unwrap();
    assert_eq!(late.next().await.unwrap().data, last.data);
    assert!(late.next().await.is_none());
    // A browser comes back after every end, unless it is told not to.
    let back = Listening::to(&world.api, &path, Some("confirmed")).await.err().unwrap();
    assert_eq!((back.status, &*back.body), (204, ""));
    let mut missed_it = Listening::to(&world.api, &path, Some("accepted")).await.ok().unwrap();
    assert_eq!(missed_it.next().await.unwrap().data, last.data);
    writer.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_share_the_newest_that_any_of_them_has_read() {
    let world = World::open(10).await;
    let order: Order = serde_json::from_value(world.buy("ada", 1).await).unwrap();
    let later = order.update_date + SignedDuration::from_secs(1);
    let cancelled = Order { status: OrderStatus::Cancelled, update_date: later, ..order.clone() };
    let feed = OrderFeed::new(Readings::new(world.ledger.clone(), world.store.clone()));
    let first = feed.watch(order.clone());
    let second = feed.watch(cancelled.clone());
    let third = feed.watch(order);
    for listener in [&first, &second, &third] {
        assert_eq!(*listener.borrow(), cancelled);
    }
    assert_eq!(feed.watched(), 1);
    drop((first, second, third));
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(feed.watched(), 0, "nobody listens any more");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pending_order_that_died_with_the_ledger_ends_its_stream() {
    let world = World::open(10).await;
    let order = world.order_by_key("k", r#"{"user":"ada","goods":"phone"}"#).await.json();
    let id = OrderId::parse(order["id"].as_str().unwrap()).unwrap();
    // As if the log had not acknowledged it.
    world.back_into_the_outbox(id).await;
    let mut listening =
        Listening::to(&world.api, &world.path(&format!("/orders/{id}/events")), None).await.ok().unwrap();
    assert_eq!(listening.next().await.unwrap().data["status"], "pending");
    world.lose_the_ledger().await;
    world.reload().await;
    assert!(listening.next().await.is_none());
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_only_what_is_there_can_be_listened_to() {
    let world = World::open(10).await;
    let unknown = world.path(&format!("/orders/{}/events", OrderId::fresh()));
    world.api.get(&unknown).await.problem(404, "order-not-found");
    world.api.get(&world.path("/orders/1/events")).await.problem(400, "malformed-request");
    let id = world.buy("ada", 1).await["id"].as_str().unwrap().to_owned();
    let path = world.path(&format!("/orders/{id}/events"));
    let post = world.api.post(&path, &[], "").await;
    post.problem(405, "method-not-allowed");
    assert_eq!(post.header("allow"), Some("GET, HEAD"));
    let head = world.api.send(Method::HEAD, &path, &[], "").await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_that_does_not_move_is_kept_alive() {
    let world = World::open(10).await;
    let id = world.buy("ada", 1).await["id"].as_str().unwrap().to_owned();
    let path = world.path(&format!("/orders/{id}/events"));
    let mut listening = Listening::to(&world.api, &path, None).await.ok().unwrap();
    listening.next().await.unwrap();
    let started = Instant::now();
    assert_eq!(listening.next_block().await.unwrap(), ":");
    assert!(started.elapsed() < Duration::from_secs(8), "{:?}", started.elapsed());
    world.end().await;
}
