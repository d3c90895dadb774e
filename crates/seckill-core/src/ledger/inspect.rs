//! Reading the ledger: a sale, an order, the outbox, the live orders.

use std::{
    collections::{HashMap, HashSet},
    sync::LazyLock,
    time::Duration,
};

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
/// How many entries of an outbox are scanned at once.
const SCAN: usize = 5_000;

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
        let stock = i64::try_from(self.sale.stock).unwrap_or(i64::MAX);
        stock.saturating_sub_unsigned(self.remaining).saturating_sub_unsigned(sold)
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

    /// What the ledger has of a sale. What cannot be read is not to be trusted.
    pub async fn sale(&self, sale: &SaleId) -> Result<SaleLookup, LedgerError> {
        match self.read_sale(sale).await {
            Err(LedgerError::Corrupt(why)) => {
                tracing::error!(%sale, why, "the ledger cannot be read: the sale must be rebuilt");
                Ok(SaleLookup::Untrusted)
            }
            read => read,
        }
    }

    async fn read_sale(&self, sale: &SaleId) -> Result<SaleLookup, LedgerError> {
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
    /// orders that hold no units any more, or cannot be read, are left out.
    pub async fn outbox(
        &self,
        sale: &SaleId,
        age: Duration,
        limit: usize,
    ) -> Result<Vec<LedgerOrder>, LedgerError> {
        let outbox = Keys::of(sale).outbox;
        let (newest, to_come) = self.reach(age).await?;
        let mut ids = Vec::new();
        // The sentinel's score is 0.
        for (from, to) in [("(0".to_owned(), newest.to_string()), (format!("({to_come}"), "+inf".to_owned())]
        {
            let mut range = cmd("ZRANGEBYSCORE");
            range.arg(&outbox).arg(from).arg(to).arg("LIMIT").arg(0).arg(limit - ids.len());
            let found: Vec<Vec<u8>> = range.query_async(&mut *self.connection().await?).await?;
            ids.extend(found.iter().filter_map(|id| OrderId::from_slice(id)));
        }
        let (orders, _) = self.outbox_orders(sale, &ids).await?;
        Ok(orders)
    }

    /// The ids of all that has been in the outbox for at least `age`, or since a moment that has yet to come, in no
    /// order, and of whatever state. However many they are, no call takes long.
    pub async fn outbox_ids(&self, sale: &SaleId, age: Duration) -> Result<Vec<OrderId>, LedgerError> {
        let outbox = Keys::of(sale).outbox;
        let (newest, to_come) = self.reach(age).await?;
        let (mut ids, mut cursor) = (HashSet::new(), 0_u64);
        loop {
            let mut scan = cmd("ZSCAN");
            scan.arg(&outbox).arg(cursor).arg("COUNT").arg(SCAN);
            let (next, entries): (u64, Vec<(Vec<u8>, f64)>) =
                scan.query_async(&mut *self.connection().await?).await?;
            let due = |at: f64| at > 0.0 && (at <= newest as f64 || at > to_come as f64);
            let found = entries.iter().filter(|(_, at)| due(*at));
            ids.extend(found.filter_map(|(id, _)| OrderId::from_slice(id)));
            if next == 0 {
                return Ok(ids.into_iter().collect());
            }
            cursor = next;
        }
    }

    /// What has been in an outbox for `age` is there since the first of these moments; what is there since a moment
    /// that has yet to come, by more than `age`, since after the second. Milliseconds since epoch.
    async fn reach(&self, age: Duration) -> Result<(i64, i64), LedgerError> {
        let now = self.now().await?.as_millisecond();
        let age = i64::try_from(age.as_millis()).unwrap_or(i64::MAX);
        Ok((now.saturating_sub(age), now.saturating_add(age)))
    }

    /// The live orders among `ids`, all of the sale's outbox, and how many of these cannot be read.
    pub async fn outbox_orders(
        &self,
        sale: &SaleId,
        ids: &[OrderId],
    ) -> Result<(Vec<LedgerOrder>, usize), LedgerError> {
        let orders_key = Keys::of(sale).orders;
        let (mut orders, mut unreadable) = (Vec::with_capacity(ids.len()), 0);
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
                        unreadable += 1;
                    }
                }
            }
        }
        Ok((orders, unreadable))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ledger_that_lost_units_or_made_some_up_drifts_by_as_many() {
        let drift = |remaining, sold| {
            let sale = Sale {
                id: SaleId::parse("s").unwrap(),
                title: String::new(),
                stock: 10,
                per_buyer_limit: None,
                opens_at: None,
                closes_at: None,
                switch: SaleSwitch::Open,
            };
            let (adjustment, epoch, orders, outbox, outbox_age) = (1, 1, 0, 0, Duration::ZERO);
            let now = Timestamp::UNIX_EPOCH;
            LedgerSale { sale, remaining, adjustment, epoch, orders, outbox, outbox_age, now }
                .held_beyond(sold)
        };
        assert_eq!([drift(7, 3), drift(6, 3), drift(8, 3)], [0, 1, -1]);
        assert_eq!(drift(12, 0), -2, "more is left than the stock");
        assert_eq!(drift(u64::MAX, u64::MAX), i64::MIN);
    }
}
