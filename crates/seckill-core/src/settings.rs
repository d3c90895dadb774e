//! Settings: each a flag and an environment variable, read once, in `main`, and checked there.
//!
//! A secret can also come from a file named by `NAME_FILE`; it is never shown, not even in an error.
//! A variable that is set but empty counts as not set.

mod command_line;
mod traces;

use std::{fs, net::SocketAddr, path::PathBuf, str::FromStr};

use clap::{Args, ValueEnum};
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    command_line::{EXIT_USAGE, Refusal, SettingsError, exit_with, parse, try_parse},
    traces::{TraceSampler, TraceSettings},
};
use crate::address::Address;

/// The secret `name` from its own setting or from the file that `{name}_FILE` names; a line break at the
/// file's end is not part of it. An empty one counts as none.
pub fn secret(
    name: &str,
    given: Option<&SecretString>,
    file: Option<&PathBuf>,
) -> Result<Option<SecretString>, SettingsError> {
    let given = given.filter(|secret| !secret.expose_secret().is_empty());
    let file = file.filter(|path| !path.as_os_str().is_empty());
    match (given, file) {
        (Some(_), Some(_)) => Err(SettingsError(format!("{name}: give it or {name}_FILE, not both"))),
        (Some(secret), None) => Ok(Some(secret.clone())),
        (None, None) => Ok(None),
        (None, Some(path)) => {
            let text = fs::read_to_string(path).map_err(|error| {
                // Not its name: who takes NAME_FILE for NAME has put the secret there.
                SettingsError(format!("{name}_FILE: cannot read the file that it names: {error}"))
            })?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).into())
                .filter(|secret: &SecretString| !secret.expose_secret().is_empty()))
        }
    }
}

/// A secret that is a URL of one of `schemes`; the message never repeats it.
fn secret_url(
    name: &str,
    given: Option<&SecretString>,
    file: Option<&PathBuf>,
    default: &str,
    schemes: &[&str],
) -> Result<SecretString, SettingsError> {
    let url = secret(name, given, file)?.unwrap_or_else(|| default.into());
    let known = schemes.iter().any(|scheme| url.expose_secret().starts_with(&format!("{scheme}://")));
    if !known {
        return Err(SettingsError(format!("{name}: must begin with {}://", schemes.join(":// or "))));
    }
    let address = Address::of(url.expose_secret());
    if address.authority.is_some() && address.plain.starts_with("redis://") {
        return Err(SettingsError(format!("{name}: ssl_ca goes with rediss://")));
    }
    match address.certificates() {
        Ok(_) => Ok(url),
        Err(error) => Err(SettingsError(format!("{name}: {error}"))),
    }
}

const DEFAULT_DATABASE_URL: &str = "mysql://seckill:seckill@127.0.0.1:3306/seckill";
const DEFAULT_REDIS_URL: &str = "redis://127.0.0.1:6379/1";

/// Where the store is.
#[derive(Args, Clone, Debug)]
pub struct DatabaseSettings {
    /// MySQL or MariaDB
    #[arg(long, global = true, env = "DATABASE_URL", hide_env_values = true, value_name = "URL",
        help = format!("MySQL or MariaDB [default: {DEFAULT_DATABASE_URL}]"))]
    database_url: Option<SecretString>,
    /// A file that holds the URL
    #[arg(long, global = true, env = "DATABASE_URL_FILE", value_name = "FILE")]
    database_url_file: Option<PathBuf>,
}

impl DatabaseSettings {
    /// The URL, checked.
    pub fn url(&self) -> Result<SecretString, SettingsError> {
        let (given, file) = (self.database_url.as_ref(), self.database_url_file.as_ref());
        secret_url("DATABASE_URL", given, file, DEFAULT_DATABASE_URL, &["mysql"])
    }
}

/// Where the original system's table is.
#[derive(Args, Clone, Debug)]
pub struct OriginalSettings {
    /// The original's database
    #[arg(
        long = "from",
        env = "SECKILL_IMPORT_URL",
        hide_env_values = true,
        value_name = "URL",
        help = "The original's database, mysql://USER:PASSWORD@HOST:PORT/DATABASE"
    )]
    import_url: Option<SecretString>,
    /// A file that holds the URL
    #[arg(long = "from-file", env = "SECKILL_IMPORT_URL_FILE", value_name = "FILE")]
    import_url_file: Option<PathBuf>,
}

impl OriginalSettings {
    /// The URL, checked. There is no default: importing from the wrong place is worse than asking.
    pub fn url(&self) -> Result<SecretString, SettingsError> {
        let given = secret("SECKILL_IMPORT_URL", self.import_url.as_ref(), self.import_url_file.as_ref())?;
        match given {
            Some(url) if url.expose_secret().starts_with("mysql://") => Ok(url),
            Some(_) => Err(SettingsError("--from (SECKILL_IMPORT_URL): must begin with mysql://".into())),
            None => Err(SettingsError("--from (SECKILL_IMPORT_URL): is required".into())),
        }
    }
}

/// Where the ledger is.
#[derive(Args, Clone, Debug)]
pub struct RedisSettings {
    /// Redis
    #[arg(long, global = true, env = "REDIS_URL", hide_env_values = true, value_name = "URL",
        help = format!("Redis [default: {DEFAULT_REDIS_URL}]"))]
    redis_url: Option<SecretString>,
    /// A file that holds the URL
    #[arg(long, global = true, env = "REDIS_URL_FILE", value_name = "FILE")]
    redis_url_file: Option<PathBuf>,
}

impl RedisSettings {
    /// The URL, checked.
    pub fn url(&self) -> Result<SecretString, SettingsError> {
        let (given, file) = (self.redis_url.as_ref(), self.redis_url_file.as_ref());
        secret_url("REDIS_URL", given, file, DEFAULT_REDIS_URL, &["redis", "rediss"])
    }
}

/// Where the order log is.
#[derive(Args, Clone, Debug)]
pub struct KafkaSettings {
    /// Kafka brokers, HOST:PORT, separated by commas; by TLS: ssl://HOST:PORT
    #[arg(long, global = true, env = "KAFKA_BROKERS", default_value = "127.0.0.1:9092", value_parser = brokers)]
    pub kafka_brokers: String,
    /// Topic of the order log
    #[arg(long, global = true, env = "SECKILL_ORDERS_TOPIC", default_value = "seckill.orders", value_parser = topic)]
    pub orders_topic: String,
    /// Topic of the messages that cannot be stored
    #[arg(long, global = true, env = "SECKILL_DEAD_LETTER_TOPIC", default_value = "seckill.orders.dead", value_parser = topic)]
    pub dead_letter_topic: String,
}

/// Which consumer group writes the orders.
#[derive(Args, Clone, Debug)]
pub struct GroupSettings {
    /// Consumer group that writes the orders
    #[arg(long, global = true, env = "SECKILL_CONSUMER_GROUP", default_value = "order-consumer", value_parser = non_empty)]
    pub consumer_group: String,
}

/// How topics are made.
#[derive(Args, Clone, Copy, Debug)]
pub struct TopicSettings {
    /// Partitions of the order log
    #[arg(long, global = true, env = "SECKILL_ORDERS_PARTITIONS", default_value_t = 12, value_parser = clap::value_parser!(i32).range(1..=10_000))]
    pub orders_partitions: i32,
    /// Replicas of each partition
    #[arg(long, global = true, env = "SECKILL_REPLICATION_FACTOR", default_value_t = 1, value_parser = clap::value_parser!(i32).range(1..=100))]
    pub replication_factor: i32,
}

/// What surroundings the process is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Profile {
    /// The real thing: secrets are required.
    Prod,
    /// A developer's machine: pretty logs, demo secrets.
    Dev,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    Json,
    /// For people.
    Pretty,
}

/// What the process says, and how.
#[derive(Args, Clone, Debug)]
pub struct LogSettings {
    /// Surroundings: `dev` means pretty logs and demo secrets
    #[arg(long, global = true, env = "SECKILL_PROFILE", value_enum, default_value = "prod")]
    pub profile: Profile,
    /// What is logged, as a tracing filter
    #[arg(long, global = true, env = "RUST_LOG", default_value = "info", value_name = "FILTER", value_parser = filter)]
    pub log_filter: String,
    /// How logs are written [default: json, or pretty in the profile dev]
    #[arg(long, global = true, env = "SECKILL_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
}

impl LogSettings {
    /// How logs are written, also where nothing says so.
    pub fn format(&self) -> LogFormat {
        self.log_format.unwrap_or(match self.profile {
            Profile::Prod => LogFormat::Json,
            Profile::Dev => LogFormat::Pretty,
        })
    }
}

/// An address to listen on.
pub fn listen_address(text: &str) -> Result<SocketAddr, String> {
    SocketAddr::from_str(text).map_err(|_| "must be IP:PORT, for example 0.0.0.0:3000".into())
}

fn brokers(text: &str) -> Result<String, String> {
    let address = Address::of(text);
    address.of_kafka()?;
    address.certificates()?;
    Ok(text.to_owned())
}

fn topic(text: &str) -> Result<String, String> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if (1..=249).contains(&text.len()) && text.bytes().all(allowed) && !matches!(text, "." | "..") {
        Ok(text.to_owned())
    } else {
        Err("must be 1 to 249 of A-Z a-z 0-9 . _ -".into())
    }
}

fn non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() { Err("must not be empty".into()) } else { Ok(text.to_owned()) }
}

fn filter(text: &str) -> Result<String, String> {
    // The parser panics on some of what is not ASCII behind white space (" 0¡="); no filter needs any.
    if !text.is_ascii() {
        return Err("not a tracing filter: only ASCII is allowed".into());
    }
    tracing_subscriber::EnvFilter::try_new(text)
        .map(|_| text.to_owned())
        .map_err(|error| format!("not a tracing filter: {error}"))
}

#[cfg(test)]
mod tests;
