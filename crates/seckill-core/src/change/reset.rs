//! A reset: the units that are left become exactly so many, whatever live orders hold.

use super::{Applied, ChangeError, ChangeRefusal, Changed, Sides, begun};
use crate::{
    ledger::{AdjustOutcome, LedgerError, LedgerSale, SaleLookup},
    order::Units,
    sale::{MAX_STOCK, SaleId, SaleSwitch},
    store::{AdjustmentRequest, PendingAdjustment, SaleLock, StockChange},
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

/// What became of the pause before a reset.
enum Pause {
    /// The sale is paused. Live orders hold so many units, and from now on less, but never more.
    Done(Units),
    /// It is not, for sure.
    Not(ChangeError),
}

impl Sides<'_> {
    /// Makes the units of `sale` that are left exactly as many as `reset` says: pauses the sale in the ledger,
    /// changes the stock, and lets it go on as it was.
    ///
    /// The ledger is paused under a number that the store never commits: if this process dies, the keeper
    /// sees a number too many and brings the ledger back into line, which resumes the sale. A reset that
    /// fails does so itself, if it still can.
    pub async fn reset(self, sale: &SaleId, reset: &Reset) -> Result<Changed, ChangeError> {
        let (mut lock, mut ledger) = self.lock(sale).await?;
        // What is refused must be so before the pause.
        let stock = ledger.sale.stock;
        let held = stock.checked_sub(ledger.remaining).ok_or(ChangeRefusal::DoesNotAddUp)?;
        if held.saturating_add(reset.to) > MAX_STOCK {
            return Err(ChangeRefusal::AboveMaximum.into());
        }
        let pause = reset.step(StockChange::Keep, "paused", ledger.adjustment);
        let pending = begun(lock.begin(&pause).await?)?;
        let done = match self.pause(sale, pending, &mut ledger).await {
            Ok(Pause::Done(held)) => self.apply_paused(&mut lock, ledger, held, reset).await,
            Ok(Pause::Not(error)) => return Err(error),
            Err(error) => Err(error),
        };
        let done = match done {
            // What is recorded is for the keeper to finish, the pause with it.
            done @ (Ok(_) | Err(ChangeError::Recorded(_))) => done,
            Err(error) if self.resume(&mut lock, reset).await.is_ok() => Err(error),
            Err(error) => Err(ChangeError::LeftPaused(Box::new(error))),
        };
        lock.release().await;
        done
    }

    /// Pauses the sale in the ledger, under the number of `pending`, which is taken back.
    async fn pause(
        self,
        sale: &SaleId,
        pending: PendingAdjustment<'_>,
        ledger: &mut LedgerSale,
    ) -> Result<Pause, ChangeError> {
        let (number, stock) = (pending.number(), ledger.sale.stock);
        let paused = self.ledger.adjust(sale, number, stock, SaleSwitch::Paused, None).await;
        let taken_back = pending.rollback().await;
        match paused {
            Ok(AdjustOutcome::Applied { remaining }) => {
                taken_back?;
                ledger.adjustment = number;
                Ok(Pause::Done(stock.saturating_sub(remaining)))
            }
            Ok(_) => Ok(Pause::Not(ChangeRefusal::ChangedMeanwhile.into())),
            Err(error @ LedgerError::Unavailable(_)) => Ok(Pause::Not(error.into())),
            Err(error) => Err(error.into()),
        }
    }

    /// Changes the stock of the paused sale, of which live orders hold `held` units, and lets it go on.
    async fn apply_paused(
        self,
        lock: &mut SaleLock,
        mut ledger: LedgerSale,
        mut held: Units,
        reset: &Reset,
    ) -> Result<Changed, ChangeError> {
        let sale = lock.sale().clone();
        let what = format!("{} left", reset.to);
        for _ in 0..ATTEMPTS {
            let request = reset.step(StockChange::To(held + reset.to), &what, ledger.adjustment);
            match self.apply(lock, &request, Some(held)).await? {
                Applied::Yes(changed) => return Ok(changed),
                Applied::Moved(now) => held = now,
            }
            if let SaleLookup::Trusted(now) = self.ledger.sale(&sale).await? {
                ledger = now;
            }
        }
        Err(ChangeRefusal::KeptMoving.into())
    }

    /// Gives the ledger the store's terms again, under a number that is new to both.
    async fn resume(self, lock: &mut SaleLock, reset: &Reset) -> Result<(), ChangeError> {
        let sale = lock.sale().clone();
        // One that is not loaded comes with the store's terms when it is.
        let SaleLookup::Trusted(ledger) = self.ledger.sale(&sale).await? else { return Ok(()) };
        let back = reset.step(StockChange::Keep, "given up", ledger.adjustment);
        self.apply(lock, &back, None).await.map(drop)
    }
}
