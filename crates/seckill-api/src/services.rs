//! What every handler may use, made once for the whole server.

use std::sync::{Arc, atomic::AtomicBool};

use actix_web::{HttpRequest, web::Data};
use seckill_core::{
    ledger::StockLedger,
    order::{BuyerId, OrderIdSecret},
    order_log::{LogObserver, OrderPublisher},
    sale::SaleId,
    shutdown::Shutdown,
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
    problem::Problem,
    purchase::Purchases,
    rate_limit::RateLimits,
    readiness::Readiness,
    reading::Readings,
    settings::LimitSettings,
};

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
    pub(crate) admin: Data<AdminAccess>,
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
    /// Makes them of their `parts`; the task ends once all that was submitted is decided and settled.
    pub fn start(
        parts: Parts,
        limits: &LimitSettings,
        stopping: &Arc<AtomicBool>,
        streams_ending: Shutdown,
    ) -> (Self, JoinHandle<()>) {
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
        let services = Self {
            purchases,
            readiness: Readiness::new(readings.clone(), Arc::clone(&publisher)),
            flow,
            streams: Streams::new(limits.max_event_streams.get(), streams_ending),
            order_feed: OrderFeed::new(readings.clone()),
            sale_feed: SaleFeed::new(readings.clone()),
            readings,
            admin: Data::new(AdminAccess::new(parts.admin_token.as_ref())),
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

    /// Those of the server that `request` has come to.
    pub(crate) fn of(request: &HttpRequest) -> Option<&Self> {
        request.app_data::<Data<Self>>().map(Data::get_ref)
    }

    /// Counts an order of `buyer`, where buyers have a rate limit.
    pub(crate) fn count_order(&self, buyer: &BuyerId, request: &HttpRequest) -> Result<(), Problem> {
        match &self.rate_limits {
            Some(limits) => limits.check_buyer(buyer, request),
            None => Ok(()),
        }
    }
}
