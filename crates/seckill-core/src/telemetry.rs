//! Logs and metrics of a process.

pub mod catalogue;

use std::{
    fmt::{Debug, Write},
    io::IsTerminal,
    time::Duration,
};

use metrics::gauge;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing::field::Field;
use tracing_subscriber::{
    EnvFilter, Layer,
    field::MakeExt,
    fmt::{
        self, MakeWriter,
        format::{Writer, debug_fn},
    },
    layer::SubscriberExt,
    registry::LookupSpan,
    util::SubscriberInitExt,
};

use crate::settings::{LogFormat, LogSettings, SettingsError};

/// Content type of [`Metrics::render`].
pub const METRICS_CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Seconds: from half a millisecond to ten seconds.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];
/// Sizes of batches.
const SIZES: [f64; 11] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 512.0, 1024.0];

const UPKEEP: Duration = Duration::from_secs(5);

/// Starts logging to stderr.
pub fn start_logging(settings: &LogSettings) -> Result<(), SettingsError> {
    let filter = EnvFilter::try_new(&settings.log_filter)
        .map_err(|error| SettingsError(format!("RUST_LOG: {error}")))?;
    let lines = lines(settings.format(), std::io::stderr, std::io::stderr().is_terminal());
    let started = tracing_subscriber::registry().with(filter).with(lines).try_init();
    started.map_err(|error| SettingsError(format!("logging cannot start: {error}")))
}

/// Writes each event as one line to `writer`.
fn lines<S, W>(format: LogFormat, writer: W, colours: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = fmt::layer().with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Json => {
            // A line's span is the place in a trace that it belongs to, if there is one: its ids.
            layer.json().flatten_event(true).with_span_list(false).boxed()
        }
        LogFormat::Pretty => layer.fmt_fields(debug_fn(field_on_one_line).delimited(" ")).compact().boxed(),
    }
}

/// Whatever a field holds (the reason why a message cannot be read may quote the message), no part of it can look
/// like a line of ours or speak to the terminal. JSON sees to this by itself.
fn field_on_one_line(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    if field.name() != "message" {
        write!(writer, "{field}=")?;
    }
    write!(OneLine(writer), "{value:?}")
}

/// Escapes what is not for reading.
struct OneLine<'a, 'w>(&'a mut Writer<'w>);

impl Write for OneLine<'_, '_> {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        for character in text.chars() {
            if character.is_control() {
                write!(self.0, "{}", character.escape_default())?;
            } else {
                self.0.write_char(character)?;
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::{Arc, Mutex},
    };

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is logged where a message of the order log quotes `text`.
    fn logged(format: LogFormat, text: &str) -> String {
        let written = Written::default();
        let writer = written.clone();
        let subscriber = tracing_subscriber::registry().with(lines(format, move || writer.clone(), false));
        tracing::subscriber::with_default(subscriber, || {
            let _span = tracing::info_span!("reading", of = text).entered();
            tracing::error!(reason = %text, other = text, "a message became a dead letter");
            tracing::warn!("{text}");
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn what_is_quoted_cannot_look_like_a_line_of_its_own() {
        let text = "bad\r\n2026-11-27T00:00:00Z ERROR forged: all is lost\u{1b}[2J\u{7f}\u{9b}2J\u{85}end";
        for format in [LogFormat::Json, LogFormat::Pretty] {
            let log = logged(format, text);
            assert_eq!(log.lines().count(), 2, "{log:?}");
            assert!(log.ends_with('\n') && log.contains("end"), "{log:?}");
            let raw = log.replace('\n', "").chars().find(|character| character.is_control());
            // JSON may carry what is above ASCII as it is: whoever prints a JSON text decodes it first.
            assert!(
                raw.is_none_or(|character| format == LogFormat::Json && character >= '\u{7f}'),
                "{log:?}"
            );
        }
        assert!(logged(LogFormat::Pretty, "plain").contains("a message became a dead letter reason=plain"));
    }
}
