//! Refusals as HTTP: the only mapping from outcomes and errors to a status, without a wildcard arm.
//!
//! The body is `application/problem+json` (RFC 9457). Nothing of the inside (addresses, messages of Redis,
//! Kafka or MySQL) is ever in it: that is logged where it happens.

use std::borrow::Cow;

use actix_web::{
    HttpResponse, ResponseError,
    http::{StatusCode, header},
};
use jiff::Timestamp;
use seckill_core::{order::OutOfRange, sale::MAX_STOCK};
use serde::Serialize;

pub use self::code::Code;
use crate::refusal::Refusal;

mod code;

/// The media type of a refusal's body.
pub const PROBLEM_JSON: &str = "application/problem+json";

/// A field, or a header, that is out of its range.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldError {
    /// The name of the field in the body, or of the header.
    pub field: &'static str,
    /// What is expected of it.
    pub message: String,
}

impl FieldError {
    /// Says that `field` is `out_of_range`.
    pub fn new(field: &'static str, out_of_range: &OutOfRange) -> Self {
        Self { field, message: out_of_range.to_string() }
    }

    /// Says that `field` is missing.
    pub fn missing(field: &'static str) -> Self {
        Self { field, message: "is required".to_owned() }
    }
}

/// A refusal.
#[derive(Clone, Debug)]
pub struct Problem {
    code: Code,
    detail: Cow<'static, str>,
    errors: Vec<FieldError>,
    opens_at: Option<Timestamp>,
    allow: Option<&'static str>,
    closes_connection: bool,
    retry_after: Option<u64>,
}

/// The body of a refusal.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Body<'a> {
    r#type: &'static str,
    title: &'static str,
    status: u16,
    detail: &'a str,
    code: &'static str,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    errors: &'a [FieldError],
    #[serde(skip_serializing_if = "Option::is_none")]
    opens_at: Option<Timestamp>,
}

impl Problem {
    /// The refusal `code`; `detail` says what it is this time.
    pub fn new(code: Code, detail: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            detail: detail.into(),
            errors: Vec::new(),
            opens_at: None,
            allow: None,
            closes_connection: false,
            retry_after: None,
        }
    }

    /// The request cannot be read: `detail` says where.
    pub fn malformed(detail: impl Into<Cow<'static, str>>) -> Self {
        Self::new(Code::MalformedRequest, detail)
    }

    /// Fields are out of their ranges.
    pub fn validation(errors: Vec<FieldError>) -> Self {
        let detail = "fields are missing or out of range; `errors` names them";
        Self { errors, ..Self::new(Code::ValidationFailed, detail) }
    }

    /// The path takes only the methods `allow`.
    pub fn method_not_allowed(allow: &'static str) -> Self {
        let detail = "this path does not take this method; `Allow` names those it takes";
        Self { allow: Some(allow), ..Self::new(Code::MethodNotAllowed, detail) }
    }

    /// Too much was asked; after `seconds` one request may come.
    pub fn rate_limited(detail: &'static str, seconds: u64) -> Self {
        Self { retry_after: Some(seconds), ..Self::new(Code::RateLimited, detail) }
    }

    /// The sale does not sell now.
    fn shut(code: Code, detail: &'static str, opens_at: Option<Timestamp>) -> Self {
        Self { opens_at, ..Self::new(code, detail) }
    }

    /// The path leads nowhere.
    pub fn not_found() -> Self {
        Self::new(Code::NotFound, "there is nothing under this path")
    }

    /// The same refusal, after which the connection is closed: the rest of its request was not read.
    #[must_use]
    pub fn closing(self) -> Self {
        Self { closes_connection: true, ..self }
    }

    /// What kind of refusal it is.
    pub fn code(&self) -> Code {
        self.code
    }

    /// The body, for descriptions.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body()).expect("a problem is always JSON")
    }

    fn body(&self) -> Vec<u8> {
        let body = Body {
            r#type: self.code.uri(),
            title: self.code.title(),
            status: self.code.status().as_u16(),
            detail: &self.detail,
            code: self.code.name(),
            errors: &self.errors,
            opens_at: self.opens_at,
        };
        let mut json = Vec::with_capacity(256);
        serde_json::to_writer(&mut json, &body).expect("a problem is always JSON");
        json
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.code.name(), self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.code.status()
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.code.status());
        response.insert_header((header::CONTENT_TYPE, header::HeaderValue::from_static(PROBLEM_JSON)));
        if let Some(seconds) = self.retry_after {
            response.insert_header((header::RETRY_AFTER, seconds));
        } else if let Some(seconds) = self.code.retry_after() {
            response.insert_header((header::RETRY_AFTER, header::HeaderValue::from_static(seconds)));
        }
        if let Some(allow) = self.allow {
            response.insert_header((header::ALLOW, header::HeaderValue::from_static(allow)));
        }
        if self.code == Code::Unauthorized {
            response.insert_header((header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer")));
        }
        if self.closes_connection {
            response.force_close();
        }
        response.body(self.body())
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let (code, detail) = match refusal {
            Refusal::SoldOut => (Code::SoldOut, "fewer units are left than the order asks for"),
            Refusal::LimitReached => {
                (Code::LimitReached, "this buyer would hold more units than the sale allows")
            }
            Refusal::NotOpen { opens_at } => {
                return Self::shut(Code::SaleNotOpen, "the sale has not opened yet", opens_at);
            }
            Refusal::Ended { opens_at } => {
                return Self::shut(Code::SaleEnded, "the sale has ended", opens_at);
            }
            Refusal::Paused { opens_at } => {
                return Self::shut(Code::SalePaused, "the sale is paused; it may go on later", opens_at);
            }
            Refusal::Conflict => {
                let message = "was used with another body".to_owned();
                let errors = vec![FieldError { field: "Idempotency-Key", message }];
                let detail = "this buyer has used this Idempotency-Key here with another body";
                return Self { errors, ..Self::new(Code::IdempotencyConflict, detail) };
            }
            Refusal::SaleNotFound => (Code::SaleNotFound, "there is no sale of this name"),
            Refusal::OrderNotFound => (Code::OrderNotFound, "the sale has no order of this id"),
            Refusal::OrderFinal => (Code::OrderFinal, "the order was rejected; there is nothing to cancel"),
            Refusal::SaleBusy => {
                (Code::Overloaded, "somebody else is changing this sale; nothing was changed, try again")
            }
            Refusal::SaleKeptMoving => (
                Code::Overloaded,
                "units kept coming back while the sale was reset; its stock may have been changed, try again",
            ),
            Refusal::ResetRecorded => (
                Code::LedgerRecovering,
                "the reset is recorded; what is left is right once the sale's ledger has been brought into line",
            ),
            Refusal::ResetBrokenOff => (
                Code::LedgerRecovering,
                "the reset was broken off; the sale may sell nothing until it is resumed, within seconds; try again",
            ),
            Refusal::AboveMaximum => {
                let message = format!("with what live orders hold, the stock would be above {MAX_STOCK}");
                return Self::validation(vec![FieldError { field: "count", message }]);
            }
            Refusal::OpenidTaken => {
                let message = "another order has it".to_owned();
                return Self::validation(vec![FieldError { field: "openid", message }]);
            }
            Refusal::TooManyStreams => {
                (Code::Overloaded, "as many event streams are open as may be; try again")
            }
            Refusal::Overloaded => (Code::Overloaded, "too many orders wait already; nothing was reserved"),
            Refusal::LedgerUnavailable => {
                (Code::LedgerUnavailable, "the stock ledger cannot be reached; nothing was reserved")
            }
            Refusal::LedgerRecovering => {
                (Code::LedgerRecovering, "the sale is being loaded or checked; nothing was reserved")
            }
            Refusal::OrderLogUnavailable => {
                (Code::OrderLogUnavailable, "orders cannot be made durable now; nothing was reserved")
            }
            Refusal::CancellationUnknown => (
                Code::OrderLogUnavailable,
                "it is not known yet whether the order is cancelled; cancelling once more does no harm",
            ),
            Refusal::StoreUnavailable => (Code::StoreUnavailable, "the order store cannot be reached"),
        };
        Self::new(code, detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_has_the_shape_of_the_contract() {
        let body = String::from_utf8(Problem::from(Refusal::SoldOut).body()).unwrap();
        assert_eq!(
            body,
            "{\"type\":\"/problems/sold-out\",\"title\":\"Sold out\",\"status\":409,\
             \"detail\":\"fewer units are left than the order asks for\",\"code\":\"sold-out\"}"
        );
    }

    #[test]
    fn every_422_names_what_it_is_about() {
        for refusal in [Refusal::Conflict, Refusal::AboveMaximum, Refusal::OpenidTaken] {
            let body = Problem::from(refusal).to_json();
            assert_eq!((&body["status"], body["errors"].as_array().map(Vec::len)), (&422.into(), Some(1)));
        }
    }

    #[test]
    fn fields_out_of_range_are_listed() {
        let errors = vec![FieldError::missing("user"), FieldError::missing("goods")];
        let body = String::from_utf8(Problem::validation(errors).body()).unwrap();
        assert!(body.ends_with(
            "\"errors\":[{\"field\":\"user\",\"message\":\"is required\"},\
             {\"field\":\"goods\",\"message\":\"is required\"}]}"
        ));
    }
}
