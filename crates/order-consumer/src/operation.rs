//! What operators ask of the process over HTTP: `/livez`, `/readyz`, `/metrics`.

use std::{net::TcpListener, time::Duration};

use actix_web::{
    App, HttpResponse, HttpServer, Resource, Route,
    dev::Server,
    guard,
    http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
    web,
};
use seckill_core::{
    order_log::LogObserver,
    shutdown::Shutdown,
    store::OrderStore,
    telemetry::{METRICS_CONTENT_TYPE, Metrics},
};

const CHECK_WITHIN: Duration = Duration::from_secs(2);

/// What readiness looks at.
#[derive(Clone)]
pub struct Readiness {
    /// Must answer.
    pub store: OrderStore,
    /// Must answer.
    pub observer: LogObserver,
    /// Must not be asked for.
    pub shutdown: Shutdown,
}

impl Readiness {
    /// What is missing; nothing: ready.
    async fn missing(&self) -> Vec<&'static str> {
        if self.shutdown.is_requested() {
            return vec!["stopping"];
        }
        let store =
            async { tokio::time::timeout(CHECK_WITHIN, self.store.check()).await.is_ok_and(|it| it.is_ok()) };
        let log = async {
            tokio::time::timeout(CHECK_WITHIN, self.observer.ping()).await.is_ok_and(|it| it.is_ok())
        };
        let (store, log) = futures_util::join!(store, log);
        [("mysql", store), ("kafka", log)].into_iter().filter(|(_, ok)| !ok).map(|(name, _)| name).collect()
    }
}

/// A server of these routes on `listener`; runs once it is awaited.
pub fn serve(listener: TcpListener, metrics: Metrics, readiness: Readiness) -> std::io::Result<Server> {
    let (metrics, readiness) = (web::Data::new(metrics), web::Data::new(readiness));
    let server = HttpServer::new(move || {
        App::new()
            .app_data(metrics.clone())
            .app_data(readiness.clone())
            .service(resource("/livez", get().to(HttpResponse::Ok)))
            .service(resource("/readyz", get().to(readyz)))
            .service(resource("/metrics", get().to(measured)))
    });
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

/// A path that answers by `route`, and 405 to other methods.
fn resource(path: &str, route: Route) -> Resource {
    let refuse = || async { HttpResponse::MethodNotAllowed().insert_header((ALLOW, "GET, HEAD")).finish() };
    web::resource(path).route(route).default_service(web::to(refuse))
}

/// `GET` and, as HTTP wants it wherever there is `GET`, `HEAD`.
fn get() -> Route {
    web::route().guard(guard::Any(guard::Get()).or(guard::Head()))
}

async fn readyz(readiness: web::Data<Readiness>) -> HttpResponse {
    let missing = readiness.missing().await;
    if missing.is_empty() {
        HttpResponse::Ok().json(serde_json::json!({ "ready": true }))
    } else {
        HttpResponse::ServiceUnavailable()
            .insert_header((RETRY_AFTER, "1"))
            .json(serde_json::json!({ "ready": false, "missing": missing }))
    }
}

async fn measured(metrics: web::Data<Metrics>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, METRICS_CONTENT_TYPE)).body(metrics.render())
}
