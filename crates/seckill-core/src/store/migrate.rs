//! The schema, brought up to date, and the sale that is always there.

use diesel::{migration::Migration, mysql::Mysql};
use diesel_async::{AsyncMigrationHarness, SimpleAsyncConnection};
use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use secrecy::{ExposeSecret, SecretString};

use super::{
    StoreError, locks, sales,
    session::{self, Connection, Session},
};
use crate::sale::{Sale, SaleId, SaleSwitch};

type Harness = AsyncMigrationHarness<Connection>;

const MIGRATIONS: EmbeddedMigrations = embed_migrations!("../../migrations");

/// What the lock of a migration is on. No sale has this name: it has a space.
const LOCK: &str = "the schema";

/// Longest wait for somebody else's migration, in seconds.
const WAIT_SECONDS: u32 = 120;

/// Longest that a migration may take, in seconds: its lock is on a connection that says nothing meanwhile.
const LONGEST_SECONDS: u32 = 86_400;

/// Brings the schema of the database at `url` up to date and makes the sale `default` (100 units) if there
/// is no sale of that name. Returns the names of the migrations that were applied. Several may run at
/// once: they take turns. One that dies halfway is finished by the next.
pub async fn migrate(url: &SecretString) -> Result<Vec<String>, StoreError> {
    let mut session = lock(url).await?;
    let applied = on_harness(url, |harness| {
        let names = pending_names(harness)?;
        harness.run_pending_migrations(MIGRATIONS)?;
        Ok(names)
    })
    .await?;
    // The lock ends with its connection, whatever comes of this.
    sales::create(&mut session, &default_sale(), "migrate").await?;
    Ok(applied)
}

/// The names of the migrations that [`migrate`] would apply to the database at `url`.
pub async fn pending_migrations(url: &SecretString) -> Result<Vec<String>, StoreError> {
    on_harness(url, pending_names).await
}

/// Undoes every migration, and with them all data.
#[cfg(feature = "test-support")]
pub async fn revert_migrations(url: &SecretString) -> Result<(), StoreError> {
    let _session = lock(url).await?;
    on_harness(url, |harness| harness.revert_all_migrations(MIGRATIONS).map(|_versions| ())).await
}

/// A connection that holds the right to change the schema. diesel's migrations have no lock of their
/// own: two at once would both try to create the same tables.
async fn lock(url: &SecretString) -> Result<Session, StoreError> {
    let mut session = Session::own(url).await?;
    let patience = session.batch_execute(&format!("SET SESSION wait_timeout = {LONGEST_SECONDS}")).await;
    let got = match patience {
        Ok(()) => locks::acquire(&mut session, LOCK, WAIT_SECONDS).await,
        Err(error) => Err(error.into()),
    };
    if session.settle(got).await? {
        Ok(session)
    } else {
        Err(StoreError::Unavailable("another migration does not end".into()))
    }
}

/// Runs `job`, which blocks, on a thread that may block.
async fn on_harness<T: Send + 'static>(
    url: &SecretString,
    job: impl FnOnce(&mut Harness) -> diesel::migration::Result<T> + Send + 'static,
) -> Result<T, StoreError> {
    let connection = session::establish(url.expose_secret()).await?;
    let job = move || job(&mut AsyncMigrationHarness::new(connection)).map_err(|error| error.to_string());
    let ended = tokio::task::spawn_blocking(job).await;
    ended.unwrap_or_else(|panic| Err(panic.to_string())).map_err(StoreError::Migration)
}

fn pending_names(harness: &mut Harness) -> diesel::migration::Result<Vec<String>> {
    let pending: Vec<Box<dyn Migration<Mysql>>> = harness.pending_migrations(MIGRATIONS)?;
    Ok(pending.iter().map(|migration| migration.name().to_string()).collect())
}

/// What the original sells, and what a newcomer can buy at once.
fn default_sale() -> Sale {
    Sale {
        id: SaleId::parse("default").expect("a valid name"),
        title: "Default sale".into(),
        stock: 100,
        per_buyer_limit: None,
        opens_at: None,
        closes_at: None,
        switch: SaleSwitch::Open,
    }
}
