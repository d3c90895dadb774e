//! `/v1/sales/{sale}/orders`: taking an order and looking it up.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{HeaderName, HeaderValue, LOCATION},
    },
    web::{self, Data, Payload, ServiceConfig},
};
use seckill_core::order::{IdempotencyKey, Order};

use super::{READ_ONLY, get, json, json_bytes, order_in_path, resource, sale_in_path};
use crate::{
    body,
    measures::HttpMeasures,
    order_body::{self, Dialect},
    problem::Problem,
    purchase::{Placed, Purchase},
    refusal::Refusal,
    request_trace,
    services::Services,
};

const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
const IDEMPOTENCY_REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    config
        .service(resource(measures, "/v1/sales/{sale}/orders", "POST", vec![web::post().to(place)]))
        .service(resource(measures, "/v1/sales/{sale}/orders/{id}", READ_ONLY, vec![get().to(show)]));
}

async fn place(request: HttpRequest, payload: Payload) -> Result<HttpResponse, Problem> {
    // Borrowed: all workers would count who has it.
    let services = Services::of(&request).expect("every request comes to a server that has them");
    let sale = sale_in_path(&request)?;
    let buyer = services.identity.buyer(request.headers())?;
    let text = body::read(&request, payload).await?;
    let key = key_of(&request)?;
    let order = order_body::parse_for(&text, Dialect::V1, buyer.as_ref())?;
    services.count_order(&order.buyer, &request)?;
    let purchase =
        Purchase { sale, request: order, key, wants_position: false, trace: request_trace::of(&request) };
    Ok(accepted(&services.purchases.place(purchase).await?))
}

async fn show(request: HttpRequest, services: Data<Services>) -> Result<HttpResponse, Problem> {
    Ok(json(StatusCode::OK, &in_path(&request, &services).await?))
}

/// The order that the path names, if the request may see it.
pub(super) async fn in_path(request: &HttpRequest, services: &Services) -> Result<Order, Problem> {
    let (sale, id) = (sale_in_path(request)?, order_in_path(request)?);
    let viewer = services.identity.viewer(request.headers(), &services.admin)?;
    let order = services.readings.order(&sale, id).await?;
    // To whom it does not belong, it is not there.
    if !viewer.may_see(&order) {
        return Err(Refusal::OrderNotFound.into());
    }
    Ok(order)
}

/// The 202 with the order.
pub fn accepted(placed: &Placed) -> HttpResponse {
    let mut response = match &placed.json {
        Some(order) => json_bytes(StatusCode::ACCEPTED, order.clone()),
        None => json(StatusCode::ACCEPTED, &placed.order),
    };
    let location =
        ["/v1/sales/", placed.order.sale.as_str(), "/orders/", placed.order.id.text(&mut [0; 36])].concat();
    let location = HeaderValue::try_from(location).expect("ids are visible ASCII");
    response.headers_mut().insert(LOCATION, location);
    mark_replay(&mut response, placed);
    response
}

/// Says on the answer to a retry that it is one.
pub(super) fn mark_replay(response: &mut HttpResponse, placed: &Placed) {
    if placed.replayed {
        response.headers_mut().insert(IDEMPOTENCY_REPLAYED, HeaderValue::from_static("true"));
    }
}

/// The request's `Idempotency-Key`, if it has one.
pub(super) fn key_of(request: &HttpRequest) -> Result<Option<IdempotencyKey>, Problem> {
    let mut keys = request.headers().get_all(&IDEMPOTENCY_KEY);
    let Some(key) = keys.next() else { return Ok(None) };
    if keys.next().is_some() {
        return Err(Problem::malformed("there is more than one Idempotency-Key"));
    }
    IdempotencyKey::parse(key.as_bytes())
        .map(Some)
        .map_err(|out_of_range| Problem::malformed(format!("Idempotency-Key {out_of_range}")))
}
