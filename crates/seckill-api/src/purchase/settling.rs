//! From acknowledgements to the outbox, many orders at once.

use std::{mem, sync::Arc};

use parking_lot::Mutex;
use seckill_core::{
    ledger::{LedgerOrder, Settled},
    order::OrderId,
};
use tokio::sync::mpsc::UnboundedSender;

/// Orders of a sale that one call decided, and whose events are on their way together. Once the last of them has its
/// end, those that were acknowledged are settled.
pub struct Settling {
    settled: UnboundedSender<Settled>,
    /// Who was acknowledged.
    acknowledged: Mutex<Settled>,
}

impl Settling {
    /// What settles `order`: the same as the order `before` it in the call, if they are of one sale and epoch.
    pub fn with_the_one_before(
        before: &mut Option<Arc<Self>>,
        order: &LedgerOrder,
        settled: UnboundedSender<Settled>,
    ) -> Arc<Self> {
        let (sale, epoch) = (&order.order.sale, order.epoch);
        if let Some(before) = before {
            let of = before.acknowledged.lock();
            if of.sale == *sale && of.epoch == epoch {
                drop(of);
                return Arc::clone(before);
            }
        }
        let acknowledged = Mutex::new(Settled { sale: sale.clone(), epoch, ids: Vec::new() });
        Arc::clone(before.insert(Arc::new(Self { settled, acknowledged })))
    }

    /// Notes that the event of the order `id` is in the order log.
    pub fn acknowledged(&self, id: OrderId) {
        self.acknowledged.lock().ids.push(id);
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        let Settled { sale, epoch, ids } = self.acknowledged.get_mut();
        if !ids.is_empty() {
            let settled = Settled { sale: sale.clone(), epoch: *epoch, ids: mem::take(ids) };
            // Nobody listens any more once the process is at its end: the relay will see to it.
            let _ = self.settled.send(settled);
        }
    }
}
