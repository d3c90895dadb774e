//! The original's routes for operators.
//!
//! Written from the contract; until the routes are there, `AWAITED` keeps them out of what is served.

use seckill_core::order::OrderStatus;
use serde_json::{Value, json};
use utoipa::openapi::{
    ArrayBuilder, Content, ContentBuilder, HttpMethod, Object, ObjectBuilder, Ref, Schema, Type,
    path::{OperationBuilder, ParameterIn},
    schema::{AdditionalProperties, AllOfBuilder},
};

use super::{
    buyers::order_in_path,
    examples,
    parts::{
        Described, HTML, JSON, OPERATOR, also, answer, body, for_operators, operation, optional, path,
        refused, text, text_header,
    },
    schemas,
};
use crate::problem::Code;

/// Most orders of one page of `GET /order/all`, and how many there are unless it is said.
const PAGE: (u32, u32) = (10_000, 1000);

/// What an operator's request may be answered.
const REFUSALS: [Code; 4] =
    [Code::MalformedRequest, Code::Unauthorized, Code::Forbidden, Code::StoreUnavailable];
/// And one with a body.
const BODY_REFUSALS: [Code; 3] = [Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::ValidationFailed];

pub fn paths() -> Vec<Described> {
    let order = path("/order", HttpMethod::Post, create());
    let order = also(order, HttpMethod::Put, change());
    vec![
        path("/seckill/reset", HttpMethod::Put, reset()),
        path("/order/all", HttpMethod::Get, list()),
        path("/order/{id}", HttpMethod::Get, show()),
        also(order, HttpMethod::Delete, delete()),
    ]
}

fn described(id: &str, summary: &str, description: &str, refusals: &[Code]) -> OperationBuilder {
    let mut all = REFUSALS.to_vec();
    all.extend(refusals);
    for_operators(refused(operation(OPERATOR, id, summary, description), &all))
}

/// An order with what only operators see of it.
fn original_order() -> Content {
    let raw = schemas::nullable(schemas::string()).description(Some("What came from the order log."));
    let more = ObjectBuilder::new().property("kafkaRawMessage", raw);
    let schema = AllOfBuilder::new().item(Ref::from_schema_name("OriginalOrder")).item(more);
    ContentBuilder::new().schema(Some(schema)).example(Some(example())).build()
}

fn example() -> Value {
    let mut order = examples::order_json(OrderStatus::Confirmed);
    order["kafkaRawMessage"] = Value::Null;
    order
}

/// The component: an order, or a hand-made one, of no sale.
pub fn component() -> Object {
    let mut fields = schemas::order_fields();
    for (name, schema) in &mut fields {
        if matches!(*name, "sale" | "openid") {
            *schema = schemas::nullable(schemas::string());
        }
    }
    let names = fields.each_ref().map(|(name, _)| *name);
    let order = schemas::object(&names, fields);
    ObjectBuilder::from(order).additional_properties(Some(AdditionalProperties::FreeForm(true))).build()
}

fn affected(example: Value, generated: bool) -> Content {
    let nothing = || Schema::from(ArrayBuilder::new().max_items(Some(0)).build());
    let mut properties = vec![("raw", nothing()), ("affected", Schema::from(schemas::whole(0).build()))];
    let mut names = vec!["raw", "affected"];
    if generated {
        properties.insert(0, ("generatedMaps", nothing()));
        names.insert(0, "generatedMaps");
    }
    let schema = Schema::from(schemas::object(&names, properties));
    ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
}

fn reset() -> OperationBuilder {
    let count = ObjectBuilder::new().schema_type(Type::Integer);
    let schema = Schema::from(schemas::object(&["count"], [("count", count)]));
    let request = ContentBuilder::new().schema(Some(schema)).example(Some(json!({ "count": 100 }))).build();
    let description = "Pauses the sale, adjusts, and lets it go on: at one moment exactly `count` are left.";
    described(
        "reset",
        "So many are left of the default sale",
        description,
        &[
            &BODY_REFUSALS[..],
            &[Code::SaleNotFound, Code::LedgerUnavailable, Code::LedgerRecovering, Code::Overloaded],
        ]
        .concat(),
    )
    .request_body(Some(body(request, "How many shall be left.")))
    .response(
        "200",
        answer(
            "Done; or, if `count` is negative, `剩余数量不可小于0！`, and nothing was done.",
            HTML,
            text("更新剩余商品数成功！现在剩余：100"),
        ),
    )
}

fn list() -> OperationBuilder {
    let limit = schemas::whole(1).maximum(Some(f64::from(PAGE.0))).default(Some(json!(PAGE.1)));
    let list = ArrayBuilder::new().items(Ref::from_schema_name("OriginalOrder"));
    let content = ContentBuilder::new().schema(Some(list)).example(Some(json!([example()]))).build();
    let limit = optional("limit", ParameterIn::Query, limit, "Most orders to answer.", json!(100));
    described("listOrders", "All orders, newest first", "The next page is in `Link`.", &[])
        .parameter(limit)
        .response(
            "200",
            answer("The orders.", JSON, content)
                .header("Link", text_header("`<…>; rel=\"next\"`: the next page, if there is one.")),
        )
}

fn show() -> OperationBuilder {
    described("showOrder", "One order, of whatever sale", "", &[Code::OrderNotFound])
        .parameter(order_in_path())
        .response("200", answer("The order.", JSON, original_order()))
}

fn create() -> OperationBuilder {
    let fields = [
        ("user", schemas::bounded(1, 64)),
        ("goods", schemas::bounded(1, 128)),
        ("openid", schemas::nullable(schemas::bounded(1, 128))),
        ("remark", schemas::nullable(schemas::bounded(0, 500))),
        ("remainCount", schemas::nullable(schemas::whole(0))),
    ];
    let schema = Schema::from(schemas::object(&["user", "goods"], fields));
    let example = json!({ "user": "ada", "goods": "phone" });
    let request = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    described("createOrder", "An order by hand", "Of no sale: it touches no stock.", &BODY_REFUSALS)
        .request_body(Some(body(request, "The order.")))
        .response("201", answer("The order.", JSON, original_order()))
}

fn change() -> OperationBuilder {
    let fields = [
        ("id", schemas::order_id()),
        ("user", schemas::bounded(1, 64)),
        ("goods", schemas::bounded(1, 128)),
        ("remark", schemas::nullable(schemas::bounded(0, 500))),
    ];
    let schema = Schema::from(schemas::object(&["id"], fields));
    let example = json!({ "id": examples::ORDER, "remark": "by the back door" });
    let request = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    let done = json!({ "generatedMaps": [], "raw": [], "affected": 1 });
    described(
        "changeOrder",
        "Change what an order says",
        "",
        &[&BODY_REFUSALS[..], &[Code::OrderNotFound]].concat(),
    )
    .request_body(Some(body(request, "The order and what changes.")))
    .response("200", answer("How many were changed.", JSON, affected(done, true)))
}

fn delete() -> OperationBuilder {
    let ids = Schema::from(ArrayBuilder::new().items(schemas::order_id()).build());
    let request = ContentBuilder::new().schema(Some(ids)).example(Some(json!([examples::ORDER]))).build();
    let description =
        "An order of a sale is cancelled, and its units return; it is gone from `/order` and kept for audit.";
    described(
        "deleteOrders",
        "Take orders away",
        description,
        &[&BODY_REFUSALS[..], &[Code::LedgerUnavailable, Code::OrderLogUnavailable]].concat(),
    )
    .request_body(Some(body(request, "The ids.")))
    .response(
        "200",
        answer("How many there were.", JSON, affected(json!({ "raw": [], "affected": 1 }), false)),
    )
}
