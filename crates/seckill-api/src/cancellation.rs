//! Cancelling an order: the order log is told, and the consumer does the rest (the row, what is sold, the
//! units). The API itself never gives a unit back.

use jiff::Timestamp;
use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    ledger::ACCEPT_WITHIN,
    order::{Order, OrderStatus},
    order_log::{LogError, OrderPublisher},
    traces::TraceContext,
};
use tokio::time::timeout;

use crate::refusal::Refusal;

/// The epoch in a cancellation: nobody asks for it, for what is cancelled is so in every epoch.
const ANY_EPOCH: u64 = 0;

/// Cancels `order`, as the store or the ledger has it, and gives it as it will be. One that is cancelled
/// already is given as it is.
///
/// The event has the order's own key, so it comes behind the event by which the order was placed, if that is
/// in the log yet. If not, the order will be stored as cancelled before it was ever confirmed.
pub async fn cancel(
    publisher: &OrderPublisher,
    order: Order,
    trace: Option<&TraceContext>,
) -> Result<Order, Refusal> {
    match order.status {
        OrderStatus::Cancelled => return Ok(order),
        OrderStatus::Rejected => return Err(Refusal::OrderFinal),
        OrderStatus::Pending | OrderStatus::Accepted | OrderStatus::Confirmed => {}
    }
    if publisher.is_stalled() {
        return Err(Refusal::OrderLogUnavailable);
    }
    let at = Timestamp::now();
    let order = Order { status: OrderStatus::Cancelled, update_date: at, ..order };
    // An imported order has the original's `openid`, which does not follow from its id: an event's must, lest it
    // take another order's.
    let told = Order { openid: order.id.openid(order.created_date), ..order.clone() };
    let event = OrderEvent { kind: OrderEventKind::Cancelled, epoch: ANY_EPOCH, order: told, at };
    match timeout(ACCEPT_WITHIN, publisher.publish_traced_and_wait(&event, trace)).await {
        Ok(Ok(_position)) => Ok(order),
        Ok(Err(error)) => Err(not_acknowledged(&event, Some(&error))),
        Err(_elapsed) => Err(not_acknowledged(&event, None)),
    }
}

/// The event may be in the log all the same: cancelling once more does no harm.
fn not_acknowledged(event: &OrderEvent, error: Option<&LogError>) -> Refusal {
    let why = error.map_or_else(|| "no answer in time".to_owned(), LogError::to_string);
    tracing::warn!(order = %event.order.id, why, "a cancellation was not acknowledged");
    Refusal::CancellationUnknown
}
