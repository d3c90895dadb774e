//! An import: orders of the original system become orders of a sale, and hold units of it from then on.
//!
//! A batch of orders is one transaction in the store. Before it is committed,
//!
//! 1. the ledger sets the units of the whole import aside, by a lowering of the sale's stock that the store does
//!    not share: atomically, and only if live orders, wherever they are on their way, leave room for them;
//! 2. the fence is taken off, under an epoch that the same transaction takes: the ledger decides nothing, and no
//!    rebuild that has not seen this batch can swap anything in.
//!
//! After the commit the keeper loads the sale anew, as it does whenever it finds the fence off, and the ledger
//! has the orders. Later batches only take the fence off again. Where the keeper has been faster (the admitted
//! epoch tells), the units are set aside anew, for they have been for sale meanwhile.
//!
//! A stop anywhere leaves whole batches, and a ledger that is either as it was or is being loaded. Units set
//! aside under a number that the store never committed are given back by `upkeep::realign`.

use std::time::Duration;

use tokio::time::Instant;

use super::{ChangeError, ChangeRefusal, Sides};
use crate::{
    ledger::{AdjustOutcome, SaleLookup},
    order::Units,
    sale::SaleId,
    store::{BeginImport, ImportAudit, ImportBatch, ImportedOrder, PendingImport, SaleLock, StoreError},
};

/// How often a batch is tried that other transactions were in the way of.
const ATTEMPTS: u32 = 5;
/// How often an epoch is taken that other rebuilds have overtaken.
const EPOCHS: usize = 100;
/// How long a rebuild that came between two batches may take. The sale's lock would not outlive a longer silence.
const LOADED_WITHIN: Duration = Duration::from_secs(20);
const CHECK: Duration = Duration::from_millis(100);

/// What an import brings in all.
#[derive(Clone, Debug)]
pub struct ImportPlan {
    /// How many orders.
    pub orders: usize,
    /// Units that they hold.
    pub units: Units,
    /// Where from, for the audit; at most 400 characters.
    pub source: String,
    /// Who, at most 128 characters.
    pub actor: String,
}

/// An import under way. Nobody else changes the sale meanwhile.
pub struct Import<'a> {
    sides: Sides<'a>,
    lock: SaleLock,
    plan: ImportPlan,
    orders_done: usize,
    units_done: Units,
    /// The admitted epoch in which the ledger set the rest of the units aside.
    set_aside_in: Option<u64>,
    /// The epoch under which the fence was last taken off.
    epoch: Option<u64>,
}

/// What became of one attempt at a batch.
enum Tried {
    Added,
    Reloaded,
}

impl<'a> Sides<'a> {
    /// Begins an import into `sale`. Changes nothing yet.
    pub async fn begin_import(self, sale: &SaleId, plan: ImportPlan) -> Result<Import<'a>, ChangeError> {
        let (lock, _) = self.lock(sale).await?;
        Ok(Import { sides: self, lock, plan, orders_done: 0, units_done: 0, set_aside_in: None, epoch: None })
    }
}

impl Import<'_> {
    /// Stores `orders`, all or none. Together the batches bring just what the plan says, and no order that the
    /// store has.
    pub async fn add(&mut self, orders: &[ImportedOrder]) -> Result<(), ChangeError> {
        let units: Units = orders.iter().map(|it| it.order.quantity.units()).sum();
        if self.units_done + units > self.plan.units {
            return Err(ChangeRefusal::ChangedMeanwhile.into());
        }
        let mut attempt = 1;
        loop {
            match self.try_to_add(orders).await {
                Ok(Tried::Added) => break,
                Ok(Tried::Reloaded) => self.set_aside_in = None,
                Err(ChangeError::Store(StoreError::Retry(_))) if attempt < ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
        self.orders_done += orders.len();
        self.units_done += units;
        Ok(())
    }

    async fn try_to_add(&mut self, orders: &[ImportedOrder]) -> Result<Tried, ChangeError> {
        let sale = self.lock.sale().clone();
        let done = self.orders_done + orders.len();
        let above = match self.set_aside_in {
            Some(_) => 0,
            None => self.number_of_the_ledger(&sale).await?,
        };
        let audit = ImportAudit {
            reason: format!("import from {}: {done} of {} orders", self.plan.source, self.plan.orders),
            actor: self.plan.actor.clone(),
            above,
        };
        // A row where units are set aside, which needs a number, and one at the end.
        let noted = self.set_aside_in.is_none() || done == self.plan.orders;
        let batch = ImportBatch { orders, set_aside_in: self.set_aside_in, audit: noted.then_some(audit) };
        let mut pending = match self.lock.begin_import(&batch).await? {
            BeginImport::Begun(pending) => pending,
            BeginImport::UnknownSale => return Err(ChangeRefusal::UnknownSale.into()),
            BeginImport::Short { sold } => return Err(ChangeRefusal::Short { held: sold }.into()),
            BeginImport::Reloaded => return Ok(Tried::Reloaded),
        };
        let (admitted, units_left) = (pending.after().epoch, self.plan.units - self.units_done);
        let ready = match self.set_aside_in {
            Some(_) => Ok(()),
            None => set_aside(self.sides, &sale, &pending, units_left).await,
        };
        let fenced = match ready {
            Ok(()) => take_fence_off(self.sides, &sale, &mut pending).await,
            Err(error) => Err(error),
        };
        match fenced {
            Ok(epoch) => {
                pending.commit().await?;
                (self.set_aside_in, self.epoch) = (Some(admitted), Some(epoch));
                Ok(Tried::Added)
            }
            Err(error) => {
                pending.rollback().await?;
                Err(error)
            }
        }
    }

    /// The last number that the ledger has applied, once it is loaded.
    async fn number_of_the_ledger(&self, sale: &SaleId) -> Result<u64, ChangeError> {
        let started = Instant::now();
        loop {
            match self.sides.ledger.sale(sale).await? {
                SaleLookup::Trusted(ledger) => return Ok(ledger.adjustment),
                SaleLookup::Absent | SaleLookup::Untrusted => {
                    if self.epoch.is_none() || started.elapsed() > LOADED_WITHIN {
                        return Err(ChangeRefusal::NotLoaded.into());
                    }
                }
            }
            tokio::time::sleep(CHECK).await;
        }
    }

    /// How many orders are stored.
    pub fn orders_done(&self) -> usize {
        self.orders_done
    }

    /// Ends it. The ledger has all of it once it is loaded in a later epoch than this; none: nothing was stored.
    pub async fn end(self) -> Option<u64> {
        self.lock.release().await;
        self.epoch
    }
}

/// Has the ledger keep `units` for the import.
async fn set_aside(
    sides: Sides<'_>,
    sale: &SaleId,
    pending: &PendingImport<'_>,
    units: Units,
) -> Result<(), ChangeError> {
    let after = pending.after();
    let before = after.sale.stock;
    let Some(stock) = before.checked_sub(units) else {
        return Err(ChangeRefusal::Short { held: after.sold }.into());
    };
    match sides.ledger.adjust(sale, after.adjustment, stock, after.sale.switch, None).await? {
        AdjustOutcome::Applied { .. } => Ok(()),
        AdjustOutcome::Short { held } | AdjustOutcome::Moved { held } => {
            Err(ChangeRefusal::Short { held }.into())
        }
        AdjustOutcome::Stale { .. } => Err(ChangeRefusal::ChangedMeanwhile.into()),
        AdjustOutcome::Absent | AdjustOutcome::Untrusted => Err(ChangeRefusal::NotLoaded.into()),
    }
}

/// Takes the fence off, under an epoch of the open transaction.
async fn take_fence_off(
    sides: Sides<'_>,
    sale: &SaleId,
    pending: &mut PendingImport<'_>,
) -> Result<u64, ChangeError> {
    for _ in 0..EPOCHS {
        let epoch = pending.take_epoch().await?;
        if sides.ledger.begin_rebuild(sale, epoch).await? {
            return Ok(epoch);
        }
        // A rebuild began under a number that its store, or ours, has lost since.
    }
    Err(ChangeRefusal::ChangedMeanwhile.into())
}
