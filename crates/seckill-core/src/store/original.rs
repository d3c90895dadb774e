//! The table of the original system, which is only ever read: `order`, as `TypeORM` makes it of its entity.
//!
//! Published versions differ. The entity forgets to make a column of `goods`, so that what was bought is only
//! in the raw Kafka message; forks have put it right. So the columns are looked up first.

use diesel::{
    QueryableByName,
    sql_types::{BigInt, Nullable, Text},
};
use diesel_async::{RunQueryDsl, SimpleAsyncConnection};
use secrecy::SecretString;

use super::{
    StoreError, StoreOptions,
    session::{self, Session},
};

/// Rows a page.
const PAGE: usize = 500;

/// Columns without which a row says nothing.
const NEEDED: [&str; 3] = ["id", "user", "openid"];

/// A row of the original, as it is: nothing of it is checked.
#[derive(Clone, Debug, Default, PartialEq, Eq, QueryableByName)]
pub struct OriginalOrder {
    /// Its primary key, a UUID.
    #[diesel(sql_type = Text)]
    pub id: String,
    /// Who bought.
    #[diesel(sql_type = Nullable<Text>)]
    pub user: Option<String>,
    /// What was bought; most databases do not have it.
    #[diesel(sql_type = Nullable<Text>)]
    pub goods: Option<String>,
    /// `UUID-MILLISECONDS`, made when the order was taken.
    #[diesel(sql_type = Nullable<Text>)]
    pub openid: Option<String>,
    /// Units left right after it; the original counted below zero.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub remain_count: Option<i64>,
    /// The buyer's note.
    #[diesel(sql_type = Nullable<Text>)]
    pub remark: Option<String>,
    /// When it was written, in milliseconds since epoch.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub created_ms: Option<i64>,
    /// When it was last changed, in milliseconds since epoch.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub updated_ms: Option<i64>,
    /// The message of its Kafka topic: JSON, whose `value` is JSON once more.
    #[diesel(sql_type = Nullable<Text>)]
    pub kafka_raw_message: Option<String>,
}

#[derive(QueryableByName)]
struct Column {
    #[diesel(sql_type = Text)]
    name: String,
}

#[derive(QueryableByName)]
struct Count {
    #[diesel(sql_type = BigInt)]
    count: i64,
}

/// The original's orders, read in pages. Holds a connection.
pub struct OriginalOrders {
    session: Session,
    page: String,
    last: String,
}

impl OriginalOrders {
    /// Connects to the original's database. `time_zone` (`+08:00`) is that of its `DATETIME`s. None: it has no
    /// table `order` with the columns that are needed.
    pub async fn open(url: &SecretString, time_zone: &str) -> Result<Option<Self>, StoreError> {
        let mut session = Session::own(url).await?;
        // The only words of a time zone are its own: sign, digits and a colon.
        let zone: String =
            time_zone.chars().filter(|it| it.is_ascii_digit() || matches!(it, '+' | '-' | ':')).collect();
        // Longer than an operator thinks about the question that comes in between.
        let set = format!("SET SESSION time_zone = '{zone}', wait_timeout = 28800");
        let set = session.batch_execute(&set).await;
        session.settle(set.map_err(StoreError::from)).await?;
        let columns = diesel::sql_query(
            "SELECT column_name AS name FROM information_schema.columns \
             WHERE table_schema = DATABASE() AND table_name = 'order'",
        );
        session.resume()?;
        let read = columns.load::<Column>(&mut *session).await.map_err(StoreError::from);
        let columns: Vec<String> =
            session.settle(read).await?.into_iter().map(|column| column.name).collect();
        let has = |name: &str| columns.iter().any(|column| column == name);
        if !NEEDED.into_iter().all(has) {
            return Ok(None);
        }
        Ok(Some(Self { session, page: page_query(has), last: String::new() }))
    }

    /// How many there are.
    pub async fn count(&mut self) -> Result<usize, StoreError> {
        self.session.resume()?;
        let query = diesel::sql_query("SELECT COUNT(*) AS count FROM `order`");
        let read = query.get_result::<Count>(&mut *self.session).await.map_err(StoreError::from);
        let Count { count } = self.session.settle(read).await?;
        Ok(usize::try_from(count).unwrap_or(usize::MAX))
    }

    /// The next rows, by primary key. An empty page: that was all, and the next call begins anew.
    pub async fn next_page(&mut self) -> Result<Vec<OriginalOrder>, StoreError> {
        self.session.resume()?;
        let query = diesel::sql_query(&self.page).bind::<Text, _>(&self.last);
        let read = session::bounded(StoreOptions::default().answer_within, async {
            Ok(query.load::<OriginalOrder>(&mut *self.session).await)
        });
        let rows = read.await?.map_err(StoreError::from);
        let rows = self.session.settle(rows).await?;
        self.last = rows.last().map(|row| row.id.clone()).unwrap_or_default();
        Ok(rows)
    }
}

fn page_query(has: impl Fn(&str) -> bool) -> String {
    let cast = |column: &str, expression: &str, kind: &str, name: &str| {
        let expression = if has(column) { expression } else { "NULL" };
        format!("CAST({expression} AS {kind}) AS {name}")
    };
    let columns = [
        cast("id", "`id`", "CHAR", "id"),
        cast("user", "`user`", "CHAR", "user"),
        cast("goods", "`goods`", "CHAR", "goods"),
        cast("openid", "`openid`", "CHAR", "openid"),
        cast("remainCount", "`remainCount`", "SIGNED", "remain_count"),
        cast("remark", "`remark`", "CHAR", "remark"),
        cast("createdDate", "UNIX_TIMESTAMP(`createdDate`) * 1000", "SIGNED", "created_ms"),
        cast("updateDate", "UNIX_TIMESTAMP(`updateDate`) * 1000", "SIGNED", "updated_ms"),
        cast("kafkaRawMessage", "`kafkaRawMessage`", "CHAR", "kafka_raw_message"),
    ];
    format!(
        "SELECT {} FROM `order` WHERE `order`.id > ? ORDER BY `order`.id LIMIT {PAGE}",
        columns.join(", ")
    )
}
