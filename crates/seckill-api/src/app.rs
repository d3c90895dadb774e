//! Building the server, running it, and stopping it without losing what was answered.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpRequest, HttpServer,
    dev::{Server, ServerHandle},
    web::Data,
};
use seckill_core::{
    ledger::StockLedger,
    order::{BuyerId, OrderIdSecret},
    order_log::{LogObserver, OrderPublisher},
    sale::SaleId,
    shutdown::{self, Shutdown, ShutdownSwitch},
    store::OrderStore,
    telemetry::Metrics,
};
use secrecy::SecretString;
use tokio::task::JoinHandle;

use crate::{
    admin_access::AdminAccess,
    back_office::BackOffice,
    feed::{OrderFeed, SaleFeed, Streams},
    flow::FlowGauge,
    identity::{BuyerTokens, Identity},
    measures::HttpMeasures,
    problem::Problem,
    purchase::Purchases,
    rate_limit::RateLimits,
    readiness::Readiness,
    reading::Readings,
    routes,
    settings::LimitSettings,
};

/// How long the head of a request may take, from the first byte or the connection's start. Later than that,
/// and also where a head is not HTTP (400) or too large (431, over 96 headers or 128 KiB), the connection is
/// answered by the HTTP machinery itself, with the bare status, and closed.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const BACKLOG: u32 = 4096;

/// At a stop: how long requests under way may take. An order takes at most `ACCEPT_WITHIN`.
const FINISH_REQUESTS_WITHIN: Duration = Duration::from_secs(10);
/// At a stop: how long what was decided may take to be acknowledged, settled and flushed.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);

/// What the server is made of.
pub struct Parts {
    /// Where orders are decided.
    pub ledger: StockLedger,
    /// Where they are kept.
    pub store: OrderStore,
    /// Where they are made durable.
    pub publisher: Arc<OrderPublisher>,
    /// Sees how far the consumers have come.
    pub observer: LogObserver,
    /// The topic that `publisher` publishes to.
    pub orders_topic: String,
    /// What is measured.
    pub metrics: Metrics,
    /// Makes order ids of idempotency keys.
    pub order_id_secret: OrderIdSecret,
    /// The operator's token; none: no operator's routes.
    pub admin_token: Option<SecretString>,
    /// Checks buyers' tokens; none: buyers have none.
    pub buyer_tokens: Option<BuyerTokens>,
    /// The sale of `POST /seckill/add`.
    pub default_sale: SaleId,
    /// Whether the dashboard has a button that buys: on a developer's machine.
    pub may_buy_on_page: bool,
}

/// What every handler may use.
pub struct Services {
    pub(crate) purchases: Purchases,
    pub(crate) readings: Readings,
    pub(crate) readiness: Readiness,
    pub(crate) flow: FlowGauge,
    pub(crate) streams: Streams,
    pub(crate) order_feed: OrderFeed,
    pub(crate) sale_feed: SaleFeed,
    pub(crate) admin: AdminAccess,
    pub(crate) identity: Identity,
    pub(crate) back_office: BackOffice,
    pub(crate) rate_limits: Option<RateLimits>,
    pub(crate) publisher: Arc<OrderPublisher>,
    pub(crate) metrics: Metrics,
    pub(crate) orders_topic: String,
    pub(crate) default_sale: SaleId,
    pub(crate) may_buy_on_page: bool,
    pub(crate) stopping: Arc<AtomicBool>,
}

impl Services {
    /// Counts an order of `buyer`, where buyers have a rate limit.
    pub(crate) fn count_order(&self, buyer: &BuyerId, request: &HttpRequest) -> Result<(), Problem> {
        match &self.rate_limits {
            Some(limits) => limits.check_buyer(buyer, request),
            None => Ok(()),
        }
    }
}

/// A server that is bound and not running yet.
pub struct Api {
    server: Server,
    address: SocketAddr,
    stopping: Arc<AtomicBool>,
    streams: ShutdownSwitch,
    lame_duck: Duration,
    publisher: Arc<OrderPublisher>,
    purchases: JoinHandle<()>,
}

impl Api {
    /// Binds `listen` (port 0: any free one) and makes everything ready to run.
    pub fn build(listen: SocketAddr, limits: &LimitSettings, parts: Parts) -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let publisher = Arc::clone(&parts.publisher);
        let (streams, streams_ending) = shutdown::channel();
        let (services, purchases) = services(parts, limits, &stopping, streams_ending);
        let (services, measures) = (Data::new(services), HttpMeasures::default());
        let workers = match limits.workers {
            Some(workers) => workers.get(),
            None => std::thread::available_parallelism()?.get(),
        };
        let server = HttpServer::new(move || {
            App::new().app_data(services.clone()).configure(|config| routes::configure(config, &measures))
        })
        .workers(workers)
        .max_connections(limits.max_connections.get())
        .backlog(BACKLOG)
        .client_request_timeout(HEAD_WITHIN)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(FINISH_REQUESTS_WITHIN.as_secs())
        .disable_signals()
        .bind(listen)?;
        let address = server.addrs()[0];
        let lame_duck = limits.lame_duck();
        Ok(Self { server: server.run(), address, stopping, streams, lame_duck, publisher, purchases })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then stops: unready at once; after a moment no new connections; requests
    /// under way are finished; what was decided is published, acknowledged and settled.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let handle: ServerHandle = self.server.handle();
        let server = tokio::spawn(self.server);
        let mut server = std::pin::pin!(server);
        tokio::select! {
            ended = &mut server => return ended.map_err(io::Error::other)?,
            () = shutdown => {}
        }
        self.stopping.store(true, Ordering::Release);
        tokio::time::sleep(self.lame_duck).await;
        // They have no end of their own to wait for.
        self.streams.request();
        handle.stop(true).await;
        server.await.map_err(io::Error::other)??;
        // The queue's task ends when all that was submitted is decided and all that was published is settled.
        shutdown::drain("orders on their way", DRAIN_WITHIN, self.purchases).await;
        if let Err(error) = self.publisher.flush(DRAIN_WITHIN).await {
            tracing::error!(%error, "some events were not acknowledged; the relay publishes them again");
        }
        Ok(())
    }
}

fn services(
    parts: Parts,
    limits: &LimitSettings,
    stopping: &Arc<AtomicBool>,
    streams_ending: Shutdown,
) -> (Services, JoinHandle<()>) {
    let readings = Readings::new(parts.ledger.clone(), parts.store.clone());
    let publisher = parts.publisher;
    let flow = FlowGauge::new(parts.ledger.clone(), parts.store.clone(), parts.observer);
    let back_office =
        BackOffice::new(parts.store, parts.ledger.clone(), Arc::clone(&publisher), readings.clone());
    let (purchases, task) = Purchases::start(
        parts.ledger,
        Arc::clone(&publisher),
        parts.order_id_secret,
        readings.clone(),
        limits.queue_capacity.get(),
    );
    let services = Services {
        purchases,
        readiness: Readiness::new(readings.clone(), Arc::clone(&publisher)),
        flow,
        streams: Streams::new(limits.max_event_streams.get(), streams_ending),
        order_feed: OrderFeed::new(readings.clone()),
        sale_feed: SaleFeed::new(readings.clone()),
        readings,
        admin: AdminAccess::new(parts.admin_token.as_ref()),
        identity: Identity::new(parts.buyer_tokens),
        back_office,
        rate_limits: limits.rates.limits(),
        publisher,
        metrics: parts.metrics,
        orders_topic: parts.orders_topic,
        default_sale: parts.default_sale,
        may_buy_on_page: parts.may_buy_on_page,
        stopping: Arc::clone(stopping),
    };
    (services, task)
}
