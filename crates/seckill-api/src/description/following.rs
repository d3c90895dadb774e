//! Following an order and a sale, and cancelling: `routes/events.rs`, `routes/cancellation.rs`.

use seckill_core::order::OrderStatus;
use serde_json::{Value, json};
use utoipa::openapi::{
    Content, ContentBuilder, HttpMethod, ObjectBuilder, ResponseBuilder,
    path::{OperationBuilder, Parameter, ParameterIn},
};

use super::{
    buyers::{LOOK_UP_REFUSALS, SALE_REFUSALS, link, order_content, order_in_path, sale_in_path},
    examples,
    parts::{BUYERS, Described, JSON, answer, for_viewers, operation, optional, path, refused},
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
    let operation = operation(
        BUYERS,
        "followSale",
        "A sale, as it changes",
        "Events `sale` with the Sale (see `showSale`), at most 5 a second.",
    )
    .parameter(sale_in_path())
    .response("200", answer("The events.", EVENT_STREAM, events("sale", None, &examples::sale_json())));
    refused(operation, &SALE_REFUSALS)
}

fn order_events() -> OperationBuilder {
    let order = examples::order_json(OrderStatus::Confirmed);
    let operation = operation(
        BUYERS,
        "followOrder",
        "An order, as it goes its way",
        "Events `order` with the Order (see `lookUpOrder`), from now until it is final; then the stream ends.",
    )
    .parameter(sale_in_path())
    .parameter(order_in_path())
    .parameter(last_event_id())
    .response("200", answer("The events.", EVENT_STREAM, events("order", Some("confirmed"), &order)))
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

/// A stream: the schema is that of one event, as a client reads it.
fn events(name: &str, id: Option<&str>, data: &Value) -> Content {
    let data_schema = schemas::string().content_media_type(JSON).description(Some("The JSON, as a text."));
    let mut schema = ObjectBuilder::new()
        .property("event", schemas::string().enum_values(Some([name])))
        .property("data", data_schema)
        .required("event")
        .required("data");
    let mut example = json!({ "event": name, "data": data.to_string() });
    if let Some(id) = id {
        schema =
            schema.property("id", schemas::string().description(Some("The order's status."))).required("id");
        example["id"] = json!(id);
    }
    ContentBuilder::new().schema(Some(schema)).example(Some(example)).build()
}

/// What a browser sends by itself when it comes back.
fn last_event_id() -> Parameter {
    let description = "The `id` of the last event that you have seen: the status that the order had come to. Any \
                       other is ignored.";
    let status = schemas::string();
    optional("Last-Event-ID", ParameterIn::Header, status, description, json!("accepted"))
}
