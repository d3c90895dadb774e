//! How spans get to the receiver: OTLP, as protobuf over HTTP, from a thread of its own.

use std::{
    collections::HashMap,
    future::{Future, ready},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use metrics::{Counter, counter};
use opentelemetry_http::{Bytes, HttpClient, HttpError, Request, Response};
use opentelemetry_otlp::{SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor};
use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

use crate::settings::{SettingsError, TraceSettings};

/// How long one delivery may take.
const DELIVER_WITHIN: Duration = Duration::from_secs(5);
/// How often what was recorded is delivered.
const DELIVER_EVERY: Duration = Duration::from_secs(1);
/// Most spans that wait for it; more are lost. About 10 MB.
const MAX_WAITING: usize = 16_384;
/// Most bytes of an answer.
const MAX_ANSWER: u64 = 1 << 20;

/// What takes spans and delivers them, if there is somebody to deliver them to.
pub(super) fn processor(settings: &TraceSettings) -> Result<Option<BatchSpanProcessor>, SettingsError> {
    // Read also where nobody is to be told: what is set wrongly is said at once.
    let headers: HashMap<_, _> = settings.headers()?.into_iter().collect();
    let Some(endpoint) = &settings.endpoint else { return Ok(None) };
    let exporter = SpanExporter::builder()
        .with_http()
        .with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')))
        .with_timeout(DELIVER_WITHIN)
        .with_headers(headers)
        .with_http_client(Client::new())
        .build()
        .map_err(|error| SettingsError(format!("OTEL_EXPORTER_OTLP_ENDPOINT: {error}")))?;
    let batches = BatchConfigBuilder::default()
        .with_max_queue_size(MAX_WAITING)
        .with_scheduled_delay(DELIVER_EVERY)
        .build();
    Ok(Some(BatchSpanProcessor::builder(exporter).with_batch_config(batches).build()))
}

/// Sends requests, and tells when they stop and start getting through. Blocks: it runs on the processor's thread.
#[derive(Debug)]
struct Client {
    agent: Agent,
    failing: AtomicBool,
    failures: Failures,
}

impl Client {
    fn new() -> Self {
        let tls = TlsConfig::builder()
            .root_certs(RootCerts::PlatformVerifier)
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .build();
        let config = Agent::config_builder()
            .tls_config(tls)
            .timeout_global(Some(DELIVER_WITHIN))
            .http_status_as_error(false)
            .build();
        let failures = Failures(counter!("seckill_trace_export_failures_total"));
        Self { agent: config.into(), failing: AtomicBool::new(false), failures }
    }

    fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, ureq::Error> {
        let (parts, mut body) = self.agent.run(request.map(|body| body.to_vec()))?.into_parts();
        let body = body.with_config().limit(MAX_ANSWER).read_to_vec()?;
        Ok(Response::from_parts(parts, body.into()))
    }

    /// Says once that deliveries fail, and once that they do not any more.
    fn note(&self, outcome: &Result<Response<Bytes>, ureq::Error>) {
        let why = match outcome {
            Ok(response) if response.status().is_success() => {
                if self.failing.swap(false, Ordering::Relaxed) {
                    tracing::info!("traces are delivered again");
                }
                return;
            }
            Ok(response) => format!("it answered {}", response.status()),
            Err(error) => error.to_string(),
        };
        self.failures.0.increment(1);
        if !self.failing.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                why,
                "traces are not delivered: OTEL_EXPORTER_OTLP_ENDPOINT must take OTLP over HTTP (port 4318 of most receivers)"
            );
        }
    }
}

type Sent<'a> = Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'a>>;

/// What `async_trait` makes of an `async fn`, written out.
impl HttpClient for Client {
    fn send_bytes<'this, 'sent>(&'this self, request: Request<Bytes>) -> Sent<'sent>
    where
        'this: 'sent,
        Self: 'sent,
    {
        let outcome = self.send(request);
        self.note(&outcome);
        Box::pin(ready(outcome.map_err(Into::into)))
    }
}

/// A counter, where everything must be able to say what it is.
struct Failures(Counter);

impl std::fmt::Debug for Failures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Failures")
    }
}
