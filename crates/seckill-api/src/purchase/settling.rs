//! From acknowledgements to the outbox, many orders at once.

use std::{mem, sync::Arc};

use parking_lot::Mutex;
use seckill_core::{
    ledger::{LedgerOrder, Settled},
    order::OrderId,
    sale::SaleId,
};
use tokio::sync::mpsc::UnboundedSender;

/// Orders of a sale that one call decided, and whose events are on their way together. Once the last of them has its
/// end, those that were acknowledged are settled.
pub struct Settling {
    sale: SaleId,
    epoch: u64,
    acknowledged: Mutex<Vec<OrderId>>,
    settled: UnboundedSender<Settled>,
}

impl Settling {
    /// What settles `order`: the same as the order `before` it in the call, if they are of one sale and epoch.
    pub fn with_the_one_before(
        before: &mut Option<Arc<Self>>,
        order: &LedgerOrder,
        settled: UnboundedSender<Settled>,
    ) -> Arc<Self> {
        let (sale, epoch) = (&order.order.sale, order.epoch);
        match before {
            Some(before) if before.sale == *sale && before.epoch == epoch => Arc::clone(before),
            _ => {
                let (sale, acknowledged) = (sale.clone(), Mutex::default());
                Arc::clone(before.insert(Arc::new(Self { sale, epoch, acknowledged, settled })))
            }
        }
    }

    /// Notes that the event of the order `id` is in the order log.
    pub fn acknowledged(&self, id: OrderId) {
        self.acknowledged.lock().push(id);
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        let ids = mem::take(self.acknowledged.get_mut());
        if !ids.is_empty() {
            // Nobody listens any more once the process is at its end: the relay will see to it.
            let _ = self.settled.send(Settled { sale: self.sale.clone(), epoch: self.epoch, ids });
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use seckill_core::{
        ledger::RecordState,
        order::{BuyerId, Goods, Order, OrderRequest, OrderStatus, Quantity},
    };
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    fn order(sale: &str) -> LedgerOrder {
        let request = OrderRequest {
            buyer: BuyerId::parse("ada").unwrap(),
            goods: Goods::parse("phone").unwrap(),
            quantity: Quantity::ONE,
            remark: None,
        };
        let sale = SaleId::parse(sale).unwrap();
        let order =
            Order::new(OrderId::fresh(), sale, request, Some(1), Timestamp::now(), OrderStatus::Pending);
        LedgerOrder { order, epoch: 1, state: RecordState::Live, in_outbox: true }
    }

    #[test]
    fn p4_what_is_acknowledged_is_settled_once_nothing_of_its_call_is_on_its_way() {
        let (settled, mut told) = unbounded_channel();
        let (first, lost, of_another_sale) = (order("a"), order("a"), order("b"));
        let mut before = None;
        let [settles_first, settles_lost, settles_other] = [&first, &lost, &of_another_sale]
            .map(|order| Settling::with_the_one_before(&mut before, order, settled.clone()));
        drop((before, settled));

        settles_first.acknowledged(first.order.id);
        drop(settles_first);
        assert!(told.try_recv().is_err(), "one is on its way");
        drop(settles_lost);
        let Settled { sale, epoch, ids } = told.try_recv().unwrap();
        assert_eq!((sale, epoch, ids), (first.order.sale, 1, vec![first.order.id]));

        // Nor is anything said of an order that nobody acknowledged.
        drop(settles_other);
        assert!(told.blocking_recv().is_none());
    }
}
