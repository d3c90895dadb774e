//! Every way in which a use case can end without doing what was asked. `problem.rs` puts them into HTTP.

use jiff::Timestamp;
use seckill_core::ledger::LedgerError;

/// What the original says once nothing is left, with status 201.
pub(crate) const SOLD_OUT: &str = "已经卖光了";

/// Why not all that was asked was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Fewer units are left than asked.
    SoldOut,
    /// The buyer would hold more units than the sale allows.
    LimitReached,
    /// The window has not opened.
    NotOpen {
        /// When it will.
        opens_at: Option<Timestamp>,
    },
    /// The sale is over.
    Ended {
        /// When it opened.
        opens_at: Option<Timestamp>,
    },
    /// The operator has paused the sale.
    Paused {
        /// When it opened, or will.
        opens_at: Option<Timestamp>,
    },
    /// The key was used with another body.
    Conflict,
    /// There is no such sale.
    SaleNotFound,
    /// The sale has no such order.
    OrderNotFound,
    /// The order was rejected: it cannot be cancelled.
    OrderFinal,
    /// Somebody else is changing the sale.
    SaleBusy,
    /// The sale's units kept coming back while they were counted: its stock may have been changed.
    SaleKeptMoving,
    /// The sale's new stock is in the store for good, and its ledger does not have it yet.
    ResetRecorded,
    /// The sale was paused for a reset that failed then, and may still be.
    ResetBrokenOff,
    /// The sale's stock would be more than a stock may be.
    AboveMaximum,
    /// Another order has the `openid` that was chosen.
    OpenidTaken,
    /// As many streams are open as may be.
    TooManyStreams,
    /// Too much waits already.
    Overloaded,
    /// Redis cannot be reached.
    LedgerUnavailable,
    /// The sale must be loaded into the ledger, or rebuilt there.
    LedgerRecovering,
    /// Kafka acknowledges nothing.
    OrderLogUnavailable,
    /// Kafka did not acknowledge a cancellation in time: it may still come to be.
    CancellationUnknown,
    /// MySQL cannot be reached.
    StoreUnavailable,
}

/// Why the ledger gave no answer to a question that changes nothing.
impl From<LedgerError> for Refusal {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable(_) | LedgerError::Unknown(_) => Self::LedgerUnavailable,
            // It can be read again once the keeper has rebuilt it.
            LedgerError::Corrupt(_) => Self::LedgerRecovering,
        }
    }
}
