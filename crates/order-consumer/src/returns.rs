//! When units of cancelled and rejected orders go back to the ledger: at once when the writer says so, and
//! every second for what a crash left behind.

use std::{sync::Arc, time::Duration};

pub use seckill_core::upkeep::returns::sweep;
use seckill_core::{ledger::StockLedger, shutdown::Shutdown, store::OrderStore};
use tokio::sync::Notify;

/// How often what is owed is looked for, told or not.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Gives units back until a stop is asked for: whenever `owed` says so, and every second.
pub async fn run(store: OrderStore, ledger: StockLedger, owed: Arc<Notify>, shutdown: Shutdown) {
    while !shutdown.is_requested() {
        tokio::select! {
            () = owed.notified() => {}
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = shutdown.requested() => {}
        }
        let swept = tokio::select! {
            swept = sweep(&store, &ledger) => swept,
            () = shutdown.requested() => return,
        };
        if let Err(error) = swept {
            tracing::warn!(%error, "units of cancelled orders could not go back yet");
        }
    }
}
