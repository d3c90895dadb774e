//! The binary: reads the settings, builds the server, runs it until it is told to stop.

use std::{process::ExitCode, sync::Arc};

use anyhow::Context;
use seckill_api::{
    app::{Api, Parts},
    identity::BuyerTokens,
    settings::Settings,
};
use seckill_core::{
    ledger::StockLedger,
    order_log::{LogObserver, OrderPublisher},
    settings::{self, Profile, SettingsError},
    shutdown,
    store::{OrderStore, StoreOptions},
    telemetry::{self, Metrics},
    traces::Traces,
};
use secrecy::SecretString;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Connections to Redis: one for the batches of orders, the rest for reads.
const LEDGER_CONNECTIONS: usize = 8;

fn main() -> ExitCode {
    let settings = settings::parse::<Settings>();
    let secrets = Secrets::of(&settings).unwrap_or_else(|error| settings::exit_with(&error));
    telemetry::start_logging(&settings.log).unwrap_or_else(|error| settings::exit_with(&error));
    let metrics = Metrics::install().unwrap_or_else(|error| settings::exit_with(&error));
    let traces =
        Traces::start(&settings.traces, "seckill-api").unwrap_or_else(|error| settings::exit_with(&error));
    let ended = run(settings, secrets, metrics);
    traces.stop();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(wrong) = error.downcast_ref::<SettingsError>() {
                settings::exit_with(wrong);
            }
            eprintln!("seckill-api: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What is read before anything starts, so that a bad setting is told at once.
struct Secrets {
    database_url: SecretString,
    redis_url: SecretString,
    order_id: seckill_core::order::OrderIdSecret,
    admin_token: Option<SecretString>,
    buyer_tokens: Option<BuyerTokens>,
}

impl Secrets {
    fn of(settings: &Settings) -> Result<Self, SettingsError> {
        Ok(Self {
            database_url: settings.database.url()?,
            redis_url: settings.redis.url()?,
            order_id: settings.order_id_secret()?,
            admin_token: settings.admin_token()?,
            buyer_tokens: settings.identity.buyer_tokens()?,
        })
    }
}

#[tokio::main]
async fn run(settings: Settings, secrets: Secrets, metrics: Metrics) -> anyhow::Result<()> {
    tokio::spawn(metrics.clone().keep_up());
    let parts = Parts {
        ledger: StockLedger::new(&secrets.redis_url, LEDGER_CONNECTIONS)?,
        store: OrderStore::connect(&secrets.database_url, StoreOptions::default())?,
        publisher: Arc::new(OrderPublisher::new(&settings.kafka).map_err(SettingsError::from)?),
        observer: LogObserver::new(&settings.kafka, &settings.group).map_err(SettingsError::from)?,
        orders_topic: settings.kafka.orders_topic.clone(),
        metrics,
        order_id_secret: secrets.order_id,
        admin_token: secrets.admin_token,
        buyer_tokens: secrets.buyer_tokens,
        default_sale: settings.default_sale,
        may_buy_on_page: settings.log.profile == Profile::Dev,
    };
    let listen = settings.listen;
    let api = Api::build(listen, &settings.limits, parts)
        .with_context(|| format!("cannot listen on {listen} (SECKILL_LISTEN)"))?;
    tracing::info!(address = %api.address(), topic = settings.kafka.orders_topic, "ready to take orders");
    let stop = async {
        match shutdown::signalled().await {
            Ok(signal) => tracing::info!(signal, "stopping"),
            Err(error) => tracing::error!(%error, "signals cannot be received; stopping"),
        }
    };
    api.run(stop).await?;
    tracing::info!("stopped");
    Ok(())
}
