//! Brings the ledger's terms of a sale into line with the store's, where a change reached only one of them:
//! an operator's command was cut off between the two.
//!
//! A raise that the ledger missed is applied; a lowering that the store never committed is taken back. Both
//! are one thing: the store's terms, under a number that is new to the ledger, and an audit row that says so.

use seckill_core::{
    ledger::{AdjustOutcome, LedgerSale},
    store::{AdjustmentRequest, BeginAdjustment, StockChange, StoredSale},
};

use super::{Keeper, KeeperError};

/// Realigns a sale if the two sides have applied different changes last; says whether it did.
pub async fn realign(keeper: &Keeper, stored: &StoredSale, ledger: &LedgerSale) -> Result<bool, KeeperError> {
    if stored.adjustment == ledger.adjustment {
        return Ok(false);
    }
    let sale = &stored.sale.id;
    // An operator at work holds the lock, and the two sides differ because the work is under way.
    let Some(mut lock) = keeper.store.lock_sale(sale).await? else { return Ok(false) };
    let request = AdjustmentRequest {
        stock: StockChange::Keep,
        switch: None,
        reason: format!(
            "ledger realigned: it had applied number {}, the store {}",
            ledger.adjustment, stored.adjustment
        ),
        actor: "keeper".into(),
        above: ledger.adjustment,
    };
    if let BeginAdjustment::Begun(pending) = lock.begin(&request).await? {
        let (number, after) = (pending.number(), pending.commit().await?.sale);
        let outcome = keeper.ledger.adjust(sale, number, after.stock, after.switch, None).await?;
        match outcome {
            AdjustOutcome::Applied { remaining } => {
                tracing::warn!(%sale, number, remaining, "the ledger was realigned with the store");
            }
            AdjustOutcome::Stale { .. } | AdjustOutcome::Absent | AdjustOutcome::Untrusted => {}
            AdjustOutcome::Short { held } | AdjustOutcome::Moved { held } => {
                tracing::error!(%sale, held, stock = after.stock, "live orders hold more than the store's stock");
            }
        }
    }
    lock.release().await;
    Ok(true)
}
