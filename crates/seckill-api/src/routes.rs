//! The routes: which path leads to which handler, what each path takes, and what is measured of it.

mod back_office;
mod cancellation;
mod events;
mod legacy;
mod operation;
mod orders;
mod pages;
mod sales;
mod timeline;

use std::{future::ready, rc::Rc, sync::atomic::Ordering, time::Instant};

use actix_web::{
    Error, HttpRequest, HttpResponse, ResponseError, Route,
    body::MessageBody,
    dev::{HttpServiceFactory, Service, ServiceResponse},
    guard,
    http::{ConnectionType, StatusCode, header},
    web::{self, Bytes, ServiceConfig},
};
use futures_util::future::Either;
use seckill_core::{order::OrderId, sale::SaleId};
use serde::Serialize;
use tracing::Instrument;

pub use self::orders::accepted;
use crate::{
    measures::HttpMeasures, problem::Problem, rate_limit, request_trace, services::Services, unread::Unread,
};

/// Puts every route in place.
pub fn configure(config: &mut ServiceConfig, measures: &HttpMeasures) {
    // The first that fits is taken, so those that are asked most come first.
    orders::configure(config, measures);
    sales::configure(config, measures);
    legacy::configure(config, measures);
    back_office::configure(config, measures);
    cancellation::configure(config, measures);
    events::configure(config, measures);
    timeline::configure(config, measures);
    operation::configure(config, measures);
    pages::configure(config, measures);
    let unknown = resource(measures, "{path}*", "", vec![web::route().to(not_found)]);
    config.service(unknown);
    // What is no path at all (`OPTIONS *`).
    config.default_service(web::to(not_found));
}

/// The paths that machines of the operator ask again and again: no rate limit counts there, and nothing is traced.
const UNLIMITED: [&str; 3] = ["/livez", "/readyz", "/metrics"];

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::not_found())
}

/// A path that takes the methods `allow` by `routes`, answers 405 to others, and is measured.
fn resource(
    measures: &HttpMeasures,
    path: &'static str,
    allow: &'static str,
    routes: Vec<Route>,
) -> impl HttpServiceFactory + 'static {
    // Each worker has its own: they would share the count of who has it.
    let measure = Rc::new(measures.path(path));
    let mut resource = web::resource(path);
    for route in routes {
        resource = resource.route(route);
    }
    let refuse = move || async move { Err::<HttpResponse, _>(Problem::method_not_allowed(allow)) };
    let is_limited = !UNLIMITED.contains(&path);
    resource.default_service(web::to(refuse)).wrap_fn(move |mut request, service| {
        let (measure, started) = (Rc::clone(&measure), Instant::now());
        let limits =
            Services::of(request.request()).and_then(|it| it.rate_limits.as_ref()).filter(|_| is_limited);
        let (counted, refused) = (limits.is_some(), limits.map(|limits| limits.check_address(&request)));
        let span = if is_limited { request_trace::begin(&request, path) } else { None };
        let scope = span.as_ref().map_or_else(tracing::Span::none, |span| span.context().log_scope());
        let unread = Unread::of(&mut request);
        let answer = match refused {
            Some(Err(problem)) => Either::Right(ready(Ok(request.into_response(problem.error_response())))),
            Some(Ok(())) | None => Either::Left(service.call(request)),
        };
        async move {
            let mut answer = answer.instrument(scope.clone()).await;
            if let (true, Ok(response)) = (counted, &mut answer) {
                rate_limit::mark(response);
            }
            if let Ok(response) = &mut answer {
                say_goodbye(response);
            }
            let status = status(&answer);
            measure.answered(status, started.elapsed());
            scope.in_scope(|| tracing::debug!(path, status = status.as_u16(), "answered"));
            if let Some(span) = span {
                request_trace::end(span, status);
            }
            match unread {
                Some(unread) => answer.map(|answer| unread.held_by(answer)),
                None => answer,
            }
        }
    })
}

/// Has a connection end with this answer if the process is about to: what is sent on it later is not heard any more,
/// and a proxy that has sent it cannot know whether it was.
fn say_goodbye<B>(response: &mut ServiceResponse<B>) {
    if Services::of(response.request()).is_some_and(|services| services.stopping.load(Ordering::Relaxed)) {
        response.response_mut().head_mut().set_connection_type(ConnectionType::Close);
    }
}

fn status<B: MessageBody>(answer: &Result<ServiceResponse<B>, Error>) -> StatusCode {
    match answer {
        Ok(response) => response.status(),
        Err(error) => error.as_response_error().status_code(),
    }
}

/// The methods of a path that is only read.
const READ_ONLY: &str = "GET, HEAD";

/// `GET` and, as HTTP wants it wherever there is `GET`, `HEAD`.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

/// An answer in JSON.
fn json(status: StatusCode, value: &impl Serialize) -> HttpResponse {
    let mut body = Vec::with_capacity(512);
    serde_json::to_writer(&mut body, value).expect("every answer is JSON");
    json_bytes(status, body.into())
}

/// An answer in JSON that was made before.
fn json_bytes(status: StatusCode, body: Bytes) -> HttpResponse {
    let mut response = HttpResponse::build(status);
    response.insert_header((header::CONTENT_TYPE, header::HeaderValue::from_static("application/json")));
    response.body(body)
}

/// The sale that the path names.
fn sale_in_path(request: &HttpRequest) -> Result<SaleId, Problem> {
    SaleId::parse(request.match_info().query("sale"))
        .map_err(|invalid| Problem::malformed(format!("the sale in the path is not one: {invalid}")))
}

/// The order that the path names.
fn order_in_path(request: &HttpRequest) -> Result<OrderId, Problem> {
    OrderId::parse(request.match_info().query("id"))
        .ok_or_else(|| Problem::malformed("the order in the path is not a UUID in its hyphenated form"))
}
