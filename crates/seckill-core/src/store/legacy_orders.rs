//! Orders as the original's `/order` routes show and change them: those of all sales, and hand-made ones,
//! which are of no sale.
//!
//! An edit never touches an order's own row: what was decided is compared with it, by retries and rebuilds. It
//! is kept beside it and shown in its place. An order of a sale that is deleted is hidden, and stays.

mod by_hand;

use diesel::{
    BoolExpressionMethods, ExpressionMethods, JoinOnDsl, OptionalExtension, QueryDsl, Queryable, Selectable,
    SelectableHelper,
};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::Timestamp as SqlTimestamp;
use serde::Serialize;

pub use self::by_hand::{Deletable, HandMadeOrder, InsertOutcome, OrderEdit, RemarkEdit};
use super::{
    OrderStore, StoreError,
    rows::{from_sql_units, order_id, order_status, to_sql_time},
    schema::{order_edits, orders},
    session::Connection,
};
use crate::order::{OrderId, OrderStatus, Units};

/// An order as the original shows it. Its texts are shown as they are, whoever wrote them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LegacyOrder {
    /// Its identity.
    pub id: OrderId,
    /// The sale it is of; none: hand-made.
    pub sale: Option<String>,
    /// Who buys.
    pub user: String,
    /// What is bought.
    pub goods: String,
    /// How many units.
    pub quantity: Units,
    /// The buyer's note.
    pub remark: Option<String>,
    /// The original's name of it.
    pub openid: String,
    /// Units left right after it.
    pub remain_count: Option<Units>,
    /// How far it has come.
    pub status: OrderStatus,
    /// The message of the order log that told of it.
    pub kafka_raw_message: Option<String>,
    /// When it was taken.
    pub created_date: Timestamp,
    /// When it last changed.
    pub update_date: Timestamp,
}

/// A place in the list of all orders, newest first: behind this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OrderCursor {
    /// When that order was taken.
    pub created: Timestamp,
    /// Its identity.
    pub id: OrderId,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = orders)]
struct LegacyRow {
    id: Vec<u8>,
    sale_id: Option<String>,
    user: String,
    goods: String,
    quantity: i64,
    remark: Option<String>,
    openid: String,
    remain_count: Option<i64>,
    status: String,
    kafka_raw_message: Option<String>,
    created_date: SqlTimestamp,
    update_date: SqlTimestamp,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = order_edits)]
struct EditRow {
    user: String,
    goods: String,
    remark: Option<String>,
    at: SqlTimestamp,
}

impl OrderStore {
    /// At most `limit` orders, newest first; with `behind`, those behind that place.
    pub async fn legacy_orders(
        &self,
        behind: Option<OrderCursor>,
        limit: u32,
    ) -> Result<Vec<LegacyOrder>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let mut query = orders::table
                .left_join(order_edits::table.on(order_edits::order_id.eq(orders::id)))
                .filter(orders::deleted_at.is_null())
                .order((orders::created_date.desc(), orders::id.desc()))
                .limit(i64::from(limit))
                .select((LegacyRow::as_select(), Option::<EditRow>::as_select()))
                .into_boxed();
            if let Some(OrderCursor { created, id }) = behind {
                let created = to_sql_time(created);
                // The first condition is what the index is searched by.
                query = query
                    .filter(orders::created_date.le(created))
                    .filter(orders::created_date.lt(created).or(orders::id.lt(id.as_bytes().to_vec())));
            }
            let read = query.load::<(LegacyRow, Option<EditRow>)>(&mut *session).await;
            let rows = session.settle(read.map_err(StoreError::from)).await?;
            rows.into_iter().map(|(row, edit)| shown(row, edit)).collect()
        })
        .await
    }

    /// The order `id`, of whatever sale or none, unless it is deleted.
    pub async fn legacy_order(&self, id: OrderId) -> Result<Option<LegacyOrder>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let read = find(&mut session, id).await;
            let row = session.settle(read).await?;
            row.map(|(row, edit)| shown(row, edit)).transpose()
        })
        .await
    }
}

async fn find(
    connection: &mut Connection,
    id: OrderId,
) -> Result<Option<(LegacyRow, Option<EditRow>)>, StoreError> {
    let query = orders::table
        .left_join(order_edits::table.on(order_edits::order_id.eq(orders::id)))
        .filter(orders::id.eq(id.as_bytes().to_vec()))
        .filter(orders::deleted_at.is_null())
        .select((LegacyRow::as_select(), Option::<EditRow>::as_select()));
    Ok(query.first(connection).await.optional()?)
}

fn shown(row: LegacyRow, edit: Option<EditRow>) -> Result<LegacyOrder, StoreError> {
    let remain_count = row.remain_count.map(|count| from_sql_units("orders.remain_count", count));
    let order = LegacyOrder {
        id: order_id(&row.id)?,
        sale: row.sale_id,
        user: row.user,
        goods: row.goods,
        quantity: from_sql_units("orders.quantity", row.quantity)?,
        remark: row.remark,
        openid: row.openid,
        remain_count: remain_count.transpose()?,
        status: order_status(&row.status)?,
        kafka_raw_message: row.kafka_raw_message,
        created_date: row.created_date.to_jiff(),
        update_date: row.update_date.to_jiff(),
    };
    let Some(edit) = edit else { return Ok(order) };
    let update_date = order.update_date.max(edit.at.to_jiff());
    Ok(LegacyOrder { user: edit.user, goods: edit.goods, remark: edit.remark, update_date, ..order })
}
