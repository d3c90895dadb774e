//! Sales: made once, then read. How they change is in [`super::adjust`] and [`super::rebuild`].

use diesel::{
    ExpressionMethods, Insertable, OptionalExtension, QueryDsl, SelectableHelper,
    dsl::{insert_into, update},
};
use diesel_async::RunQueryDsl;
use jiff::Timestamp;
use jiff_diesel::Timestamp as SqlTimestamp;

use super::{
    OrderStore, StoreError, audit,
    rows::{SaleRow, to_sql_time, to_sql_units},
    schema::sales,
    session::{Connection, Session},
};
use crate::{
    order::Units,
    sale::{Sale, SaleId, SaleState},
};

/// A sale as the store holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredSale {
    /// Its terms.
    pub sale: Sale,
    /// Units of its confirmed orders.
    pub sold: Units,
    /// Number of the last adjustment made to it.
    pub adjustment: u64,
    /// The admitted epoch: new orders of an older one are refused.
    pub epoch: u64,
    /// The last epoch that a rebuild of its ledger has taken.
    pub rebuild_epoch: u64,
    /// When it was made.
    pub created: Timestamp,
}

impl StoredSale {
    /// Where it comes, the least first, if all sales have to be seen to at `now`, one after the other. The sale that
    /// opened last comes first, for a crowd is most likely there; sold out or not, for units come back. Then what goes
    /// on or opens at any moment, the next first; last of all what is over.
    pub fn turn(&self, now: Timestamp) -> (u8, i64) {
        let opens = self.sale.opens_at.map_or(self.created, |opens| opens.max(self.created)).as_millisecond();
        match self.sale.state(now, self.sale.stock.saturating_sub(self.sold)) {
            SaleState::Open | SaleState::SoldOut => (0, -opens),
            SaleState::Paused => (1, -opens),
            SaleState::Scheduled => (2, opens),
            SaleState::Ended => (3, -opens),
        }
    }
}

/// The sales of a store.
#[derive(Debug)]
pub struct ReadableSales {
    /// All that can be read, by name.
    pub sales: Vec<StoredSale>,
    /// Why another one cannot be, if there is such: somebody has changed its row by hand.
    pub unreadable: Option<StoreError>,
}

/// What became of [`OrderStore::create_sale`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CreateOutcome {
    /// The sale is there now, with its first adjustment.
    Created(StoredSale),
    /// A sale of this name was there before; it is as it was.
    AlreadyExists,
}

#[derive(Insertable)]
#[diesel(table_name = sales)]
struct NewSaleRow<'a> {
    id: &'a str,
    title: &'a str,
    stock: i64,
    per_buyer_limit: Option<i64>,
    opens_at: Option<SqlTimestamp>,
    closes_at: Option<SqlTimestamp>,
    state: &'a str,
    created_date: SqlTimestamp,
    update_date: SqlTimestamp,
}

impl OrderStore {
    /// Makes `sale`, in the name of `actor` (at most 128 characters), with its first adjustment.
    pub async fn create_sale(&self, sale: &Sale, actor: &str) -> Result<CreateOutcome, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            create(&mut session, sale, actor).await
        })
        .await
    }

    /// The sale named `id`, if there is one.
    pub async fn sale(&self, id: &SaleId) -> Result<Option<StoredSale>, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let read = load(&mut session, id).await;
            session.settle(read).await
        })
        .await
    }

    /// All sales, by name. An error if one of them cannot be read.
    pub async fn sales(&self) -> Result<Vec<StoredSale>, StoreError> {
        let ReadableSales { sales, unreadable } = self.readable_sales().await?;
        unreadable.map_or(Ok(sales), Err)
    }

    /// All sales that can be read: for who sees to one after the other, and must not leave them all for the sake of one.
    pub async fn readable_sales(&self) -> Result<ReadableSales, StoreError> {
        self.bounded(async {
            let mut session = self.session().await?;
            let query = sales::table.order(sales::id).select(SaleRow::as_select());
            let read = query.load::<SaleRow>(&mut *session).await.map_err(StoreError::from);
            let rows = session.settle(read).await?;
            let mut readable = ReadableSales { sales: Vec::with_capacity(rows.len()), unreadable: None };
            for row in rows {
                match StoredSale::try_from(row) {
                    Ok(sale) => readable.sales.push(sale),
                    Err(error) => readable.unreadable = Some(error),
                }
            }
            Ok(readable)
        })
        .await
    }
}

/// Makes `sale` in a transaction of its own.
pub(super) async fn create(
    session: &mut Session,
    sale: &Sale,
    actor: &str,
) -> Result<CreateOutcome, StoreError> {
    session.begin().await?;
    let created = insert(session, sale, actor).await;
    match session.settle(created).await {
        Ok(stored) => Ok(CreateOutcome::Created(stored)),
        Err(error) if error.is_taken_key() => Ok(CreateOutcome::AlreadyExists),
        Err(error) => Err(error),
    }
}

async fn insert(connection: &mut Connection, sale: &Sale, actor: &str) -> Result<StoredSale, StoreError> {
    let now = to_sql_time(Timestamp::now());
    let row = NewSaleRow {
        id: sale.id.as_str(),
        title: &sale.title,
        stock: to_sql_units(sale.stock),
        per_buyer_limit: sale.per_buyer_limit.map(to_sql_units),
        opens_at: sale.opens_at.map(to_sql_time),
        closes_at: sale.closes_at.map(to_sql_time),
        state: sale.switch.as_str(),
        created_date: now,
        update_date: now,
    };
    // The sale first: only who makes it may number an adjustment of it.
    insert_into(sales::table).values(row).execute(connection).await?;
    let delta = to_sql_units(sale.stock);
    let number = audit::record(connection, &sale.id, delta, "created", actor, 0).await?;
    let named = sales::table.find(sale.id.as_str());
    update(named).set(sales::adjustment.eq(to_sql_units(number))).execute(connection).await?;
    load(connection, &sale.id)
        .await?
        .ok_or_else(|| StoreError::Corrupt("a sale vanished as it was made".into()))
}

/// The sale named `id`, if there is one, as the connection's transaction sees it.
pub(super) async fn load(connection: &mut Connection, id: &SaleId) -> Result<Option<StoredSale>, StoreError> {
    let query = sales::table.find(id.as_str()).select(SaleRow::as_select());
    let row: Option<SaleRow> = query.first(connection).await.optional()?;
    row.map(StoredSale::try_from).transpose()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sale::SaleSwitch;

    #[test]
    fn who_opened_last_comes_first_and_what_is_over_last() {
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let stored = |name: &str, created, opens: Option<i64>, closes: Option<i64>, switch| StoredSale {
            sale: Sale {
                id: SaleId::parse(name).unwrap(),
                title: String::new(),
                stock: 5,
                per_buyer_limit: None,
                opens_at: opens.map(at),
                closes_at: closes.map(at),
                switch,
            },
            sold: 0,
            adjustment: 1,
            epoch: 1,
            rebuild_epoch: 1,
            created: at(created),
        };
        let mut sales = [
            stored("closed", 9, None, None, SaleSwitch::Closed),
            stored("opened-at-2", 1, Some(2), None, SaleSwitch::Open),
            stored("opens-at-12", 1, Some(12), None, SaleSwitch::Open),
            stored("over-since-5", 1, None, Some(5), SaleSwitch::Open),
            stored("made-at-8", 8, Some(3), None, SaleSwitch::Open),
            StoredSale { sold: 5, ..stored("sold-out-since-7", 1, Some(7), None, SaleSwitch::Open) },
            stored("opens-at-11", 9, Some(11), None, SaleSwitch::Open),
            stored("paused", 9, None, None, SaleSwitch::Paused),
        ];
        sales.sort_by_key(|sale| sale.turn(at(10)));
        assert_eq!(
            sales.each_ref().map(|stored| stored.sale.id.as_str()),
            [
                "made-at-8",
                "sold-out-since-7",
                "opened-at-2",
                "paused",
                "opens-at-11",
                "opens-at-12",
                "closed",
                "over-since-5"
            ]
        );
    }
}
