//! When an outbox is looked into: as soon as its oldest entry is stale.

use metrics::counter;
use seckill_core::{
    ledger::LedgerSale,
    upkeep::relay::{self, STALE_AFTER},
};

use super::{Keeper, KeeperError};

/// Publishes the stale entries of a sale's outbox and takes them out.
pub async fn publish_stale(keeper: &Keeper, sale: &LedgerSale) -> Result<(), KeeperError> {
    if sale.outbox == 0 || sale.outbox_age < STALE_AFTER {
        return Ok(());
    }
    let (id, mut published) = (&sale.sale.id, 0);
    let outcome = relay::publish_stale(&keeper.ledger, &keeper.publisher, id, &mut published).await;
    if published > 0 {
        counter!("seckill_keeper_relayed_total").increment(published as u64);
        tracing::info!(sale = %id, orders = published, "published what an outbox still held");
    }
    outcome
}
