//! The timeline of an order, for whoever may see the order.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, ServiceConfig},
};

use super::{READ_ONLY, get, json, orders, resource};
use crate::{measures::HttpMeasures, problem::Problem, services::Services};

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    let path = "/v1/sales/{sale}/orders/{id}/timeline";
    config.service(resource(measures, path, READ_ONLY, vec![get().to(show)]));
}

async fn show(request: HttpRequest, services: Data<Services>) -> Result<HttpResponse, Problem> {
    let order = orders::in_path(&request, &services).await?;
    Ok(json(StatusCode::OK, &services.readings.timeline(order).await?))
}
