//! Publishes again what has been in an outbox for too long: its event may not be in the order log. One that
//! is there twice is harmless: same id.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use metrics::counter;
use seckill_core::{
    ledger::{LedgerOrder, LedgerSale},
    sale::SaleId,
};

use super::{Keeper, KeeperError};

/// How long an API has to settle an order before the relay publishes it too.
const STALE_AFTER: Duration = Duration::from_secs(3);
/// Most orders published at once.
const LIMIT: usize = 500;

/// Publishes the stale entries of a sale's outbox and takes them out; says how many.
pub async fn publish_stale(keeper: &Keeper, sale: &LedgerSale) -> Result<usize, KeeperError> {
    if sale.outbox == 0 || sale.outbox_age < STALE_AFTER {
        return Ok(0);
    }
    let orders = keeper.ledger.outbox(&sale.sale.id, STALE_AFTER, LIMIT).await?;
    let published = publish(keeper, &orders).await?;
    settle(keeper, &sale.sale.id, &orders).await?;
    counter!("seckill_keeper_relayed_total").increment(published as u64);
    tracing::info!(sale = %sale.sale.id, orders = published, "published what an outbox still held");
    Ok(published)
}

/// Publishes `orders` and waits until all are in the log.
pub async fn publish(keeper: &Keeper, orders: &[LedgerOrder]) -> Result<usize, KeeperError> {
    let mut acks = stream::iter(orders)
        .map(|order| async { keeper.publisher.publish_and_wait(&order.placed_event()).await })
        .buffer_unordered(LIMIT);
    while let Some(ack) = acks.next().await {
        ack?;
    }
    Ok(orders.len())
}

async fn settle(keeper: &Keeper, sale: &SaleId, orders: &[LedgerOrder]) -> Result<(), KeeperError> {
    // All of a trusted outbox is of one epoch but for what a rebuild is just now replacing.
    for group in orders.chunk_by(|a, b| a.epoch == b.epoch) {
        let ids: Vec<_> = group.iter().map(|order| order.order.id).collect();
        keeper.ledger.settle(sale, group[0].epoch, &ids).await?;
    }
    Ok(())
}
