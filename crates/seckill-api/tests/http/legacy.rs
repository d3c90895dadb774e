//! `GET /` and `POST /seckill/add`: byte for byte what clients of the original see.

use seckill_core::sale::{Sale, SaleSwitch};

use crate::world::{World, terms};

const PHONE: &str = r#"{"user":"ada","goods":"phone","remark":"red"}"#;

#[tokio::test(flavor = "multi_thread")]
async fn the_root_says_hello() {
    let world = World::open(1).await;
    let hello = world.api.get("/").await;
    assert_eq!((hello.status, &*hello.body), (200, "Hello seckill"));
    assert_eq!(hello.header("content-type"), Some("text/html; charset=utf-8"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_answered_201_with_what_went_to_the_log_and_where() {
    let world = World::open(10).await;
    let answer = world.api.post("/seckill/add", &[], PHONE).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    let body = answer.json();
    let message: serde_json::Value =
        serde_json::from_str(body["payload"][0]["messages"][0].as_str().unwrap()).unwrap();
    let openid = message["openid"].as_str().unwrap();
    let (partition, topic) = (body["payload"][0]["partition"].as_u64().unwrap(), &world.kafka.orders_topic);
    let offset = body["kafkaProducerResponse"][topic][partition.to_string()].as_u64().unwrap();
    let message = format!(
        r#"{{\"user\":\"ada\",\"goods\":\"phone\",\"remark\":\"red\",\"openid\":\"{openid}\",\"remainCount\":9}}"#
    );
    let expected = format!(
        "{{\"payload\":[{{\"topic\":\"{topic}\",\"partition\":{partition},\"messages\":[\"{message}\"],\
         \"attributes\":0}}],\"kafkaProducerResponse\":{{\"{topic}\":{{\"{partition}\":{offset}}}}}}}"
    );
    assert_eq!(answer.body, expected);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn fields_of_the_original_are_taken_and_ignored() {
    let world = World::open(10).await;
    let body = r#"{"user":"ada","goods":"phone","openid":"mine","kafkaRawMessage":{"any":["thing"]}}"#;
    let answer = world.api.post("/seckill/add", &[], body).await;
    assert_eq!(answer.status, 201);
    assert!(!answer.body.contains("mine"), "{}", answer.body);
    assert!(answer.body.contains(r#"\"remark\":null"#), "{}", answer.body);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sold_out_is_201_with_the_originals_text() {
    let world = World::open(1).await;
    assert_eq!(world.api.post("/seckill/add", &[], PHONE).await.status, 201);
    for _ in 0..2 {
        let answer = world.api.post("/seckill/add", &[], PHONE).await;
        assert_eq!((answer.status, &*answer.body), (201, "已经卖光了"));
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_key_works_here_too() {
    let world = World::open(10).await;
    let key = [("idempotency-key", "once")];
    let first = world.api.post("/seckill/add", &key, PHONE).await;
    let again = world.api.post("/seckill/add", &key, PHONE).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (201, Some("true")));
    assert_eq!(again.json()["payload"][0]["messages"], first.json()["payload"][0]["messages"]);
    assert_eq!(world.remaining().await, 9);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_refusals_are_problems() {
    let world = World::of(Sale { per_buyer_limit: Some(1), ..terms(10) }).await;
    let add = async |body: &str| world.api.post("/seckill/add", &[], body).await;
    add("").await.problem(400, "malformed-request");
    add(r#"{"user":"ada","goods":"phone","quantity":1}"#).await.problem(400, "malformed-request");
    add(r#"{"user":"","goods":"phone"}"#).await.names_field("user");
    add(PHONE).await;
    add(PHONE).await.problem(409, "limit-reached");
    world.end().await;
    let paused = World::of(Sale { switch: SaleSwitch::Paused, ..terms(10) }).await;
    paused.api.post("/seckill/add", &[], PHONE).await.problem(409, "sale-paused");
    paused.end().await;
}
