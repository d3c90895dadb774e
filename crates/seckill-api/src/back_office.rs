//! What an operator does over HTTP, as in the original: reset the default sale, look at orders, make, edit
//! and delete them.
//!
//! Like reads, this runs on the process's own runtime: a client that hangs up breaks nothing off half way.

use std::sync::Arc;

use futures_util::future::join_all;
use seckill_core::{
    change::{ChangeError, ChangeRefusal, Changed, Reset, Sides},
    ledger::StockLedger,
    order::{OrderId, OrderStatus, Units},
    order_log::OrderPublisher,
    sale::SaleId,
    store::{HandMadeOrder, InsertOutcome, LegacyOrder, OrderCursor, OrderEdit, OrderStore},
    traces::TraceContext,
};

use crate::{
    cancellation,
    reading::{Readings, store_failed},
    refusal::Refusal,
};

/// Who a change of the stock is written down for: the token names nobody.
const ACTOR: &str = "api";

/// Does what operators ask.
pub struct BackOffice {
    store: OrderStore,
    ledger: StockLedger,
    publisher: Arc<OrderPublisher>,
    readings: Readings,
}

impl BackOffice {
    /// Works on `store`, `ledger` and the order log of `publisher`, on the runtime of `readings`.
    pub fn new(
        store: OrderStore,
        ledger: StockLedger,
        publisher: Arc<OrderPublisher>,
        readings: Readings,
    ) -> Self {
        Self { store, ledger, publisher, readings }
    }

    /// Makes the units of `sale` that are left exactly `to`, as `stock-admin reset` does.
    pub async fn reset(&self, sale: &SaleId, to: Units) -> Result<Changed, Refusal> {
        let (store, ledger, sale) = (self.store.clone(), self.ledger.clone(), sale.clone());
        let reset = Reset { to, reason: "reset".to_owned(), actor: ACTOR.to_owned() };
        let change = async move {
            let sides = Sides { store: &store, ledger: &ledger };
            sides.reset(&sale, &reset).await.map_err(|error| not_changed(&sale, error))
        };
        self.readings.apart(change).await
    }

    /// At most `limit` orders, newest first; with `behind`, those behind that place.
    pub async fn orders(&self, behind: Option<OrderCursor>, limit: u32) -> Result<Vec<LegacyOrder>, Refusal> {
        let store = self.store.clone();
        let read =
            async move { store.legacy_orders(behind, limit).await.map_err(|error| store_failed(&error)) };
        self.readings.apart(read).await
    }

    /// One order.
    pub async fn order(&self, id: OrderId) -> Result<LegacyOrder, Refusal> {
        let store = self.store.clone();
        let read = async move { store.legacy_order(id).await.map_err(|error| store_failed(&error)) };
        self.readings.apart(read).await?.ok_or(Refusal::OrderNotFound)
    }

    /// Makes an order of no sale.
    pub async fn make(&self, order: HandMadeOrder) -> Result<LegacyOrder, Refusal> {
        let store = self.store.clone();
        let made = async move { store.insert_hand_made(&order).await.map_err(|error| store_failed(&error)) };
        match self.readings.apart(made).await? {
            InsertOutcome::Inserted(order) => Ok(*order),
            InsertOutcome::OpenidTaken => Err(Refusal::OpenidTaken),
        }
    }

    /// Changes how an order is shown; says how many orders that were: one or none.
    pub async fn edit(&self, id: OrderId, edit: OrderEdit) -> Result<u64, Refusal> {
        let store = self.store.clone();
        let edited = async move { store.edit_order(id, &edit).await.map_err(|error| store_failed(&error)) };
        Ok(u64::from(self.readings.apart(edited).await?))
    }

    /// Deletes orders; says how many that were. Those of a sale are cancelled first, and only those whose
    /// cancellation is in the order log are hidden: asking again does what was not done.
    pub async fn delete(&self, ids: Vec<OrderId>, trace: Option<TraceContext>) -> Result<u64, Refusal> {
        let (store, publisher) = (self.store.clone(), Arc::clone(&self.publisher));
        self.readings.apart(async move { delete(&store, &publisher, &ids, trace.as_ref()).await }).await
    }
}

async fn delete(
    store: &OrderStore,
    publisher: &OrderPublisher,
    ids: &[OrderId],
    trace: Option<&TraceContext>,
) -> Result<u64, Refusal> {
    let found = store.deletable(ids).await.map_err(|error| store_failed(&error))?;
    let cancelled = join_all(found.of_sales.into_iter().map(|order| async move {
        let id = order.id;
        // A rejected order holds no unit: there is nothing to cancel.
        if order.status != OrderStatus::Rejected {
            cancellation::cancel(publisher, order, trace).await?;
        }
        Ok(id)
    }));
    let (mut hidden, mut refusal) = (Vec::new(), None);
    for outcome in cancelled.await {
        match outcome {
            Ok(id) => hidden.push(id),
            Err(why) => refusal = Some(why),
        }
    }
    let deleted = store.delete_orders(&found.hand_made, &hidden).await;
    let affected = deleted.map_err(|error| store_failed(&error))?;
    refusal.map_or(Ok(affected), Err)
}

fn not_changed(sale: &SaleId, error: ChangeError) -> Refusal {
    match error {
        ChangeError::Refused(refusal) => refused(sale, refusal),
        ChangeError::Store(error) => store_failed(&error),
        ChangeError::Ledger(error) => {
            tracing::warn!(%error, %sale, "the sale's ledger could not be changed");
            error.into()
        }
        ChangeError::Recorded(_) | ChangeError::OutOfReach { .. } => {
            tracing::error!(%error, %sale, "a change is in the store alone");
            Refusal::ResetRecorded
        }
        ChangeError::LeftPaused(_) => {
            tracing::error!(%error, %sale, "a reset was broken off");
            Refusal::ResetBrokenOff
        }
    }
}

fn refused(sale: &SaleId, refusal: ChangeRefusal) -> Refusal {
    tracing::info!(%sale, ?refusal, "a reset was refused");
    match refusal {
        ChangeRefusal::UnknownSale => Refusal::SaleNotFound,
        ChangeRefusal::Busy => Refusal::SaleBusy,
        ChangeRefusal::KeptMoving => Refusal::SaleKeptMoving,
        ChangeRefusal::AboveMaximum => Refusal::AboveMaximum,
        // The two sides do not agree (yet, or any more): the keeper is at it.
        ChangeRefusal::NotLoaded
        | ChangeRefusal::ChangedMeanwhile
        | ChangeRefusal::DoesNotAddUp
        | ChangeRefusal::Short { .. } => Refusal::LedgerRecovering,
    }
}

#[cfg(test)]
mod tests {
    use seckill_core::ledger::LedgerError;

    use super::*;

    /// Who is told that nothing was changed resets again, and resets what was sold since.
    #[test]
    fn a_reset_that_is_recorded_or_broken_off_is_not_said_to_have_changed_nothing() {
        let sale = SaleId::parse("phone").unwrap();
        let silent = || LedgerError::Unavailable("it is silent".to_owned());
        for (error, refusal) in [
            (ChangeError::Recorded(silent()), Refusal::ResetRecorded),
            (ChangeError::OutOfReach { held: 3 }, Refusal::ResetRecorded),
            (ChangeError::LeftPaused(Box::new(silent().into())), Refusal::ResetBrokenOff),
            (silent().into(), Refusal::LedgerUnavailable),
        ] {
            assert_eq!(not_changed(&sale, error), refusal);
        }
    }
}
