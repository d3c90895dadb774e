//! Units of cancelled and rejected orders go back to the ledger after the COMMIT that said so.
//!
//! The store lists what is owed (`stock_returns`), written in that same transaction; so a crash between the
//! two only delays it. Releasing is idempotent: several processes may sweep at once.

use std::collections::BTreeMap;

use metrics::counter;

use super::UpkeepError;
use crate::{
    ledger::{ReleaseOutcome, StockLedger},
    order::Order,
    sale::SaleId,
    store::OrderStore,
};

/// Most orders in one sweep.
pub const SWEEP: u32 = 1000;

/// Gives back what the store says is owed; says how many orders that settled. A sale whose ledger must first
/// be rebuilt is left for later.
pub async fn sweep(store: &OrderStore, ledger: &StockLedger) -> Result<usize, UpkeepError> {
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
