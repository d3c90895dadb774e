//! What MySQL holds.

use std::collections::HashMap;

use mysql_async::{Conn, Row, prelude::Queryable};
use seckill_core::{
    address::Address,
    order::{OrderId, OrderStatus, Units},
    sale::SaleId,
};

use super::{CONNECT_WITHIN, StoreState, StoredOrder};
use crate::exit::Failure;

/// A connection to MySQL that only reads.
#[derive(Debug)]
pub struct StoreWitness {
    connection: Conn,
}

fn unreachable(error: &mysql_async::Error) -> Failure {
    Failure::Unreachable(format!("MySQL (DATABASE_URL): {error}"))
}

impl StoreWitness {
    /// Connects.
    pub async fn connect(url: &str) -> Result<Self, Failure> {
        // The URL holds a password: it is not repeated in the message.
        let opts =
            Address::of(url).of_mysql().map_err(|error| Failure::Usage(format!("DATABASE_URL: {error}")))?;
        let connection = tokio::time::timeout(CONNECT_WITHIN, Conn::new(opts))
            .await
            .map_err(|_| Failure::Unreachable("MySQL (DATABASE_URL): no answer in 5 s".into()))?
            .map_err(|error| unreachable(&error))?;
        Ok(Self { connection })
    }

    /// Stock and sold units of `sale`.
    pub async fn counts(&mut self, sale: &SaleId) -> Result<(Units, Units), Failure> {
        let row: Option<(Units, Units)> = self
            .connection
            .exec_first("SELECT stock, sold FROM sales WHERE id = ?", (sale.as_str(),))
            .await
            .map_err(|error| unreachable(&error))?;
        row.ok_or_else(|| Failure::Usage(format!("there is no sale {sale} in MySQL")))
    }

    /// Units sold of all sales: while the number moves, what was in the order log before is being written.
    pub async fn sold_of_all(&mut self) -> Result<Units, Failure> {
        let sold: Option<Units> = self
            .connection
            .query_first("SELECT CAST(COALESCE(SUM(sold), 0) AS UNSIGNED) FROM sales")
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(sold.unwrap_or_default())
    }

    /// How many orders of `sale` have units that still have to go back to the ledger.
    pub async fn returns(&mut self, sale: &SaleId) -> Result<u64, Failure> {
        let row: Option<u64> = self
            .connection
            .exec_first("SELECT COUNT(*) FROM stock_returns WHERE sale_id = ?", (sale.as_str(),))
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(row.unwrap_or_default())
    }

    /// Which of the orders `ids` have a row.
    pub async fn which_are_there(
        &mut self,
        ids: impl Iterator<Item = &OrderId>,
    ) -> Result<Vec<OrderId>, Failure> {
        let ids: Vec<String> = ids.map(|id| format!("x'{}'", id.uuid().simple())).collect();
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let statement = format!("SELECT id FROM orders WHERE id IN ({})", ids.join(","));
        let found: Vec<Vec<u8>> =
            self.connection.query(statement).await.map_err(|error| unreachable(&error))?;
        Ok(found.iter().filter_map(|id| OrderId::from_slice(id)).collect())
    }

    /// All that MySQL holds of `sale`, as of one moment.
    pub async fn read(&mut self, sale: &SaleId) -> Result<StoreState, Failure> {
        self.statement("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY").await?;
        let (stock, sold) = self.counts(sale).await?;
        let returns = self.returns(sale).await?;
        let per_buyer_limit: Option<Option<Units>> = self
            .connection
            .exec_first("SELECT per_buyer_limit FROM sales WHERE id = ?", (sale.as_str(),))
            .await
            .map_err(|error| unreachable(&error))?;
        let orders = self.orders(sale).await?;
        self.statement("COMMIT").await?;
        Ok(StoreState { stock, sold, per_buyer_limit: per_buyer_limit.flatten(), orders, returns })
    }

    async fn statement(&mut self, statement: &str) -> Result<(), Failure> {
        self.connection.query_drop(statement).await.map_err(|error| unreachable(&error))
    }

    async fn orders(&mut self, sale: &SaleId) -> Result<HashMap<OrderId, StoredOrder>, Failure> {
        // Neither function depends on the session's time zone, as UNIX_TIMESTAMP would.
        let statement = "SELECT id, user, quantity, CAST(status AS CHAR), \
             CAST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', created_date) DIV 1000 AS SIGNED) \
             FROM orders WHERE sale_id = ?";
        let rows: Vec<Row> =
            self.connection.exec(statement, (sale.as_str(),)).await.map_err(|error| unreachable(&error))?;
        rows.into_iter().map(read_order).collect()
    }
}

fn read_order(row: Row) -> Result<(OrderId, StoredOrder), Failure> {
    type Columns = (Vec<u8>, String, Units, String, i64);
    let (id, user, quantity, status, created_ms) = mysql_async::from_row_opt::<Columns>(row)
        .map_err(|error| anyhow::anyhow!("table orders: {error}"))?;
    let id =
        OrderId::from_slice(&id).ok_or_else(|| anyhow::anyhow!("an order's id is not 16 bytes: {id:?}"))?;
    let status = OrderStatus::parse(&status)
        .ok_or_else(|| anyhow::anyhow!("order {id} has the unknown status {status:?}"))?;
    Ok((id, StoredOrder { user, quantity, status, created_ms }))
}
