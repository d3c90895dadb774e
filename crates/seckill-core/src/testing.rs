//! For tests only (feature `test-support`): a database of one's own on the real server, a ledger that waits, and
//! the binaries as processes.

mod cases;
mod memory;
mod process;
mod settings;

use std::{thread, time::Duration};

use deadpool_redis::redis::{self, AsyncConnectionConfig, aio::MultiplexedConnection};
use diesel::{
    QueryableByName,
    sql_types::{BigInt, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use secrecy::{ExposeSecret, SecretString};
use uuid::Uuid;

pub use self::{
    cases::fuzz_cases,
    memory::{PeakAlloc, within_bounds},
    process::RunningProcess,
    settings::{BAD_TRACE_SETTINGS, Binary, SHARED_SETTINGS, TRACE_SETTINGS, assert_settings},
};
pub use crate::ledger::measured::LedgerCall;
use crate::{
    ledger::StockLedger,
    order::{OrderId, Units},
    sale::{Sale, SaleId, SaleSwitch},
    store::{OrderStore, StoreOptions, connect_for_tests, migrate},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// The ledger of `REDIS_URL`, for tests of what it decides and not of when: a disk that holds an fsync up for a
/// while fails none of them.
pub fn patient_ledger() -> StockLedger {
    let url = std::env::var("REDIS_URL").expect("REDIS_URL names a ledger to test on");
    StockLedger::answering_within(PATIENCE, &url.into(), 4).expect("REDIS_URL is of Redis")
}

/// A connection to the Redis at `url`, for doing what no code of ours does. As patient.
pub async fn patient_redis(url: &str) -> MultiplexedConnection {
    let patient = AsyncConnectionConfig::new().set_response_timeout(Some(PATIENCE));
    let client = redis::Client::open(url).expect("it is the address of a Redis");
    client.get_multiplexed_async_connection_with_config(&patient).await.expect("Redis answers")
}

/// The terms of a new sale that sells `stock` units to anybody.
pub fn terms(stock: Units) -> Sale {
    Sale {
        id: SaleId::parse(&format!("test-{}", OrderId::fresh())).expect("it is a name"),
        title: "Test".into(),
        stock,
        per_buyer_limit: None,
        opens_at: None,
        closes_at: None,
        switch: SaleSwitch::Open,
    }
}

/// A fresh, migrated database `seckill_test_…` on the server of `DATABASE_URL`, dropped with this value.
pub struct TestDatabase {
    name: String,
    server_url: SecretString,
    url: SecretString,
}

impl TestDatabase {
    /// Makes a database and migrates it.
    pub async fn create() -> Self {
        let database = Self::create_empty().await;
        migrate(&database.url).await.expect("the test database can be migrated");
        database
    }

    /// Makes a database without any table.
    pub async fn create_empty() -> Self {
        let server_url = std::env::var("DATABASE_URL").expect("DATABASE_URL names a server to test on");
        let name = format!("seckill_test_{}", Uuid::new_v4().simple());
        let (path, parameters) = match server_url.split_once('?') {
            Some((path, parameters)) => (path, format!("?{parameters}")),
            None => (server_url.as_str(), String::new()),
        };
        let (server, _database) = path.rsplit_once('/').expect("DATABASE_URL ends in a database's name");
        let url = SecretString::from(format!("{server}/{name}{parameters}"));
        let server_url = SecretString::from(server_url);
        execute(&server_url, &format!("CREATE DATABASE {name}")).await;
        Self { name, server_url, url }
    }

    /// Where it is.
    pub fn url(&self) -> &SecretString {
        &self.url
    }

    /// A store on it.
    pub fn store(&self) -> OrderStore {
        OrderStore::connect(&self.url, StoreOptions::default()).expect("DATABASE_URL is of MySQL")
    }

    /// Executes `sql` and says nothing more, as a machine does that has vanished, for as long as what is returned
    /// lives.
    pub async fn execute_and_fall_silent(&self, sql: &str) -> Silent {
        let mut connection =
            connect_for_tests(self.url.expose_secret()).await.expect("the test server answers");
        connection.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
        Silent { _connection: connection }
    }

    /// Executes `sql` on it, on a connection of its own: for damage that no code of ours does.
    pub async fn execute(&self, sql: &str) {
        execute(&self.url, sql).await;
    }

    /// Waits until one of its connections is at something; `condition` is of the server's process list.
    pub async fn wait_for_connection(&self, condition: &str) {
        let query = format!(
            "SELECT CAST(id AS SIGNED) AS id FROM information_schema.processlist \
             WHERE db = DATABASE() AND id <> CONNECTION_ID() AND {condition}"
        );
        let mut connection =
            connect_for_tests(self.url.expose_secret()).await.expect("the test server answers");
        for _attempt in 0..1000 {
            let found = diesel::sql_query(&query).load::<Process>(&mut connection).await;
            if !found.expect("the test server lists connections").is_empty() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("no connection is at this: {condition}");
    }
}

/// A connection, set up as those of a store, that is open and says nothing.
pub struct Silent {
    _connection: diesel_async::AsyncMysqlConnection,
}

impl Drop for TestDatabase {
    fn drop(&mut self) {
        let (url, name) = (self.server_url.clone(), self.name.clone());
        // The test's own runtime may be the very one that is ending.
        let dropped = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime for a few statements").block_on(drop_database(&url, &name));
        });
        if dropped.join().is_err() {
            eprintln!("the database {} is left behind", self.name);
        }
    }
}

#[derive(QueryableByName)]
struct Process {
    #[diesel(sql_type = BigInt)]
    id: i64,
}

/// Drops a database with whatever is open on it: the connections of a test that is ending cannot say
/// goodbye any more, and a transaction left open on one would hold up the drop for ever.
async fn drop_database(url: &SecretString, name: &str) {
    let mut connection = connect_for_tests(url.expose_secret()).await.expect("the test server answers");
    let query = "SELECT CAST(id AS SIGNED) AS id FROM information_schema.processlist WHERE db = ?";
    let open = diesel::sql_query(query).bind::<Text, _>(name).load::<Process>(&mut connection).await;
    for Process { id } in open.expect("the test server lists connections") {
        // It may have ended meanwhile.
        let _ = connection.batch_execute(&format!("KILL {id}")).await;
    }
    let dropped = connection.batch_execute(&format!("DROP DATABASE IF EXISTS {name}")).await;
    dropped.unwrap_or_else(|error| panic!("{name}: {error}"));
}

async fn execute(url: &SecretString, sql: &str) {
    let mut connection = connect_for_tests(url.expose_secret()).await.expect("the test server answers");
    connection.batch_execute(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
}
