//! `/v1/sales`: the sales.

use actix_web::{
    HttpRequest, HttpResponse,
    http::StatusCode,
    web::{Data, ServiceConfig},
};

use super::{READ_ONLY, get, json_bytes, resource, sale_in_path};
use crate::{measures::HttpMeasures, problem::Problem, services::Services};

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    config.service(resource(measures, "/v1/sales", READ_ONLY, vec![get().to(list)])).service(resource(
        measures,
        "/v1/sales/{sale}",
        READ_ONLY,
        vec![get().to(show)],
    ));
}

async fn list(services: Data<Services>) -> Result<HttpResponse, Problem> {
    Ok(json_bytes(StatusCode::OK, services.readings.sales().await?))
}

async fn show(request: HttpRequest, services: Data<Services>) -> Result<HttpResponse, Problem> {
    let sale = sale_in_path(&request)?;
    Ok(json_bytes(StatusCode::OK, services.readings.sale(&sale).await?))
}
