//! Units of cancelled and rejected orders go back to the ledger after the COMMIT that said so.
//!
//! The store lists what is owed (`stock_returns`), written in that same transaction; so a crash between the
//! two only delays it. Releasing is idempotent: several consumers may sweep at once.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use metrics::counter;
use seckill_core::{
    ledger::{LedgerError, ReleaseOutcome, StockLedger},
    order::Order,
    sale::SaleId,
    shutdown::Shutdown,
    store::{OrderStore, StoreError},
};
use tokio::sync::Notify;

/// How often what is owed is looked for, told or not.
const SWEEP_EVERY: Duration = Duration::from_secs(1);
/// Most orders in one sweep.
const SWEEP: u32 = 1000;

/// Why a sweep was given up; the next one goes on.
#[derive(Debug, thiserror::Error)]
pub enum SweepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
}

/// Gives units back until a stop is asked for: whenever `owed` says so, and every second.
pub async fn run(store: OrderStore, ledger: StockLedger, owed: Arc<Notify>, shutdown: Shutdown) {
    while !shutdown.is_requested() {
        tokio::select! {
            () = owed.notified() => {}
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = shutdown.requested() => {}
        }
        if let Err(error) = sweep(&store, &ledger).await {
            tracing::warn!(%error, "units of cancelled orders could not go back yet");
        }
    }
}

/// Gives back what the store says is owed; says how many orders that settled. A sale whose ledger must first
/// be rebuilt is left for later.
pub async fn sweep(store: &OrderStore, ledger: &StockLedger) -> Result<usize, SweepError> {
    let mut by_sale: BTreeMap<SaleId, Vec<Order>> = BTreeMap::new();
    for order in store.returns(SWEEP).await? {
        by_sale.entry(order.sale.clone()).or_default().push(order);
    }
    let mut settled = 0;
    for (sale, orders) in by_sale {
        match ledger.release(&sale, &orders).await? {
            ReleaseOutcome::Released { returned } => {
                counter!("seckill_orders_returned_total").increment(returned);
                let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
                store.delete_returns(&ids).await?;
                settled += ids.len();
            }
            ReleaseOutcome::Absent | ReleaseOutcome::Untrusted => {
                tracing::debug!(%sale, "units go back once the ledger is rebuilt");
            }
        }
    }
    Ok(settled)
}
