//! The codes of refusals: name, status, and what they mean to people.

use actix_web::http::StatusCode;

/// Declares every code with its name, status, title, `Retry-After` in seconds, and explanation.
macro_rules! codes {
    ($($variant:ident $name:literal $status:ident $retry:expr, $title:literal, $explanation:literal;)*) => {
        /// What kind of refusal it is.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code {
            $(#[doc = $explanation] $variant,)*
        }

        impl Code {
            /// Every code.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name, as in the body's `code`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// Where it is explained, as in the body's `type`.
            pub fn uri(self) -> &'static str {
                match self { $(Self::$variant => concat!("/problems/", $name),)* }
            }

            /// The status of the answer.
            pub fn status(self) -> StatusCode {
                match self { $(Self::$variant => StatusCode::$status,)* }
            }

            /// Its name for people.
            pub fn title(self) -> &'static str {
                match self { $(Self::$variant => $title,)* }
            }

            /// After how many seconds the same request may succeed, where that can be said.
            pub fn retry_after(self) -> Option<&'static str> {
                match self { $(Self::$variant => $retry,)* }
            }

            /// What it means and what to do, for people.
            pub fn explanation(self) -> &'static str {
                match self { $(Self::$variant => $explanation,)* }
            }
        }
    };
}

codes! {
    MalformedRequest "malformed-request" BAD_REQUEST None, "Malformed request",
        "The request cannot be read: its body is not the JSON object that is expected (not JSON, not UTF-8, \
         empty, a field unknown, doubled or of the wrong type, not complete within the time), or its \
         Idempotency-Key or an id in its path is not of its form. Nothing was done. The same request will \
         be refused again.";
    Unauthorized "unauthorized" UNAUTHORIZED None, "Unauthorized",
        "The request needs the header `Authorization: Bearer TOKEN`: with the operator's token where operators \
         work, with a buyer's own token where buyers have tokens. It has none, or one that is not valid (any \
         more). Nothing was done.";
    Forbidden "forbidden" FORBIDDEN None, "Forbidden",
        "This is for operators, and no operator's token is configured here; or the order is in the name of \
         another buyer than the token's. Nothing was done.";
    SaleNotFound "sale-not-found" NOT_FOUND None, "Sale not found",
        "There is no sale of this name. A sale that was created just now is found a few seconds later.";
    OrderNotFound "order-not-found" NOT_FOUND None, "Order not found",
        "The sale has no order of this id. If the order was answered `pending`, it was not taken: \
         its units are for sale, and the same order with the same Idempotency-Key may be sent again.";
    NotFound "not-found" NOT_FOUND None, "Not found",
        "There is nothing under this path.";
    MethodNotAllowed "method-not-allowed" METHOD_NOT_ALLOWED None, "Method not allowed",
        "The path exists but does not take this method; the header `Allow` names the methods that it takes.";
    SoldOut "sold-out" CONFLICT None, "Sold out",
        "Fewer units are left than the order asks for. Units of cancelled orders come back for sale.";
    LimitReached "limit-reached" CONFLICT None, "Limit reached",
        "The sale allows each buyer a number of units, and with this order the buyer would hold more.";
    SaleNotOpen "sale-not-open" CONFLICT None, "Sale not open",
        "The sale has not opened yet; `opensAt` says when it will, by the server's clock.";
    SaleEnded "sale-ended" CONFLICT None, "Sale ended",
        "The sale is over.";
    SalePaused "sale-paused" CONFLICT None, "Sale paused",
        "The operator has paused the sale; it may go on later.";
    OrderFinal "order-final" CONFLICT None, "Order final",
        "The order was rejected: there is nothing to cancel.";
    PayloadTooLarge "payload-too-large" PAYLOAD_TOO_LARGE None, "Payload too large",
        "The body is larger than 4 KiB.";
    UnsupportedMediaType "unsupported-media-type" UNSUPPORTED_MEDIA_TYPE None, "Unsupported media type",
        "The body must be sent with `Content-Type: application/json`, and not compressed.";
    ValidationFailed "validation-failed" UNPROCESSABLE_ENTITY None, "Validation failed",
        "Fields are missing or out of their ranges; `errors` names each and says what is expected. \
         Nothing was done.";
    IdempotencyConflict "idempotency-conflict" UNPROCESSABLE_ENTITY None, "Idempotency conflict",
        "The buyer has used this Idempotency-Key in this sale with another body. A key stands for one \
         order for ever: a new order needs a new key.";
    RateLimited "rate-limited" TOO_MANY_REQUESTS Some("1"), "Rate limited",
        "This buyer or this client address sends too many requests. `Retry-After` says after how many seconds \
         one more may come, `RateLimit` and `RateLimit-Policy` which limit it is. Nothing was done.";
    Overloaded "overloaded" SERVICE_UNAVAILABLE Some("1"), "Overloaded",
        "More is asked for than can be answered at once. Nothing was reserved; try again.";
    LedgerUnavailable "ledger-unavailable" SERVICE_UNAVAILABLE Some("1"), "Ledger unavailable",
        "The ledger that decides orders cannot be reached. Nothing was reserved; try again.";
    LedgerRecovering "ledger-recovering" SERVICE_UNAVAILABLE Some("2"), "Ledger recovering",
        "The ledger has lost or not yet loaded this sale; it is rebuilt from the store, which takes some \
         seconds. Nothing was reserved; try again.";
    OrderLogUnavailable "order-log-unavailable" SERVICE_UNAVAILABLE Some("1"), "Order log unavailable",
        "Orders cannot be made durable at the moment, so none are taken. Nothing was reserved; try again.";
    StoreUnavailable "store-unavailable" SERVICE_UNAVAILABLE Some("2"), "Store unavailable",
        "The database that keeps orders and sales cannot be reached. Nothing was done; try again.";
}

impl Code {
    /// The code called `name`.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|code| code.name() == name)
    }
}
