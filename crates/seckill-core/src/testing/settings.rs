//! What a binary says of its settings.

use std::process::Command;

/// Settings that all binaries have: flag, variable, and how the default begins in `--help` (nothing: it has none).
pub const SHARED_SETTINGS: [(&str, &str, &str); 11] = [
    ("--database-url", "DATABASE_URL", "mysql://seckill:seckill@127.0.0.1:3306/seckill]"),
    ("--database-url-file", "DATABASE_URL_FILE", ""),
    ("--redis-url", "REDIS_URL", "redis://127.0.0.1:6379/1]"),
    ("--redis-url-file", "REDIS_URL_FILE", ""),
    ("--kafka-brokers", "KAFKA_BROKERS", "127.0.0.1:9092]"),
    ("--orders-topic", "SECKILL_ORDERS_TOPIC", "seckill.orders]"),
    ("--dead-letter-topic", "SECKILL_DEAD_LETTER_TOPIC", "seckill.orders.dead]"),
    ("--consumer-group", "SECKILL_CONSUMER_GROUP", "order-consumer]"),
    ("--profile", "SECKILL_PROFILE", "prod]"),
    ("--log-filter", "RUST_LOG", "info]"),
    ("--log-format", "SECKILL_LOG_FORMAT", "json, "),
];

/// The settings of traces, in the same form.
pub const TRACE_SETTINGS: [(&str, &str, &str); 8] = [
    ("--otlp-endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT", ""),
    ("--otlp-protocol", "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf]"),
    ("--otlp-headers", "OTEL_EXPORTER_OTLP_HEADERS", ""),
    ("--otlp-headers-file", "OTEL_EXPORTER_OTLP_HEADERS_FILE", ""),
    ("--traces-sampler", "OTEL_TRACES_SAMPLER", "parentbased_always_on]"),
    ("--traces-sampler-arg", "OTEL_TRACES_SAMPLER_ARG", "1]"),
    ("--otel-service-name", "OTEL_SERVICE_NAME", "that of the program]"),
    ("--otel-resource-attributes", "OTEL_RESOURCE_ATTRIBUTES", ""),
];

/// Values of those that are refused.
pub const BAD_TRACE_SETTINGS: [(&str, &str); 7] = [
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "hunter2"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://u:hunter2@host:4318"),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
    ("OTEL_EXPORTER_OTLP_HEADERS", "hunter2"),
    ("OTEL_EXPORTER_OTLP_HEADERS_FILE", "/no/such/file"),
    ("OTEL_TRACES_SAMPLER", "sometimes"),
    ("OTEL_TRACES_SAMPLER_ARG", "1.5"),
];

/// Checks that `help` has each flag, with its variable and its default, and no variable beside them.
pub fn assert_settings(help: &str, settings: &[(&str, &str, &str)]) {
    let blocks: Vec<&str> = help.split("\n      --").collect();
    for (flag, variable, default) in settings {
        let name = format!("{} ", flag.trim_start_matches("--"));
        let block = blocks.iter().find(|block| block.starts_with(&name));
        let block = block.unwrap_or_else(|| panic!("{flag} is not in\n{help}"));
        assert!(block.contains(&format!("[env: {variable}")), "{flag} has not {variable}: {block}");
        let default = if default.is_empty() { String::new() } else { format!("[default: {default}") };
        assert!(block.contains(&default), "{flag} has not {default}: {block}");
    }
    for name in variables(help) {
        assert!(
            settings.iter().any(|(_, variable, _)| *variable == name),
            "{name} is not among {settings:?}"
        );
    }
}

/// The variables that `help` names.
fn variables(help: &str) -> impl Iterator<Item = &str> {
    help.split("[env: ").skip(1).filter_map(|rest| rest.split(['=', ']']).next())
}

/// A binary that is given settings with which it does not start.
pub struct Binary(pub &'static str);

impl Binary {
    /// What it says on stderr, and its exit code.
    pub fn said(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let mut binary = Command::new(self.0);
        let asked = binary.args(arguments).env_remove("RUST_LOG").envs(variables.iter().copied());
        let output = asked.output().unwrap_or_else(|error| panic!("{}: {error}", self.0));
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    }

    /// What `--help` says.
    pub fn help(&self) -> String {
        let output = Command::new(self.0).arg("--help").output();
        String::from_utf8_lossy(&output.unwrap_or_else(|error| panic!("{}: {error}", self.0)).stdout)
            .into_owned()
    }

    /// Checks that `value` for `variable` is refused as it must be: exit code 64, and one line that names the
    /// variable and does not repeat the secret `hunter2`.
    pub fn assert_refused(&self, arguments: &[&str], variable: &str, value: &str) {
        let (code, line) = self.said(arguments, &[(variable, value)]);
        assert_eq!((code, line.lines().count()), (Some(64), 1), "{variable}={value}: {line}");
        assert!(line.contains(variable), "{variable}={value}: {line}");
        assert!(!line.contains("hunter2"), "{variable}={value}: {line}");
    }

    /// Checks that variables which are set and empty count as not set: with `arguments`, nothing but the one bad
    /// flag among them is refused.
    pub fn assert_empty_is_not_set(&self, arguments: &[&str], refusal: &str) {
        let help = self.help();
        let empty: Vec<(&str, &str)> = variables(&help).map(|name| (name, "")).collect();
        assert!(empty.len() > SHARED_SETTINGS.len(), "{empty:?}");
        let (code, line) = self.said(arguments, &empty);
        assert_eq!((code, line.as_str()), (Some(64), refusal));
    }

    /// Checks that what may be a secret in the wrong place is not repeated.
    pub fn assert_nothing_is_repeated(&self) {
        for arguments in [&["hunter2"][..], &["--databse-url=hunter2"], &["--databse-url", "hunter2"]] {
            let (code, line) = self.said(arguments, &[]);
            assert_eq!((code, line.lines().count()), (Some(64), 1), "{line}");
            assert!(!line.contains("hunter2"), "{arguments:?}: {line}");
        }
    }
}
