//! Connections: how they are set up, and how a call gives one back.
//!
//! Two things diesel-async leaves to us.
//!
//! **A dropped future.** A call that is dropped halfway (a timeout, a client that hung up) leaves an
//! answer on the line; the pool's own check sees open transactions, but not that, and the next call
//! would read the wrong answer. So a connection goes back to the pool only when its call has settled;
//! else it is closed, and the server rolls back what was open.
//!
//! **The server's error number.** diesel-async passes on the server's message and hides its number, so
//! that a deadlock, a lock wait and a lost line look alike. But the server can be asked: `GET DIAGNOSTICS`
//! on the same connection tells the number of the statement that just failed. If even that is not
//! answered, the connection is lost. So failures are told apart by type and not by reading messages.

use std::{
    ops::{Deref, DerefMut},
    time::Duration,
};

use diesel::{
    ConnectionError, ConnectionResult, QueryResult, QueryableByName,
    sql_types::{BigInt, Nullable},
};
use diesel_async::{
    AnsiTransactionManager, AsyncConnection, AsyncMysqlConnection, RunQueryDsl, SimpleAsyncConnection,
    TransactionManager,
    pooled_connection::{
        AsyncDieselConnectionManager, ManagerConfig, PoolError as ManagerError, RecyclingMethod,
        deadpool::{Hook, HookError, Object, Pool},
    },
};
use futures_util::FutureExt;
use mysql_async::{Conn, OptsBuilder};
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;

use super::StoreError;
use crate::address::Address;

pub(super) type Connection = AsyncMysqlConnection;

/// The same on every connection, whatever the server's defaults are.
///
/// `READ COMMITTED`: at the default level every search locks the gaps around what it finds, so that two
/// consumers who insert different orders into one gap wait for each other, or deadlock. Here every
/// decision ends under the lock of its sale's row, so the gaps need no protection, and a plain read
/// behind that lock must see what the last holder committed. (A snapshot asks for `REPEATABLE READ`.)
///
/// `wait_timeout`: a machine that vanishes in the middle of a transaction leaves the locks of its rows behind, and
/// by default the server believes in it for eight hours. No call of ours is silent for as long as this (it ends
/// after [`StoreOptions::answer_within`](super::StoreOptions)); what lies in a pool for longer is made anew.
const SESSION_SETTINGS: &str = "\
    SET SESSION innodb_lock_wait_timeout = 5, wait_timeout = 15, time_zone = '+00:00', \
    sql_mode = 'STRICT_ALL_TABLES,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION'; \
    SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED";

/// Longest time for making one connection.
const CONNECT_WITHIN: Duration = Duration::from_secs(2);

/// A connection that lay unused for longer is tried before it is used again.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

/// Connects to `url` and applies [`SESSION_SETTINGS`].
pub(crate) async fn establish(url: &str) -> ConnectionResult<Connection> {
    let connecting = async {
        let mut connection = connect(url).await?;
        let settings = connection.batch_execute(SESSION_SETTINGS).await;
        settings.map_err(ConnectionError::CouldntSetupConfiguration)?;
        Ok(connection)
    };
    match timeout(CONNECT_WITHIN, connecting).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(ConnectionError::BadConnection("no answer in time".into())),
    }
}

/// Connects to `url`. Where it names an authority of its own, by the driver itself: diesel-async cannot be told
/// of one. The options beside that are what diesel-async sets.
async fn connect(url: &str) -> ConnectionResult<Connection> {
    let address = Address::of(url);
    let options = address.of_mysql().map_err(ConnectionError::InvalidConnectionUrl)?;
    if address.authority.is_none() {
        return Connection::establish(url).await;
    }
    let options = OptsBuilder::from_opts(options).stmt_cache_size(0).client_found_rows(true);
    let driver = Conn::new(options).await;
    Connection::try_from(driver.map_err(|error| ConnectionError::BadConnection(error.to_string()))?).await
}

/// A pool of at most `max_connections` to `url`, empty at first.
pub(super) fn pool(url: &SecretString, max_connections: usize) -> Result<Pool<Connection>, StoreError> {
    let mut config = ManagerConfig::default();
    config.recycling_method = RecyclingMethod::Fast;
    config.custom_setup = Box::new(|url| establish(url).boxed());
    let manager = AsyncDieselConnectionManager::new_with_config(url.expose_secret(), config);
    // A server that was restarted has closed what lay idle here. Trying such a connection first
    // spares the caller the failure; trying every connection every time would cost a round trip.
    let try_idle = Hook::async_fn(|connection: &mut Connection, metrics| {
        async move {
            if metrics.last_used() > TRUSTED_IDLE {
                let tried = connection.batch_execute("DO 1").await;
                tried.map_err(|error| HookError::Backend(ManagerError::QueryError(error)))?;
            }
            Ok(())
        }
        .boxed()
    });
    let pool = Pool::builder(manager).max_size(max_connections).pre_recycle(try_idle).build();
    pool.map_err(|error| StoreError::Unavailable(error.to_string()))
}

/// Runs `work` for at most `limit`.
pub(super) async fn bounded<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    match timeout(limit, work).await {
        Ok(outcome) => outcome,
        Err(_elapsed) => Err(StoreError::Unavailable(format!("no answer within {limit:?}"))),
    }
}

/// A connection in use by one call. Unless [`Self::settle`] was the last thing done with it, it is closed
/// when dropped.
pub(super) struct Session {
    held: Held,
    settled: bool,
    in_transaction: bool,
}

enum Held {
    Pooled(Option<Object<Connection>>),
    Own(Box<Connection>),
}

#[derive(QueryableByName)]
struct Diagnosis {
    #[diesel(sql_type = Nullable<BigInt>)]
    conditions: Option<i64>,
    #[diesel(sql_type = Nullable<BigInt>)]
    code: Option<i64>,
}

impl Session {
    pub(super) fn pooled(lent: Object<Connection>) -> Self {
        Self { held: Held::Pooled(Some(lent)), settled: false, in_transaction: false }
    }

    /// A connection outside the pool.
    pub(super) async fn own(url: &SecretString) -> Result<Self, StoreError> {
        let connection = establish(url.expose_secret()).await?;
        Ok(Self { held: Held::Own(Box::new(connection)), settled: false, in_transaction: false })
    }

    /// Opens a transaction, which [`Self::settle`] ends.
    pub(super) async fn begin(&mut self) -> Result<(), StoreError> {
        self.settled = false;
        let begun = AnsiTransactionManager::begin_transaction(&mut **self).await;
        self.begun(begun).await
    }

    /// Undoes what was done in the transaction, locks included, and opens another.
    pub(super) async fn begin_anew(&mut self) -> Result<(), StoreError> {
        self.roll_back().await?;
        self.begin().await
    }

    /// Opens a transaction by statements of its own.
    pub(super) async fn begin_with(&mut self, sql: &str) -> Result<(), StoreError> {
        self.settled = false;
        let begun = AnsiTransactionManager::begin_transaction_sql(&mut **self, sql).await;
        self.begun(begun).await
    }

    async fn begun(&mut self, begun: QueryResult<()>) -> Result<(), StoreError> {
        match begun {
            Ok(()) => {
                self.in_transaction = true;
                Ok(())
            }
            Err(error) => Err(self.diagnose(error.into()).await),
        }
    }

    /// Ends what was done on the connection, transaction included: commits it if `outcome` is good, else
    /// rolls it back. `outcome` must be given just as the statement left it, with nothing sent after, for
    /// the server only remembers the failure of the last statement.
    pub(super) async fn settle<T>(&mut self, outcome: Result<T, StoreError>) -> Result<T, StoreError> {
        let failure = match outcome {
            Ok(value) => match self.commit().await {
                Ok(()) => {
                    self.settled = true;
                    return Ok(value);
                }
                Err(error) => error,
            },
            Err(error) => error,
        };
        let failure = self.diagnose(failure).await;
        // Used again only where the server itself has said what went wrong, and could undo it.
        let answered = matches!(
            failure,
            StoreError::Retry(_) | StoreError::Query { code: Some(_), .. } | StoreError::StockGuard(_)
        );
        self.settled = self.roll_back().await.is_ok() && answered;
        Err(failure)
    }

    /// Takes a connection that is kept between calls (a lock's) up again. Fails if the last call on it
    /// did not settle: its answer may still be on the line.
    pub(super) fn resume(&mut self) -> Result<(), StoreError> {
        if !self.settled {
            return Err(StoreError::Unavailable("the connection broke in an earlier call".into()));
        }
        self.settled = false;
        Ok(())
    }

    async fn commit(&mut self) -> Result<(), StoreError> {
        if self.in_transaction {
            self.in_transaction = false;
            AnsiTransactionManager::commit_transaction(&mut **self).await?;
        }
        Ok(())
    }

    /// Ends what was done on the connection by undoing it.
    pub(super) async fn settle_undone(&mut self) -> Result<(), StoreError> {
        self.roll_back().await?;
        self.settled = true;
        Ok(())
    }

    async fn roll_back(&mut self) -> Result<(), StoreError> {
        if self.in_transaction {
            self.in_transaction = false;
            AnsiTransactionManager::rollback_transaction(&mut **self).await?;
        }
        Ok(())
    }

    /// Replaces a refusal of unknown cause by what the server says it was.
    async fn diagnose(&mut self, failure: StoreError) -> StoreError {
        if !failure.is_undiagnosed() {
            return failure;
        }
        let StoreError::Query { source, .. } = failure else { return failure };
        // Fails where there is nothing to tell; the query behind it then says so.
        let _ = self
            .batch_execute(
                "GET DIAGNOSTICS @seckill_conditions = NUMBER; \
                 GET DIAGNOSTICS CONDITION @seckill_conditions @seckill_code = MYSQL_ERRNO",
            )
            .await;
        let asked = diesel::sql_query(
            "SELECT CAST(@seckill_conditions AS SIGNED) AS conditions, CAST(@seckill_code AS SIGNED) AS code",
        );
        let Ok(diagnosis) = asked.get_result::<Diagnosis>(&mut **self).await else {
            return StoreError::Unavailable(source.to_string());
        };
        let code = diagnosis.code.and_then(|code| u16::try_from(code).ok());
        match (diagnosis.conditions, code) {
            (Some(1..), Some(code)) => StoreError::from_server(code, source),
            // The server knows of no failure: the driver made it, and the connection lives.
            _ => StoreError::Query { code: None, source },
        }
    }
}

impl Deref for Session {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        match &self.held {
            Held::Pooled(lent) => lent.as_ref().expect("taken only when dropped"),
            Held::Own(connection) => connection,
        }
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Connection {
        match &mut self.held {
            Held::Pooled(lent) => lent.as_mut().expect("taken only when dropped"),
            Held::Own(connection) => connection,
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let (Held::Pooled(lent), false) = (&mut self.held, self.settled) {
            // Out of the pool, and closed.
            drop(lent.take().map(Object::take));
        }
    }
}
