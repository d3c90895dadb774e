//! Finishing what was cut off between ledger, log and store. The keeper does so all the time, an operator by
//! hand where no keeper runs; both by this code, and both at once do no harm.
//!
//! | part | does |
//! |---|---|
//! | [`relay`] | publishes what has been in an outbox for too long |
//! | [`realign`] | applies changes of stock that reached the store and not the ledger, and takes back the reverse |
//! | [`returns`] | gives units of cancelled and rejected orders back to the ledger |

pub mod realign;
pub mod relay;
pub mod returns;

use crate::{ledger::LedgerError, order_log::LogError, sale::SaleId, store::StoreError};

/// Why something was given up. What was done until then stays done, and a later attempt goes on.
#[derive(Debug, thiserror::Error)]
pub enum UpkeepError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The ledger failed.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// The order log failed.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What failed of something that is done for sale after sale. It goes on: what is wrong with one sale is not the other
/// sales' trouble.
#[derive(Default)]
pub struct Failures(Option<UpkeepError>);

impl Failures {
    /// With why a sale could not even be read, if there is such.
    pub fn of(unreadable: Option<StoreError>) -> Self {
        Self(unreadable.map(UpkeepError::from))
    }

    /// Notes what came of it for `sale`.
    pub fn note<T>(&mut self, sale: &SaleId, done: Result<T, UpkeepError>) -> Option<T> {
        done.map_err(|error| {
            tracing::warn!(%sale, %error, "not all could be done for a sale");
            self.0 = Some(error);
        })
        .ok()
    }

    /// The last failure, if there was one.
    pub fn end(self) -> Result<(), UpkeepError> {
        self.0.map_or(Ok(()), Err)
    }
}
