//! `order-consumer`: settings, wiring, and an orderly stop.

use std::{
    env,
    net::{SocketAddr, TcpListener},
    os::unix::process::CommandExt,
    process::{self, Command, ExitCode},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use clap::Parser;
use futures_util::future::{self, join_all};
use mimalloc::MiMalloc;
use order_consumer::{
    consume::Consumer,
    keeper::Keeper,
    operation::{self, Readiness},
    returns,
};
use seckill_core::{
    ledger::StockLedger,
    order_log::{LogObserver, OrderPublisher, OrderSubscriber},
    settings::{
        self, DatabaseSettings, GroupSettings, KafkaSettings, LogSettings, RedisSettings, SettingsError,
        TraceSettings, listen_address,
    },
    shutdown,
    store::{OrderStore, StoreOptions},
    telemetry::{self, Metrics},
    traces::Traces,
};
use secrecy::SecretString;
use tokio::sync::Notify;

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// At a stop: how long the batches under way, and leaving the group, may take. What comes after it takes at most six
/// seconds more.
const STOP_WITHIN: Duration = Duration::from_secs(22);
const REDIS_CONNECTIONS: usize = 8;

/// Writes the orders of the order log into MySQL, and keeps the ledger in step with it.
#[derive(Parser, Debug)]
#[command(name = "order-consumer", version)]
struct Settings {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    kafka: KafkaSettings,
    #[command(flatten)]
    group: GroupSettings,
    #[command(flatten)]
    log: LogSettings,
    #[command(flatten)]
    traces: TraceSettings,
    /// Members of the consumer group in this process, each with a connection to MySQL and its share of the partitions
    #[arg(long, env = "SECKILL_WRITERS", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=64))]
    writers: u8,
    /// Where /livez, /readyz and /metrics are served
    #[arg(long, env = "SECKILL_LISTEN", default_value = "0.0.0.0:3001", value_parser = listen_address)]
    listen: SocketAddr,
}

/// What `mysql_async` keeps for ever: so many of its buffers, and so many bytes of each. By itself that is 128, each as
/// large as the largest statement was: with ours, 50 MB in all.
const BUFFERS_KEPT: [(&str, &str); 2] =
    [("MYSQL_ASYNC_BUFFER_POOL_CAP", "8"), ("MYSQL_ASYNC_BUFFER_SIZE_CAP", "65536")];

/// Starts this process once more, in its own place, with [`BUFFERS_KEPT`] set: it can be said in the environment only,
/// before anything runs. Comes back if all are set already, or if that fails, which costs memory and nothing else.
fn keep_little_of_buffers() {
    let missing: Vec<_> = BUFFERS_KEPT.into_iter().filter(|(name, _)| env::var_os(name).is_none()).collect();
    if !missing.is_empty()
        && let Ok(program) = env::current_exe()
    {
        let _ = Command::new(program).args(env::args_os().skip(1)).envs(missing).exec();
    }
}

#[actix_web::main]
async fn main() -> ExitCode {
    let settings: Settings = settings::parse();
    keep_little_of_buffers();
    let urls = settings.database.url().and_then(|database| Ok((database, settings.redis.url()?)));
    let started = urls.and_then(|urls| telemetry::start_logging(&settings.log).map(|()| urls));
    let (database, redis) = started.unwrap_or_else(|error| settings::exit_with(&error));
    let metrics = Metrics::install().unwrap_or_else(|error| settings::exit_with(&error));
    let traces =
        Traces::start(&settings.traces, "order-consumer").unwrap_or_else(|error| settings::exit_with(&error));
    let ended = run(&settings, &database, &redis, metrics).await;
    traces.stop();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            if let Some(wrong) = error.downcast_ref::<SettingsError>() {
                settings::exit_with(wrong);
            }
            tracing::error!("{error:#}");
            // To return would wait for a writer that did not stop in time.
            process::exit(1)
        }
    }
}

async fn run(
    settings: &Settings,
    database: &SecretString,
    redis: &SecretString,
    metrics: Metrics,
) -> anyhow::Result<()> {
    actix_web::rt::spawn(metrics.clone().keep_up());
    let listener = TcpListener::bind(settings.listen)
        .with_context(|| format!("cannot listen on {}", settings.listen))?;
    let address = listener.local_addr()?;
    let (stop, stopping) = shutdown::channel();
    let store = OrderStore::connect(database, StoreOptions::default())?;
    let ledger = StockLedger::new(redis, REDIS_CONNECTIONS)?;
    let observer = LogObserver::new(&settings.kafka, &settings.group).map_err(SettingsError::from)?;
    let publisher = Arc::new(OrderPublisher::new(&settings.kafka).map_err(SettingsError::from)?);
    let owed = Arc::new(Notify::new());

    let readiness =
        Readiness { store: store.clone(), observer: observer.clone(), shutdown: stopping.clone() };
    let server = operation::serve(listener, metrics, readiness)?;
    let server_handle = server.handle();
    actix_web::rt::spawn(server);

    let mut writers = Vec::new();
    for _ in 0..settings.writers {
        writers.push(Consumer::new(
            OrderSubscriber::new(&settings.kafka, &settings.group).map_err(SettingsError::from)?,
            OrderStore::connect(database, StoreOptions::default())?,
            publisher.clone(),
            owed.clone(),
            stopping.clone(),
        )?);
    }
    // One that fails has the others stop, in good order.
    let stop = &stop;
    let writing = join_all(writers.into_iter().map(|writer| {
        let writing = tokio::task::spawn_blocking(|| writer.run());
        async move {
            let written = writing.await.context("a writer panicked")?.context("a writer failed");
            if written.is_err() {
                stop.request();
            }
            written
        }
    }));
    let returning = actix_web::rt::spawn(returns::run(store.clone(), ledger.clone(), owed, stopping.clone()));
    let keeper = Keeper { store, ledger, publisher: publisher.clone(), observer };
    let keeping = actix_web::rt::spawn(keeper.run(stopping.clone()));

    tracing::info!(%address, "writing orders");
    tokio::pin!(writing);
    let ended = tokio::select! {
        signal = shutdown::signalled() => {
            tracing::info!(signal = signal?, "stopping");
            stop.request();
            None
        }
        // One has failed.
        () = stopping.requested() => None,
        written = &mut writing => Some(written),
    };
    let written = match ended {
        None => shutdown::drain("the batches under way", STOP_WITHIN, writing).await,
        ended => ended,
    };
    stop.request();
    shutdown::drain("the keeper", Duration::from_secs(2), future::join(returning, keeping)).await;
    if let Err(error) = publisher.flush(Duration::from_secs(2)).await {
        tracing::error!(%error, "some events were not acknowledged; the next keeper publishes them again");
    }
    server_handle.stop(true).await;
    match written {
        Some(written) => written.into_iter().collect(),
        None => anyhow::bail!("a writer did not stop in time"),
    }
}
