//! `POST /v1/sales/{sale}/orders/{id}/cancel`.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use jiff::Timestamp;
use seckill_core::{
    change::{ImportPlan, Sides},
    ledger::{Reservation, ReserveOutcome},
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, OrderStatus, Quantity, Units},
    order_log::OrderPublisher,
    settings::KafkaSettings,
    store::{ImportedOrder, OrderStore, StoreOptions},
};
use serde_json::Value;

use crate::{
    answer::Answer,
    world::{PHONE, RunningApi, World},
    writer::Writer,
};

fn id_of(order: &Value) -> OrderId {
    OrderId::parse(order["id"].as_str().unwrap()).unwrap()
}

async fn cancel(world: &World, id: OrderId) -> Answer {
    world.api.post(&world.path(&format!("/orders/{id}/cancel")), &[], "").await
}

async fn show(world: &World, id: OrderId) -> Value {
    world.api.get(&world.path(&format!("/orders/{id}"))).await.json()
}

/// Waits until `remaining` units are left.
async fn until_remaining(world: &World, remaining: Units) {
    let started = Instant::now();
    while world.remaining().await != remaining {
        assert!(started.elapsed() < Duration::from_secs(10), "{} units are left", world.remaining().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_status(world: &World, id: OrderId, status: OrderStatus) {
    let started = Instant::now();
    while world.store.order(&world.sale, id).await.unwrap().is_none_or(|order| order.status != status) {
        assert!(
            started.elapsed() < Duration::from_secs(10),
            "{:?}",
            world.store.order(&world.sale, id).await
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn sold(world: &World) -> Units {
    world.store.sale(&world.sale).await.unwrap().unwrap().sold
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_cancelled_order_gives_its_units_back_and_twice_is_one_cancel() {
    let world = World::open(10).await;
    let writer = Writer::start(&world);
    let kept = id_of(&world.buy("bob", 1).await);
    let order = world.order_by_key("mine", r#"{"user":"ada","goods":"phone","quantity":3}"#).await.json();
    let id = id_of(&order);
    // Two partitions may hold them: neither is bound to be written before the other.
    until_status(&world, kept, OrderStatus::Confirmed).await;
    until_status(&world, id, OrderStatus::Confirmed).await;
    assert_eq!((world.remaining().await, sold(&world).await), (6, 4));

    let answer = cancel(&world, id).await;
    assert_eq!((answer.status, answer.header("content-type")), (202, Some("application/json")));
    let cancelled = answer.json();
    assert_eq!(cancelled["status"], "cancelled");
    for field in ["id", "user", "goods", "quantity", "openid", "remainCount", "createdDate"] {
        assert_eq!(cancelled[field], order[field], "{field}");
    }
    // Who asks next reads what was answered.
    assert_eq!(show(&world, id).await, cancelled);
    until_remaining(&world, 9).await;
    assert_eq!(sold(&world).await, 1);

    let again = cancel(&world, id).await;
    assert_eq!((again.status, again.json()), (202, cancelled));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((world.remaining().await, sold(&world).await), (9, 1));
    // A retry of the order is answered as it stands, and takes nothing.
    let retry = world.order_by_key("mine", r#"{"user":"ada","goods":"phone","quantity":3}"#).await;
    assert_eq!((retry.status, &retry.json()["status"]), (202, &"cancelled".into()));
    assert_eq!(retry.header("idempotency-replayed"), Some("true"));
    assert_eq!(world.remaining().await, 9);
    assert_eq!(show(&world, kept).await["status"], "confirmed");
    writer.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_an_order_that_only_the_ledger_has_can_be_cancelled() {
    let world = World::open(10).await;
    let id = id_of(&world.buy("ada", 3).await);
    for _ in 0..3 {
        let answer = cancel(&world, id).await;
        assert_eq!((answer.status, &answer.json()["status"]), (202, &"cancelled".into()));
    }
    assert_eq!(world.remaining().await, 7, "not before the store has it");
    let writer = Writer::start(&world);
    until_status(&world, id, OrderStatus::Cancelled).await;
    until_remaining(&world, 10).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!((world.remaining().await, sold(&world).await), (10, 0));
    writer.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_pending_order_that_is_cancelled_stays_so_when_its_event_comes_later() {
    let world = World::open(10).await;
    let request = OrderRequest {
        buyer: BuyerId::parse("ada").unwrap(),
        goods: Goods::parse("phone").unwrap(),
        quantity: Quantity::new(4).unwrap(),
        remark: None,
    };
    let ask = Reservation { sale: world.sale.clone(), id: OrderId::fresh(), request };
    // Taken, and not published: as by a process that was killed in between.
    let outcome = world.ledger.reserve(&world.sale, &[ask]).await.unwrap().remove(0);
    let ReserveOutcome::Reserved(order) = outcome else { panic!("{outcome:?}") };
    let id = order.order.id;
    assert_eq!(show(&world, id).await["status"], "pending");
    assert_eq!(cancel(&world, id).await.json()["status"], "cancelled");

    let relay = OrderPublisher::new(&world.kafka).unwrap();
    relay.publish_and_wait(&order.placed_event()).await.unwrap();
    let writer = Writer::start(&world);
    until_status(&world, id, OrderStatus::Cancelled).await;
    until_remaining(&world, 10).await;
    assert_eq!((sold(&world).await, world.ledger_sale().await.outbox), (0, 0));
    writer.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_is_final() {
    let world = World::open(10).await;
    let id = id_of(&world.buy("ada", 1).await);
    // The store has less than the ledger believed.
    world.database.execute("UPDATE sales SET stock = 0").await;
    let writer = Writer::start(&world);
    until_status(&world, id, OrderStatus::Rejected).await;
    cancel(&world, id).await.problem(409, "order-final");
    assert_eq!(show(&world, id).await["status"], "rejected");
    writer.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_what_is_not_there_cannot_be_cancelled() {
    let world = World::open(10).await;
    cancel(&world, OrderId::fresh()).await.problem(404, "order-not-found");
    let id = id_of(&world.buy("ada", 1).await);
    let elsewhere = format!("/v1/sales/no-such-sale/orders/{id}/cancel");
    world.api.post(&elsewhere, &[], "").await.problem(404, "sale-not-found");
    world.api.post(&world.path("/orders/1/cancel"), &[], "").await.problem(400, "malformed-request");
    let get = world.api.get(&world.path(&format!("/orders/{id}/cancel"))).await;
    get.problem(405, "method-not-allowed");
    assert_eq!(get.header("allow"), Some("POST"));
    assert_eq!(show(&world, id).await["status"], "accepted");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_p6_without_the_order_log_nobody_is_told_that_an_order_is_cancelled() {
    let world = World::open(10).await;
    let id = id_of(&world.buy("ada", 1).await);
    let mut parts = world.parts().await;
    let kafka = KafkaSettings { kafka_brokers: "127.0.0.1:1".into(), ..world.kafka.clone() };
    parts.publisher = Arc::new(OrderPublisher::new(&kafka).unwrap());
    let api = RunningApi::start(parts, &[]);
    let path = world.path(&format!("/orders/{id}/cancel"));
    let unknown = api.post(&path, &[], "").await.problem(503, "order-log-unavailable");
    assert!(unknown["detail"].as_str().unwrap().contains("not known"), "{unknown}");
    let started = Instant::now();
    api.post(&path, &[], "").await.problem(503, "order-log-unavailable");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(show(&world, id).await["status"], "accepted");
    api.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_without_the_store_orders_can_be_cancelled() {
    let world = World::open(10).await;
    let mut parts = world.parts().await;
    let nowhere = "mysql://nobody:nothing@127.0.0.1:1/nowhere".into();
    parts.store = OrderStore::connect(&nowhere, StoreOptions::default()).unwrap();
    let api = RunningApi::start(parts, &[]);
    let order = api.post(&world.path("/orders"), &[], PHONE).await.json();
    let path = world.path(&format!("/orders/{}/cancel", id_of(&order)));
    let answer = api.post(&path, &[], "").await;
    assert_eq!((answer.status, &answer.json()["status"]), (202, &"cancelled".into()));
    let writer = Writer::start(&world);
    until_status(&world, id_of(&order), OrderStatus::Cancelled).await;
    until_remaining(&world, 10).await;
    writer.stop().await;
    api.stop().await;
    world.end().await;
}

/// An order of the original, which named it otherwise than we do.
async fn import_one(world: &World) -> Order {
    let request = OrderRequest {
        buyer: BuyerId::parse("ada").unwrap(),
        goods: Goods::parse("phone").unwrap(),
        quantity: Quantity::ONE,
        remark: None,
    };
    let (id, taken) = (OrderId::fresh(), Timestamp::from_millisecond(1_613_800_000_123).unwrap());
    let order = Order::new(id, world.sale.clone(), request, None, taken, OrderStatus::Confirmed);
    let order = Order { openid: format!("{}-1613800000123", OrderId::fresh()), ..order };
    let plan = ImportPlan { orders: 1, units: 1, source: "elsewhere".into(), actor: "test".into() };
    let sides = Sides { store: &world.store, ledger: &world.ledger };
    let mut import = sides.begin_import(&world.sale, plan).await.unwrap();
    import.add(&[ImportedOrder { order: order.clone(), raw: None }]).await.unwrap();
    import.end().await;
    world.reload().await;
    order
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_an_imported_order_is_cancelled_as_any_other_and_keeps_its_openid() {
    let world = World::open(10).await;
    let writer = Writer::start(&world);
    let imported = import_one(&world).await;
    assert_eq!((world.remaining().await, sold(&world).await), (9, 1));
    let answer = cancel(&world, imported.id).await;
    assert_eq!((answer.status, &answer.json()["openid"]), (202, &Value::from(imported.openid.as_str())));
    until_remaining(&world, 10).await;
    assert_eq!(sold(&world).await, 0);
    let shown = show(&world, imported.id).await;
    assert_eq!((&shown["status"], &shown["openid"]), (&"cancelled".into(), &imported.openid.into()));
    writer.stop().await;
    world.end().await;
}
