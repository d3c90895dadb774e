//! What a repair must know and a plain reconcile need not: which orders make up a drift.

use std::{collections::HashSet, time::Duration};

use seckill_core::{
    ledger::{LedgerOrder, RecordState},
    order::{OrderId, Units},
    sale::SaleId,
};

use crate::{failure::Failure, reconcile::placed_and_undone, surroundings::Surroundings};

/// The live orders of a sale that only the ledger knows: neither its outbox nor the log still has to tell the
/// store of them, and the store does not have them.
///
/// Read in the order in which an order moves on, so that none on its way is taken for one.
pub async fn only_in_ledger(all: &Surroundings, sale: &SaleId) -> Result<Vec<LedgerOrder>, Failure> {
    let mut live = Vec::new();
    let visit = all.ledger.visit_orders(sale, |found| {
        if found.state == RecordState::Live {
            live.push(found);
        }
    });
    visit.await?;
    let outbox = all.ledger.outbox_ids(sale, Duration::ZERO).await?;
    let mut told: HashSet<OrderId> = outbox.into_iter().collect();
    told.extend(placed_and_undone(all, sale).await?);
    let ids: Vec<OrderId> = live.iter().map(|found| found.order.id).collect();
    told.extend(all.store.order_statuses(&ids).await?.into_keys());
    live.retain(|found| !told.contains(&found.order.id));
    // Visiting may show an order twice.
    live.sort_by_key(|found| *found.order.id.as_bytes());
    live.dedup_by_key(|found| found.order.id);
    Ok(live)
}

/// A store that contradicts itself, in a line for people: no code of ours can tell which side of it is right.
pub async fn contradiction(all: &Surroundings, sale: &SaleId) -> Result<Option<String>, Failure> {
    let Some(mut snapshot) = all.store.snapshot(sale).await? else { return Ok(None) };
    let mut held: Units = 0;
    loop {
        let orders = snapshot.next_page().await?;
        if orders.is_empty() {
            break;
        }
        let live = orders.iter().filter(|order| RecordState::of(order.status) == RecordState::Live);
        held += live.map(|order| order.quantity.units()).sum::<Units>();
    }
    let sold = snapshot.sale().sold;
    let line = || format!("sale {sale}: the store's orders hold {held} units, and it counts {sold} as sold");
    Ok((held != sold).then(line))
}
