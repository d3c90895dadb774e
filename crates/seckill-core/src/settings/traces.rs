//! Settings of traces, by the names that OpenTelemetry gives them.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};

use super::{SettingsError, secret};

/// Which traces are recorded: OpenTelemetry's own names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum TraceSampler {
    /// All.
    #[value(name = "always_on")]
    AlwaysOn,
    /// None.
    #[value(name = "always_off")]
    AlwaysOff,
    /// A share of them, whatever the caller does.
    #[value(name = "traceidratio")]
    TraceIdRatio,
    /// What the caller records, and all that have no caller with a trace.
    #[value(name = "parentbased_always_on")]
    ParentBasedAlwaysOn,
    /// What the caller records.
    #[value(name = "parentbased_always_off")]
    ParentBasedAlwaysOff,
    /// What the caller records, and a share of those that have no caller with a trace.
    #[value(name = "parentbased_traceidratio")]
    ParentBasedTraceIdRatio,
}

/// Where traces go, and which.
#[derive(Args, Clone, Debug)]
pub struct TraceSettings {
    /// OTLP receiver of traces, over HTTP [default: none, and no traces]
    #[arg(long = "otlp-endpoint", env = "OTEL_EXPORTER_OTLP_ENDPOINT", hide_env_values = true, value_name = "URL", value_parser = receiver)]
    pub endpoint: Option<String>,
    /// How the receiver is spoken to
    #[arg(long = "otlp-protocol", env = "OTEL_EXPORTER_OTLP_PROTOCOL", value_name = "PROTOCOL", default_value = "http/protobuf", value_parser = ["http/protobuf"])]
    pub protocol: String,
    /// Headers for the receiver, NAME=VALUE, separated by commas
    #[arg(
        long = "otlp-headers",
        env = "OTEL_EXPORTER_OTLP_HEADERS",
        hide_env_values = true,
        value_name = "HEADERS"
    )]
    headers: Option<SecretString>,
    /// A file that holds the headers
    #[arg(long = "otlp-headers-file", env = "OTEL_EXPORTER_OTLP_HEADERS_FILE", value_name = "FILE")]
    headers_file: Option<PathBuf>,
    /// Which traces are recorded
    #[arg(
        long = "traces-sampler",
        env = "OTEL_TRACES_SAMPLER",
        value_name = "SAMPLER",
        value_enum,
        default_value = "parentbased_always_on"
    )]
    pub sampler: TraceSampler,
    /// Share of traces that the samplers …traceidratio record, 0 to 1
    #[arg(long = "traces-sampler-arg", env = "OTEL_TRACES_SAMPLER_ARG", value_name = "RATIO", default_value_t = 1.0, value_parser = ratio)]
    pub sampler_ratio: f64,
    /// Name of the service in traces [default: that of the program]
    #[arg(long = "otel-service-name", env = "OTEL_SERVICE_NAME", value_name = "NAME")]
    pub service_name: Option<String>,
    /// What else traces say of this process, NAME=VALUE, separated by commas
    #[arg(long = "otel-resource-attributes", env = "OTEL_RESOURCE_ATTRIBUTES", value_name = "ATTRIBUTES", value_parser = pairs)]
    resource_attributes: Option<Pairs>,
}

impl TraceSettings {
    /// The headers for the receiver.
    pub fn headers(&self) -> Result<Vec<(String, String)>, SettingsError> {
        let name = "OTEL_EXPORTER_OTLP_HEADERS";
        let Some(text) = secret(name, self.headers.as_ref(), self.headers_file.as_ref())? else {
            return Ok(Vec::new());
        };
        let pairs = pairs(text.expose_secret()).map_err(|why| SettingsError(format!("{name}: {why}")))?;
        Ok(pairs.0)
    }

    /// What traces say of this process beside its name and version.
    pub fn resource_attributes(&self) -> impl Iterator<Item = (String, String)> {
        self.resource_attributes.clone().unwrap_or_default().0.into_iter()
    }
}

/// Names and values, in their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Pairs(Vec<(String, String)>);

/// `NAME=VALUE,…`; characters in values may be percent-encoded. The reason why it is not never repeats it.
fn pairs(text: &str) -> Result<Pairs, String> {
    let mut pairs = Vec::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let read = pair.split_once('=').and_then(|(name, value)| {
            let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
            let name = name.trim();
            (!name.is_empty()).then(|| (name.to_owned(), value.into_owned()))
        });
        pairs.push(read.ok_or("must be NAME=VALUE[,NAME=VALUE…]")?);
    }
    Ok(Pairs(pairs))
}

fn receiver(text: &str) -> Result<String, String> {
    let rest = text.strip_prefix("http://").or_else(|| text.strip_prefix("https://"));
    let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
    if host.is_empty() || text.contains(|character: char| character.is_whitespace() || character.is_control())
    {
        return Err("must be http://HOST:PORT or https://HOST:PORT".into());
    }
    if host.contains('@') {
        return Err("must have no credentials in it: they belong into OTEL_EXPORTER_OTLP_HEADERS".into());
    }
    Ok(text.to_owned())
}

fn ratio(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(ratio) if (0.0..=1.0).contains(&ratio) => Ok(ratio),
        _ => Err("must be a number from 0 to 1".into()),
    }
}
