//! The schema goes up and down, and two may bring it up at once.

use std::collections::HashMap;

use mysql_async::prelude::Queryable;
use seckill_core::{
    store::{migrate, pending_migrations, revert_migrations},
    testing::TestDatabase,
};
use secrecy::ExposeSecret;

use super::events::sale_id;

/// How many there are.
fn migrations() -> usize {
    std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../../migrations")).unwrap().count()
}

#[tokio::test]
async fn the_schema_goes_up_down_and_up_again() {
    let database = TestDatabase::create_empty().await;
    let pending = pending_migrations(database.url()).await.unwrap();
    assert_eq!(pending.len(), migrations());
    assert_eq!(migrate(database.url()).await.unwrap(), pending);
    assert!(pending_migrations(database.url()).await.unwrap().is_empty());
    let default = database.store().sale(&sale_id("default")).await.unwrap().unwrap();
    assert_eq!(default.sale.stock, 100);

    revert_migrations(database.url()).await.unwrap();
    assert_eq!(pending_migrations(database.url()).await.unwrap(), pending);
    assert_eq!(migrate(database.url()).await.unwrap(), pending);
}

#[tokio::test]
async fn migrating_again_changes_nothing() {
    let database = TestDatabase::create().await;
    let store = database.store();
    database.execute("UPDATE sales SET stock = 7, title = 'Mine' WHERE id = 'default'").await;
    assert!(migrate(database.url()).await.unwrap().is_empty());
    let default = store.sale(&sale_id("default")).await.unwrap().unwrap();
    assert_eq!((default.sale.stock, default.sale.title.as_str()), (7, "Mine"));
    assert_eq!(store.history(&sale_id("default")).await.unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn several_may_migrate_at_once() {
    let database = TestDatabase::create_empty().await;
    let mut migrating = tokio::task::JoinSet::new();
    for _process in 0..4 {
        let url = database.url().clone();
        migrating.spawn(async move { migrate(&url).await.unwrap().len() });
    }
    let mut applied = migrating.join_all().await;
    applied.sort_unstable();
    assert_eq!(applied, [0, 0, 0, migrations()]);
}

#[tokio::test]
async fn a_migration_that_died_halfway_is_finished() {
    let database = TestDatabase::create_empty().await;
    // Made, but not noted as made: where a process is killed between the two.
    let half = include_str!("../../../../migrations/2026-11-23-000001_create_sales/up.sql");
    database.execute(half).await;
    assert_eq!(migrate(database.url()).await.unwrap().len(), migrations());
}

#[tokio::test]
async fn columns_that_were_added_but_not_noted_are_not_added_twice() {
    let database = TestDatabase::create().await;
    let version = "20261124200010";
    database.execute(&format!("DELETE FROM __diesel_schema_migrations WHERE version = '{version}'")).await;
    assert_eq!(pending_migrations(database.url()).await.unwrap().len(), 1);
    assert_eq!(migrate(database.url()).await.unwrap().len(), 1);
    assert!(pending_migrations(database.url()).await.unwrap().is_empty());
}

/// Tables and columns that others may rely on: dashboards, exports, whoever reads the store.
#[tokio::test]
async fn the_tables_have_the_columns_that_are_promised() {
    let database = TestDatabase::create().await;
    let mut connection = mysql_async::Conn::from_url(database.url().expose_secret()).await.unwrap();
    let query = "SELECT CONCAT(table_name, '.', column_name), column_type, column_key, COALESCE(collation_name, '') \
                 FROM information_schema.columns WHERE table_schema = DATABASE()";
    let rows: Vec<(String, String, String, String)> = connection.query(query).await.unwrap();
    connection.disconnect().await.unwrap();
    let columns: HashMap<&str, (&str, &str, &str)> = rows
        .iter()
        .map(|(name, kind, key, collation)| {
            (name.as_str(), (kind.as_str(), key.as_str(), collation.as_str()))
        })
        .collect();
    for (table, named) in [
        ("sales", "id title stock sold per_buyer_limit opens_at closes_at state"),
        (
            "orders",
            "id sale_id user goods quantity remark openid remain_count status kafka_raw_message created_date update_date",
        ),
        ("stock_adjustments", "id sale_id delta reason actor at"),
    ] {
        for column in named.split(' ') {
            assert!(columns.contains_key(&*format!("{table}.{column}")), "{table}.{column} is not there");
        }
    }
    for binary in ["sales.id", "orders.sale_id", "orders.user", "orders.openid", "stock_adjustments.sale_id"]
    {
        assert_eq!(columns[binary].2, "utf8mb4_bin", "{binary} is not compared by bytes");
    }
    assert_eq!((columns["sales.id"].0, columns["sales.id"].1), ("varchar(64)", "PRI"));
    assert_eq!((columns["orders.id"].0, columns["orders.id"].1), ("binary(16)", "PRI"));
    assert_eq!(columns["orders.openid"].1, "UNI");
}
