//! What MySQL is made to do.

use std::time::Duration;

use anyhow::Context;
use mysql_async::{Conn, prelude::Queryable};
use tokio::sync::watch;

use super::world::World;

/// Locks the tables that the consumers write, until the connection is dropped.
pub async fn lock_tables(world: &mut World) -> anyhow::Result<()> {
    let mut connection = world.mysql_root().await?;
    connection.query_drop("LOCK TABLES orders WRITE, sales WRITE").await?;
    world.locks = Some(connection);
    Ok(())
}

/// Lets nobody but its administrator write, or everybody again.
pub async fn set_read_only(world: &World, read_only: bool) -> anyhow::Result<()> {
    let mut connection = world.mysql_root().await?;
    connection.query_drop(format!("SET GLOBAL read_only = {}", u8::from(read_only))).await?;
    Ok(connection.disconnect().await?)
}

/// How many deadlocks the server has seen so far.
pub async fn deadlocks_so_far(world: &World) -> anyhow::Result<u64> {
    let mut connection = world.mysql_root().await?;
    let row: Option<(String, u64)> =
        connection.query_first("SHOW GLOBAL STATUS LIKE 'Innodb_deadlocks'").await?;
    connection.disconnect().await?;
    Ok(row.context("this server does not count deadlocks")?.1)
}

/// Whether some process holds the keeper's lock, by the server's word: what a process says of itself may be out of date.
pub async fn is_kept(world: &World) -> anyhow::Result<bool> {
    let mut connection = world.mysql_root().await?;
    let held: Option<bool> = connection
        .query_first(
            "SELECT IS_USED_LOCK(CONCAT('seckill:', LEFT(SHA2(CONCAT(DATABASE(), '/the keeper'), 256), 48))) IS NOT NULL",
        )
        .await?;
    connection.disconnect().await?;
    Ok(held == Some(true))
}

/// Takes the locks of a consumer's batch in the other order: the sale first, then the orders. It has changed more rows
/// than the batch, so that the batch is the one that the server gives up.
pub async fn deadlocks(
    mut connection: Conn,
    sale: String,
    stop: watch::Receiver<bool>,
) -> anyhow::Result<()> {
    connection
        .query_drop("CREATE TABLE IF NOT EXISTS chaos_weights (id INT PRIMARY KEY) ENGINE = InnoDB")
        .await?;
    let weights: Vec<String> = (0..300).map(|id| format!("({id})")).collect();
    // Where the server goes away, there is nobody to quarrel with.
    while !*stop.borrow() && connection.query_drop("START TRANSACTION").await.is_ok() {
        connection.query_drop(format!("INSERT INTO chaos_weights VALUES {}", weights.join(","))).await?;
        // Whoever of the two is given up, the next round begins anew.
        let locked: Result<Option<u64>, _> =
            connection.exec_first("SELECT sold FROM sales WHERE id = ? FOR UPDATE", (&sale,)).await;
        if locked.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _: Result<Option<u64>, _> = connection
                .exec_first("SELECT COUNT(*) FROM orders WHERE sale_id = ? FOR UPDATE", (&sale,))
                .await;
        }
        connection.query_drop("ROLLBACK").await?;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    connection.query_drop("DROP TABLE chaos_weights").await?;
    Ok(connection.disconnect().await?)
}
