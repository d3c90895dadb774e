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
        for (sale, order) in page {
            match order.and_then(|order| of_sale(order, &sale)) {
                Ok(order) => by_sale.entry(sale).or_default().push(order),
                // What else its sale is owed on this page goes back all the same.
                Err(error) => {
                    if waiting.insert(sale.clone()) {
                        failures.note::<()>(&sale, Err(error.into()));
                    }
                }
            }
        }
        for (sale, orders) in by_sale {
            if failures.note(&sale, give_back(store, ledger, &sale, &orders).await) == Some(true) {
                settled += orders.len();
            } else {
                waiting.insert(sale);
            }
        }
    }
}

/// `order`, if the sale that its units are owed to is its own.
fn of_sale(order: Order, owed_to: &SaleId) -> Result<Order, StoreError> {
    if order.sale == *owed_to {
        return Ok(order);
    }
    let Order { id, sale, .. } = order;
    Err(StoreError::Corrupt(format!("the units of order {id} of sale {sale} are owed to sale {owed_to}")))
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
