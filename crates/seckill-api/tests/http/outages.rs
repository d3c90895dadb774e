//! What depends on what is away is refused at once, and says what it is.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use seckill_core::{
    ledger::{ACCEPT_WITHIN, StockLedger},
    order_log::OrderPublisher,
    settings::KafkaSettings,
    store::{OrderStore, StoreOptions},
};
use tokio::net::TcpListener;

use crate::world::{PHONE, RunningApi, World};

#[tokio::test(flavor = "multi_thread")]
async fn p6_without_the_ledger_orders_and_sales_are_503_and_the_process_is_unready() {
    let world = World::open(10).await;
    let mut parts = world.parts().await;
    parts.ledger = StockLedger::new(&"redis://127.0.0.1:1/0".to_owned().into(), 2).unwrap();
    let api = RunningApi::start(parts, &[]);
    let started = Instant::now();
    api.post(&world.path("/orders"), &[], PHONE).await.problem(503, "ledger-unavailable");
    api.get(&world.path("")).await.problem(503, "ledger-unavailable");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    let ready = api.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["missing"]), (503, &serde_json::json!(["ledger"])));
    assert_eq!(api.get("/livez").await.status, 200);
    api.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_without_the_store_orders_go_on() {
    let world = World::open(10).await;
    let mut parts = world.parts().await;
    let nowhere = "mysql://nobody:nothing@127.0.0.1:1/nowhere".into();
    parts.store = OrderStore::connect(&nowhere, StoreOptions::default()).unwrap();
    let api = RunningApi::start(parts, &[]);
    let order = api.post(&world.path("/orders"), &[], PHONE).await;
    assert_eq!(order.status, 202, "{}", order.body);
    assert_eq!(api.get(order.header("location").unwrap()).await.status, 200, "the ledger has it");
    assert_eq!(api.get(&world.path("")).await.status, 200);
    api.get("/v1/sales").await.problem(503, "store-unavailable");
    let ready = api.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["missing"]), (200, &serde_json::json!(["store"])));
    api.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_store_that_stands_still_holds_no_reader_up_for_long() {
    let world = World::open(10).await;
    let api = RunningApi::start(world.parts().await, &[]);
    let order = api.post(&world.path("/orders"), &[], PHONE).await;
    // Connections stay, and no read comes back.
    let lock = world.database.execute_and_fall_silent("LOCK TABLES orders WRITE, sales WRITE").await;
    let started = Instant::now();
    let found = api.get(order.header("location").unwrap()).await;
    assert_eq!(found.status, 200, "the ledger has it: {}", found.body);
    api.get("/v1/sales").await.problem(503, "store-unavailable");
    assert!(started.elapsed() < Duration::from_secs(7), "{:?}", started.elapsed());
    drop(lock);
    api.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_p6_without_the_order_log_the_first_order_is_pending_and_then_none_are_taken() {
    let world = World::open(10).await;
    let mut parts = world.parts().await;
    let kafka = KafkaSettings { kafka_brokers: "127.0.0.1:1".into(), ..world.kafka.clone() };
    parts.publisher = Arc::new(OrderPublisher::new(&kafka).unwrap());
    let api = RunningApi::start(parts, &[]);
    let orders = world.path("/orders");
    let pending = api.post(&orders, &[], PHONE).await;
    assert_eq!((pending.status, &pending.json()["status"]), (202, &"pending".into()));
    assert_eq!(pending.json()["remainCount"], 9);
    let started = Instant::now();
    api.post(&orders, &[], PHONE).await.problem(503, "order-log-unavailable");
    api.post(&orders, &[("idempotency-key", "k")], PHONE).await.problem(503, "order-log-unavailable");
    assert!(started.elapsed() < Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(world.remaining().await, 9, "nothing more was taken");
    let found = api.get(pending.header("location").unwrap()).await;
    assert_eq!(found.json()["status"], "pending");
    let ready = api.get("/readyz").await;
    assert_eq!((ready.status, &ready.json()["missing"]), (503, &serde_json::json!(["orderLog"])));
    api.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_ledger_that_lost_the_sale_is_recovering() {
    let world = World::open(10).await;
    world.lose_the_ledger().await;
    world.order(PHONE).await.problem(503, "ledger-recovering");
    world.order_by_key("k", PHONE).await.problem(503, "ledger-recovering");
    world.reload().await;
    assert_eq!(world.order(PHONE).await.status, 202);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_more_orders_than_may_wait_are_refused_at_once() {
    let world = World::open(10).await;
    // A ledger that takes calls and does not answer.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("redis://{}/0", silent.local_addr().unwrap());
    let listening = tokio::spawn(async move {
        let mut calls = Vec::new();
        while let Ok((call, _)) = silent.accept().await {
            calls.push(call);
        }
    });
    let mut parts = world.parts().await;
    parts.ledger = StockLedger::new(&url.into(), 2).unwrap();
    let api = RunningApi::start(parts, &["--queue-capacity", "3"]);
    let orders = world.path("/orders");
    let ask = || async {
        let started = Instant::now();
        let answer = api.post(&orders, &[], PHONE).await;
        (answer, started.elapsed())
    };
    let answers = futures_util::future::join_all((0..50).map(|_| ask())).await;
    let mut at_once = 0;
    for (answer, after) in answers {
        let overloaded = answer.json()["code"] == "overloaded";
        // Those that found a place have waited for the ledger, but no longer than an order may; nothing was sent.
        answer.problem(503, if overloaded { "overloaded" } else { "ledger-unavailable" });
        assert!(after < ACCEPT_WITHIN + Duration::from_secs(1), "{after:?}");
        at_once += usize::from(overloaded && after < Duration::from_secs(1));
    }
    assert!(at_once >= 40, "{at_once}");
    listening.abort();
    api.stop().await;
    world.end().await;
}
