//! The span of a request, by OpenTelemetry's conventions for HTTP servers.

use actix_web::{
    HttpMessage, HttpRequest,
    dev::ServiceRequest,
    http::{Method, StatusCode, header::HeaderMap},
};
use seckill_core::traces::{self, Span, TRACEPARENT, TraceContext};

/// Characters of a path in its span.
const PATH_AT_MOST: usize = 256;

/// Begins the span of `request`, which goes to the route `path`; none: it is not recorded. From here on
/// [`of`] tells the request's place in its trace.
pub fn begin(request: &ServiceRequest, path: &'static str) -> Option<Span> {
    if !traces::are_on() {
        return None;
    }
    let mut span = traces::served(path, caller(request.headers()).as_ref())?;
    // What clients make up must not become a name.
    let (method, known) = match *request.method() {
        Method::GET | Method::HEAD | Method::POST | Method::PUT | Method::DELETE | Method::OPTIONS => {
            (request.method().as_str(), request.method().as_str())
        }
        _ => ("HTTP", "_OTHER"),
    };
    span.rename(format!("{method} {path}"));
    span.set("http.request.method", known.to_owned());
    span.set("http.route", path);
    // Spans wait in memory for their receiver, and a path may have 64 KB.
    span.set("url.path", request.path().chars().take(PATH_AT_MOST).collect::<String>());
    span.set("url.scheme", "http");
    request.extensions_mut().insert(span.context());
    Some(span)
}

/// Where in its trace `request` is. Where it is not recorded, its caller's trace, if it is told one, goes on to the
/// order log all the same: by its ids, and as one that nobody records.
pub fn of(request: &HttpRequest) -> Option<TraceContext> {
    let recorded = request.extensions().get::<TraceContext>().cloned();
    recorded.or_else(|| caller(request.headers()).map(|caller| caller.unrecorded()))
}

fn caller(headers: &HeaderMap) -> Option<TraceContext> {
    TraceContext::parse(headers.get(TRACEPARENT)?.to_str().ok()?)
}

/// Ends the span of a request that is answered by `status`.
pub fn end(mut span: Span, status: StatusCode) {
    span.set("http.response.status_code", i64::from(status.as_u16()));
    if status.is_server_error() {
        span.fail("server_error", status.to_string());
    }
}
