//! What only one process at a time may do: named locks of the server (`GET_LOCK`), each held by a
//! connection of its own and lost with it.

use std::time::Duration;

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::{
    OrderStore, StoreError,
    session::{self, Connection, Session},
};

/// The name of a lock on `?`. Such names are the whole server's, so the database is in it; hashed, for
/// a name may have 64 characters.
const NAME: &str = "CONCAT('seckill:', LEFT(SHA2(CONCAT(DATABASE(), '/', ?), 256), 48))";

/// What the keeper's lock is on. No sale has this name: it has a space.
const KEEPER: &str = "the keeper";

/// Longest silence of a connection that holds a lock, in seconds; then the server closes it. So a
/// machine that vanished, or a process that was stopped, does not hold its lock for the server's
/// default of eight hours.
const SILENCE_SECONDS: u32 = 30;

/// Longest wait for the answer whether a lock is still held.
const CHECK_WITHIN: Duration = Duration::from_secs(2);

#[derive(QueryableByName)]
struct Answer {
    #[diesel(sql_type = Nullable<BigInt>)]
    answer: Option<i64>,
}

/// Takes the lock on `what` for this connection, waiting at most `seconds`. False: another holds it.
pub(super) async fn acquire(
    connection: &mut Connection,
    what: &str,
    seconds: u32,
) -> Result<bool, StoreError> {
    let query = format!("SELECT CAST(GET_LOCK({NAME}, {seconds}) AS SIGNED) AS answer");
    let got: Answer = diesel::sql_query(query).bind::<Text, _>(what).get_result(connection).await?;
    Ok(got.answer == Some(1))
}

/// Gives the lock on `what` back.
pub(super) async fn release(connection: &mut Connection, what: &str) -> Result<(), StoreError> {
    let query = format!("SELECT CAST(RELEASE_LOCK({NAME}) AS SIGNED) AS answer");
    let _: Answer = diesel::sql_query(query).bind::<Text, _>(what).get_result(connection).await?;
    Ok(())
}

/// Whether this connection holds the lock on `what`.
pub(super) async fn is_held(connection: &mut Connection, what: &str) -> Result<bool, StoreError> {
    let query = format!("SELECT CAST(IS_USED_LOCK({NAME}) = CONNECTION_ID() AS SIGNED) AS answer");
    let held: Answer = diesel::sql_query(query).bind::<Text, _>(what).get_result(connection).await?;
    Ok(held.answer == Some(1))
}

/// Whether any connection holds the lock on `what`.
async fn is_held_by_anybody(connection: &mut Connection, what: &str) -> Result<bool, StoreError> {
    let query = format!("SELECT CAST(IS_USED_LOCK({NAME}) IS NOT NULL AS SIGNED) AS answer");
    let held: Answer = diesel::sql_query(query).bind::<Text, _>(what).get_result(connection).await?;
    Ok(held.answer == Some(1))
}

impl OrderStore {
    /// A connection of its own that holds the lock on `what`, waited for at most `seconds`; none: another
    /// holds it.
    pub(super) async fn try_lock(&self, what: &str, seconds: u32) -> Result<Option<Session>, StoreError> {
        self.bounded(async {
            let mut session = self.own_session().await?;
            let got = take(&mut session, what, seconds).await;
            Ok(session.settle(got).await?.then_some(session))
        })
        .await
    }

    /// Takes the keeper's lock; none: another process keeps. The lock must be looked after: see
    /// [`KeeperLock::still_held`].
    pub async fn try_keep(&self) -> Result<Option<KeeperLock>, StoreError> {
        Ok(self.try_lock(KEEPER, 0).await?.map(|session| KeeperLock { session }))
    }

    /// Whether some process is the keeper now.
    pub async fn is_kept(&self) -> Result<bool, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let held = is_held_by_anybody(&mut session, KEEPER).await;
            session.settle(held).await
        })
        .await
    }
}

async fn take(connection: &mut Connection, what: &str, seconds: u32) -> Result<bool, StoreError> {
    let silence = format!("SET SESSION wait_timeout = {SILENCE_SECONDS}");
    connection.batch_execute(&silence).await?;
    acquire(connection, what, seconds).await
}

/// The right to be the one keeper of this database. Ends when dropped.
pub struct KeeperLock {
    session: Session,
}

impl KeeperLock {
    /// Whether this process is still the keeper. To be asked before every round of work, and at least
    /// every ten seconds: the server closes a connection that is silent for thirty.
    pub async fn still_held(&mut self) -> bool {
        let asked = session::bounded(CHECK_WITHIN, async {
            self.session.resume()?;
            let held = is_held(&mut self.session, KEEPER).await;
            self.session.settle(held).await
        });
        asked.await.unwrap_or(false)
    }

    /// Gives the lock back at once. (Dropping does so too, a moment later.)
    pub async fn release(mut self) {
        let released = session::bounded(CHECK_WITHIN, release(&mut self.session, KEEPER)).await;
        if let Err(error) = released {
            // The connection is closed next, and the lock goes with it.
            tracing::debug!(%error, "the keeper's lock was not given back by hand");
        }
    }
}
