//! `GET /order/{id}`, `POST /order` and `PUT /order`: orders made and edited by hand.

use reqwest::Method;
use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    order::{OrderId, OrderStatus},
    store::{IncomingEvent, OrderStore, StoreOptions, WriteOutcome},
};
use serde_json::{Value, json};

use crate::{
    office::{Office, TOKEN, id, text},
    world::RunningApi,
};

const EDITED: &str = r#"{"generatedMaps":[],"raw":[],"affected":1}"#;
const NOT_THERE: &str = r#"{"generatedMaps":[],"raw":[],"affected":0}"#;

#[tokio::test(flavor = "multi_thread")]
async fn post_order_makes_an_order_of_no_sale_and_touches_no_stock() {
    let office = Office::open(10).await;
    let body = r#"{"user":"买家","goods":"phone","openid":"mine-1","remark":"by hand","remainCount":7}"#;
    let answer = office.ask(Method::POST, "/order", body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    let order = answer.json();
    let (created, updated) = (text(&order, "createdDate"), text(&order, "updateDate"));
    let expected = json!({
        "id": text(&order, "id"), "sale": null, "user": "买家", "goods": "phone", "quantity": 1,
        "remark": "by hand", "openid": "mine-1", "remainCount": 7, "status": "confirmed",
        "kafkaRawMessage": null, "createdDate": created, "updateDate": updated,
    });
    assert_eq!(order, expected);
    assert!(created.ends_with('Z') && created == updated, "{created}, {updated}");
    assert_eq!(office.world.remaining().await, 10);
    let stored = office.world.store.sale(&office.world.sale).await.unwrap().unwrap();
    assert_eq!((stored.sale.stock, stored.sold), (10, 0));
    let found = office.get(&format!("/order/{}", text(&order, "id"))).await;
    assert_eq!((found.status, found.json()), (200, order));
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn post_order_makes_up_what_is_not_given() {
    let office = Office::open(1).await;
    let order = office.make(r#"{"user":"ada","goods":"phone"}"#).await;
    assert_eq!((&order["remark"], &order["remainCount"]), (&Value::Null, &Value::Null));
    let created: jiff::Timestamp = text(&order, "createdDate").parse().unwrap();
    assert_eq!(text(&order, "openid"), format!("{}-{}", text(&order, "id"), created.as_millisecond()));
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_post_order_refuses_what_is_out_of_range_and_a_taken_openid() {
    let office = Office::open(1).await;
    office.make(r#"{"user":"ada","goods":"phone","openid":"taken"}"#).await;
    let make = async |body: &str| office.ask(Method::POST, "/order", body).await;
    make(r#"{"user":"bob","goods":"phone","openid":"taken"}"#).await.names_field("openid");
    make(r#"{"user":"bob","goods":"phone","openid":""}"#).await.names_field("openid");
    make(r#"{"user":"","goods":"phone"}"#).await.names_field("user");
    make(r#"{"user":"bob"}"#).await.names_field("goods");
    make(r#"{"user":"bob","goods":"phone","remainCount":-1}"#).await.names_field("remainCount");
    make(&format!(r#"{{"user":"bob","goods":"{}"}}"#, "x".repeat(129))).await.names_field("goods");
    for body in ["", "[]", r#"{"user":1,"goods":"g"}"#, r#"{"user":"u","goods":"g","quantity":2}"#] {
        make(body).await.problem(400, "malformed-request");
    }
    make(&format!(r#"{{"user":"{}"}}"#, "x".repeat(5000))).await.problem(413, "payload-too-large");
    assert_eq!(office.get("/order/all").await.json().as_array().unwrap().len(), 1);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_order_id_is_404_for_an_unknown_order_and_400_for_no_id() {
    let office = Office::open(1).await;
    office.get(&format!("/order/{}", OrderId::fresh())).await.problem(404, "order-not-found");
    for id in ["1", "x", "01890a5dac96774bbcceb302099a8057"] {
        office.get(&format!("/order/{id}")).await.problem(400, "malformed-request");
    }
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_order_id_shows_an_order_of_a_sale_with_its_message() {
    let office = Office::open(10).await;
    let bought = office.buy("ada", 2).await;
    let found = office.get(&format!("/order/{}", text(&bought, "id"))).await;
    assert_eq!(found.header("content-type"), Some("application/json; charset=utf-8"));
    let found = found.json();
    for field in ["id", "sale", "user", "goods", "quantity", "remark", "openid", "remainCount", "createdDate"]
    {
        assert_eq!(found[field], bought[field], "{field}");
    }
    assert_eq!(found["status"], "confirmed");
    let message: Value = serde_json::from_str(text(&found, "kafkaRawMessage")).unwrap();
    assert_eq!(message["order"]["id"], bought["id"]);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_order_changes_what_is_given_and_keeps_the_rest() {
    let office = Office::open(10).await;
    for order in
        [office.make(r#"{"user":"ada","goods":"phone","remark":"r"}"#).await, office.buy("bob", 2).await]
    {
        let path = format!("/order/{}", text(&order, "id"));
        let before = office.get(&path).await.json();
        let edit = async |fields: Value| {
            let mut body = json!({ "id": order["id"] });
            body.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
            let answer = office.ask(Method::PUT, "/order", &body.to_string()).await;
            assert_eq!((answer.status, &*answer.body), (200, EDITED));
            assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
            office.get(&path).await.json()
        };
        let after = edit(json!({ "user": "eve", "remark": "changed" })).await;
        let mut expected = before.clone();
        expected["user"] = "eve".into();
        expected["remark"] = "changed".into();
        expected["updateDate"] = after["updateDate"].clone();
        assert_eq!(after, expected);
        assert!(text(&after, "updateDate") >= text(&before, "updateDate"));
        assert_eq!(edit(json!({ "goods": "case" })).await["user"], "eve");
        assert_eq!(edit(json!({ "remark": null })).await["remark"], Value::Null);
        // An order as it was shown can be sent back, whole.
        let whole = edit(before.clone()).await;
        assert_eq!((&whole["user"], &whole["goods"]), (&before["user"], &before["goods"]));
        let listed = office.get("/order/all").await.json();
        assert!(listed.as_array().unwrap().contains(&whole), "{whole} in {listed}");
    }
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_order_of_an_unknown_order_affects_none_and_bad_bodies_are_problems() {
    let office = Office::open(1).await;
    let body = format!(r#"{{"id":"{}","user":"eve"}}"#, OrderId::fresh());
    let answer = office.ask(Method::PUT, "/order", &body).await;
    assert_eq!((answer.status, &*answer.body), (200, NOT_THERE));
    let order = office.make(r#"{"user":"ada","goods":"phone"}"#).await;
    let edit = async |fields: &str| {
        let body = format!(r#"{{"id":{}{fields}}}"#, order["id"]);
        office.ask(Method::PUT, "/order", &body).await
    };
    edit(r#","user":"""#).await.names_field("user");
    edit(r#","goods":"a\u0000b""#).await.names_field("goods");
    edit(r#","user":null"#).await.problem(400, "malformed-request");
    edit(r#","unknown":1"#).await.problem(400, "malformed-request");
    office.ask(Method::PUT, "/order", r#"{"id":"x"}"#).await.names_field("id");
    office.ask(Method::PUT, "/order", "{}").await.names_field("id");
    assert_eq!(office.get(&format!("/order/{}", text(&order, "id"))).await.json(), order);
    office.end().await;
}

/// What was decided stays what was decided: else a retry would be another order, and the event of the order,
/// read again, would be that of another.
#[tokio::test(flavor = "multi_thread")]
async fn p3_an_edited_order_of_a_sale_is_still_the_one_that_was_decided() {
    let office = Office::open(10).await;
    let body = r#"{"user":"ada","goods":"phone"}"#;
    let first = office.world.order_by_key("once", body).await.json();
    office.consume(1).await;
    let edit = format!(r#"{{"id":{},"user":"eve","goods":"case","remark":"x"}}"#, first["id"]);
    assert_eq!(office.ask(Method::PUT, "/order", &edit).await.body, EDITED);
    let stored = office.stored(&first).await;
    assert_eq!((stored.buyer.as_str(), stored.status), ("ada", OrderStatus::Confirmed));

    // The event comes again, and the ledger is rebuilt from the store: both know the order as it was.
    let at = stored.created_date;
    let event = OrderEvent { kind: OrderEventKind::Placed, epoch: u64::MAX, order: stored, at };
    let again = IncomingEvent::new(event.clone(), &event.encode());
    assert_eq!(office.world.store.write_batch(&[again]).await.unwrap(), [WriteOutcome::Duplicate]);
    office.world.reload().await;
    let replay = office.world.order_by_key("once", body).await;
    assert_eq!(replay.header("idempotency-replayed"), Some("true"), "{}", replay.body);
    assert_eq!(id(&replay.json()), id(&first));
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_without_the_store_the_orders_routes_are_503() {
    let office = Office::open(1).await;
    let mut parts = office.world.parts().await;
    parts.admin_token = Some(TOKEN.into());
    let nowhere = "mysql://nobody:nothing@127.0.0.1:1/nowhere".into();
    parts.store = OrderStore::connect(&nowhere, StoreOptions::default()).unwrap();
    let api = RunningApi::start(parts, &[]);
    let away = Office { world: office.world, api };
    let some = OrderId::fresh();
    for (method, path, body) in [
        (Method::GET, "/order/all".to_owned(), String::new()),
        (Method::GET, format!("/order/{some}"), String::new()),
        (Method::POST, "/order".into(), r#"{"user":"ada","goods":"phone"}"#.into()),
        (Method::PUT, "/order".into(), format!(r#"{{"id":"{some}"}}"#)),
        (Method::DELETE, "/order".into(), format!(r#"["{some}"]"#)),
        (Method::PUT, "/seckill/reset".into(), r#"{"count":1}"#.into()),
    ] {
        away.ask(method, &path, &body).await.problem(503, "store-unavailable");
    }
    office.api.stop().await;
    away.end().await;
}
