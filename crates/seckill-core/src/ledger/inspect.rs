//! Reading the ledger: a sale, an order, the outbox, the live orders.

use std::{collections::HashMap, sync::LazyLock, time::Duration};

use deadpool_redis::redis::{Script, cmd};
use jiff::Timestamp;

use super::{
    Entries, Keys, LedgerError, LedgerOrder, RecordState, Reply, StockLedger, fenced, parse_time, record,
    unexpected,
};
use crate::{
    order::{OrderId, Units},
    sale::{Sale, SaleId, SaleSwitch},
};

static VIEW: LazyLock<Script> = LazyLock::new(|| fenced(include_str!("view.lua")));
static FIND: LazyLock<Script> = LazyLock::new(|| fenced(include_str!("find.lua")));

/// How many records are read at once.
const PAGE: usize = 500;

/// A sale as the ledger has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerSale {
    /// Its terms.
    pub sale: Sale,
    /// Units that no live order holds.
    pub remaining: Units,
    /// The last numbered change that was applied.
    pub adjustment: u64,
    /// The epoch in which orders are taken.
    pub epoch: u64,
    /// Orders known, tombstones included.
    pub orders: u64,
    /// Orders whose events are not known to be in the order log.
    pub outbox: u64,
    /// How long the oldest of them has been there.
    pub outbox_age: Duration,
    /// The ledger's clock: the one that opens and ends sales.
    pub now: Timestamp,
}

impl LedgerSale {
    /// Units that live orders hold; none, where more are left than the stock.
    pub fn held(&self) -> Units {
        self.sale.stock.saturating_sub(self.remaining)
    }

    /// Units that live orders hold beyond the `sold` of the store: none, while nothing is on its way between
    /// the two.
    pub fn held_beyond(&self, sold: Units) -> i64 {
        let held = i64::try_from(self.sale.stock - self.remaining).unwrap_or(i64::MAX);
        held.saturating_sub_unsigned(sold)
    }
}

/// What the ledger says of a sale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaleLookup {
    /// It has it, verified.
    Trusted(LedgerSale),
    /// It must be rebuilt before it decides anything.
    Untrusted,
    /// It does not know the sale.
    Absent,
}

/// What the ledger says of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderLookup {
    /// It has it.
    Found(Box<LedgerOrder>),
    /// It is sure that there is none.
    Unknown,
    /// It must be rebuilt before it says anything.
    Untrusted,
    /// It does not know the sale.
    Absent,
}

impl StockLedger {
    /// Whether the ledger answers at all.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        Ok(cmd("PING").query_async(&mut *self.connection().await?).await?)
    }

    /// The server's setting `name`, as `CONFIG GET` tells it; none where there is no such setting.
    pub async fn server_setting(&self, name: &str) -> Result<Option<String>, LedgerError> {
        let mut settings: HashMap<String, String> =
            cmd("CONFIG").arg("GET").arg(name).query_async(&mut *self.connection().await?).await?;
        Ok(settings.remove(name))
    }

    /// The ledger's clock.
    pub async fn now(&self) -> Result<Timestamp, LedgerError> {
        let (seconds, micros): (i64, i32) = cmd("TIME").query_async(&mut *self.connection().await?).await?;
        Timestamp::new(seconds, micros * 1000).map_err(|_| unexpected("a time out of range"))
    }

    /// What the ledger has of a sale.
    pub async fn sale(&self, sale: &SaleId) -> Result<SaleLookup, LedgerError> {
        let mut reply = Reply::new(self.run(&VIEW, sale, &[] as &[&str]).await?);
        match reply.text()?.as_str() {
            "absent" => Ok(SaleLookup::Absent),
            "untrusted" => Ok(SaleLookup::Untrusted),
            "trusted" => Ok(SaleLookup::Trusted(decode_sale(sale, reply)?)),
            other => Err(unexpected(other)),
        }
    }

    /// What the ledger has of an order.
    pub async fn order(&self, sale: &SaleId, id: OrderId) -> Result<OrderLookup, LedgerError> {
        let mut reply = Reply::new(self.run(&FIND, sale, &[id.as_bytes()]).await?);
        let in_outbox = match reply.text()?.as_str() {
            "absent" => return Ok(OrderLookup::Absent),
            "untrusted" => return Ok(OrderLookup::Untrusted),
            "unknown" => return Ok(OrderLookup::Unknown),
            "P" => true,
            "A" => false,
            other => return Err(unexpected(other)),
        };
        let order = record::decode(sale, id, &reply.bytes()?, in_outbox)?;
        Ok(OrderLookup::Found(Box::new(order)))
    }

    /// The orders that have been in the outbox for at least `age`, oldest first, at most `limit`; and those that are in
    /// it since a moment that has yet to come, by more than `age`, for then the clock was set back.
    ///
    /// Asks no fence: what survived in a ledger that lost something is still worth publishing. Entries of
    /// orders that hold no units any more are left out.
    pub async fn outbox(
        &self,
        sale: &SaleId,
        age: Duration,
        limit: usize,
    ) -> Result<Vec<LedgerOrder>, LedgerError> {
        let ids = self.outbox_ids(sale, age, limit).await?;
        self.outbox_orders(sale, &ids).await
    }

    /// The ids of what [`Self::outbox`] finds, and of those that hold no units any more.
    pub async fn outbox_ids(
        &self,
        sale: &SaleId,
        age: Duration,
        limit: usize,
    ) -> Result<Vec<OrderId>, LedgerError> {
        let outbox = Keys::of(sale).outbox;
        let (now, age) =
            (self.now().await?.as_millisecond(), i64::try_from(age.as_millis()).unwrap_or(i64::MAX));
        let (newest, to_come) = (now.saturating_sub(age), now.saturating_add(age));
        let mut ids = Vec::new();
        // The sentinel's score is 0.
        for (from, to) in [("(0".to_owned(), newest.to_string()), (format!("({to_come}"), "+inf".to_owned())]
        {
            let mut range = cmd("ZRANGEBYSCORE");
            range.arg(&outbox).arg(from).arg(to).arg("LIMIT").arg(0).arg(limit - ids.len());
            let found: Vec<Vec<u8>> = range.query_async(&mut *self.connection().await?).await?;
            ids.extend(found.iter().filter_map(|id| OrderId::from_slice(id)));
        }
        Ok(ids)
    }

    /// The live orders among `ids`, all of the sale's outbox.
    pub async fn outbox_orders(
        &self,
        sale: &SaleId,
        ids: &[OrderId],
    ) -> Result<Vec<LedgerOrder>, LedgerError> {
        let orders_key = Keys::of(sale).orders;
        let mut orders = Vec::with_capacity(ids.len());
        for page in ids.chunks(PAGE) {
            let mut hmget = cmd("HMGET");
            hmget.arg(&orders_key);
            for id in page {
                hmget.arg(id.as_bytes());
            }
            let records: Vec<Option<Vec<u8>>> = hmget.query_async(&mut *self.connection().await?).await?;
            for (&id, record) in page.iter().zip(records) {
                let Some(record) = record else { continue };
                match record::decode(sale, id, &record, true) {
                    Ok(order) if order.state == RecordState::Live => orders.push(order),
                    Ok(_) => {}
                    // It keeps no other from the log.
                    Err(error) => {
                        tracing::error!(%sale, order = %id, %error, "an order in the outbox cannot be read");
                    }
                }
            }
        }
        Ok(orders)
    }

    /// Hands every order that the ledger knows to `visit`, tombstones included. One that changes meanwhile
    /// may be visited in either state, and more than once.
    pub async fn visit_orders(
        &self,
        sale: &SaleId,
        mut visit: impl FnMut(LedgerOrder),
    ) -> Result<(), LedgerError> {
        let keys = Keys::of(sale);
        let mut connection = self.connection().await?;
        let mut cursor = 0_u64;
        loop {
            let (next, entries): (u64, Entries) = cmd("HSCAN")
                .arg(&keys.orders)
                .arg(cursor)
                .arg("COUNT")
                .arg(PAGE)
                .query_async(&mut *connection)
                .await?;
            for (id, record) in entries {
                if let Some(id) = OrderId::from_slice(&id) {
                    visit(record::decode(sale, id, &record, false)?);
                }
            }
            if next == 0 {
                return Ok(());
            }
            cursor = next;
        }
    }
}

fn decode_sale(id: &SaleId, mut reply: Reply) -> Result<LedgerSale, LedgerError> {
    let now = reply.time()?.ok_or_else(|| unexpected("no time"))?;
    let (orders, outbox) = (reply.number()?, reply.number()?);
    let oldest = reply.time()?;
    let mut fields = HashMap::new();
    while let Ok(name) = reply.text() {
        fields.insert(name, reply.text()?);
    }
    let missing = |name: &str| LedgerError::Corrupt(format!("sale {id} has no usable {name} in the ledger"));
    let number =
        |name: &str| fields.get(name).and_then(|text| text.parse().ok()).ok_or_else(|| missing(name));
    let time = |name: &str| parse_time(fields.get(name).map_or("", String::as_str));

    let sale = Sale {
        id: id.clone(),
        title: fields.get("title").cloned().ok_or_else(|| missing("title"))?,
        stock: number("stock")?,
        per_buyer_limit: fields.contains_key("limit").then(|| number("limit")).transpose()?,
        opens_at: time("opensAt")?,
        closes_at: time("closesAt")?,
        switch: fields
            .get("state")
            .and_then(|word| SaleSwitch::parse(word))
            .ok_or_else(|| missing("state"))?,
    };
    Ok(LedgerSale {
        sale,
        remaining: number("remaining")?,
        adjustment: number("adjustment")?,
        epoch: number("epoch")?,
        orders,
        outbox,
        outbox_age: oldest.map_or(Duration::ZERO, |oldest| now.duration_since(oldest).unsigned_abs()),
        now,
    })
}
