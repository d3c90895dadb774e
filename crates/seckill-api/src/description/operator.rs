//! The original's routes for operators: `routes/back_office.rs`.

use seckill_core::{order::OrderStatus, sale::MAX_STOCK, store::LegacyOrder};
use serde_json::{Value, json};
use utoipa::openapi::{
    ArrayBuilder, Content, ContentBuilder, HttpMethod, Object, ObjectBuilder, Ref, Schema, Type,
    link::{Link, LinkBuilder},
    path::{OperationBuilder, ParameterIn},
};

use super::{
    buyers::order_in_path,
    examples,
    parts::{
        Described, HTML, OPERATOR, ORIGINAL_JSON, also, answer, body, for_operators, operation, optional,
        path, refused, shape, text, text_header,
    },
    schemas,
};
use crate::problem::Code;

/// Most orders of one page of `GET /order/all`, and how many there are unless it is said.
const PAGE: (u32, u32) = (10_000, 1000);

/// What an operator's request may be answered.
const REFUSALS: [Code; 5] =
    [Code::MalformedRequest, Code::Unauthorized, Code::Forbidden, Code::Overloaded, Code::StoreUnavailable];
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

/// An order as operators see it.
fn an_order() -> Content {
    shape("OriginalOrder", example())
}

fn example() -> Value {
    let order = examples::order(OrderStatus::Confirmed);
    let order = LegacyOrder {
        id: order.id,
        sale: Some(order.sale.to_string()),
        user: "ada".to_owned(),
        goods: "phone".to_owned(),
        quantity: 1,
        remark: None,
        openid: order.openid,
        remain_count: order.remain_count,
        status: order.status,
        kafka_raw_message: None,
        created_date: order.created_date,
        update_date: order.update_date,
    };
    serde_json::to_value(order).expect("an order is always JSON")
}

/// The component: an order of a sale, or a hand-made one, of no sale.
pub fn order() -> Object {
    let mut fields = Vec::from(schemas::order_fields());
    for (name, schema) in &mut fields {
        match *name {
            "sale" => {
                *schema = schemas::nullable(schemas::sale_id()).description(Some("Null: made by hand."));
            }
            "openid" => *schema = schemas::bounded(1, 128),
            _ => {}
        }
    }
    let raw = schemas::nullable(schemas::string()).description(Some("The message that told of it."));
    fields.push(("kafkaRawMessage", raw));
    let names: Vec<_> = fields.iter().map(|(name, _)| *name).collect();
    schemas::object(&names, fields)
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
    let count = ObjectBuilder::new().schema_type(Type::Integer).maximum(Some(schemas::number(MAX_STOCK)));
    let schema = Schema::from(schemas::object(&["count"], [("count", count)]));
    let request = ContentBuilder::new().schema(Some(schema)).example(Some(json!({ "count": 100 }))).build();
    let description = "Pauses the sale, adjusts, and lets it go on: at one moment exactly `count` are left. With what \
                       live orders hold, the stock cannot be above a thousand million.";
    described(
        "reset",
        "So many are left of the default sale",
        description,
        &[&BODY_REFUSALS[..], &[Code::SaleNotFound, Code::LedgerUnavailable, Code::LedgerRecovering]]
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
    let limit = optional("limit", ParameterIn::Query, limit, "Most orders to answer.", json!(100));
    let place = schemas::string().pattern(Some("^[0-9]{1,14}\\.[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"));
    let example_place = json!(format!("1795485506236.{}", examples::ORDER));
    let cursor = optional("cursor", ParameterIn::Query, place, "From the last page's `Link`.", example_place);
    let orders = ArrayBuilder::new().items(Ref::from_schema_name("OriginalOrder"));
    let content = ContentBuilder::new().schema(Some(orders)).example(Some(json!([example()]))).build();
    let page = answer("The orders.", ORIGINAL_JSON, content)
        .header("Link", text_header("`<…>; rel=\"next\"`: the next page, if there is one."));
    let description = "The next page is in `Link`.";
    described("listOrders", "All orders, newest first", description, &[Code::ValidationFailed])
        .parameter(limit)
        .parameter(cursor)
        .response("200", page)
}

fn show() -> OperationBuilder {
    described("showOrder", "One order, of whatever sale", "", &[Code::OrderNotFound])
        .parameter(order_in_path())
        .response("200", answer("The order.", ORIGINAL_JSON, an_order()))
}

fn create() -> OperationBuilder {
    let fields = [
        ("user", schemas::bounded(1, 64)),
        ("goods", schemas::bounded(1, 128)),
        (
            "openid",
            schemas::nullable(schemas::bounded(1, 128)).description(Some("Another order's is refused.")),
        ),
        ("remark", schemas::nullable(schemas::bounded(0, 500))),
        ("remainCount", schemas::nullable(schemas::whole(0).maximum(Some(schemas::number(MAX_STOCK))))),
        ("kafkaRawMessage", schemas::ignored()),
    ];
    let schema = Schema::from(schemas::object(&["user", "goods"], fields));
    let example = json!({ "user": "ada", "goods": "phone" });
    let request = ContentBuilder::new().schema(Some(schema)).example(Some(example)).build();
    described("createOrder", "An order by hand", "Of no sale: it touches no stock.", &BODY_REFUSALS)
        .request_body(Some(body(request, "The order.")))
        .response("201", answer("The order.", ORIGINAL_JSON, an_order()).link("order", link_to_it()))
}

fn link_to_it() -> Link {
    LinkBuilder::new().operation_id("showOrder").parameter("id", "$response.body#/id").build()
}

fn change() -> OperationBuilder {
    let mut fields = vec![
        ("id", schemas::order_id()),
        ("user", schemas::bounded(1, 64)),
        ("goods", schemas::bounded(1, 128)),
        ("remark", schemas::nullable(schemas::bounded(0, 500))),
    ];
    // The whole order may be sent back as it was shown.
    for (name, _) in schemas::order_fields() {
        if fields.iter().all(|(known, _)| *known != name) {
            fields.push((name, schemas::ignored()));
        }
    }
    fields.push(("kafkaRawMessage", schemas::ignored()));
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
    .response("200", answer("How many were changed: one, or none.", ORIGINAL_JSON, affected(done, true)))
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
        &[&BODY_REFUSALS[..], &[Code::OrderLogUnavailable]].concat(),
    )
    .request_body(Some(body(request, "The ids.")))
    .response(
        "200",
        answer("How many there were.", ORIGINAL_JSON, affected(json!({ "raw": [], "affected": 1 }), false)),
    )
}
