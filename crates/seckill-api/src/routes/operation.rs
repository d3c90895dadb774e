//! What operators and their machines ask: alive, ready, measured, and what a refusal means.

use std::sync::atomic::Ordering;

use actix_web::{
    HttpRequest, HttpResponse,
    http::{
        StatusCode,
        header::{CONTENT_TYPE, HeaderValue, RETRY_AFTER},
    },
    web::{Data, ServiceConfig},
};
use metrics::gauge;
use seckill_core::telemetry::METRICS_CONTENT_TYPE;

use super::{READ_ONLY, get, json, resource};
use crate::{
    measures::HttpMeasures,
    problem::{Code, Problem},
    services::Services,
};

pub(super) fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    config
        .service(resource(measures, "/livez", READ_ONLY, vec![get().to(alive)]))
        .service(resource(measures, "/readyz", READ_ONLY, vec![get().to(ready)]))
        .service(resource(measures, "/metrics", READ_ONLY, vec![get().to(metrics)]))
        .service(resource(measures, "/problems/{name}", READ_ONLY, vec![get().to(explain)]));
}

async fn alive() -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body("ok\n")
}

async fn ready(services: Data<Services>) -> HttpResponse {
    let report = services.readiness.report(services.stopping.load(Ordering::Acquire)).await;
    if report.ready {
        return json(StatusCode::OK, &report);
    }
    let mut unready = json(StatusCode::SERVICE_UNAVAILABLE, &report);
    unready.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
    unready
}

async fn metrics(services: Data<Services>) -> HttpResponse {
    gauge!("seckill_reservation_queue_depth").set(services.purchases.depth() as f64);
    gauge!("seckill_event_streams").set(services.streams.open() as f64);
    gauge!("seckill_order_log_in_flight").set(services.publisher.in_flight() as f64);
    gauge!("seckill_order_log_stalled").set(f64::from(u8::from(services.publisher.is_stalled())));
    HttpResponse::Ok().content_type(METRICS_CONTENT_TYPE).body(services.metrics.render())
}

async fn explain(request: HttpRequest) -> Result<HttpResponse, Problem> {
    let code = Code::parse(request.match_info().query("name")).ok_or_else(Problem::not_found)?;
    let (title, name, status, meaning) = (code.title(), code.name(), code.status(), code.explanation());
    let retry = match code.retry_after() {
        Some(seconds) => format!("\n\nThe answer carries `Retry-After: {seconds}`."),
        None => String::new(),
    };
    let text = format!("{title}\n\ncode {name}, status {status}\n\n{meaning}{retry}\n");
    Ok(HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/plain; charset=utf-8")).body(text))
}
