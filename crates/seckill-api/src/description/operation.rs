//! Health, metrics, explanations and pages: `routes/operation.rs`, `routes/pages.rs`.

use seckill_core::telemetry::METRICS_CONTENT_TYPE;
use serde_json::json;
use utoipa::openapi::{HttpMethod, ObjectBuilder, path::OperationBuilder};

use super::parts::{
    Described, HTML, JSON, OPERATION, TEXT, answer, in_path, operation, path, refused, retry_after, shape,
    text,
};
use super::schemas;
use crate::problem::Code;

pub fn paths() -> Vec<Described> {
    vec![
        path("/livez", HttpMethod::Get, alive()),
        path("/readyz", HttpMethod::Get, ready()),
        path("/metrics", HttpMethod::Get, metrics()),
        path("/problems/{name}", HttpMethod::Get, explain()),
        path("/api-docs", HttpMethod::Get, page("readDescription", "This description, for people")),
        path("/api-docs/openapi.json", HttpMethod::Get, description()),
        path("/api-docs/{file}", HttpMethod::Get, file("fileOfDescription", "swagger-ui.css")),
        path("/dashboard", HttpMethod::Get, page("watch", "The sales, live, for people")),
        path("/dashboard/flow", HttpMethod::Get, flow()),
        path("/dashboard/{file}", HttpMethod::Get, file("fileOfDashboard", "dashboard.css")),
    ]
}

fn alive() -> OperationBuilder {
    operation(OPERATION, "alive", "Whether the process works", "Looks at no dependency.")
        .response("200", answer("It does.", TEXT, text("ok\n")))
}

fn ready() -> OperationBuilder {
    let readiness = |example| shape("Readiness", example);
    let yes = readiness(json!({ "ready": true, "stopping": false, "missing": [] }));
    let no = readiness(json!({ "ready": false, "stopping": false, "missing": ["orderLog"] }));
    operation(
        OPERATION,
        "ready",
        "Whether orders can be taken",
        "Unready from the moment that a stop is asked for.",
    )
    .response("200", answer("They can.", JSON, yes))
    .response(
        "503",
        answer("They cannot, and what is missing.", JSON, no).header("Retry-After", retry_after()),
    )
}

fn flow() -> OperationBuilder {
    let example = shape("Flow", json!({ "unwritten": 12, "outbox": 3, "drift": null }));
    operation(
        OPERATION,
        "flow",
        "What is on its way behind the orders that were taken",
        "Of all sales, at most a second old. What cannot be told just now is null.",
    )
    .response("200", answer("How much it is.", JSON, example))
}

fn metrics() -> OperationBuilder {
    let example = "seckill_reservations_total{outcome=\"reserved\"} 1000\n";
    operation(OPERATION, "metrics", "What is measured, for Prometheus", "")
        .response("200", answer("The measures.", METRICS_CONTENT_TYPE, text(example)))
}

fn explain() -> OperationBuilder {
    let names = Code::ALL.iter().map(|code| code.name());
    let names = schemas::string().enum_values(Some(names));
    let name = in_path("name", names, "The `code` of a refusal.", Code::SoldOut.name());
    let operation = operation(OPERATION, "explainProblem", "What a refusal means, and what to do", "")
        .parameter(name)
        .response(
            "200",
            answer("The explanation, for people.", TEXT, text("Sold out\n\ncode sold-out, status 409\n")),
        );
    refused(operation, &[Code::NotFound])
}

fn page(id: &str, summary: &str) -> OperationBuilder {
    let page = answer("The page.", HTML, text("<!doctype html>"));
    refused(operation(OPERATION, id, summary, "").response("200", page), &[])
}

fn description() -> OperationBuilder {
    let any = utoipa::openapi::ContentBuilder::new().schema(Some(ObjectBuilder::new())).build();
    let operation = operation(OPERATION, "description", "This description", "OpenAPI 3.1.")
        .response("200", answer("The description.", JSON, any));
    refused(operation, &[])
}

/// What a page is made of.
fn file(id: &str, example: &str) -> OperationBuilder {
    let name = in_path("file", schemas::string(), "Its name.", example);
    let contents = answer("The file.", "text/css; charset=utf-8", text("…"))
        .content("text/javascript; charset=utf-8", text("…"))
        .content("image/svg+xml", text("…"));
    let operation =
        operation(OPERATION, id, "A file of the page", "").parameter(name).response("200", contents);
    refused(operation, &[Code::NotFound])
}
