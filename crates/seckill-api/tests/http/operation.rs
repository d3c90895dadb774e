//! `/livez`, `/readyz`, `/metrics`, `/problems/{name}`, and the figures of the dashboard.

use seckill_api::problem::Code;

use std::time::Duration;

use crate::{world::World, writer::Writer};

/// Every code of the contract and its status.
const CODES: [(&str, u16); 23] = [
    ("malformed-request", 400),
    ("unauthorized", 401),
    ("forbidden", 403),
    ("sale-not-found", 404),
    ("order-not-found", 404),
    ("not-found", 404),
    ("method-not-allowed", 405),
    ("sold-out", 409),
    ("limit-reached", 409),
    ("sale-not-open", 409),
    ("sale-ended", 409),
    ("sale-paused", 409),
    ("order-final", 409),
    ("payload-too-large", 413),
    ("unsupported-media-type", 415),
    ("validation-failed", 422),
    ("idempotency-conflict", 422),
    ("rate-limited", 429),
    ("overloaded", 503),
    ("ledger-unavailable", 503),
    ("ledger-recovering", 503),
    ("order-log-unavailable", 503),
    ("store-unavailable", 503),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_is_explained_under_its_type() {
    let world = World::open(1).await;
    for (name, status) in CODES {
        let answer = world.api.get(&format!("/problems/{name}")).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("text/plain; charset=utf-8")));
        assert!(answer.body.contains(&format!("code {name}, status {status} ")), "{}", answer.body);
        assert_eq!(answer.body.contains("Retry-After"), matches!(status, 429 | 503), "{}", answer.body);
    }
    assert_eq!(CODES.len(), Code::ALL.len(), "a code is not in the contract");
    for unknown in ["nothing", "Sold-Out", "sold-out/", "%00"] {
        world.api.get(&format!("/problems/{unknown}")).await.problem(404, "not-found");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_works_is_alive_and_ready() {
    let world = World::open(1).await;
    let alive = world.api.get("/livez").await;
    assert_eq!((alive.status, &*alive.body), (200, "ok\n"));
    let ready = world.api.get("/readyz").await;
    assert_eq!(ready.status, 200, "{}", ready.body);
    assert_eq!(ready.json(), serde_json::json!({"ready": true, "stopping": false, "missing": []}));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_there_also_with_a_slash_behind() {
    let world = World::open(1).await;
    for path in ["/dashboard", "/dashboard/", "/api-docs", "/api-docs/"] {
        let page = world.api.get(path).await;
        assert_eq!(
            (page.status, page.header("content-type")),
            (200, Some("text/html; charset=utf-8")),
            "{path}"
        );
        assert!(page.body.starts_with("<!doctype html>"), "{path}");
    }
    world.api.get("/dashboard/nothing").await.problem(404, "not-found");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_count_requests_and_reservations() {
    let world = World::open(1).await;
    world.buy("ada", 1).await;
    let metrics = world.api.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for line in [
        "seckill_http_requests_total{path=\"/v1/sales/{sale}/orders\",code=\"202\"}",
        "seckill_reservations_total{outcome=\"reserved\"}",
        "seckill_http_request_seconds_bucket{path=\"/v1/sales/{sale}/orders\"",
        "seckill_reservation_queue_depth 0",
    ] {
        assert!(metrics.body.contains(line), "no {line} in\n{}", metrics.body);
    }
    // What a client makes up is never a label.
    world.api.get("/made-up/by-a-client").await.problem(404, "not-found");
    assert!(!world.api.get("/metrics").await.body.contains("made-up"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_its_way_is_told_until_it_is_written() {
    let world = World::open(5).await;
    let flow = async || world.api.get("/dashboard/flow").await.json();
    let until = async |expected: serde_json::Value| {
        let started = std::time::Instant::now();
        while flow().await != expected {
            assert!(started.elapsed() < Duration::from_secs(30), "{}, not {expected}", flow().await);
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    until(serde_json::json!({"unwritten": 0, "outbox": 0, "drift": 0})).await;
    world.buy("ada", 2).await;
    until(serde_json::json!({"unwritten": 1, "outbox": 0, "drift": null})).await;
    let writer = Writer::start(&world);
    until(serde_json::json!({"unwritten": 0, "outbox": 0, "drift": 0})).await;
    writer.stop().await;

    // A unit that the ledger has lost is one of drift.
    world.lose_units(1).await;
    until(serde_json::json!({"unwritten": 0, "outbox": 0, "drift": 1})).await;
    world.end().await;
}
