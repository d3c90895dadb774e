//! The settings of this service.

use std::{net::SocketAddr, num::NonZeroUsize, path::PathBuf, time::Duration};

use clap::Parser;
use seckill_core::{
    order::OrderIdSecret,
    sale::SaleId,
    settings::{
        DatabaseSettings, GroupSettings, KafkaSettings, LogSettings, Profile, RedisSettings, SettingsError,
        TraceSettings, listen_address, secret,
    },
};
use secrecy::{ExposeSecret, SecretString};

use crate::{identity::IdentitySettings, rate_limit::RateSettings};

/// What stands in for the secret on a developer's machine.
const DEMO_ORDER_ID_SECRET: &str = "demo secret, for the profile dev only";

/// HTTP server of the flash sale: reserves stock in Redis and publishes orders to Kafka
#[derive(Parser, Debug)]
#[command(name = "seckill-api", version)]
pub struct Settings {
    /// Address to listen on
    #[arg(long, env = "SECKILL_LISTEN", default_value = "0.0.0.0:3000", value_name = "IP:PORT", value_parser = listen_address)]
    pub listen: SocketAddr,
    /// The store.
    #[command(flatten)]
    pub database: DatabaseSettings,
    /// The ledger.
    #[command(flatten)]
    pub redis: RedisSettings,
    /// The order log.
    #[command(flatten)]
    pub kafka: KafkaSettings,
    /// Who writes the orders: the dashboard shows how far they have come.
    #[command(flatten)]
    pub group: GroupSettings,
    /// Logs.
    #[command(flatten)]
    pub log: LogSettings,
    /// Traces.
    #[command(flatten)]
    pub traces: TraceSettings,
    /// Limits.
    #[command(flatten)]
    pub limits: LimitSettings,
    /// Buyers' tokens.
    #[command(flatten)]
    pub identity: IdentitySettings,
    /// Sale that POST /seckill/add sells from
    #[arg(long, env = "SECKILL_DEFAULT_SALE", default_value = "default", value_name = "SALE")]
    pub default_sale: SaleId,
    /// Secret that makes order ids of idempotency keys; all instances must have the same
    #[arg(long, env = "SECKILL_ORDER_ID_SECRET", hide_env_values = true, value_name = "SECRET")]
    order_id_secret: Option<SecretString>,
    /// A file that holds it
    #[arg(long, env = "SECKILL_ORDER_ID_SECRET_FILE", value_name = "FILE")]
    order_id_secret_file: Option<PathBuf>,
    /// Token of the operator's routes; without it they answer 403
    #[arg(long, env = "SECKILL_ADMIN_TOKEN", hide_env_values = true, value_name = "TOKEN")]
    admin_token: Option<SecretString>,
    /// A file that holds it
    #[arg(long, env = "SECKILL_ADMIN_TOKEN_FILE", value_name = "FILE")]
    admin_token_file: Option<PathBuf>,
}

/// How much the server takes on at once.
#[derive(clap::Args, Clone, Debug)]
pub struct LimitSettings {
    /// Threads that serve HTTP [default: one a processor]
    #[arg(long, env = "SECKILL_WORKERS", value_name = "N")]
    pub workers: Option<NonZeroUsize>,
    /// Most connections of one such thread
    #[arg(long, env = "SECKILL_MAX_CONNECTIONS", default_value = "10000", value_name = "N")]
    pub max_connections: NonZeroUsize,
    /// Most orders that may wait for the ledger; more are answered 503 at once
    #[arg(long, env = "SECKILL_QUEUE_CAPACITY", default_value = "8192", value_name = "N")]
    pub queue_capacity: NonZeroUsize,
    /// Most event streams open at once; more are answered 503
    #[arg(long, env = "SECKILL_MAX_EVENT_STREAMS", default_value = "4096", value_name = "N")]
    pub max_event_streams: NonZeroUsize,
    /// Seconds between becoming unready and refusing connections at a stop, for load balancers to notice
    #[arg(long, env = "SECKILL_LAME_DUCK_SECONDS", default_value_t = 1, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(0..=10))]
    lame_duck_seconds: u64,
    /// How often one may ask.
    #[command(flatten)]
    pub rates: RateSettings,
}

impl LimitSettings {
    /// How long the server still takes requests after it has become unready.
    pub fn lame_duck(&self) -> Duration {
        Duration::from_secs(self.lame_duck_seconds)
    }
}

impl Settings {
    /// The secret behind order ids: required, except on a developer's machine.
    pub fn order_id_secret(&self) -> Result<OrderIdSecret, SettingsError> {
        let (given, file) = (self.order_id_secret.as_ref(), self.order_id_secret_file.as_ref());
        let secret = match (secret("SECKILL_ORDER_ID_SECRET", given, file)?, self.log.profile) {
            (Some(secret), _) => secret,
            (None, Profile::Dev) => DEMO_ORDER_ID_SECRET.into(),
            (None, Profile::Prod) => {
                let line = "SECKILL_ORDER_ID_SECRET: is required (or SECKILL_ORDER_ID_SECRET_FILE), except with SECKILL_PROFILE=dev";
                return Err(SettingsError(line.into()));
            }
        };
        Ok(OrderIdSecret::new(secret.expose_secret().as_bytes()))
    }

    /// The operator's token, if there is one.
    pub fn admin_token(&self) -> Result<Option<SecretString>, SettingsError> {
        let token = secret("SECKILL_ADMIN_TOKEN", self.admin_token.as_ref(), self.admin_token_file.as_ref())?;
        if token
            .as_ref()
            .is_some_and(|token| !token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()))
        {
            let line =
                "SECKILL_ADMIN_TOKEN: must be of visible ASCII characters: no request could carry another";
            return Err(SettingsError(line.into()));
        }
        Ok(token)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Settings {
        Settings::try_parse_from(std::iter::once("seckill-api").chain(arguments.iter().copied())).unwrap()
    }

    #[test]
    fn p6_the_order_id_secret_is_required_in_production() {
        let error = read(&["--profile", "prod"]).order_id_secret().err().unwrap();
        assert!(error.to_string().starts_with("SECKILL_ORDER_ID_SECRET: is required"));
        assert!(read(&["--profile", "dev"]).order_id_secret().is_ok());
        assert!(read(&["--order-id-secret", "s"]).order_id_secret().is_ok());
    }

    #[test]
    fn p6_a_token_that_no_header_can_carry_is_refused() {
        for token in ["пароль", "two words", "tab\t", " padded "] {
            let error = read(&["--admin-token", token]).admin_token().err().unwrap().to_string();
            assert!(error.starts_with("SECKILL_ADMIN_TOKEN: ") && !error.contains(token), "{error}");
        }
        assert!(read(&["--admin-token", "s3cret-~!"]).admin_token().unwrap().is_some());
        assert!(read(&[]).admin_token().unwrap().is_none());
    }

    #[test]
    fn p6_secrets_are_not_shown() {
        let shown = format!(
            "{:?}",
            read(&[
                "--order-id-secret",
                "hunter2",
                "--admin-token",
                "hunter3",
                "--buyer-jwt-secret",
                "hunter4"
            ])
        );
        assert!(!shown.contains("hunter"), "{shown}");
    }
}
