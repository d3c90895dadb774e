//! The numbered record of every change that was made to a sale: who, why, by how much.

use diesel::{
    ExpressionMethods, Insertable, QueryDsl, Queryable, QueryableByName, Selectable, SelectableHelper,
    dsl::{delete, insert_into},
    sql_types::BigInt,
};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::Timestamp as SqlTimestamp;

use super::{
    OrderStore, StoreError,
    rows::{from_sql_units, to_sql_time, to_sql_units},
    schema::stock_adjustments,
    session::Connection,
};
use crate::sale::SaleId;

/// A change that was made to a sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Adjustment {
    /// Its number: later ones have greater numbers.
    pub number: u64,
    /// The sale.
    pub sale: SaleId,
    /// Units added, or taken away.
    pub delta: i64,
    /// Why.
    pub reason: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Timestamp,
}

#[derive(Insertable)]
#[diesel(table_name = stock_adjustments)]
struct NewAdjustmentRow<'a> {
    id: Option<i64>,
    sale_id: &'a str,
    delta: i64,
    reason: &'a str,
    actor: &'a str,
    at: SqlTimestamp,
}

#[derive(Queryable, Selectable)]
#[diesel(table_name = stock_adjustments)]
struct AdjustmentRow {
    id: i64,
    sale_id: String,
    delta: i64,
    reason: String,
    actor: String,
    at: SqlTimestamp,
}

#[derive(QueryableByName)]
struct Number {
    #[diesel(sql_type = BigInt)]
    number: i64,
}

impl OrderStore {
    /// All changes made to the sale `id`, oldest first.
    pub async fn history(&self, id: &SaleId) -> Result<Vec<Adjustment>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let query = stock_adjustments::table
                .filter(stock_adjustments::sale_id.eq(id.as_str()))
                .order(stock_adjustments::id)
                .select(AdjustmentRow::as_select());
            let read = query.load::<AdjustmentRow>(&mut *session).await.map_err(StoreError::from);
            let rows = session.settle(read).await?;
            rows.into_iter().map(Adjustment::try_from).collect()
        })
        .await
    }
}

impl TryFrom<AdjustmentRow> for Adjustment {
    type Error = StoreError;

    fn try_from(row: AdjustmentRow) -> Result<Self, StoreError> {
        Ok(Self {
            number: from_sql_units("stock_adjustments.id", row.id)?,
            sale: SaleId::parse(&row.sale_id).map_err(|error| StoreError::Corrupt(error.to_string()))?,
            delta: row.delta,
            reason: row.reason,
            actor: row.actor,
            at: row.at.to_jiff(),
        })
    }
}

/// Writes the audit row of a change and gives its number, which is greater than `above`.
pub(super) async fn record(
    connection: &mut Connection,
    sale: &SaleId,
    delta: i64,
    reason: &str,
    actor: &str,
    above: u64,
) -> Result<u64, StoreError> {
    let at = to_sql_time(Timestamp::now());
    let row = |id| NewAdjustmentRow { id, sale_id: sale.as_str(), delta, reason, actor, at };
    insert_into(stock_adjustments::table).values(row(None)).execute(connection).await?;
    let asked = diesel::sql_query("SELECT CAST(LAST_INSERT_ID() AS SIGNED) AS number");
    let Number { number } = asked.get_result(connection).await?;
    let above = to_sql_units(above);
    if number > above {
        return from_sql_units("stock_adjustments.id", number);
    }
    // A database that was restored, or crashed with a change pending, counts again from further back.
    // A row inserted by number takes the counter along (an updated one would not, on every server).
    delete(stock_adjustments::table.find(number)).execute(connection).await?;
    insert_into(stock_adjustments::table).values(row(Some(above + 1))).execute(connection).await?;
    from_sql_units("stock_adjustments.id", above + 1)
}
