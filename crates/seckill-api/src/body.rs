//! Reading a request's body: at most 4 KiB of JSON, uncompressed, within a few seconds.

use std::{
    future::poll_fn,
    task::{Context, Waker},
    time::Duration,
};

use actix_web::{
    HttpRequest,
    error::PayloadError,
    http::header::{self, HeaderMap, HeaderValue},
    web::{Bytes, BytesMut, Payload},
};
use futures_util::StreamExt;

use crate::problem::{Code, Problem};

/// Most bytes of a body.
pub const MAX_BODY: usize = 4096;

/// How long a body may take to arrive; the head has its own time (see `app.rs`).
const BODY_WITHIN: Duration = Duration::from_secs(5);

/// Reads the JSON text of `request`'s body.
pub async fn read(request: &HttpRequest, mut payload: Payload) -> Result<Bytes, Problem> {
    check_head(request.headers())?;
    let Ok(body) = tokio::time::timeout(BODY_WITHIN, collect(&mut payload)).await else {
        return Err(Problem::malformed("the body did not arrive within 5 seconds").closing());
    };
    let body = body?;
    if body.is_empty() { Err(empty()) } else { Ok(body) }
}

/// Refuses by the head alone what must not be read.
fn check_head(headers: &HeaderMap) -> Result<(), Problem> {
    if announced_length(headers).is_some_and(|length| length > MAX_BODY as u64) {
        return Err(too_large());
    }
    let content_type = headers.get(header::CONTENT_TYPE);
    if !content_type.is_some_and(is_json) {
        if content_type.is_none() && !announces_body(headers) {
            return Err(empty());
        }
        return Err(Problem::new(Code::UnsupportedMediaType, "Content-Type must be application/json"));
    }
    if headers.get(header::CONTENT_ENCODING).is_some_and(|coding| coding != "identity") {
        return Err(Problem::new(Code::UnsupportedMediaType, "the body must not be compressed"));
    }
    Ok(())
}

fn announced_length(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Whether a body comes behind this head.
fn announces_body(headers: &HeaderMap) -> bool {
    headers.contains_key(header::TRANSFER_ENCODING)
        || announced_length(headers).is_some_and(|length| length > 0)
}

/// Whether a `Content-Type` is `application/json`, with whatever parameters.
fn is_json(content_type: &HeaderValue) -> bool {
    let essence = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

async fn collect(payload: &mut Payload) -> Result<Bytes, Problem> {
    let Some(first) = next_piece(payload).await else { return Ok(Bytes::new()) };
    let first = first.map_err(|error| broken(&error))?;
    // Nearly every body comes in one piece, and is then not copied.
    let Some(second) = next_piece(payload).await else {
        return if first.len() > MAX_BODY { Err(too_large()) } else { Ok(first) };
    };
    let mut body = BytesMut::from(&first[..]);
    let mut next = Some(second);
    while let Some(chunk) = next {
        body.extend_from_slice(&chunk.map_err(|error| broken(&error))?);
        if body.len() > MAX_BODY {
            return Err(too_large());
        }
        next = next_piece(payload).await;
    }
    Ok(body.freeze())
}

/// The next piece of the body. It is decoded by the task that polls this, which then polls this again: waking it would
/// have it look at its connection once more for nothing, with every order.
async fn next_piece(payload: &mut Payload) -> Option<Result<Bytes, PayloadError>> {
    poll_fn(|_| payload.poll_next_unpin(&mut Context::from_waker(Waker::noop()))).await
}

fn empty() -> Problem {
    Problem::malformed("the body is empty; a JSON object is expected")
}

fn too_large() -> Problem {
    Problem::new(Code::PayloadTooLarge, "the body is larger than 4096 bytes").closing()
}

fn broken(error: &PayloadError) -> Problem {
    match error {
        PayloadError::Overflow => too_large(),
        _ => Problem::malformed("the body is not complete, or its chunks are not well-formed").closing(),
    }
}
