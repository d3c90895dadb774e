//! `GET /v1/sales/{sale}/orders/{id}/timeline`.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use seckill_core::order::OrderId;
use serde_json::Value;

use crate::{answer::Answer, world::World, writer::Writer};

async fn timeline(world: &World, id: &Value) -> Answer {
    world.api.get(&world.path(&format!("/orders/{}/timeline", id.as_str().unwrap()))).await
}

fn names(timeline: &Value) -> String {
    let steps = timeline["steps"].as_array().unwrap();
    let names: Vec<_> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    names.join(" ")
}

/// Asks until the steps are `expected`.
async fn until(world: &World, id: &Value, expected: &str) -> Value {
    let started = Instant::now();
    loop {
        let answer = timeline(world, id).await;
        assert_eq!(answer.status, 200, "{}", answer.body);
        let timeline = answer.json();
        if names(&timeline) == expected {
            return timeline;
        }
        assert!(started.elapsed() < Duration::from_secs(10), "{expected} expected: {timeline}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orders_steps_are_told_with_their_times() {
    let world = World::open(10).await;
    let order = world.buy("ada", 2).await;
    let id = &order["id"];
    let reserved = timeline(&world, id).await.json();
    assert_eq!((names(&reserved), &reserved["status"]), ("reserved".to_owned(), &"accepted".into()));
    assert_eq!(reserved["steps"][0]["at"], order["createdDate"]);
    assert_eq!((&reserved["id"], &reserved["sale"]), (id, &world.sale.as_str().into()));

    let writer = Writer::start(&world);
    let written = until(&world, id, "reserved published written").await;
    assert_eq!(written["status"], "confirmed");
    let published = &written["steps"][1];
    assert!(published["partition"].as_u64().is_some_and(|partition| partition < 3), "{published}");
    assert_eq!(published["offset"], 0, "the first of its partition");
    assert_eq!(written["steps"][2].as_object().unwrap().len(), 2, "a step and a time");

    world.api.post(&world.path(&format!("/orders/{}/cancel", id.as_str().unwrap())), &[], "").await;
    let all = until(&world, id, "reserved published written cancelled returned").await;
    assert_eq!(all["status"], "cancelled");
    assert_eq!(all["steps"].as_array().unwrap()[..3], written["steps"].as_array().unwrap()[..]);
    let mut last = Timestamp::MIN;
    for step in all["steps"].as_array().unwrap() {
        let at: Timestamp = step["at"].as_str().unwrap().parse().unwrap();
        // One machine, one clock; but the broker and the services round it differently.
        assert!(at.as_millisecond() + 5 >= last.as_millisecond(), "{all}");
        last = at;
    }
    writer.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_order_says_that_it_did_not_fit() {
    let world = World::open(10).await;
    let order = world.buy("ada", 2).await;
    world.database.execute("UPDATE sales SET stock = 0").await;
    let writer = Writer::start(&world);
    let timeline = until(&world, &order["id"], "reserved published written rejected returned").await;
    assert_eq!(timeline["status"], "rejected");
    writer.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_timeline_is_of_an_order_that_is_there() {
    let world = World::open(10).await;
    timeline(&world, &OrderId::fresh().to_string().into()).await.problem(404, "order-not-found");
    timeline(&world, &"1".into()).await.problem(400, "malformed-request");
    let order = world.buy("ada", 1).await;
    let elsewhere = format!("/v1/sales/no-such-sale/orders/{}/timeline", order["id"].as_str().unwrap());
    world.api.get(&elsewhere).await.problem(404, "sale-not-found");
    let path = world.path(&format!("/orders/{}/timeline", order["id"].as_str().unwrap()));
    let post = world.api.post(&path, &[], "").await;
    post.problem(405, "method-not-allowed");
    assert_eq!(post.header("allow"), Some("GET, HEAD"));
    world.end().await;
}
