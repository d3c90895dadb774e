//! Is the database there, and how is it set up.

use std::{collections::HashMap, time::Duration};

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};

use super::{
    OrderStore, StoreError,
    session::{self, Connection},
};

/// Longest time for [`OrderStore::check`].
const CHECK_WITHIN: Duration = Duration::from_secs(1);

/// How the database server is set up, as far as the promises depend on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreDescription {
    /// The server's version.
    pub version: String,
    /// The server's default isolation level. (Our connections set their own.)
    pub transaction_isolation: String,
    /// 1: a commit is on disk before it is answered. 0 and 2 may lose the last second.
    pub flush_log_at_commit: String,
    /// Most connections the server takes.
    pub max_connections: String,
    /// Whether the server refuses writes.
    pub read_only: bool,
    /// The server's clock minus this machine's, in milliseconds, give or take the way of one query.
    pub clock_ahead_ms: i64,
}

#[derive(QueryableByName)]
struct Variable {
    #[diesel(sql_type = Text, column_name = "Variable_name")]
    name: String,
    #[diesel(sql_type = Text, column_name = "Value")]
    value: String,
}

#[derive(QueryableByName)]
struct Clock {
    #[diesel(sql_type = BigInt)]
    now_ms: i64,
}

impl OrderStore {
    /// Whether the database answers, within a second.
    pub async fn check(&self) -> Result<(), StoreError> {
        session::bounded(CHECK_WITHIN, async {
            let mut session = self.session().await?;
            let answered = session.batch_execute("DO 1").await.map_err(StoreError::from);
            session.settle(answered).await
        })
        .await
    }

    /// How the database server is set up.
    pub async fn describe(&self) -> Result<StoreDescription, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let described = describe(&mut session).await;
            session.settle(described).await
        })
        .await
    }
}

async fn describe(connection: &mut Connection) -> Result<StoreDescription, StoreError> {
    // MariaDB and MySQL differ in the name of the isolation level.
    let query = diesel::sql_query(
        "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('version', 'transaction_isolation', 'tx_isolation', \
         'innodb_flush_log_at_trx_commit', 'max_connections', 'read_only')",
    );
    let mut variables = HashMap::new();
    for Variable { name, value } in query.load(connection).await? {
        variables.insert(name, value);
    }
    let asked = diesel::sql_query("SELECT CAST(UNIX_TIMESTAMP(NOW(3)) * 1000 AS SIGNED) AS now_ms");
    let before = jiff::Timestamp::now().as_millisecond();
    let Clock { now_ms } = asked.get_result(connection).await?;
    let after = jiff::Timestamp::now().as_millisecond();
    let mut take = |name: &str| variables.remove(name).unwrap_or_default();
    let isolation = Some(take("transaction_isolation")).filter(|level| !level.is_empty());
    Ok(StoreDescription {
        version: take("version"),
        transaction_isolation: isolation.unwrap_or_else(|| take("tx_isolation")),
        flush_log_at_commit: take("innodb_flush_log_at_trx_commit"),
        max_connections: take("max_connections"),
        read_only: matches!(take("read_only").as_str(), "ON" | "1"),
        clock_ahead_ms: now_ms - i64::midpoint(before, after),
    })
}
