use std::ffi::OsString;

use clap::{CommandFactory, FromArgMatches, Parser};

use super::{
    command_line::{one_line, with_variable, without_variables},
    *,
};

#[derive(Parser, Debug)]
struct All {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    kafka: KafkaSettings,
    #[command(flatten)]
    topics: TopicSettings,
    #[command(flatten)]
    log: LogSettings,
    #[command(flatten)]
    traces: TraceSettings,
}

fn read(arguments: &[&str]) -> Result<All, String> {
    let arguments = std::iter::once("test").chain(arguments.iter().copied()).map(OsString::from);
    try_parse(arguments).map_err(|refusal| match refusal {
        Refusal::Wrong(SettingsError(line)) => line,
        Refusal::Shown(shown) => panic!("{shown}"),
    })
}

#[test]
fn p6_a_bad_value_is_one_line_that_names_flag_and_variable() {
    for (arguments, flag, variable) in [
        (["--kafka-brokers", "nowhere"], "--kafka-brokers", "KAFKA_BROKERS"),
        (["--orders-topic", "a b"], "--orders-topic", "SECKILL_ORDERS_TOPIC"),
        (["--orders-partitions", "0"], "--orders-partitions", "SECKILL_ORDERS_PARTITIONS"),
        (["--orders-partitions", "x"], "--orders-partitions", "SECKILL_ORDERS_PARTITIONS"),
        (["--profile", "test"], "--profile", "SECKILL_PROFILE"),
        (["--log-filter", "a=b=c"], "--log-filter", "RUST_LOG"),
        (["--log-filter", " 0¡="], "--log-filter", "RUST_LOG"),
        (["--otlp-endpoint", "collector:4318"], "--otlp-endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (["--otlp-endpoint", "http://"], "--otlp-endpoint", "OTEL_EXPORTER_OTLP_ENDPOINT"),
        (["--otlp-protocol", "grpc"], "--otlp-protocol", "OTEL_EXPORTER_OTLP_PROTOCOL"),
        (["--traces-sampler", "sometimes"], "--traces-sampler", "OTEL_TRACES_SAMPLER"),
        (["--traces-sampler-arg", "1.5"], "--traces-sampler-arg", "OTEL_TRACES_SAMPLER_ARG"),
        (["--traces-sampler-arg", "NaN"], "--traces-sampler-arg", "OTEL_TRACES_SAMPLER_ARG"),
        (["--otel-resource-attributes", "a"], "--otel-resource-attributes", "OTEL_RESOURCE_ATTRIBUTES"),
    ] {
        let line = read(&arguments).unwrap_err();
        assert!(line.starts_with(&format!("{flag} ({variable}): ")), "{line}");
        assert!(!line.contains('\n'), "{line}");
    }
    assert!(read(&["--no-such-flag"]).unwrap_err().contains("--no-such-flag"));
}

#[test]
fn p6_a_bad_secret_is_named_and_not_shown() {
    let settings = read(&["--database-url", "postgres://me:hunter2@host/db"]).unwrap();
    let error = settings.database.url().unwrap_err().to_string();
    assert_eq!(error, "DATABASE_URL: must begin with mysql://");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn p6_what_a_receiver_is_told_is_not_shown() {
    let line = read(&["--otlp-endpoint", "http://me:hunter2@host:4318"]).unwrap_err();
    assert!(line.contains("OTEL_EXPORTER_OTLP_HEADERS") && !line.contains("hunter2"), "{line}");
    let settings = read(&["--otlp-headers", "hunter2"]).unwrap();
    let error = settings.traces.headers().unwrap_err().to_string();
    assert_eq!(error, "OTEL_EXPORTER_OTLP_HEADERS: must be NAME=VALUE[,NAME=VALUE…]");
    assert!(!format!("{settings:?}").contains("hunter2"));
}

#[test]
fn traces_are_set_as_opentelemetry_says() {
    let settings = read(&[]).unwrap().traces;
    assert_eq!((settings.endpoint.as_deref(), settings.sampler), (None, TraceSampler::ParentBasedAlwaysOn));
    let settings = read(&["--otlp-headers", "authorization=Bearer%20a%3Db, x-scope=1,"]).unwrap().traces;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(settings.headers().unwrap(), [pair("authorization", "Bearer a=b"), pair("x-scope", "1")]);
    let settings = read(&["--otel-resource-attributes", "k8s.pod.name=api-1"]).unwrap().traces;
    assert_eq!(settings.resource_attributes().collect::<Vec<_>>(), [pair("k8s.pod.name", "api-1")]);
}

#[test]
fn p6_mistyped_secrets_are_not_shown() {
    for arguments in
        [["--databse-url=mysql://me:hunter2@host/db", "--log-filter=info"], ["--log-filter=info", "hunter2"]]
    {
        let line = read(&arguments).unwrap_err();
        assert!(!line.contains("hunter2") && !line.contains('\n'), "{line}");
    }
    assert!(read(&["--databse-url=x"]).unwrap_err().starts_with("--databse-url: "));
    // The space is missing.
    for (argument, shown) in [
        ("--database-urlmysql://me:hunter2@host/db", "--database-url…: "),
        ("--redis-urlhunter", "--redis-url…: "),
        ("--databse-urlmysql://me:hunter2@host/db", "--databse-urlmysql…: "),
    ] {
        let line = read(&[argument]).unwrap_err();
        assert!(line.starts_with(shown) && !line.contains("hunter"), "{line}");
    }
}

#[test]
fn brokers_are_spoken_to_by_tls_all_or_none() {
    for good in ["a:9092", "a:9092, b:9093", "[::1]:9092", "ssl://a:9093", "ssl://a:1,ssl://b:2"] {
        assert!(read(&["--kafka-brokers", good]).is_ok(), "{good}");
    }
    for bad in
        ["a", "a:x", ":9092", "tcp://a:9092", "ssl://a:1,b:2", "a:1,ssl://b:2", "ssl://", "a:1?ssl_ca=/x"]
    {
        assert!(read(&["--kafka-brokers", bad]).is_err(), "{bad}");
    }
}

#[test]
fn p6_an_authority_that_cannot_be_read_is_said_at_once() {
    let settings = read(&[
        "--redis-url=rediss://:hunter2@host/1?ssl_ca=/no/such.pem",
        "--database-url=mysql://me:hunter2@host/db?ssl_ca=/no/such.pem",
    ])
    .unwrap();
    for error in [settings.redis.url().unwrap_err(), settings.database.url().unwrap_err()] {
        let error = error.to_string();
        assert!(
            error.contains("_URL: ssl_ca: cannot read /no/such.pem") && !error.contains("hunter2"),
            "{error}"
        );
    }
    let plain = read(&["--redis-url", "redis://:hunter2@host/1?ssl_ca=/no/such.pem"]).unwrap();
    assert_eq!(plain.redis.url().unwrap_err().to_string(), "REDIS_URL: ssl_ca goes with rediss://");
    let line = read(&["--kafka-brokers", "ssl://a:1?ssl_ca=/no/such.pem"]).unwrap_err();
    assert!(line.contains("KAFKA_BROKERS") && line.contains("/no/such.pem"), "{line}");
}

#[derive(Parser)]
struct WithCommand {
    #[command(subcommand)]
    command: Action,
}

#[derive(clap::Subcommand)]
enum Action {
    /// Cargo sets the variable for every test.
    Show {
        #[arg(long, env = "CARGO_PKG_NAME", default_value = "the default")]
        name: String,
    },
}

#[test]
fn p6_a_missing_command_is_one_line() {
    let error = WithCommand::try_parse_from(["test"]).err().unwrap();
    assert_eq!(one_line(&WithCommand::command(), &error), "a command is missing (see --help)");
}

#[test]
fn p6_the_variable_is_named_at_any_depth() {
    let outer = clap::Command::new("outer").subcommand(WithCommand::command());
    assert_eq!(with_variable(&outer, "--name <NAME>"), "--name (CARGO_PKG_NAME)");
    assert_eq!(with_variable(&outer, "--other <OTHER>"), "--other");
}

#[test]
fn an_unwanted_variable_is_none_in_every_command() {
    let name = |unwanted: bool| {
        let command = without_variables(WithCommand::command(), &|_| unwanted);
        let mut matches = command.try_get_matches_from(["test", "show"]).unwrap();
        let Action::Show { name } = WithCommand::from_arg_matches_mut(&mut matches).unwrap().command;
        name
    };
    assert_eq!(name(false), "seckill-core");
    assert_eq!(name(true), "the default");
}

#[test]
fn a_secret_comes_from_its_file_without_the_line_break() {
    let file = std::env::temp_dir().join(format!("seckill-secret-{}", uuid::Uuid::new_v4()));
    fs::write(&file, "redis://:p w@host/1\r\n").unwrap();
    let settings = read(&["--redis-url", "", "--redis-url-file", file.to_str().unwrap()]).unwrap();
    assert_eq!(settings.redis.url().unwrap().expose_secret(), "redis://:p w@host/1");
    fs::remove_file(&file).unwrap();
    let missing = settings.redis.url().unwrap_err().to_string();
    assert!(missing.starts_with("REDIS_URL_FILE: cannot read"), "{missing}");

    let both = read(&["--redis-url", "redis://h/", "--redis-url-file", "/tmp/x"]).unwrap();
    assert!(both.redis.url().unwrap_err().to_string().contains("not both"));
}
