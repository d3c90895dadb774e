//! Brings the ledger's terms of a sale into line with the store's, where a change reached only one of them:
//! an operator's command was cut off between the two.
//!
//! A raise that the ledger missed is applied; a lowering that the store never committed is taken back. Both
//! are one thing: the store's terms, under a number that is new to the ledger, and an audit row that says so.

use super::UpkeepError;
use crate::{
    ledger::{AdjustOutcome, LedgerSale, StockLedger},
    order::Units,
    sale::Sale,
    store::{AdjustmentRequest, BeginAdjustment, OrderStore, StockChange, StoredSale},
};

/// What became of a sale whose two sides may differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RealignOutcome {
    /// Both sides have applied the same change last: nothing was done.
    Aligned,
    /// An operator is changing the sale just now: nothing was done.
    Busy,
    /// The ledger has the store's terms now, or had newer ones already.
    Realigned,
    /// The ledger decides nothing: a rebuild brings it into line.
    NotLoaded,
    /// Live orders of the ledger hold more than the store's stock: the ledger's terms are as they were.
    Short {
        /// What they hold.
        held: Units,
    },
}

/// Realigns a sale in the name of `actor`, if the two sides have applied different changes last.
pub async fn realign(
    store: &OrderStore,
    ledger: &StockLedger,
    (stored, seen): (&StoredSale, &LedgerSale),
    actor: &str,
) -> Result<RealignOutcome, UpkeepError> {
    if stored.adjustment == seen.adjustment {
        return Ok(RealignOutcome::Aligned);
    }
    let sale = &stored.sale.id;
    // Before anything is written: it is looked at again every moment, and each time would be a row for good.
    if seen.held() > stored.sale.stock {
        return Ok(short(&stored.sale, seen.held()));
    }
    // An operator at work holds the lock, and the two sides differ because the work is under way.
    let Some(mut lock) = store.lock_sale(sale).await? else { return Ok(RealignOutcome::Busy) };
    let request = AdjustmentRequest {
        stock: StockChange::Keep,
        switch: None,
        reason: format!(
            "ledger realigned: it had applied number {}, the store {}",
            seen.adjustment, stored.adjustment
        ),
        actor: actor.to_owned(),
        above: seen.adjustment,
    };
    let mut done = RealignOutcome::NotLoaded;
    if let BeginAdjustment::Begun(pending) = lock.begin(&request).await? {
        let (number, after) = (pending.number(), pending.commit().await?.sale);
        done = match ledger.adjust(sale, number, after.stock, after.switch, None).await? {
            AdjustOutcome::Applied { remaining } => {
                tracing::warn!(%sale, number, remaining, "the ledger was realigned with the store");
                RealignOutcome::Realigned
            }
            AdjustOutcome::Stale { .. } => RealignOutcome::Realigned,
            AdjustOutcome::Absent | AdjustOutcome::Untrusted => RealignOutcome::NotLoaded,
            AdjustOutcome::Short { held } | AdjustOutcome::Moved { held } => short(&after, held),
        };
    }
    lock.release().await;
    Ok(done)
}

/// Says that live orders hold more than `stored`, the store's terms, have.
fn short(stored: &Sale, held: Units) -> RealignOutcome {
    tracing::error!(sale = %stored.id, held, stock = stored.stock, "live orders hold more than the store's stock");
    RealignOutcome::Short { held }
}
