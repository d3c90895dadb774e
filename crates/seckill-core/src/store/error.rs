//! Failures of the store, told apart by what a caller can do about them.

use diesel::result::{ConnectionError, DatabaseErrorKind, Error as DieselError};
use diesel_async::pooled_connection::{PoolError as ManagerError, deadpool::PoolError};

use crate::sale::SaleId;

/// Why a transaction lost to another one. The same transaction will do when tried again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contention {
    /// Two transactions waited for each other, and this one was chosen to give way (1213).
    Deadlock,
    /// A lock was not granted in time (1205).
    LockWait,
    /// A row had changed since this transaction's snapshot (1020, newer `MariaDB`).
    Changed,
}

/// Why the store could not do what it was asked. After any of these nothing has been changed, with
/// one exception: `Unavailable` at the very end of a writing call may mean that the change was made
/// and only the answer was lost. Every writing call may be repeated.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached, does not answer in time, or is not fit to be written to now.
    #[error("the database is not available: {0}")]
    Unavailable(String),
    /// Another transaction was in the way: try again.
    #[error("another transaction was in the way: {0:?}")]
    Retry(Contention),
    /// The database refused a statement.
    #[error("the database refused a statement: {source}")]
    Query {
        /// The server's own number of the error; none: it did not come from the server.
        code: Option<u16>,
        /// What was refused.
        source: DieselError,
    },
    /// A row holds what no code of ours writes.
    #[error("the database holds what it cannot hold: {0}")]
    Corrupt(String),
    /// A batch would have sold more than the stock although each order was seen to fit: a bug.
    /// Nothing of it was written.
    #[error("the stock guard of sale {0} refused a batch")]
    StockGuard(SaleId),
    /// The address of the database is not one.
    #[error("the database URL is wrong: {0}")]
    Url(String),
    /// The schema could not be brought up to date.
    #[error("the schema could not be changed: {0}")]
    Migration(String),
}

impl StoreError {
    /// Whether the same call may well succeed later, with nobody changing anything.
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_) | Self::Retry(_))
    }

    /// Whether the data that was to be written is what the database will never take. Only such a
    /// failure makes an event a dead letter: all others (no rights, no table, no disk) are the
    /// database's own, would befall every event, and end when an operator mends it.
    pub fn is_about_the_data(&self) -> bool {
        match self {
            Self::Query { code: Some(code), .. } => DATA_ERRORS.contains(code),
            // Not even sent: no column has room for it, a moment before the year 0 say.
            Self::Query { code: None, source } => matches!(source, DieselError::SerializationError(_)),
            _ => false,
        }
    }

    /// What the server's error `code` means to us. `source` is the same error as diesel gives it.
    pub(super) fn from_server(code: u16, source: DieselError) -> Self {
        match code {
            1213 => Self::Retry(Contention::Deadlock),
            1205 => Self::Retry(Contention::LockWait),
            1020 => Self::Retry(Contention::Changed),
            code if UNAVAILABLE.contains(&code) => Self::Unavailable(source.to_string()),
            code => Self::Query { code: Some(code), source },
        }
    }

    /// Whether it is a refusal that the server has not been asked about yet.
    pub(super) fn is_undiagnosed(&self) -> bool {
        matches!(self, Self::Query { code: None, source: DieselError::DatabaseError(..) })
    }

    /// Whether it says that a unique key is taken. This much diesel tells without asking the server.
    pub(super) fn is_taken_key(&self) -> bool {
        matches!(
            self,
            Self::Query { source: DieselError::DatabaseError(DatabaseErrorKind::UniqueViolation, _), .. }
        )
    }
}

/// Errors by which a server says that it, and not the statement, is unfit for now: out of connections
/// (1040, 1203, 1226) or disk (1021, 1114), shutting down (1053, 1077, 1079), a broken line (1152,
/// 1158–1161, 1184), read only after a failover (1290, 1792, 1836), a statement or connection killed
/// from outside or out of time (1317, 1927, 1969, 3024, 3168, 3169, 4031), offline (3032).
const UNAVAILABLE: [u16; 26] = [
    1021, 1040, 1053, 1077, 1079, 1114, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1226, 1290, 1317, 1792,
    1836, 1927, 1969, 3024, 3032, 3168, 3169, 4031, 1180,
];

/// Errors about a value: null (1048), taken key (1062, 1586), out of range (1264, 1690), truncated
/// (1265), not a date (1292), not of the character set (1366), too long (1406), against a CHECK (3819,
/// `MariaDB` 4025).
const DATA_ERRORS: [u16; 11] = [1048, 1062, 1264, 1265, 1292, 1366, 1406, 1586, 1690, 3819, 4025];

impl From<DieselError> for StoreError {
    /// Not the last word: [`super::session::Session::settle`] asks the server for the number.
    fn from(source: DieselError) -> Self {
        match source {
            DieselError::BrokenTransactionManager => Self::Unavailable("the connection broke".into()),
            source => Self::Query { code: None, source },
        }
    }
}

impl From<ConnectionError> for StoreError {
    fn from(error: ConnectionError) -> Self {
        match error {
            ConnectionError::InvalidConnectionUrl(why) => Self::Url(why),
            other => Self::Unavailable(other.to_string()),
        }
    }
}

impl From<PoolError> for StoreError {
    fn from(error: PoolError) -> Self {
        match error {
            PoolError::Backend(ManagerError::ConnectionError(error)) => error.into(),
            other => Self::Unavailable(other.to_string()),
        }
    }
}
