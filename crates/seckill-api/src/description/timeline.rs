//! The timeline of an order: `routes/timeline.rs`.

use seckill_core::{
    order::OrderStatus,
    order_log::Position,
    store::{Logged, OrderTimeline},
};
use utoipa::openapi::{ArrayBuilder, HttpMethod, Object, RefOr, schema::Schema};

use super::{
    buyers::{LOOK_UP_REFUSALS, order_in_path, sale_in_path},
    examples,
    parts::{BUYERS, Described, JSON, answer, for_viewers, operation, path, refused, shape},
    schemas::{object, order_id, order_statuses, sale_id, time, whole, words},
};
use crate::timeline::Timeline;

pub fn paths() -> Vec<Described> {
    let example = serde_json::to_value(timeline()).expect("a timeline is always JSON");
    let operation = operation(
        BUYERS,
        "traceOrder",
        "How an order came along",
        "Each step that is known, with its time: where is my order, and why did I not get it? Each part of the \
         system tells the time by its own clock.",
    )
    .parameter(sale_in_path())
    .parameter(order_in_path())
    .response("200", answer("Its steps.", JSON, shape("Timeline", example)));
    let operation = for_viewers(refused(operation, &LOOK_UP_REFUSALS));
    vec![path("/v1/sales/{sale}/orders/{id}/timeline", HttpMethod::Get, operation)]
}

/// The shape of the answer.
pub fn schema() -> Object {
    let steps = ["reserved", "published", "written", "rejected", "cancelled", "returned"];
    let step = object(
        &["step", "at"],
        [
            ("step", words(&steps)),
            ("at", time()),
            ("partition", whole(0).description(Some("Of `published`: the partition of the order log."))),
            ("offset", whole(0).description(Some("Of `published`: the offset within it."))),
        ],
    );
    let steps = ArrayBuilder::new()
        .items(RefOr::T(Schema::from(step)))
        .description(Some("In the order of the way. The first one is always there."));
    object(
        &["id", "sale", "status", "steps"],
        [
            ("id", Schema::from(order_id().build())),
            ("sale", Schema::from(sale_id().build())),
            ("status", Schema::from(order_statuses().build())),
            ("steps", Schema::from(steps.build())),
        ],
    )
}

fn timeline() -> Timeline {
    let order = examples::order(OrderStatus::Confirmed);
    let reserved = order.created_date;
    let after = |ms| Some(reserved + jiff::SignedDuration::from_millis(ms));
    let published = Some(Logged { position: Position { partition: 3, offset: 1042 }, at: after(1) });
    let status = order.status;
    let stored =
        OrderTimeline { status, reserved, published, written: after(13), cancelled: None, returned: None };
    Timeline::of(order, Some(stored))
}
