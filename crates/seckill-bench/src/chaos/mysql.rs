//! What MySQL is made to do.

use std::time::Duration;

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

/// Takes the locks of a consumer's batch that is decided event by event in the other order: orders first, then the sale. It has changed more
/// rows than the batch, so that the batch is the one that the server gives up.
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
            connection.exec_first("SELECT COUNT(*) FROM orders WHERE sale_id = ? FOR UPDATE", (&sale,)).await;
        if locked.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let _: Result<Option<u64>, _> =
                connection.exec_first("SELECT sold FROM sales WHERE id = ? FOR UPDATE", (&sale,)).await;
        }
        connection.query_drop("ROLLBACK").await?;
        tokio::time::sleep(Duration::from_millis(30)).await;
    }
    connection.query_drop("DROP TABLE chaos_weights").await?;
    Ok(connection.disconnect().await?)
}
