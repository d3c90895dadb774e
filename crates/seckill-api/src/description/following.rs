//! Following an order and a sale, and cancelling.
//!
//! Written from the contract; until the routes are there, `AWAITED` keeps them out of what is served.

use seckill_core::order::OrderStatus;
use utoipa::openapi::{HttpMethod, path::OperationBuilder};

use super::{
    buyers::{SALE_REFUSALS, link, order_content, order_in_path, sale_in_path},
    examples,
    parts::{BUYERS, Described, JSON, answer, for_buyers, operation, path, refused, text, text_header},
};
use crate::problem::Code;

const EVENT_STREAM: &str = "text/event-stream";

pub fn paths() -> Vec<Described> {
    vec![
        path("/v1/sales/{sale}/events", HttpMethod::Get, sale_events()),
        path("/v1/sales/{sale}/orders/{id}/cancel", HttpMethod::Post, cancel()),
        path("/v1/sales/{sale}/orders/{id}/events", HttpMethod::Get, order_events()),
    ]
}

fn sale_events() -> OperationBuilder {
    let event = format!("event: sale\ndata: {}\n\n", examples::sale_json());
    let operation = operation(
        BUYERS,
        "followSale",
        "A sale, as it changes",
        "Events `sale` with the Sale (see `showSale`), at most 5 a second.",
    )
    .parameter(sale_in_path())
    .response("200", answer("The events.", EVENT_STREAM, text(&event)));
    refused(operation, &SALE_REFUSALS)
}

fn order_events() -> OperationBuilder {
    let event = format!("event: order\ndata: {}\n\n", examples::order_json(OrderStatus::Confirmed));
    let operation = operation(
        BUYERS,
        "followOrder",
        "An order, as it goes its way",
        "Events `order` with the Order (see `lookUpOrder`), from now until it is final; then the stream ends.",
    )
    .parameter(sale_in_path())
    .parameter(order_in_path())
    .response("200", answer("The events.", EVENT_STREAM, text(&event)));
    for_buyers(refused(operation, &refusals(&[])))
}

fn cancel() -> OperationBuilder {
    let cancelled = answer(
        "Cancelled, now or before. Its units are for sale again a moment later.",
        JSON,
        order_content(OrderStatus::Cancelled),
    )
    .header("Location", text_header("Where the order can be looked up."))
    .link("order", link("lookUpOrder", "What became of the order."));
    let operation = operation(
        BUYERS,
        "cancelOrder",
        "Cancel an order",
        "Cancelling twice is one cancel. A `503` with `order-log-unavailable` may mean that it is not known yet \
         whether the order is cancelled: cancelling once more does no harm.",
    )
    .parameter(sale_in_path())
    .parameter(order_in_path())
    .response("202", cancelled);
    for_buyers(refused(
        operation,
        &refusals(&[Code::OrderFinal, Code::OrderLogUnavailable, Code::RateLimited]),
    ))
}

fn refusals(more: &[Code]) -> Vec<Code> {
    let mut all = SALE_REFUSALS.to_vec();
    all.extend([Code::OrderNotFound, Code::Unauthorized, Code::Forbidden]);
    all.extend(more);
    all
}
