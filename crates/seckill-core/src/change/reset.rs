//! A reset: the units that are left become exactly so many, whatever live orders hold.

use super::{Applied, ChangeError, ChangeRefusal, Changed, Sides, begun};
use crate::{
    ledger::{AdjustOutcome, LedgerSale, SaleLookup},
    order::Units,
    sale::{MAX_STOCK, SaleId, SaleSwitch},
    store::{AdjustmentRequest, SaleLock, StockChange},
};

/// How often a reset begins anew because units came back meanwhile.
const ATTEMPTS: usize = 20;

/// A reset, before it is made.
#[derive(Clone, Debug)]
pub struct Reset {
    /// How many units shall be left.
    pub to: Units,
    /// Why, at most 400 characters.
    pub reason: String,
    /// Who, at most 128 characters.
    pub actor: String,
}

impl Reset {
    /// One step of the reset, above `number`.
    fn step(&self, stock: StockChange, what: &str, number: u64) -> AdjustmentRequest {
        AdjustmentRequest {
            stock,
            switch: None,
            reason: format!("{}: {what}", self.reason),
            actor: self.actor.clone(),
            above: number,
        }
    }
}

impl Sides<'_> {
    /// Makes the units of `sale` that are left exactly as many as `reset` says: pauses the sale in the ledger,
    /// changes the stock, and lets it go on as it was.
    ///
    /// The ledger is paused under a number that the store never commits: if this process dies, the keeper
    /// sees a number too many and brings the ledger back into line, which resumes the sale.
    pub async fn reset(self, sale: &SaleId, reset: &Reset) -> Result<Changed, ChangeError> {
        let (mut lock, mut ledger) = self.lock(sale).await?;
        let mut held = self.pause(&mut lock, &mut ledger, reset).await?;
        let what = format!("{} left", reset.to);
        for _ in 0..ATTEMPTS {
            let request = reset.step(StockChange::To(held + reset.to), &what, ledger.adjustment);
            match self.apply(&mut lock, &request, &ledger, Some(held)).await? {
                Applied::Yes(changed) => {
                    lock.release().await;
                    return Ok(changed);
                }
                Applied::Moved(now) => held = now,
            }
            if let SaleLookup::Trusted(now) = self.ledger.sale(sale).await? {
                ledger = now;
            }
        }
        Err(ChangeRefusal::KeptMoving.into())
    }

    /// Pauses the sale in the ledger, and gives what live orders hold from then on (less may be, not more).
    async fn pause(
        self,
        lock: &mut SaleLock,
        ledger: &mut LedgerSale,
        reset: &Reset,
    ) -> Result<Units, ChangeError> {
        // What is refused must be so before the pause: nothing takes that back but a keeper.
        let stock = ledger.sale.stock;
        let held = stock.checked_sub(ledger.remaining).ok_or(ChangeRefusal::DoesNotAddUp)?;
        if held.saturating_add(reset.to) > MAX_STOCK {
            return Err(ChangeRefusal::AboveMaximum.into());
        }
        let sale = lock.sale().clone();
        let pause = reset.step(StockChange::Keep, "paused", ledger.adjustment);
        let pending = begun(lock.begin(&pause).await?)?;
        let number = pending.number();
        let paused = self.ledger.adjust(&sale, number, stock, SaleSwitch::Paused, None).await;
        pending.rollback().await?;
        let AdjustOutcome::Applied { remaining } = paused? else {
            return Err(ChangeRefusal::ChangedMeanwhile.into());
        };
        ledger.adjustment = number;
        Ok(stock.saturating_sub(remaining))
    }
}
