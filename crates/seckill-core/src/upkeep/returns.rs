//! Units of cancelled and rejected orders go back to the ledger after the COMMIT that said so.
//!
//! The store lists what is owed (`stock_returns`), written in that same transaction; so a crash between the
//! two only delays it. Releasing is idempotent: several processes may sweep at once.

use std::collections::{BTreeMap, BTreeSet};

use metrics::counter;

use super::{Failures, UpkeepError};
use crate::{
    ledger::{ReleaseOutcome, StockLedger},
    order::Order,
    sale::SaleId,
    store::{OrderStore, StoreError},
};

/// Most orders that are read at once.
const PAGE: u32 = 1000;

/// Gives back what the store says is owed; says how many orders that settled. A sale whose ledger must first
/// be rebuilt is left for later. One that fails does not keep the others from it: its failure is told at the end.
pub async fn sweep(store: &OrderStore, ledger: &StockLedger) -> Result<usize, UpkeepError> {
    let (mut settled, mut failures, mut waiting) = (0, Failures::default(), BTreeSet::new());
    loop {
        let page = store.returns(&waiting, PAGE).await?;
        if page.is_empty() {
            return failures.end().map(|()| settled);
        }
        let mut by_sale: BTreeMap<SaleId, Vec<Order>> = BTreeMap::new();
        for order in page {
            by_sale.entry(order.sale.clone()).or_default().push(order);
        }
        for (sale, orders) in by_sale {
            match failures.note(&sale, give_back(store, ledger, &sale, &orders).await) {
                Some(true) => settled += orders.len(),
                Some(false) | None if waiting.insert(sale.clone()) => {}
                Some(false) | None => {
                    let why = format!("orders of sale {sale} are owed to another");
                    return Err(StoreError::Corrupt(why).into());
                }
            }
        }
    }
}

/// Gives back the units of `orders`, all of `sale`; false: its ledger must first be rebuilt.
async fn give_back(
    store: &OrderStore,
    ledger: &StockLedger,
    sale: &SaleId,
    orders: &[Order],
) -> Result<bool, UpkeepError> {
    let ReleaseOutcome::Released { returned } = ledger.release(sale, orders).await? else {
        tracing::debug!(%sale, "units go back once the ledger is rebuilt");
        return Ok(false);
    };
    counter!("seckill_orders_returned_total").increment(returned);
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    store.delete_returns(&ids).await?;
    Ok(true)
}
