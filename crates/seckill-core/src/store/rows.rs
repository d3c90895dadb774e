//! Rows as the tables hold them, and their way into the domain and back.

use std::{fmt, io::Write, sync::Arc};

use diesel::{
    Identifiable, Queryable, Selectable,
    expression::AsExpression,
    mysql::Mysql,
    serialize::{self, IsNull, Output, ToSql},
    sql_types::Text,
};
use jiff::{Timestamp, Unit};
use jiff_diesel::{Timestamp as SqlTimestamp, ToDiesel};

use super::{
    StoreError,
    sales::StoredSale,
    schema::{orders, sales},
};
use crate::{
    order::{BuyerId, Goods, Order, OrderId, OrderStatus, Quantity, Remark, Units},
    sale::{Sale, SaleId, SaleSwitch},
};

/// A text on its way into a column, which it shares with an order: what is inserted must not borrow.
#[derive(Debug, AsExpression)]
#[diesel(sql_type = Text)]
pub(super) struct SharedText(Arc<str>);

impl SharedText {
    pub(super) fn of(text: impl Into<Arc<str>>) -> Self {
        Self(text.into())
    }
}

impl ToSql<Text, Mysql> for SharedText {
    fn to_sql<'b>(&'b self, out: &mut Output<'b, '_, Mysql>) -> serialize::Result {
        out.write_all(self.0.as_bytes())?;
        Ok(IsNull::No)
    }
}

/// `at` as `DATETIME(3)` keeps it. The server would round to the nearest millisecond, and so might
/// disagree with an `openid`; here it is cut off.
pub(super) fn to_sql_time(at: Timestamp) -> SqlTimestamp {
    let cut = at.round(jiff::TimestampRound::new().smallest(Unit::Millisecond).mode(jiff::RoundMode::Floor));
    cut.unwrap_or(at).to_diesel()
}

/// `units` as `BIGINT` keeps them. Stock ends far below where this would saturate.
pub(super) fn to_sql_units(units: Units) -> i64 {
    i64::try_from(units).unwrap_or(i64::MAX)
}

/// A count that `column` holds.
pub(super) fn from_sql_units(column: &str, value: i64) -> Result<Units, StoreError> {
    Units::try_from(value).map_err(|_| corrupt(column, &value))
}

pub(super) fn corrupt(column: &str, value: &dyn fmt::Debug) -> StoreError {
    StoreError::Corrupt(format!("{column} = {value:?}"))
}

/// `error` about a row, with whose row it is.
fn of_row(of: impl fmt::Display, error: StoreError) -> StoreError {
    match error {
        StoreError::Corrupt(why) => StoreError::Corrupt(format!("{of}: {why}")),
        other => other,
    }
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = sales)]
pub(super) struct SaleRow {
    id: String,
    title: String,
    stock: i64,
    sold: i64,
    per_buyer_limit: Option<i64>,
    opens_at: Option<SqlTimestamp>,
    closes_at: Option<SqlTimestamp>,
    state: String,
    adjustment: i64,
    epoch: i64,
    rebuild_epoch: i64,
    created_date: SqlTimestamp,
}

impl TryFrom<SaleRow> for StoredSale {
    type Error = StoreError;

    fn try_from(row: SaleRow) -> Result<Self, StoreError> {
        let id = row.id.clone();
        row.read().map_err(|error| of_row(format_args!("sale {id}"), error))
    }
}

impl SaleRow {
    fn read(self) -> Result<StoredSale, StoreError> {
        let limit = self.per_buyer_limit.map(|limit| from_sql_units("sales.per_buyer_limit", limit));
        let sale = Sale {
            id: SaleId::parse(&self.id).map_err(|_| corrupt("sales.id", &self.id))?,
            title: self.title,
            stock: from_sql_units("sales.stock", self.stock)?,
            per_buyer_limit: limit.transpose()?,
            opens_at: self.opens_at.map(SqlTimestamp::to_jiff),
            closes_at: self.closes_at.map(SqlTimestamp::to_jiff),
            switch: SaleSwitch::parse(&self.state).ok_or_else(|| corrupt("sales.state", &self.state))?,
        };
        Ok(StoredSale {
            sale,
            sold: from_sql_units("sales.sold", self.sold)?,
            adjustment: from_sql_units("sales.adjustment", self.adjustment)?,
            epoch: from_sql_units("sales.epoch", self.epoch)?,
            rebuild_epoch: from_sql_units("sales.rebuild_epoch", self.rebuild_epoch)?,
            created: self.created_date.to_jiff(),
        })
    }
}

/// An order without its raw message.
#[derive(Queryable, Selectable, Identifiable)]
#[diesel(table_name = orders)]
pub(super) struct OrderRow {
    id: Vec<u8>,
    sale_id: Option<String>,
    user: String,
    goods: String,
    quantity: i64,
    remark: Option<String>,
    openid: String,
    remain_count: Option<i64>,
    status: String,
    created_date: SqlTimestamp,
    update_date: SqlTimestamp,
}

impl OrderRow {
    /// The order's identity.
    pub(super) fn order_id(&self) -> Result<OrderId, StoreError> {
        order_id(&self.id)
    }

    fn read(self, id: OrderId) -> Result<Order, StoreError> {
        let sale = self.sale_id.unwrap_or_default();
        let quantity = from_sql_units("orders.quantity", self.quantity)?;
        let remain_count = self.remain_count.map(|count| from_sql_units("orders.remain_count", count));
        let remark = self.remark.map(Remark::parse).transpose();
        Ok(Order {
            id,
            sale: SaleId::parse(&sale).map_err(|_| corrupt("orders.sale_id", &sale))?,
            buyer: BuyerId::parse(self.user).map_err(|error| corrupt("orders.user", &error))?,
            goods: Goods::parse(self.goods).map_err(|error| corrupt("orders.goods", &error))?,
            quantity: Quantity::new(quantity).map_err(|error| corrupt("orders.quantity", &error))?,
            remark: remark.map_err(|error| corrupt("orders.remark", &error))?,
            openid: self.openid,
            remain_count: remain_count.transpose()?,
            status: order_status(&self.status)?,
            created_date: self.created_date.to_jiff(),
            update_date: self.update_date.to_jiff(),
        })
    }
}

impl TryFrom<OrderRow> for Order {
    type Error = StoreError;

    /// Fails for hand-made orders too: they are of no sale.
    fn try_from(row: OrderRow) -> Result<Self, StoreError> {
        let id = row.order_id()?;
        row.read(id).map_err(|error| of_row(format_args!("order {id}"), error))
    }
}

pub(super) fn order_id(bytes: &[u8]) -> Result<OrderId, StoreError> {
    OrderId::from_slice(bytes).ok_or_else(|| corrupt("orders.id", &bytes))
}

pub(super) fn order_status(word: &str) -> Result<OrderStatus, StoreError> {
    OrderStatus::parse(word).ok_or_else(|| corrupt("orders.status", &word))
}
