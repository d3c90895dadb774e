//! The description of the HTTP interface: OpenAPI 3.1, made from the code that answers.
//!
//! Refusals come from [`crate::problem::Code`], limits and examples from the types of `seckill-core`. What is
//! written here by hand is checked: against the routes, against what is really answered (`tests/openapi.rs`),
//! and by random requests against the running server (`scripts/api-fuzz`).

mod buyers;
mod examples;
mod following;
mod operation;
mod operator;
mod original;
mod parts;
mod schemas;
mod timeline;

use utoipa::openapi::{
    ComponentsBuilder, InfoBuilder, LicenseBuilder, OpenApi, OpenApiBuilder, PathsBuilder,
    security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
    tag::TagBuilder,
};

use self::parts::{Described, refusal_of};
use crate::problem::Code;

const INTRODUCTION: &str = "\
A flash sale: a small stock, a huge crowd, and an answer to every order at once.

**Orders.** `202` with status `accepted` means: taken, and safe in the order log. `pending` means that it is not \
known yet; it resolves by itself. Always send an `Idempotency-Key`: the same key and body is the same order for \
ever, so that a request whose answer was lost can be sent again.

**Refusals** are `application/problem+json` (RFC 9457) with a `code`; `GET /problems/{name}` explains each. `429` \
and `503` carry `Retry-After`. Where a path exists and the method does not, the answer is `405` with `Allow`; a \
path that leads nowhere is `404` with the code `not-found`. Every `GET` is also a `HEAD`.

**Limits.** A body has at most 4 KiB and must arrive within 5 seconds. What is not HTTP, or a first head that is \
too large or too slow, is answered with the bare status and the connection is closed. \
Requests of one client address and orders of one buyer may be limited (off unless configured): answers then carry \
`RateLimit` and `RateLimit-Policy`.";

/// The whole description.
pub fn openapi() -> OpenApi {
    let mut paths = PathsBuilder::new();
    for Described { path, item } in described() {
        paths = paths.path(path, item);
    }
    OpenApiBuilder::new()
        .info(
            InfoBuilder::new()
                .title("Seckill")
                .version(env!("CARGO_PKG_VERSION"))
                .description(Some(INTRODUCTION))
                .license(Some(
                    LicenseBuilder::new()
                        .name("MIT OR Apache-2.0")
                        .identifier(Some("MIT OR Apache-2.0"))
                        .build(),
                ))
                .build(),
        )
        .tags(Some(tags()))
        .paths(paths)
        .components(Some(components().build()))
        .build()
}

/// The description as JSON: what is served, and what is committed as `docs/openapi.json`.
pub fn json() -> String {
    let json = openapi().to_pretty_json().expect("the description is JSON");
    // utoipa 5.5 forgets that the fields of a link are in camelCase.
    json.replace("\"operation_id\":", "\"operationId\":") + "\n"
}

/// Every path that is described.
fn described() -> Vec<Described> {
    let mut all = buyers::paths();
    all.extend(following::paths());
    all.extend(timeline::paths());
    all.extend(original::paths());
    all.extend(operator::paths());
    all.extend(operation::paths());
    all
}

fn components() -> ComponentsBuilder {
    schemas::all()
        .response("MethodNotAllowed", refusal_of(&[Code::MethodNotAllowed]))
        .response("NotFound", refusal_of(&[Code::NotFound]))
        .security_scheme(
            parts::ADMIN,
            bearer(None, "The operator's token (`SECKILL_ADMIN_TOKEN`). Without one configured: `403`."),
        )
        .security_scheme(
            parts::BUYER,
            bearer(
                Some("JWT"),
                "Off unless configured. Then a buyer is the token's subject: a body that says otherwise is `403`, \
                 and an order is seen and cancelled only by its buyer.",
            ),
        )
}

fn bearer(format: Option<&str>, description: &str) -> SecurityScheme {
    let mut scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).description(Some(description));
    if let Some(format) = format {
        scheme = scheme.bearer_format(format);
    }
    SecurityScheme::Http(scheme.build())
}

fn tags() -> Vec<utoipa::openapi::Tag> {
    [
        (parts::BUYERS, "Sales and orders."),
        (parts::ORIGINAL, "As the original (nest-seckill) answers, for its clients."),
        (parts::OPERATOR, "The original's routes for operators."),
        (parts::OPERATION, "Health, metrics, explanations, pages."),
    ]
    .map(|(name, description)| TagBuilder::new().name(name).description(Some(description)).build())
    .into()
}
