//! Making, editing and deleting orders by hand.

use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, SelectableHelper,
    dsl::{delete, insert_into, replace_into, update},
};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;

use super::{LegacyOrder, find, shown};
use crate::{
    order::{BuyerId, Goods, Openid, Order, OrderId, OrderStatus, Remark, Units},
    store::{
        OrderStore, StoreError,
        rows::{OrderRow, to_sql_time, to_sql_units},
        schema::{order_edits, orders},
        session::Connection,
    },
};

/// An order that an operator makes by hand: of no sale.
#[derive(Clone, Debug)]
pub struct HandMadeOrder {
    /// Who buys.
    pub buyer: BuyerId,
    /// What is bought.
    pub goods: Goods,
    /// The note.
    pub remark: Option<Remark>,
    /// The original's name of it; none: made from its id.
    pub openid: Option<Openid>,
    /// Units left right after it, as far as anybody knows.
    pub remain_count: Option<Units>,
}

/// What became of [`OrderStore::insert_hand_made`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InsertOutcome {
    /// It is there.
    Inserted(Box<LegacyOrder>),
    /// Another order has its `openid`.
    OpenidTaken,
}

/// What an operator changes of an order; what is none stays.
#[derive(Clone, Debug, Default)]
pub struct OrderEdit {
    /// Who buys.
    pub buyer: Option<BuyerId>,
    /// What is bought.
    pub goods: Option<Goods>,
    /// The note.
    pub remark: RemarkEdit,
}

/// What an operator makes of an order's note.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RemarkEdit {
    /// It stays.
    #[default]
    Keep,
    /// There is none any more.
    Clear,
    /// It is this.
    Set(Remark),
}

/// Orders that can be deleted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deletable {
    /// Those of a sale: to be cancelled before they are hidden.
    pub of_sales: Vec<Order>,
    /// The hand-made ones.
    pub hand_made: Vec<OrderId>,
}

impl OrderStore {
    /// Makes an order by hand. It touches no stock.
    pub async fn insert_hand_made(&self, order: &HandMadeOrder) -> Result<InsertOutcome, StoreError> {
        let (id, now) = (OrderId::fresh(), Timestamp::now());
        let openid = order.openid.as_ref().map_or_else(|| id.openid(now), |given| given.as_str().to_owned());
        let row = (
            orders::id.eq(id.as_bytes().to_vec()),
            orders::user.eq(order.buyer.as_str()),
            orders::goods.eq(order.goods.as_str()),
            orders::quantity.eq(1),
            orders::remark.eq(order.remark.as_ref().map(Remark::as_str)),
            orders::openid.eq(&openid),
            orders::remain_count.eq(order.remain_count.map(to_sql_units)),
            orders::status.eq(OrderStatus::Confirmed.as_str()),
            orders::created_date.eq(to_sql_time(now)),
            orders::update_date.eq(to_sql_time(now)),
        );
        let inserted = self.bounded(async {
            let mut session = self.session().await?;
            session.begin().await?;
            let written = insert_into(orders::table).values(row).execute(&mut *session).await;
            let read = match written {
                Ok(_) => find(&mut session, id).await,
                Err(error) => Err(error.into()),
            };
            session.settle(read).await
        });
        match inserted.await {
            Ok(Some((row, edit))) => Ok(InsertOutcome::Inserted(Box::new(shown(row, edit)?))),
            Ok(None) => Err(StoreError::Corrupt("an order vanished as it was made".into())),
            Err(error) if error.is_taken_key() => Ok(InsertOutcome::OpenidTaken),
            Err(error) => Err(error),
        }
    }

    /// Changes how the order `id` is shown. False: there is none.
    pub async fn edit_order(&self, id: OrderId, edit: &OrderEdit) -> Result<bool, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            session.begin().await?;
            let written = write_edit(&mut session, id, edit).await;
            session.settle(written).await
        })
        .await
    }

    /// Those of `ids` that are there and not deleted.
    pub async fn deletable(&self, ids: &[OrderId]) -> Result<Deletable, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let query = orders::table
                .filter(orders::id.eq_any(as_bytes(ids)))
                .filter(orders::deleted_at.is_null())
                .select((orders::sale_id.is_not_null(), OrderRow::as_select()));
            let read = query.load::<(bool, OrderRow)>(&mut *session).await.map_err(StoreError::from);
            let mut found = Deletable::default();
            for (of_sale, row) in session.settle(read).await? {
                if of_sale {
                    found.of_sales.push(Order::try_from(row)?);
                } else {
                    found.hand_made.push(row.order_id()?);
                }
            }
            Ok(found)
        })
        .await
    }

    /// Deletes what is hand-made and hides what is of a sale, all at once; says how many that were.
    pub async fn delete_orders(
        &self,
        hand_made: &[OrderId],
        of_sales: &[OrderId],
    ) -> Result<u64, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            session.begin().await?;
            let deleted = delete_and_hide(&mut session, hand_made, of_sales).await;
            session.settle(deleted).await
        })
        .await
    }
}

async fn write_edit(connection: &mut Connection, id: OrderId, edit: &OrderEdit) -> Result<bool, StoreError> {
    // Of two edits at once, the second sees what the first has made.
    let lock = orders::table
        .find(&id.as_bytes()[..])
        .filter(orders::deleted_at.is_null())
        .select(orders::id)
        .for_update();
    if lock.first::<Vec<u8>>(connection).await.optional()?.is_none() {
        return Ok(false);
    }
    let Some((row, before)) = find(connection, id).await? else { return Ok(false) };
    let before = shown(row, before)?;
    let remark = match &edit.remark {
        RemarkEdit::Keep => before.remark,
        RemarkEdit::Clear => None,
        RemarkEdit::Set(remark) => Some(remark.as_str().to_owned()),
    };
    let after = (
        order_edits::order_id.eq(id.as_bytes().to_vec()),
        order_edits::user.eq(edit.buyer.as_ref().map_or(&*before.user, BuyerId::as_str)),
        order_edits::goods.eq(edit.goods.as_ref().map_or(&*before.goods, Goods::as_str)),
        order_edits::remark.eq(remark),
        order_edits::at.eq(to_sql_time(Timestamp::now())),
    );
    replace_into(order_edits::table).values(after).execute(connection).await?;
    Ok(true)
}

async fn delete_and_hide(
    connection: &mut Connection,
    hand_made: &[OrderId],
    of_sales: &[OrderId],
) -> Result<u64, StoreError> {
    let mut affected = 0;
    if !hand_made.is_empty() {
        let ids = as_bytes(hand_made);
        let edits = order_edits::table.filter(order_edits::order_id.eq_any(ids.clone()));
        delete(edits).execute(connection).await?;
        let rows = orders::table.filter(orders::id.eq_any(ids)).filter(orders::sale_id.is_null());
        affected += delete(rows).execute(connection).await?;
    }
    if !of_sales.is_empty() {
        let rows =
            orders::table.filter(orders::id.eq_any(as_bytes(of_sales))).filter(orders::deleted_at.is_null());
        let hidden = orders::deleted_at.eq(to_sql_time(Timestamp::now()));
        affected += update(rows).set(hidden).execute(connection).await?;
    }
    Ok(affected as u64)
}

fn as_bytes(ids: &[OrderId]) -> Vec<&[u8]> {
    ids.iter().map(|id| &id.as_bytes()[..]).collect()
}
