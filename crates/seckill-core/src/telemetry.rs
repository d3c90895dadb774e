//! Logs and metrics of a process.

pub mod catalogue;

use std::{io::IsTerminal, time::Duration};

use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

use crate::settings::{LogFormat, LogSettings, SettingsError};

/// Content type of [`Metrics::render`].
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds: from half a millisecond to ten seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Sizes of batches.
const SIZES: [f64; 10] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0];

const UPKEEP: Duration = Duration::from_secs(5);

/// Starts logging to stderr.
pub fn start_logging(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&settings.log_filter)
        .map_err(|error| SettingsError(format!("RUST_LOG: {error}")))?;
    let registry = tracing_subscriber::registry().with(filter);
    let layer = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let started = match settings.format() {
        LogFormat::Json => {
            // A line's span is the place in a trace that it belongs to, if there is one: its ids.
            registry.with(layer.json().flatten_event(true).with_span_list(false)).try_init()
        }
        LogFormat::Pretty => registry.with(layer.compact()).try_init(),
    };
    started.map_err(|error| SettingsError(format!("logging cannot start: {error}")))
}

/// What the process measures.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// Makes this process measure. Histograms named `…_seconds` and `…_size` have buckets of their kind.
    pub fn install() -> Result<Self, SettingsError> {
        let builder = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".into()), &SECONDS)
            .and_then(|builder| builder.set_buckets_for_metric(Matcher::Suffix("_size".into()), &SIZES));
        let handle = builder
            .and_then(PrometheusBuilder::install_recorder)
            .map_err(|error| SettingsError(format!("metrics cannot start: {error}")))?;
        catalogue::describe_all();
        gauge!("seckill_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self(handle))
    }

    /// What has been measured, in the text format of Prometheus.
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Folds samples together, for as long as the process runs: without it they only pile up.
    pub async fn keep_up(self) {
        loop {
            tokio::time::sleep(UPKEEP).await;
            self.0.run_upkeep();
        }
    }
}
