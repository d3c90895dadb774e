//! What is on its way behind the orders that were taken: what waits in the log and in the outboxes, and whether
//! ledger and store agree. For the dashboard; asked often, looked up once a second.

use std::{collections::HashMap, sync::Arc, time::Duration};

use parking_lot::Mutex;
use seckill_core::{
    ledger::{SaleLookup, StockLedger},
    order_log::LogObserver,
    sale::SaleId,
    store::OrderStore,
};
use serde::Serialize;
use tokio::runtime::Handle;

use crate::remembered::Remembered;

const GOOD_FOR: Duration = Duration::from_secs(1);

/// How much is on its way, of all sales. What cannot be told just now is null.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Flow {
    /// Events in the order log that the consumers have yet to write.
    pub unwritten: Option<u64>,
    /// Orders whose events are not known to be in the order log.
    pub outbox: Option<u64>,
    /// Units on which ledger and store differ, while nothing of their sale is on its way. One that was seen
    /// only once may have been between the two just then, and does not count.
    pub drift: Option<u64>,
}

/// Looks at ledger, log and store.
pub struct FlowGauge {
    looking: Arc<Looking>,
    runtime: Handle,
    last: Remembered<Flow>,
}

struct Looking {
    ledger: StockLedger,
    store: OrderStore,
    observer: LogObserver,
    /// What sales at rest differed by when they were looked at last.
    differed: Mutex<HashMap<SaleId, i64>>,
}

impl FlowGauge {
    /// Looks from the runtime that this is called on.
    pub fn new(ledger: StockLedger, store: OrderStore, observer: LogObserver) -> Self {
        let looking = Looking { ledger, store, observer, differed: Mutex::default() };
        Self { looking: Arc::new(looking), runtime: Handle::current(), last: Remembered::default() }
    }

    /// How much is on its way, at most a second ago.
    pub async fn read(&self) -> Flow {
        let look = async {
            let looking = Arc::clone(&self.looking);
            let flow = self.runtime.spawn(async move { looking.look().await }).await;
            (flow.unwrap_or_default(), GOOD_FOR)
        };
        self.last.get(look).await
    }
}

impl Looking {
    async fn look(&self) -> Flow {
        let unwritten = self.observer.lag().await.ok();
        let Some((outbox, differ)) = self.sales(unwritten == Some(0)).await else {
            return Flow { unwritten, outbox: None, drift: None };
        };
        let drift = (unwritten == Some(0)).then(|| {
            let before = std::mem::replace(&mut *self.differed.lock(), differ.clone());
            let stands = differ.iter().filter(|(sale, units)| before.get(*sale) == Some(*units));
            stands.map(|(_, units)| units.unsigned_abs()).sum()
        });
        Flow { unwritten, outbox: Some(outbox), drift }
    }

    /// The outboxes of all sales, and what those differ by of which nothing is on its way.
    async fn sales(&self, written: bool) -> Option<(u64, HashMap<SaleId, i64>)> {
        let (mut outbox, mut differ) = (0, HashMap::new());
        for stored in self.store.readable_sales().await.ok()?.sales {
            // One that is being loaded has nothing to compare.
            let SaleLookup::Trusted(found) = self.ledger.sale(&stored.sale.id).await.ok()? else { continue };
            outbox += found.outbox;
            if written && found.outbox == 0 {
                differ.insert(stored.sale.id, found.held_beyond(stored.sold));
            }
        }
        Some((outbox, differ))
    }
}
