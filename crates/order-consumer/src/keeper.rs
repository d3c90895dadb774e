//! The keeper holds ledger, log and store together. One process at a time is it (a lock in MySQL).
//!
//! | part | does |
//! |---|---|
//! | [`rebuild`] | loads sales whose ledger is absent or not to be trusted |
//! | [`relay`] | publishes what has been in an outbox for too long |
//! | [`drift`] | measures whether the law of conservation holds |
//!
//! It also realigns stock that a change reached on one side only ([`realign`]).
//!
//! Whatever it does may be cut off anywhere, or done by two at once: epochs, numbers and ids see to that.

pub mod drift;
pub mod rebuild;
pub mod relay;

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use metrics::{counter, gauge};
use seckill_core::{
    ledger::{LedgerError, LedgerSale, SaleLookup, StockLedger},
    order_log::{LogObserver, OrderPublisher},
    shutdown::Shutdown,
    store::{KeeperLock, OrderStore, ReadableSales, StoredSale},
    upkeep::{Failures, realign},
};

use crate::measures;

/// Why something was given up; the next round tries again.
pub use seckill_core::upkeep::UpkeepError as KeeperError;

/// How often the sales are looked after.
const ROUND: Duration = Duration::from_millis(500);
/// How often another process tries to become the keeper, and the keeper makes sure that it still is.
const LOCK_CHECK: Duration = Duration::from_secs(1);

/// What the keeper works with.
pub struct Keeper {
    /// What is true.
    pub store: OrderStore,
    /// What decides.
    pub ledger: StockLedger,
    /// Publishes what outboxes hold.
    pub publisher: Arc<OrderPublisher>,
    /// Knows how far the consumer group has come.
    pub observer: LogObserver,
}

impl Keeper {
    /// Becomes the keeper whenever nobody else is, until a stop is asked for.
    pub async fn run(self, shutdown: Shutdown) {
        measures::keeper_from_zero();
        while !shutdown.is_requested() {
            gauge!("seckill_keeper").set(0.0);
            match self.store.try_keep().await {
                Ok(Some(lock)) => Box::pin(self.keep(lock, &shutdown)).await,
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "cannot ask who the keeper is"),
            }
            tokio::select! {
                () = tokio::time::sleep(LOCK_CHECK) => {}
                () = shutdown.requested() => {}
            }
        }
    }

    async fn keep(&self, mut lock: KeeperLock, shutdown: &Shutdown) {
        tracing::info!("this process is the keeper now");
        gauge!("seckill_keeper").set(1.0);
        tokio::select! {
            () = shutdown.requested() => {}
            () = lost(&mut lock) => tracing::warn!("another process may be the keeper now"),
            // A rebuild may take long; what is sold meanwhile must not wait for it.
            () = self.every_round(async || self.rebuild_untrusted().await) => {}
            () = self.every_round(async || self.tend().await) => {}
            () = drift::watch(self) => {}
        }
        lock.release().await;
    }

    async fn every_round(&self, step: impl AsyncFn() -> Result<(), KeeperError>) {
        // The trouble that was logged last, so that it is logged once.
        let mut trouble = None;
        loop {
            let failure = step().await.err().map(|error| error.to_string());
            if let Some(error) = &failure {
                counter!("seckill_keeper_failures_total").increment(1);
                if failure != trouble {
                    tracing::warn!(error, "the keeper could not finish a round");
                }
            }
            trouble = failure;
            tokio::time::sleep(ROUND).await;
        }
    }

    /// Rebuilds every sale that the ledger does not have or that it cannot be trusted with, first where a crowd is.
    pub async fn rebuild_untrusted(&self) -> Result<(), KeeperError> {
        let ReadableSales { sales, unreadable } = self.store.readable_sales().await?;
        let mut untrusted = Vec::new();
        for sale in sales {
            match self.ledger.sale(&sale.sale.id).await? {
                SaleLookup::Trusted(_) => {}
                SaleLookup::Untrusted | SaleLookup::Absent => untrusted.push(sale),
            }
        }
        let now = Timestamp::now();
        untrusted.sort_by_key(|sale| sale.turn(now));
        if !untrusted.is_empty() {
            rebuild::rebuild(self, &untrusted).await?;
        }
        Failures::of(unreadable).end()
    }

    /// Looks after every sale that the ledger has: its outbox and its stock.
    pub async fn tend(&self) -> Result<(), KeeperError> {
        let ReadableSales { sales, unreadable } = self.store.readable_sales().await?;
        let mut failures = Failures::of(unreadable);
        for (stored, ledger) in self.trusted(sales).await? {
            let sale = &stored.sale.id;
            let relayed = match relay::publish_stale(self, &ledger).await {
                Err(KeeperError::Ledger(LedgerError::Corrupt(why))) => {
                    tracing::error!(%sale, why, "a ledger with such orders is not to be trusted");
                    rebuild::begin(self, &stored).await.map(drop)
                }
                relayed => relayed,
            };
            failures.note(sale, relayed);
            let realigned = realign::realign(&self.store, &self.ledger, (&stored, &ledger), "keeper").await;
            failures.note(sale, realigned);
        }
        failures.end()
    }

    /// Those of `sales` that the ledger has, verified, each as both sides see it.
    async fn trusted(&self, sales: Vec<StoredSale>) -> Result<Vec<(StoredSale, LedgerSale)>, KeeperError> {
        let mut trusted = Vec::new();
        for stored in sales {
            match self.ledger.sale(&stored.sale.id).await? {
                SaleLookup::Trusted(ledger) => trusted.push((stored, ledger)),
                SaleLookup::Untrusted | SaleLookup::Absent => {}
            }
        }
        Ok(trusted)
    }
}

/// Returns when the lock is not surely held any more.
async fn lost(lock: &mut KeeperLock) {
    while lock.still_held().await {
        tokio::time::sleep(LOCK_CHECK).await;
    }
}
