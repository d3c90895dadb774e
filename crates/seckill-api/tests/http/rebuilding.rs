//! A key stands for its order for ever: also when the ledger has been lost and rebuilt, and the server is
//! another.

use std::{collections::HashSet, sync::Arc};

use futures_util::future;
use order_consumer::keeper::Keeper;
use reqwest::Method;
use seckill_core::{
    ledger::{Reservation, ReserveOutcome},
    order::{BuyerId, Goods, IdempotencyKey, OrderIdSecret, OrderRequest, Quantity},
    order_log::{LogObserver, OrderPublisher},
    sale::Sale,
    settings::GroupSettings,
};
use serde_json::Value;

use crate::{
    world::{RunningApi, SECRET, World, terms},
    writer::Writer,
};

/// Takes the ledger away, and lets the keeper make it again.
async fn lose_and_rebuild(world: &World) {
    world.lose_the_ledger().await;
    let group = GroupSettings { consumer_group: world.sale.to_string() };
    let keeper = Keeper {
        store: world.store.clone(),
        ledger: world.ledger.clone(),
        publisher: Arc::new(OrderPublisher::new(&world.kafka).unwrap()),
        observer: LogObserver::new(&world.kafka, &group).unwrap(),
    };
    keeper.rebuild_untrusted().await.unwrap();
}

/// Bodies that differ in what is easily lost on the way through the store.
fn body(user: &str, remark: Option<&str>) -> String {
    serde_json::json!({"user": user, "goods": "phone ", "quantity": 2, "remark": remark}).to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_keys_outlive_the_ledger_and_the_server() {
    let world = World::of(Sale { per_buyer_limit: Some(2), ..terms(100) }).await;
    let mut writer = Writer::start(&world);
    let asked = [
        ("ada", body("ada", None)),
        ("ada ", body("ada ", Some(""))),
        ("Ada", body("Ada", Some(" ends in a space "))),
        ("买家😀", body("买家😀", Some("e\u{301}"))),
    ];
    let mut first: Vec<Value> = Vec::new();
    for (_, body) in &asked {
        first.push(world.order_by_key("mine", body).await.json());
    }
    writer.stop().await;
    // One that is in the log and not in the store when the ledger goes.
    let late = body("late", Some("in the log only"));
    first.push(world.order_by_key("mine", &late).await.json());
    writer = Writer::start(&world);
    lose_and_rebuild(&world).await;
    assert_eq!(world.remaining().await, 90);

    let api = RunningApi::start(world.parts().await, &[]);
    let bodies = asked.iter().map(|(_, body)| body).chain([&late]);
    for (body, first) in bodies.zip(&first) {
        let key = [("idempotency-key", "mine")];
        let again = api.post(&world.path("/orders"), &key, body).await;
        assert_eq!(
            (again.status, again.header("idempotency-replayed")),
            (202, Some("true")),
            "{}",
            again.body
        );
        assert_eq!(again.json(), *first);
        let other = body.replace("phone ", "phone");
        api.post(&world.path("/orders"), &key, &other).await.problem(422, "idempotency-conflict");
        // The limit counts what they had before.
        api.post(&world.path("/orders"), &[], body).await.problem(409, "limit-reached");
    }
    assert_eq!(world.remaining().await, 90);
    api.stop().await;
    writer.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_p5_a_pending_order_that_died_with_the_ledger_is_taken_anew_once() {
    let world = World::open(10).await;
    let writer = Writer::start(&world);
    let (buyer, key) = (BuyerId::parse("ada").unwrap(), IdempotencyKey::parse(b"mine").unwrap());
    let id = OrderIdSecret::new(SECRET).order_id(&world.sale, &buyer, &key);
    let goods = Goods::parse("phone").unwrap();
    let request = OrderRequest { buyer, goods, quantity: Quantity::ONE, remark: None };
    // Taken, and never published: its server died in between, and the ledger after it.
    let ask = Reservation { sale: world.sale.clone(), id, request };
    let outcome = world.ledger.reserve(&world.sale, &[ask]).await.unwrap().remove(0);
    let ReserveOutcome::Reserved(lost) = outcome else { panic!("{outcome:?}") };
    lose_and_rebuild(&world).await;
    world.api.get(&world.path(&format!("/orders/{id}"))).await.problem(404, "order-not-found");

    let orders = world.path("/orders");
    let ask = || {
        let headers = [("content-type", "application/json"), ("idempotency-key", "mine")];
        let (api, orders) = (&world.api, &orders);
        async move { api.send(Method::POST, orders, &headers, crate::world::PHONE).await }
    };
    let (mut ids, mut replayed) = (HashSet::new(), 0);
    for answer in future::join_all((0..100).map(|_| ask())).await {
        assert_eq!(answer.status, 202, "{}", answer.body);
        replayed += usize::from(answer.header("idempotency-replayed").is_some());
        ids.insert(answer.json()["id"].as_str().unwrap().to_owned());
    }
    assert_eq!((ids.len(), replayed), (1, 99));
    assert!(ids.contains(&id.to_string()), "the same key, the same order");

    // What the dead server had sent turns up after all.
    let relay = OrderPublisher::new(&world.kafka).unwrap();
    relay.publish_and_wait(&lost.placed_event()).await.unwrap();
    writer.stop().await;
    let writer = Writer::start(&world);
    let started = std::time::Instant::now();
    while world.api.get(&world.path(&format!("/orders/{id}"))).await.json()["status"] != "confirmed" {
        assert!(started.elapsed().as_secs() < 10, "not confirmed");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    assert_eq!(world.remaining().await, 9);
    assert_eq!(world.store.sale(&world.sale).await.unwrap().unwrap().sold, 1);
    writer.stop().await;
    world.end().await;
}
