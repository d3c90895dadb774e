//! MySQL (or MariaDB): what is true. The only module that speaks SQL.
//!
//! | module | is |
//! |---|---|
//! | `migrate` | the schema, brought up to date; the default sale |
//! | `write`, `decide` | the consumer's transaction: a batch of events becomes orders |
//! | `sales`, `adjust`, `audit` | sales, and the numbered, audited changes to them |
//! | `orders` | single orders, and units that are on their way back to the ledger |
//! | `original`, `import` | the original's own table, and its orders on their way into a sale |
//! | `legacy_orders` | orders as the original's `/order` routes show and change them |
//! | `timeline` | how one order came along |
//! | `rebuild` | epochs, and the consistent snapshot that a ledger is rebuilt from |
//! | `locks` | what only one process at a time may do |
//! | `describe` | is it there, and how is it set up |
//! | `session`, `error` | connections that are closed, not used again, after a call that was broken off; typed failures |

mod adjust;
mod audit;
mod decide;
mod describe;
mod error;
mod import;
mod legacy_orders;
mod locks;
mod migrate;
mod orders;
mod original;
mod rebuild;
mod rows;
mod sales;
mod schema;
mod session;
mod timeline;
mod write;

use std::{sync::Arc, time::Duration};

use diesel_async::pooled_connection::deadpool::Pool;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

pub use adjust::{AdjustmentRequest, BeginAdjustment, PendingAdjustment, SaleLock, StockChange};
pub use audit::Adjustment;
pub use describe::StoreDescription;
pub use error::{Contention, StoreError};
pub use import::{BeginImport, ImportAudit, ImportBatch, ImportedOrder, KnownToStore, PendingImport};
pub use legacy_orders::{
    Deletable, HandMadeOrder, InsertOutcome, LegacyOrder, OrderCursor, OrderEdit, RemarkEdit,
};
pub use locks::KeeperLock;
#[cfg(feature = "test-support")]
pub use migrate::revert_migrations;
pub use migrate::{migrate, pending_migrations};
pub use original::{OriginalOrder, OriginalOrders};
pub use rebuild::{Snapshot, TakenEpoch};
pub use sales::{CreateOutcome, ReadableSales, StoredSale};
pub use timeline::{Logged, OrderTimeline};
pub use write::{FULL_STATEMENT, IncomingEvent, WriteOutcome, record_write};

#[cfg(feature = "test-support")]
pub(crate) use session::establish as connect_for_tests;
use session::{Connection, Session};

use crate::{address::Address, settings::SettingsError};

/// How an [`OrderStore`] uses its database.
#[derive(Clone, Copy, Debug)]
pub struct StoreOptions {
    /// Most connections held for calls at once. Locks have connections of their own.
    pub max_connections: usize,
    /// Longest wait for a connection, whether another call holds it or it must be made.
    pub connection_within: Duration,
    /// Longest time of one call, once it has its connection. Longer than the server's lock wait
    /// (5 s), so that a lock that is not granted is reported as what it is.
    pub answer_within: Duration,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            max_connections: 8,
            connection_within: Duration::from_secs(2),
            answer_within: Duration::from_secs(10),
        }
    }
}

/// The database of sales and orders. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct OrderStore {
    pool: Pool<Connection>,
    url: Arc<SecretString>,
    options: StoreOptions,
}

impl OrderStore {
    /// A store at `url` (`mysql://user:password@host:port/database`, see [`crate::address`]). Connects when first used.
    pub fn connect(url: &SecretString, options: StoreOptions) -> Result<Self, SettingsError> {
        // Read now, as the first connection will read it: a mistake in it never mends itself.
        let unusable = |why: String| SettingsError::of("DATABASE_URL", why);
        Address::of(url.expose_secret()).of_mysql().map_err(unusable)?;
        let pool =
            session::pool(url, options.max_connections).map_err(|error| unusable(error.to_string()))?;
        Ok(Self { pool, url: Arc::new(url.clone()), options })
    }

    /// The same store, by the same connections, whose calls take no longer than `within`.
    #[must_use]
    pub fn answering_within(self, within: Duration) -> Self {
        Self { options: StoreOptions { answer_within: within, ..self.options }, ..self }
    }

    /// A connection for one call.
    async fn session(&self) -> Result<Session, StoreError> {
        match timeout(self.options.connection_within, self.pool.get()).await {
            Ok(lent) => Ok(Session::pooled(lent?)),
            Err(_elapsed) => Err(StoreError::Unavailable("no connection in time".into())),
        }
    }

    /// A connection outside the pool, for a lock: the lock lives exactly as long as it does.
    async fn own_session(&self) -> Result<Session, StoreError> {
        match timeout(self.options.connection_within, Session::own(&self.url)).await {
            Ok(session) => session,
            Err(_elapsed) => Err(StoreError::Unavailable("no connection in time".into())),
        }
    }

    /// Runs `work`, but not for ever.
    async fn bounded<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        session::bounded(self.options.answer_within, work).await
    }
}
