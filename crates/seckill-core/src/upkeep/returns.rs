//! Units of cancelled and rejected orders go back to the ledger after the COMMIT that said so.
//!
//! The store lists what is owed (`stock_returns`), written in that same transaction; so a crash between the
//! two only delays it. Releasing is idempotent: several processes may sweep at once.

use std::collections::BTreeMap;

use metrics::counter;

use super::{Failures, UpkeepError};
use crate::{
    ledger::{ReleaseOutcome, StockLedger},
    order::Order,
    sale::SaleId,
    store::OrderStore,
};

/// Most orders in one sweep.
pub const SWEEP: u32 = 1000;

/// Gives back what the store says is owed; says how many orders that settled. A sale whose ledger must first
/// be rebuilt is left for later. One that fails does not keep the others from it: its failure is told at the end.
pub async fn sweep(store: &OrderStore, ledger: &StockLedger) -> Result<usize, UpkeepError> {
    let mut by_sale: BTreeMap<SaleId, Vec<Order>> = BTreeMap::new();
    for order in store.returns(SWEEP).await? {
        by_sale.entry(order.sale.clone()).or_default().push(order);
    }
    let (mut settled, mut failures) = (0, Failures::default());
    for (sale, orders) in by_sale {
        let given = failures.note(&sale, give_back(store, ledger, &sale, &orders).await);
        settled += given.unwrap_or_default();
    }
    failures.end().map(|()| settled)
}

async fn give_back(
    store: &OrderStore,
    ledger: &StockLedger,
    sale: &SaleId,
    orders: &[Order],
) -> Result<usize, UpkeepError> {
    let ReleaseOutcome::Released { returned } = ledger.release(sale, orders).await? else {
        tracing::debug!(%sale, "units go back once the ledger is rebuilt");
        return Ok(0);
    };
    counter!("seckill_orders_returned_total").increment(returned);
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    store.delete_returns(&ids).await?;
    Ok(ids.len())
}
