//! When an outbox is looked into: as soon as its oldest entry is stale.

use metrics::counter;
use seckill_core::{
    ledger::LedgerSale,
    upkeep::relay::{self, STALE_AFTER},
};

use super::{Keeper, KeeperError};

/// Publishes the stale entries of a sale's outbox and takes them out; says how many.
pub async fn publish_stale(keeper: &Keeper, sale: &LedgerSale) -> Result<usize, KeeperError> {
    if sale.outbox == 0 || sale.outbox_age < STALE_AFTER {
        return Ok(0);
    }
    let published = relay::publish_stale(&keeper.ledger, &keeper.publisher, &sale.sale.id).await?;
    counter!("seckill_keeper_relayed_total").increment(published as u64);
    tracing::info!(sale = %sale.sale.id, orders = published, "published what an outbox still held");
    Ok(published)
}
