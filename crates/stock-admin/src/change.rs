//! Changing a sale, in store and ledger, so that a stop at any point leaves nothing wrong: a raise reaches
//! the store first, a lowering the ledger first, and the keeper finishes or takes back what was cut off.

use seckill_core::{
    ledger::{AdjustOutcome, LedgerSale, SaleLookup},
    order::Units,
    sale::{MAX_STOCK, SaleId},
    store::{AdjustmentRequest, BeginAdjustment, PendingAdjustment, SaleLock, StoredSale},
};

use crate::{failure::Failure, surroundings::Surroundings};

/// What holds where only the ledger does not know of a change.
const RECORDED: &str = "the change is recorded, and an order-consumer brings the ledger into line";

/// A sale as both sides have it after a change.
pub struct Changed {
    pub stored: StoredSale,
    pub remaining: Units,
}

/// The right to change `sale`, and the sale as the ledger has it.
pub async fn lock(all: &Surroundings, sale: &SaleId) -> Result<(SaleLock, LedgerSale), Failure> {
    // The ledger first: without it nothing could be changed, and the lock would be taken for nothing.
    all.ledger.ping().await?;
    if all.store.sale(sale).await?.is_none() {
        return Err(Failure::no_such_sale(sale));
    }
    let Some(lock) = all.store.lock_sale(sale).await? else {
        return Err(Failure::Refused(format!(
            "another operator is changing sale {sale}; nothing was changed"
        )));
    };
    match all.ledger.sale(sale).await? {
        SaleLookup::Trusted(ledger) => Ok((lock, ledger)),
        SaleLookup::Absent | SaleLookup::Untrusted => Err(Failure::Refused(format!(
            "the ledger of sale {sale} is not loaded yet (an order-consumer does that within seconds); nothing was changed"
        ))),
    }
}

/// Makes one change.
pub async fn change(
    all: &Surroundings,
    sale: &SaleId,
    request: AdjustmentRequest,
) -> Result<Changed, Failure> {
    let (mut lock, ledger) = lock(all, sale).await?;
    let request = AdjustmentRequest { above: ledger.adjustment, ..request };
    let changed = apply(all, &mut lock, &request, &ledger, None).await;
    lock.release().await;
    match changed? {
        Applied::Yes(changed) => Ok(changed),
        Applied::Moved(held) => Err(short(held)),
    }
}

/// What became of [`apply`].
pub enum Applied {
    Yes(Changed),
    /// Live orders hold as much now, not what was expected.
    Moved(Units),
}

/// Makes one change under a lock that the caller holds. With `expected_held`, only if live orders hold just
/// that many units at that moment.
pub async fn apply(
    all: &Surroundings,
    lock: &mut SaleLock,
    request: &AdjustmentRequest,
    ledger: &LedgerSale,
    expected_held: Option<Units>,
) -> Result<Applied, Failure> {
    let sale = lock.sale().clone();
    let pending = begun(lock.begin(request).await?, &sale)?;
    let (number, after) = (pending.number(), pending.after().sale.clone());
    let raises = after.stock >= ledger.sale.stock;
    if raises {
        let stored = pending.commit().await?;
        let adjusted = all.ledger.adjust(&sale, number, after.stock, after.switch, expected_held).await;
        let outcome = adjusted.map_err(|error| Failure::from(error).but(RECORDED))?;
        return match outcome {
            AdjustOutcome::Applied { remaining } => Ok(Applied::Yes(Changed { stored, remaining })),
            AdjustOutcome::Moved { held } => Ok(Applied::Moved(held)),
            AdjustOutcome::Short { held } => Err(short(held)),
            AdjustOutcome::Stale { .. } | AdjustOutcome::Absent | AdjustOutcome::Untrusted => {
                // Recorded for good: the keeper brings the ledger into line.
                Ok(Applied::Yes(Changed { remaining: after.stock.saturating_sub(stored.sold), stored }))
            }
        };
    }
    let outcome = match all.ledger.adjust(&sale, number, after.stock, after.switch, expected_held).await {
        Ok(outcome) => outcome,
        Err(error) => {
            pending.rollback().await?;
            return Err(error.into());
        }
    };
    match outcome {
        AdjustOutcome::Applied { remaining } => {
            Ok(Applied::Yes(Changed { stored: pending.commit().await?, remaining }))
        }
        AdjustOutcome::Moved { held } => {
            pending.rollback().await?;
            Ok(Applied::Moved(held))
        }
        AdjustOutcome::Short { held } => {
            pending.rollback().await?;
            Err(short(held))
        }
        AdjustOutcome::Stale { .. } | AdjustOutcome::Absent | AdjustOutcome::Untrusted => {
            pending.rollback().await?;
            Err(Failure::Refused(format!("the ledger of sale {sale} changed meanwhile; nothing was changed")))
        }
    }
}

/// The change that was begun, or why it was not.
pub fn begun<'lock>(
    begin: BeginAdjustment<'lock>,
    sale: &SaleId,
) -> Result<PendingAdjustment<'lock>, Failure> {
    match begin {
        BeginAdjustment::Begun(pending) => Ok(pending),
        BeginAdjustment::UnknownSale => Err(Failure::no_such_sale(sale)),
        BeginAdjustment::BelowSold { sold } => Err(short(sold)),
        BeginAdjustment::AboveMaximum => Err(above_maximum()),
    }
}

/// The stock would be more than may be.
pub fn above_maximum() -> Failure {
    Failure::Refused(format!("a stock is at most {MAX_STOCK}; nothing was changed"))
}

fn short(held: Units) -> Failure {
    Failure::Refused(format!(
        "live orders hold {held} units, and the stock cannot be less; nothing was changed"
    ))
}
