//! Changing a sale, in store and ledger, so that a stop at any point leaves nothing wrong: a raise reaches
//! the store first, a lowering the ledger first, and the keeper finishes or takes back what was cut off.
//!
//! Whoever changes a sale (an operator's command, the API's reset) does it through here.

mod import;
mod reset;

pub use self::{
    import::{Import, ImportPlan},
    reset::Reset,
};
use crate::{
    ledger::{AdjustOutcome, LedgerError, LedgerSale, SaleLookup, StockLedger},
    order::Units,
    sale::SaleId,
    store::{
        AdjustmentRequest, BeginAdjustment, OrderStore, PendingAdjustment, SaleLock, StoreError, StoredSale,
    },
};

/// How long a change waits for the one before it, in seconds. A change takes milliseconds, but the lock of a
/// command that has ended goes only when the server sees its connection end, and the keeper takes it to realign.
const LOCK_WAIT_SECONDS: u32 = 3;

/// The two sides that a change must reach.
#[derive(Clone, Copy)]
pub struct Sides<'a> {
    /// What is true.
    pub store: &'a OrderStore,
    /// What decides.
    pub ledger: &'a StockLedger,
}

/// A sale as both sides have it after a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Changed {
    /// As the store has it.
    pub stored: StoredSale,
    /// Units left, as the ledger has them.
    pub remaining: Units,
}

/// Why a change is not made. Nothing was changed, except where it says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeRefusal {
    /// There is no such sale.
    UnknownSale,
    /// Somebody else is changing the sale.
    Busy,
    /// The ledger has not loaded the sale yet.
    NotLoaded,
    /// The ledger was changed or rebuilt meanwhile.
    ChangedMeanwhile,
    /// The ledger says that more units are left than there are.
    DoesNotAddUp,
    /// The stock would be less than what live orders hold.
    Short {
        /// What they hold.
        held: Units,
    },
    /// The stock would be more than [`MAX_STOCK`](crate::sale::MAX_STOCK).
    AboveMaximum,
    /// Units kept coming back while the sale was paused. It goes on, with the last stock that was tried.
    KeptMoving,
}

/// Why a change is not made, or not known to be.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    /// It may not be made.
    #[error("the change was refused: {0:?}")]
    Refused(ChangeRefusal),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The change is made in the store for good, and the ledger failed: the keeper brings it into line.
    #[error("the change is recorded, and the ledger does not have it yet: {0}")]
    Recorded(LedgerError),
    /// The change is made in the store for good, and the ledger goes on as it was: live orders hold more than the store's
    /// stock, which has lost a raise.
    #[error(
        "the change is recorded, and the ledger goes on as it was: live orders hold {held} units, more than the stock"
    )]
    OutOfReach {
        /// What they hold.
        held: Units,
    },
    /// The change was given up while the sale was paused for it, and the sale still may be: the keeper
    /// resumes it.
    #[error("the sale may be paused until the keeper resumes it: {0}")]
    LeftPaused(Box<ChangeError>),
}

impl From<ChangeRefusal> for ChangeError {
    fn from(refusal: ChangeRefusal) -> Self {
        Self::Refused(refusal)
    }
}

/// What became of [`Sides::apply`].
enum Applied {
    Yes(Changed),
    /// Live orders hold as much now, not what was expected.
    Moved(Units),
}

impl Sides<'_> {
    /// Makes one change. Its number is chosen here: whatever `above` says, it is above the ledger's last.
    pub async fn change(self, sale: &SaleId, request: AdjustmentRequest) -> Result<Changed, ChangeError> {
        let (mut lock, ledger) = self.lock(sale).await?;
        let request = AdjustmentRequest { above: ledger.adjustment, ..request };
        let changed = self.apply(&mut lock, &request, None).await;
        lock.release().await;
        match changed? {
            Applied::Yes(changed) => Ok(changed),
            Applied::Moved(held) => Err(ChangeRefusal::Short { held }.into()),
        }
    }

    /// The right to change `sale`, and the sale as the ledger has it.
    async fn lock(self, sale: &SaleId) -> Result<(SaleLock, LedgerSale), ChangeError> {
        // The ledger first: without it nothing could be changed, and the lock would be taken for nothing.
        self.ledger.ping().await?;
        if self.store.sale(sale).await?.is_none() {
            return Err(ChangeRefusal::UnknownSale.into());
        }
        let Some(lock) = self.store.lock_sale_within(sale, LOCK_WAIT_SECONDS).await? else {
            return Err(ChangeRefusal::Busy.into());
        };
        match self.ledger.sale(sale).await? {
            SaleLookup::Trusted(ledger) => Ok((lock, ledger)),
            SaleLookup::Absent | SaleLookup::Untrusted => Err(ChangeRefusal::NotLoaded.into()),
        }
    }

    /// Makes one change under a lock that the caller holds. With `expected_held`, only if live orders hold
    /// just that many units at that moment.
    async fn apply(
        self,
        lock: &mut SaleLock,
        request: &AdjustmentRequest,
        expected_held: Option<Units>,
    ) -> Result<Applied, ChangeError> {
        let sale = lock.sale().clone();
        let pending = begun(lock.begin(request).await?)?;
        if pending.raises() {
            self.raise(&sale, pending, expected_held).await
        } else {
            self.lower(&sale, pending, expected_held).await
        }
    }

    /// The store first: a stop in between leaves units that are not for sale yet.
    async fn raise(
        self,
        sale: &SaleId,
        pending: PendingAdjustment<'_>,
        expected_held: Option<Units>,
    ) -> Result<Applied, ChangeError> {
        let stored = pending.commit().await?;
        let (number, after) = (stored.adjustment, &stored.sale);
        let adjusted = self.ledger.adjust(sale, number, after.stock, after.switch, expected_held).await;
        match adjusted.map_err(ChangeError::Recorded)? {
            AdjustOutcome::Applied { remaining } => Ok(Applied::Yes(Changed { stored, remaining })),
            AdjustOutcome::Moved { held } => Ok(Applied::Moved(held)),
            AdjustOutcome::Short { held } => Err(ChangeError::OutOfReach { held }),
            AdjustOutcome::Stale { .. } | AdjustOutcome::Absent | AdjustOutcome::Untrusted => {
                // Recorded for good: the keeper brings the ledger into line.
                let remaining = after.stock.saturating_sub(stored.sold);
                Ok(Applied::Yes(Changed { stored, remaining }))
            }
        }
    }

    /// The ledger first: a stop in between leaves units that are nowhere for sale, and the keeper takes it back.
    async fn lower(
        self,
        sale: &SaleId,
        pending: PendingAdjustment<'_>,
        expected_held: Option<Units>,
    ) -> Result<Applied, ChangeError> {
        let (number, after) = (pending.number(), pending.after().sale.clone());
        let adjusted = self.ledger.adjust(sale, number, after.stock, after.switch, expected_held).await;
        let refusal = match adjusted {
            Ok(AdjustOutcome::Applied { remaining }) => {
                return Ok(Applied::Yes(Changed { stored: pending.commit().await?, remaining }));
            }
            Ok(AdjustOutcome::Moved { held }) => {
                pending.rollback().await?;
                return Ok(Applied::Moved(held));
            }
            Ok(AdjustOutcome::Short { held }) => ChangeRefusal::Short { held }.into(),
            Ok(AdjustOutcome::Stale { .. } | AdjustOutcome::Absent | AdjustOutcome::Untrusted) => {
                ChangeRefusal::ChangedMeanwhile.into()
            }
            Err(error) => ChangeError::Ledger(error),
        };
        pending.rollback().await?;
        Err(refusal)
    }
}

/// The change that was begun, or why it was not.
fn begun(begin: BeginAdjustment<'_>) -> Result<PendingAdjustment<'_>, ChangeRefusal> {
    match begin {
        BeginAdjustment::Begun(pending) => Ok(pending),
        BeginAdjustment::UnknownSale => Err(ChangeRefusal::UnknownSale),
        BeginAdjustment::BelowSold { sold } => Err(ChangeRefusal::Short { held: sold }),
        BeginAdjustment::AboveMaximum => Err(ChangeRefusal::AboveMaximum),
    }
}
