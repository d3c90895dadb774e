//! The steps of one order, with their times.

use diesel::{
    ExpressionMethods, OptionalExtension, QueryDsl, Queryable, Selectable, SelectableHelper, dsl::update,
};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::Timestamp as SqlTimestamp;

use super::{
    OrderStore, StoreError,
    rows::{corrupt, order_status, to_sql_time},
    schema::order_steps,
    session::Connection,
};
use crate::{
    order::{OrderId, OrderStatus},
    order_log::Position,
    sale::SaleId,
};

/// Where in the order log an event is, and since when.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Logged {
    /// Where.
    pub position: Position,
    /// When it was published, by the publisher's clock; none: the log does not say.
    pub at: Option<Timestamp>,
}

/// How an order the store has came along. Nothing where it is not known: what was stored before times were
/// kept has few of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderTimeline {
    /// How far it has come.
    pub status: OrderStatus,
    /// When the ledger took it, by the ledger's clock.
    pub reserved: Timestamp,
    /// Where in the log the event is that placed it.
    pub published: Option<Logged>,
    /// When the store wrote it, by the consumer's clock, as those below.
    pub written: Option<Timestamp>,
    /// When the store wrote that it is cancelled.
    pub cancelled: Option<Timestamp>,
    /// When the ledger had its units back.
    pub returned: Option<Timestamp>,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = order_steps)]
struct TimelineRow {
    status: String,
    created_date: SqlTimestamp,
    log_position: Option<String>,
    published_at: Option<SqlTimestamp>,
    written_at: Option<SqlTimestamp>,
    cancelled_at: Option<SqlTimestamp>,
    returned_at: Option<SqlTimestamp>,
}

impl OrderStore {
    /// How the order `id` of `sale` came along, if the store has it. Those that an operator has deleted, too:
    /// they are kept for just such questions.
    pub async fn timeline(&self, sale: &SaleId, id: OrderId) -> Result<Option<OrderTimeline>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let query = order_steps::table
                .find(&id.as_bytes()[..])
                .filter(order_steps::sale_id.eq(sale.as_str()))
                .select(TimelineRow::as_select());
            let read = query.first::<TimelineRow>(&mut *session).await.optional().map_err(StoreError::from);
            session.settle(read).await?.map(OrderTimeline::try_from).transpose()
        })
        .await
    }
}

/// Notes when those of `orders` were cancelled that are, if it was not noted yet.
pub(super) async fn note_cancelled(
    connection: &mut Connection,
    orders: &[(OrderId, SaleId)],
    at: Timestamp,
) -> Result<(), StoreError> {
    let ids: Vec<&[u8]> = orders.iter().map(|(id, _)| &id.as_bytes()[..]).collect();
    let cancelled = order_steps::table
        .filter(order_steps::id.eq_any(ids))
        .filter(order_steps::status.eq(OrderStatus::Cancelled.as_str()))
        .filter(order_steps::cancelled_at.is_null());
    update(cancelled).set(order_steps::cancelled_at.eq(to_sql_time(at))).execute(connection).await?;
    Ok(())
}

/// Notes when the ledger had the units of `ids` back, if it was not noted yet.
pub(super) async fn note_returned(
    connection: &mut Connection,
    ids: &[OrderId],
    at: Timestamp,
) -> Result<(), StoreError> {
    let mut ids: Vec<&[u8]> = ids.iter().map(|id| &id.as_bytes()[..]).collect();
    // Several sweeps at once lock in the same order.
    ids.sort_unstable();
    let returned =
        order_steps::table.filter(order_steps::id.eq_any(ids)).filter(order_steps::returned_at.is_null());
    update(returned).set(order_steps::returned_at.eq(to_sql_time(at))).execute(connection).await?;
    Ok(())
}

impl TryFrom<TimelineRow> for OrderTimeline {
    type Error = StoreError;

    fn try_from(row: TimelineRow) -> Result<Self, StoreError> {
        let position = row
            .log_position
            .map(|text| text.parse::<Position>().map_err(|_| corrupt("orders.log_position", &text)));
        let at = row.published_at.map(SqlTimestamp::to_jiff);
        Ok(Self {
            status: order_status(&row.status)?,
            reserved: row.created_date.to_jiff(),
            published: position.transpose()?.map(|position| Logged { position, at }),
            written: row.written_at.map(SqlTimestamp::to_jiff),
            cancelled: row.cancelled_at.map(SqlTimestamp::to_jiff),
            returned: row.returned_at.map(SqlTimestamp::to_jiff),
        })
    }
}
