//! From acknowledgements to the outbox, many orders at once.

use std::{mem, sync::Arc};

use parking_lot::Mutex;
use seckill_core::{ledger::Settled, order::OrderId, sale::SaleId};
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
    /// What settles an order of `sale` that was taken in `epoch`: the same as the order `before` it in the call, if that
    /// was, too.
    pub fn with_the_one_before(
        before: &mut Option<Arc<Self>>,
        sale: &SaleId,
        epoch: u64,
        settled: UnboundedSender<Settled>,
    ) -> Arc<Self> {
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
    use tokio::sync::mpsc::unbounded_channel;

    use super::*;

    #[test]
    fn p4_what_is_acknowledged_is_settled_once_nothing_of_its_call_is_on_its_way() {
        let (settled, mut told) = unbounded_channel();
        let [a, b] = ["a", "b"].map(|name| SaleId::parse(name).unwrap());
        let mut before = None;
        let [first, lost, of_another_sale] =
            [&a, &a, &b].map(|sale| Settling::with_the_one_before(&mut before, sale, 1, settled.clone()));
        drop((before, settled));

        let id = OrderId::fresh();
        first.acknowledged(id);
        drop(first);
        assert!(told.try_recv().is_err(), "one is on its way");
        drop(lost);
        let Settled { sale, epoch, ids } = told.try_recv().unwrap();
        assert_eq!((sale, epoch, ids), (a, 1, vec![id]));

        // Nor is anything said of an order that nobody acknowledged.
        drop(of_another_sale);
        assert!(told.blocking_recv().is_none());
    }
}
