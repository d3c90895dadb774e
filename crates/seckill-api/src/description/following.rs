//! Following an order and a sale, and cancelling: `routes/events.rs`, `routes/cancellation.rs`.

use seckill_core::order::OrderStatus;
use serde_json::json;
use utoipa::openapi::{
    HttpMethod, ResponseBuilder,
    path::{OperationBuilder, Parameter, ParameterIn},
};

use super::{
    buyers::{LOOK_UP_REFUSALS, SALE_REFUSALS, link, order_content, order_in_path, sale_in_path},
    examples,
    parts::{BUYERS, Described, JSON, answer, for_viewers, operation, optional, path, refused, text},
    schemas,
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
    .parameter(last_event_id())
    .response("200", answer("The events.", EVENT_STREAM, text(&event)))
    .response("204", ResponseBuilder::new().description("Nothing new will come: you have seen its end."));
    for_viewers(refused(operation, &LOOK_UP_REFUSALS))
}

fn cancel() -> OperationBuilder {
    let cancelled = answer(
        "Cancelled, now or before. Its units are for sale again a moment later.",
        JSON,
        order_content(OrderStatus::Cancelled),
    )
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
    let mut refusals = LOOK_UP_REFUSALS.to_vec();
    refusals.extend([Code::OrderFinal, Code::OrderLogUnavailable]);
    for_viewers(refused(operation, &refusals))
}

/// What a browser sends by itself when it comes back.
fn last_event_id() -> Parameter {
    let description = "The `id` of the last event that you have seen: the status that the order had come to.";
    let status = schemas::idempotency_key();
    optional("Last-Event-ID", ParameterIn::Header, status, description, json!("accepted"))
}
