//! Publishes again what has been in an outbox for too long: its event may not be in the order log. One that
//! is there twice is harmless: same id.

use std::time::Duration;

use futures_util::{StreamExt, stream};

use super::UpkeepError;
use crate::{
    ledger::{LedgerOrder, StockLedger},
    order_log::{LogError, OrderPublisher},
    sale::SaleId,
    traces::{self, Kind, Span},
};

/// How long an API has to settle an order before the relay publishes it too.
pub const STALE_AFTER: Duration = Duration::from_secs(3);
/// Most orders published at once.
pub const LIMIT: usize = 500;

/// Publishes at most [`LIMIT`] of a sale's stale outbox entries and takes them out; says how many.
pub async fn publish_stale(
    ledger: &StockLedger,
    publisher: &OrderPublisher,
    sale: &SaleId,
) -> Result<usize, UpkeepError> {
    let orders = ledger.outbox(sale, STALE_AFTER, LIMIT).await?;
    publish(publisher, &orders).await?;
    settle(ledger, sale, &orders).await?;
    Ok(orders.len())
}

/// Publishes `orders` and waits until all are in the log.
///
/// The outbox does not know the traces of its orders: what follows from here is a trace of its own. The order's id,
/// in both, leads from one to the other.
pub async fn publish(publisher: &OrderPublisher, orders: &[LedgerOrder]) -> Result<(), LogError> {
    if orders.is_empty() {
        return Ok(());
    }
    let span = traces::root(Kind::Internal, "relay outbox");
    let trace = span.as_ref().map(Span::context);
    let mut acks = stream::iter(orders)
        .map(|order| {
            let (event, trace) = (order.placed_event(), trace.as_ref());
            async move { publisher.publish_traced_and_wait(&event, trace).await }
        })
        .buffer_unordered(LIMIT);
    while let Some(ack) = acks.next().await {
        ack?;
    }
    Ok(())
}

async fn settle(ledger: &StockLedger, sale: &SaleId, orders: &[LedgerOrder]) -> Result<(), UpkeepError> {
    // All of a trusted outbox is of one epoch but for what a rebuild is just now replacing.
    for group in orders.chunk_by(|a, b| a.epoch == b.epoch) {
        let ids: Vec<_> = group.iter().map(|order| order.order.id).collect();
        ledger.settle(sale, group[0].epoch, &ids).await?;
    }
    Ok(())
}
