//! An operator's changes to a sale, and what is said when one is not made.

use seckill_core::{
    change::{ChangeError, ChangeRefusal, Changed, Reset, Sides},
    sale::{MAX_STOCK, SaleId},
    store::AdjustmentRequest,
};

use crate::{failure::Failure, surroundings::Surroundings};

/// What holds where only the ledger does not know of a change.
const RECORDED: &str = "the change is recorded, and an order-consumer brings the ledger into line";

/// What holds where a sale was paused for a change that failed.
const LEFT_PAUSED: &str =
    "the sale may sell nothing until an order-consumer has resumed it, about a second if one runs";

/// Makes one change.
pub async fn change(
    all: &Surroundings,
    sale: &SaleId,
    request: AdjustmentRequest,
) -> Result<Changed, Failure> {
    sides(all).change(sale, request).await.map_err(|error| failure(sale, error))
}

/// Makes the units that are left exactly as many as `reset` says.
pub async fn reset(all: &Surroundings, sale: &SaleId, reset: &Reset) -> Result<Changed, Failure> {
    sides(all).reset(sale, reset).await.map_err(|error| failure(sale, error))
}

pub fn sides(all: &Surroundings) -> Sides<'_> {
    Sides { store: &all.store, ledger: &all.ledger }
}

pub fn failure(sale: &SaleId, error: ChangeError) -> Failure {
    match error {
        ChangeError::Refused(refusal) => refused(sale, refusal),
        ChangeError::Store(error) => error.into(),
        ChangeError::Ledger(error) => error.into(),
        ChangeError::Recorded(error) => Failure::from(error).but(RECORDED),
        ChangeError::OutOfReach { held } => Failure::Refused(format!(
            "the change is recorded, but live orders hold {held} units, more than the stock: the ledger goes on as it \
             was, and sells, until the stock is at least that (see stock set)"
        )),
        ChangeError::LeftPaused(error) => failure(sale, *error).but(LEFT_PAUSED),
    }
}

fn refused(sale: &SaleId, refusal: ChangeRefusal) -> Failure {
    Failure::Refused(match refusal {
        ChangeRefusal::UnknownSale => return Failure::no_such_sale(sale),
        ChangeRefusal::Busy => {
            format!("another operator is changing sale {sale}; nothing was changed")
        }
        ChangeRefusal::NotLoaded => format!(
            "the ledger of sale {sale} is not loaded yet (an order-consumer does that within seconds); nothing was changed"
        ),
        ChangeRefusal::ChangedMeanwhile => {
            format!("the ledger of sale {sale} changed meanwhile; nothing was changed")
        }
        ChangeRefusal::DoesNotAddUp => {
            format!("the ledger of sale {sale} does not add up (see reconcile); nothing was changed")
        }
        ChangeRefusal::Short { held } => {
            format!("live orders hold {held} units, and the stock cannot be less; nothing was changed")
        }
        ChangeRefusal::AboveMaximum => format!("a stock is at most {MAX_STOCK}; nothing was changed"),
        ChangeRefusal::KeptMoving => format!(
            "units of sale {sale} kept coming back while it was reset; look what is left, and try again"
        ),
    })
}
