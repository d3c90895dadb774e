//! Event streams: how an order comes along, how a sale stands.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{Method, header::HeaderName},
    web::{Data, ServiceConfig},
};

use super::{READ_ONLY, get, orders, resource, sale_in_path};
use crate::{
    feed::{OrderFeed, SaleFeed, head},
    measures::HttpMeasures,
    problem::Problem,
    services::Services,
};

/// What a client that comes back has seen.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    config
        .service(resource(measures, "/v1/sales/{sale}/events", READ_ONLY, vec![get().to(sale)]))
        .service(resource(measures, "/v1/sales/{sale}/orders/{id}/events", READ_ONLY, vec![get().to(order)]));
}

async fn sale(request: HttpRequest, services: Data<Services>) -> Result<HttpResponse, Problem> {
    let sale = sale_in_path(&request)?;
    let place = services.streams.place()?;
    let (first, events) = services.sale_feed.watch(&sale).await?;
    if request.method() == Method::HEAD {
        return Ok(head().finish());
    }
    Ok(services.streams.answer(place, Some(first), events, SaleFeed::event))
}

async fn order(request: HttpRequest, services: Data<Services>) -> Result<HttpResponse, Problem> {
    let order = orders::in_path(&request, &services).await?;
    let seen = request.headers().get(&LAST_EVENT_ID);
    if order.status.is_final() && seen.is_some_and(|seen| seen == order.status.as_str()) {
        // The one answer after which a browser's EventSource does not come back.
        return Ok(HttpResponse::NoContent().finish());
    }
    if request.method() == Method::HEAD {
        return Ok(head().finish());
    }
    let place = services.streams.place()?;
    Ok(services.streams.answer(place, None, services.order_feed.watch(order), OrderFeed::event))
}
