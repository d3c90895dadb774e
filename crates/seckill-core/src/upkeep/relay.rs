//! Publishes again what has been in an outbox for too long: its event may not be in the order log. One that
//! is there twice is harmless: same id.

use std::time::Duration;

use futures_util::{Stream, StreamExt, TryStreamExt, stream};

use super::UpkeepError;
use crate::{
    ledger::{LedgerError, LedgerOrder, StockLedger},
    order_log::{LogError, OrderPublisher, Position},
    sale::SaleId,
    traces::{self, Kind, Span},
};

/// How long an API has to settle an order before the relay publishes it too.
pub const STALE_AFTER: Duration = Duration::from_secs(3);
/// Most orders published at once.
const AT_ONCE: usize = 500;

/// Publishes a sale's stale outbox entries and takes out what is then in the log. Counts into `done` as it goes: what it
/// does until it fails stays done. What cannot be read keeps no other from the log; that there is such is an error, at the
/// end.
pub async fn publish_stale(
    ledger: &StockLedger,
    publisher: &OrderPublisher,
    sale: &SaleId,
    done: &mut usize,
) -> Result<(), UpkeepError> {
    let mut unreadable = 0;
    for page in ledger.outbox_ids(sale, STALE_AFTER).await?.chunks(AT_ONCE) {
        let (orders, others) = ledger.outbox_orders(sale, page).await?;
        let acks: Vec<_> = publish_each(publisher, &orders).collect().await;
        // A partition may be without a leader: the others are not.
        let in_the_log: Vec<_> =
            acks.iter().filter(|(_, ack)| ack.is_ok()).map(|(order, _)| *order).collect();
        settle(ledger, sale, &in_the_log).await?;
        *done += in_the_log.len();
        acks.into_iter().try_for_each(|(_, ack)| ack.map(drop))?;
        unreadable += others;
    }
    if unreadable > 0 {
        let why = format!("{unreadable} orders in the outbox of sale {sale} cannot be read");
        return Err(LedgerError::Corrupt(why).into());
    }
    Ok(())
}

/// Publishes `orders` and waits until all are in the log, or one of them fails.
pub async fn publish(publisher: &OrderPublisher, orders: &[LedgerOrder]) -> Result<(), LogError> {
    publish_each(publisher, orders).map(|(_, ack)| ack.map(drop)).try_collect().await
}

/// Publishes `orders` and says of each whether it is in the log.
///
/// The outbox does not know the traces of its orders: what follows from here is a trace of its own. The order's id,
/// in both, leads from one to the other.
fn publish_each<'a>(
    publisher: &'a OrderPublisher,
    orders: &'a [LedgerOrder],
) -> impl Stream<Item = (&'a LedgerOrder, Result<Position, LogError>)> {
    let span = (!orders.is_empty()).then(|| traces::root(Kind::Internal, "relay outbox")).flatten();
    stream::iter(orders)
        .map(move |order| {
            let (event, trace) = (order.placed_event(), span.as_ref().map(Span::context));
            async move { (order, publisher.publish_traced_and_wait(&event, trace.as_ref()).await) }
        })
        .buffer_unordered(AT_ONCE)
}

async fn settle(ledger: &StockLedger, sale: &SaleId, orders: &[&LedgerOrder]) -> Result<(), UpkeepError> {
    // All of a trusted outbox is of one epoch but for what a rebuild is just now replacing.
    for group in orders.chunk_by(|a, b| a.epoch == b.epoch) {
        let ids: Vec<_> = group.iter().map(|order| order.order.id).collect();
        ledger.settle(sale, group[0].epoch, &ids).await?;
    }
    Ok(())
}
