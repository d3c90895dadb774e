//! What the original's clients call: `routes/legacy.rs`.

use serde_json::json;
use utoipa::openapi::{HttpMethod, ResponseBuilder, path::OperationBuilder};

use super::{
    buyers::{ORDER_REFUSALS, accepted, idempotency_key},
    examples,
    parts::{
        Described, HTML, ORIGINAL, ORIGINAL_JSON, answer, body, for_buyers, operation, path, refused,
        replayed_header, shape, text,
    },
};
use crate::refusal::SOLD_OUT;

pub fn paths() -> Vec<Described> {
    vec![path("/", HttpMethod::Get, hello()), path("/seckill/add", HttpMethod::Post, add())]
}

fn hello() -> OperationBuilder {
    let greeting = answer("The greeting.", HTML, text("Hello seckill"));
    refused(operation(ORIGINAL, "hello", "A greeting", "").response("200", greeting), &[])
}

fn add() -> OperationBuilder {
    let order = examples::order(seckill_core::order::OrderStatus::Accepted);
    let message = json!({
        "user": "ada", "goods": "phone", "remark": null, "openid": order.openid, "remainCount": 1
    });
    let placed = json!({
        "payload": [{
            "topic": "seckill.orders", "partition": 7, "messages": [message.to_string()], "attributes": 0
        }],
        "kafkaProducerResponse": { "seckill.orders": { "7": 1234 } }
    });
    let created = ResponseBuilder::new()
        .description(format!("In the order log there; or, as a text, `{SOLD_OUT}`: sold out."))
        .content(ORIGINAL_JSON, shape("OriginalPlaced", placed))
        .content(HTML, text(SOLD_OUT))
        .header("Idempotency-Replayed", replayed_header());
    let request = json!({ "user": "ada", "goods": "phone", "remark": "in blue, please" });
    let operation = operation(
        ORIGINAL,
        "addOrder",
        "Order one unit of the default sale",
        "Sells from `SECKILL_DEFAULT_SALE`. Refusals other than sold out are as those of `placeOrder`. An order whose \
         place in the log is not known (`pending`), or that is cancelled, is answered as `placeOrder` answers it.",
    )
    .parameter(idempotency_key())
    .request_body(Some(body(shape("OriginalOrderRequest", request), "What to buy, for whom.")))
    .response("201", created)
    .response("202", accepted());
    for_buyers(refused(operation, &ORDER_REFUSALS))
}
