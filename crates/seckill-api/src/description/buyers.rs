//! Sales and orders: what is in `routes/sales.rs` and `routes/orders.rs`.

use seckill_core::order::OrderStatus;
use serde_json::json;
use utoipa::openapi::{
    Content, HttpMethod, Response,
    link::{Link, LinkBuilder},
    path::{OperationBuilder, Parameter, ParameterIn},
};

use super::{
    examples,
    parts::{
        BUYERS, Described, JSON, answer, body, for_buyers, for_viewers, in_path, operation, optional, path,
        refused, replayed_header, shape, text_header,
    },
    schemas,
};
use crate::problem::Code;

/// What a request for one sale may be answered.
pub const SALE_REFUSALS: [Code; 6] = [
    Code::MalformedRequest,
    Code::SaleNotFound,
    Code::Overloaded,
    Code::LedgerUnavailable,
    Code::LedgerRecovering,
    Code::StoreUnavailable,
];

/// What a request for one order may be answered. The order of another buyer is not there.
pub const LOOK_UP_REFUSALS: [Code; 8] = [
    Code::MalformedRequest,
    Code::Unauthorized,
    Code::SaleNotFound,
    Code::OrderNotFound,
    Code::Overloaded,
    Code::LedgerUnavailable,
    Code::LedgerRecovering,
    Code::StoreUnavailable,
];

/// What any order may be answered, except that nothing is left: the original has an answer of its own.
pub const ORDER_REFUSALS: [Code; 17] = [
    Code::MalformedRequest,
    Code::Unauthorized,
    Code::Forbidden,
    Code::SaleNotFound,
    Code::LimitReached,
    Code::SaleNotOpen,
    Code::SaleEnded,
    Code::SalePaused,
    Code::PayloadTooLarge,
    Code::UnsupportedMediaType,
    Code::ValidationFailed,
    Code::IdempotencyConflict,
    Code::Overloaded,
    Code::LedgerUnavailable,
    Code::LedgerRecovering,
    Code::OrderLogUnavailable,
    Code::StoreUnavailable,
];

pub fn paths() -> Vec<Described> {
    vec![
        path("/v1/sales", HttpMethod::Get, list()),
        path("/v1/sales/{sale}", HttpMethod::Get, show()),
        path("/v1/sales/{sale}/orders", HttpMethod::Post, place()),
        path("/v1/sales/{sale}/orders/{id}", HttpMethod::Get, look_up()),
    ]
}

/// The parameter `{sale}`.
pub fn sale_in_path() -> Parameter {
    in_path("sale", schemas::sale_id(), "The name of the sale.", examples::SALE)
}

/// The parameter `{id}` of an order.
pub fn order_in_path() -> Parameter {
    in_path("id", schemas::order_id(), "The order, a UUID in its hyphenated form.", examples::ORDER)
}

/// The header `Idempotency-Key`.
pub fn idempotency_key() -> Parameter {
    let description = "Your name for this attempt. The same key and body of the same buyer is the same order for \
                       ever, also after a failure; the same key with another body is `idempotency-conflict`.";
    optional(
        "Idempotency-Key",
        ParameterIn::Header,
        schemas::idempotency_key(),
        description,
        json!("my-first"),
    )
}

/// The JSON of an order of `status`.
pub fn order_content(status: OrderStatus) -> Content {
    shape("Order", examples::order_json(status))
}

/// The 202 of an order that was taken.
pub fn accepted() -> Response {
    let description = "Taken (`accepted`), or not known yet to be (`pending`). The answer to a retry is the order as it \
                       was taken, `cancelled` or `rejected` if it is by now; that it is `confirmed` tells a `GET`.";
    answer(description, JSON, order_content(OrderStatus::Accepted))
        .header("Location", text_header("Where the order can be looked up."))
        .header("Idempotency-Replayed", replayed_header())
        .link("order", link("lookUpOrder", "What became of the order."))
        .build()
}

/// A link from an order that was answered to the operation `operation_id` on it.
pub fn link(operation_id: &str, description: &str) -> Link {
    LinkBuilder::new()
        .operation_id(operation_id)
        .parameter("sale", "$response.body#/sale")
        .parameter("id", "$response.body#/id")
        .description(description)
        .build()
}

fn list() -> OperationBuilder {
    let example = json!({ "sales": [examples::sale_json()] });
    let operation = operation(
        BUYERS,
        "listSales",
        "All sales",
        "At most a second old. A sale that the ledger cannot tell of at the moment is shown as the store has it.",
    )
    .response("200", answer("The sales, by name.", JSON, shape("Sales", example)));
    refused(operation, &[Code::Overloaded, Code::StoreUnavailable])
}

fn show() -> OperationBuilder {
    let operation = operation(BUYERS, "showSale", "One sale", "At most 100 ms old.")
        .parameter(sale_in_path())
        .response("200", answer("The sale.", JSON, shape("Sale", examples::sale_json())));
    refused(operation, &SALE_REFUSALS)
}

fn place() -> OperationBuilder {
    let mut refusals = ORDER_REFUSALS.to_vec();
    refusals.push(Code::SoldOut);
    let operation = operation(
        BUYERS,
        "placeOrder",
        "Order",
        "Decides at once. Whoever hangs up changes nothing: the order is taken or refused all the same.",
    )
    .parameter(sale_in_path())
    .parameter(idempotency_key())
    .request_body(Some(body(shape("OrderRequest", examples::order_request()), "What to buy, for whom.")))
    .response("202", accepted());
    for_buyers(refused(operation, &refusals))
}

fn look_up() -> OperationBuilder {
    let operation = operation(
        BUYERS,
        "lookUpOrder",
        "What became of an order",
        "From the store, and while it is not there yet, from the ledger.",
    )
    .parameter(sale_in_path())
    .parameter(order_in_path())
    .response("200", answer("The order.", JSON, order_content(OrderStatus::Confirmed)));
    for_viewers(refused(operation, &LOOK_UP_REFUSALS))
}
