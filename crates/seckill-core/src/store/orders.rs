//! Single orders, and the units that are on their way back to the ledger.

use std::collections::{BTreeSet, HashMap};

use diesel::{ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, SelectableHelper, dsl::delete};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::{
    OrderStore, StoreError,
    rows::{OrderRow, corrupt, order_id, order_status},
    schema::{orders, stock_returns},
    session::Connection,
    timeline,
};
use crate::{
    order::{Order, OrderId, OrderStatus},
    sale::SaleId,
};

/// Most ids asked for in one statement.
const IDS_A_STATEMENT: usize = 1_000;

impl OrderStore {
    /// The order `id` of `sale`, if the store has it; also one that an operator has deleted: its buyer may
    /// still ask what became of it.
    pub async fn order(&self, sale: &SaleId, id: OrderId) -> Result<Option<Order>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let query = orders::table
                .find(&id.as_bytes()[..])
                .filter(orders::sale_id.eq(sale.as_str()))
                .select(OrderRow::as_select());
            let read = query.first::<OrderRow>(&mut *session).await.optional().map_err(StoreError::from);
            session.settle(read).await?.map(Order::try_from).transpose()
        })
        .await
    }

    /// The statuses of those of `ids` that the store has.
    pub async fn order_statuses(&self, ids: &[OrderId]) -> Result<HashMap<OrderId, OrderStatus>, StoreError> {
        let mut statuses = HashMap::with_capacity(ids.len());
        for page in ids.chunks(IDS_A_STATEMENT) {
            let rows = self.bounded(self.statuses_of(page)).await?;
            for (id, status) in rows {
                statuses.insert(order_id(&id)?, order_status(&status)?);
            }
        }
        Ok(statuses)
    }

    async fn statuses_of(&self, ids: &[OrderId]) -> Result<Vec<(Vec<u8>, String)>, StoreError> {
        let mut session = self.session().await?;
        let ids: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
        let query = orders::table.filter(orders::id.eq_any(ids)).select((orders::id, orders::status));
        let read = query.load(&mut *session).await.map_err(StoreError::from);
        session.settle(read).await
    }

    /// At most `limit` orders, of other sales than `except`, whose units the ledger has not been told to take back yet:
    /// each with the sale to which they are owed, or why it cannot be read.
    pub async fn returns(
        &self,
        except: &BTreeSet<SaleId>,
        limit: u32,
    ) -> Result<Vec<(SaleId, Result<Order, StoreError>)>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let query = stock_returns::table
                .inner_join(orders::table.on(orders::id.eq(stock_returns::order_id)))
                .filter(stock_returns::sale_id.ne_all(except.iter().map(SaleId::as_str)))
                .order(stock_returns::order_id)
                .limit(i64::from(limit))
                .select((stock_returns::sale_id, OrderRow::as_select()));
            let read = query.load::<(String, OrderRow)>(&mut *session).await.map_err(StoreError::from);
            let rows = session.settle(read).await?;
            rows.into_iter().map(|(sale, row)| Ok((owed_to(&sale)?, Order::try_from(row)))).collect()
        })
        .await
    }

    /// Notes that the ledger has taken back the units of `ids`.
    pub async fn delete_returns(&self, ids: &[OrderId]) -> Result<(), StoreError> {
        for page in ids.chunks(IDS_A_STATEMENT) {
            self.bounded(async {
                let mut session = self.session().await?;
                session.begin().await?;
                let noted = delete_and_note(&mut session, page).await;
                session.settle(noted).await
            })
            .await?;
        }
        Ok(())
    }
}

fn owed_to(sale: &str) -> Result<SaleId, StoreError> {
    SaleId::parse(sale).map_err(|_| corrupt("stock_returns.sale_id", &sale))
}

async fn delete_and_note(connection: &mut Connection, ids: &[OrderId]) -> Result<(), StoreError> {
    timeline::note_returned(connection, ids, Timestamp::now()).await?;
    let ids: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
    let done = stock_returns::table.filter(stock_returns::order_id.eq_any(ids));
    delete(done).execute(connection).await?;
    Ok(())
}
