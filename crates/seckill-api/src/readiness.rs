//! Whether orders can be taken, and if not, what is missing. Asked often, looked up once a second.

use std::{sync::Arc, time::Duration};

use metrics::gauge;
use seckill_core::order_log::OrderPublisher;
use serde::Serialize;
use tokio::{runtime::Handle, time::timeout};

use crate::{reading::Readings, remembered::Remembered};

const GOOD_FOR: Duration = Duration::from_secs(1);
/// What has not answered by then is missing: who asks does not wait much longer.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);

/// How ready the process is: the JSON of `/readyz`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Whether orders can be taken: ledger and order log answer, and the process is not stopping.
    pub ready: bool,
    /// Whether a stop has been asked for.
    pub stopping: bool,
    /// What does not answer: `ledger`, `orderLog`, `store`. Orders are taken without the store, so a missing
    /// store alone does not make the process unready.
    pub missing: Vec<&'static str>,
}

#[derive(Clone, Copy)]
struct Reached {
    ledger: bool,
    order_log: bool,
    store: bool,
}

/// Looks whether the dependencies answer.
pub struct Readiness {
    readings: Readings,
    publisher: Arc<OrderPublisher>,
    runtime: Handle,
    last: Remembered<Reached>,
}

impl Readiness {
    /// Looks from the runtime that this is called on.
    pub fn new(readings: Readings, publisher: Arc<OrderPublisher>) -> Self {
        Self { readings, publisher, runtime: Handle::current(), last: Remembered::default() }
    }

    /// How ready the process is. One that is stopping is not, whatever answers: that is said at once.
    pub async fn report(&self, stopping: bool) -> Report {
        if stopping {
            gauge!("seckill_ready").set(0.0);
            return Report { ready: false, stopping, missing: Vec::new() };
        }
        let reached = self.last.get(self.look()).await;
        let mut missing = Vec::new();
        for (name, answers) in
            [("ledger", reached.ledger), ("orderLog", reached.order_log), ("store", reached.store)]
        {
            if !answers {
                missing.push(name);
            }
        }
        let ready = reached.ledger && reached.order_log;
        gauge!("seckill_ready").set(f64::from(u8::from(ready)));
        Report { ready, stopping, missing }
    }

    async fn look(&self) -> (Reached, Duration) {
        let publisher = Arc::clone(&self.publisher);
        let ping = self.runtime.spawn(async move {
            timeout(ANSWER_WITHIN, publisher.ping()).await.is_ok_and(|answer| answer.is_ok())
        });
        let (ledger, store) = self.readings.reachable(ANSWER_WITHIN).await;
        let order_log = ping.await.unwrap_or(false) && !self.publisher.is_stalled();
        (Reached { ledger, order_log, store }, GOOD_FOR)
    }
}
