//! Cancelling an order, for its buyer.

use std::time::Duration;

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{self, Data, ServiceConfig},
};
use seckill_core::order::OrderStatus;
use tokio::time::timeout;

use super::{json, orders, resource};
use crate::{
    cancellation, measures::HttpMeasures, problem::Problem, refusal::Refusal, request_trace,
    services::Services,
};

/// How long the answer waits for the store to have what the log has, so that whoever asks next reads what was
/// answered. Without the store it is none the less true: what the log has will be.
const STORED_WITHIN: Duration = Duration::from_millis(500);

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    let path = "/v1/sales/{sale}/orders/{id}/cancel";
    config.service(resource(measures, path, "POST", vec![web::post().to(cancel)]));
}

async fn cancel(request: HttpRequest, services: Data<Services>) -> Result<HttpResponse, Problem> {
    let order = orders::in_path(&request, &services).await?;
    let was_cancelled = order.status == OrderStatus::Cancelled;
    let mut standing = services.order_feed.watch(order.clone());
    let mut cancelled =
        cancellation::cancel(&services.publisher, order, request_trace::of(&request).as_ref()).await?;
    if !was_cancelled {
        let stored = standing.wait_for(|order| order.status.is_over());
        if let Ok(Ok(stored)) = timeout(STORED_WITHIN, stored).await {
            cancelled = stored.clone();
        }
    }
    match cancelled.status {
        // It had not come to the store yet, and did not fit there.
        OrderStatus::Rejected => Err(Refusal::OrderFinal.into()),
        _ => Ok(json(StatusCode::ACCEPTED, &cancelled)),
    }
}
