//! What every command works with.

use std::time::Duration;

use seckill_core::{
    ledger::StockLedger,
    order_log::{LogError, LogObserver, OrderPublisher},
    sale::SaleId,
    settings::{GroupSettings, KafkaSettings, TopicSettings},
    store::{OrderStore, StoreOptions, StoredSale},
};
use secrecy::SecretString;

use crate::{cli::Places, failure::Failure};

/// How long Redis may be silent. Longer than a buyer would wait: an operator rather waits for a disk that is slow for a
/// moment than wonders what was done.
const LEDGER_ANSWERS_WITHIN: Duration = Duration::from_secs(5);

/// The store, the ledger and the way to the log. Nothing connects before it is used.
pub struct Surroundings {
    pub database: SecretString,
    pub store: OrderStore,
    pub ledger: StockLedger,
    pub kafka: KafkaSettings,
    pub topics: TopicSettings,
    group: GroupSettings,
}

impl Surroundings {
    pub fn new(places: Places) -> Result<Self, Failure> {
        let database = places.database.url()?;
        let redis = places.redis.url()?;
        let ledger = StockLedger::answering_within(LEDGER_ANSWERS_WITHIN, &redis, 2)?;
        let store = OrderStore::connect(&database, StoreOptions::default())?;
        Ok(Self { database, store, ledger, kafka: places.kafka, topics: places.topics, group: places.group })
    }

    pub fn observer(&self) -> Result<LogObserver, LogError> {
        LogObserver::new(&self.kafka, &self.group)
    }

    pub fn publisher(&self) -> Result<OrderPublisher, LogError> {
        OrderPublisher::new(&self.kafka)
    }

    /// The sale named, or else all.
    pub async fn sales(&self, only: Option<&SaleId>) -> Result<Vec<StoredSale>, Failure> {
        match only {
            Some(sale) => Ok(vec![self.store.sale(sale).await?.ok_or_else(|| Failure::no_such_sale(sale))?]),
            None => Ok(self.store.sales().await?),
        }
    }

    /// Who is at work, for the audit.
    pub fn actor() -> String {
        let user = ["SUDO_USER", "USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok());
        let user = user.filter(|name| !name.is_empty()).unwrap_or_else(|| "operator".to_owned());
        user.chars().filter(|character| !character.is_control()).take(128).collect()
    }
}
