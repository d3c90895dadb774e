//! What Redis holds. Names its keys and fields once more than the ledger does, on purpose.

use std::collections::{HashMap, HashSet};

use deadpool_redis::redis::{self, AsyncCommands, aio::MultiplexedConnection};
use seckill_core::{
    address::Address,
    order::{OrderId, Units},
    sale::SaleId,
};

use super::{CONNECT_WITHIN, LedgerState};
use crate::exit::Failure;

/// How many entries are read in one go.
const SCAN_COUNT: usize = 5000;

/// An entry of a hash.
type Entry = (Vec<u8>, Vec<u8>);

/// A connection to Redis that only reads.
pub struct LedgerWitness {
    connection: MultiplexedConnection,
}

impl std::fmt::Debug for LedgerWitness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LedgerWitness").finish_non_exhaustive()
    }
}

fn unreachable(error: &redis::RedisError) -> Failure {
    Failure::Unreachable(format!("Redis (REDIS_URL): {error}"))
}

fn key(sale: &SaleId, name: &str) -> String {
    format!("seckill:{{{sale}}}:{name}")
}

impl LedgerWitness {
    /// Connects.
    pub async fn connect(url: &str) -> Result<Self, Failure> {
        let wrong = |error: String| Failure::Usage(format!("REDIS_URL: {error}"));
        let place = Address::of(url).of_redis().map_err(wrong)?;
        let client = redis::Client::open(place).map_err(|error| wrong(error.to_string()))?;
        let config = redis::AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_WITHIN))
            .set_response_timeout(Some(CONNECT_WITHIN));
        let connection = client
            .get_multiplexed_async_connection_with_config(&config)
            .await
            .map_err(|error| unreachable(&error))?;
        Ok(Self { connection })
    }

    /// Units for sale, if the sale is there and trusted, and entries of the outbox.
    pub async fn counts(&mut self, sale: &SaleId) -> Result<(Option<Units>, u64), Failure> {
        let head = self.head(sale).await?;
        let outbox: u64 =
            self.connection.zcard(key(sale, "outbox")).await.map_err(|error| unreachable(&error))?;
        // One member is the sentinel, by which the ledger sees that the key was not lost.
        Ok((head.trusted.then_some(head.remaining), outbox.saturating_sub(1)))
    }

    /// All that Redis holds of `sale`.
    pub async fn read(&mut self, sale: &SaleId) -> Result<LedgerState, Failure> {
        let mut state = self.head(sale).await?;
        state.outbox = self.outbox(sale).await?;
        state.live = self.live(sale).await?;
        Ok(state)
    }

    async fn head(&mut self, sale: &SaleId) -> Result<LedgerState, Failure> {
        let fields: HashMap<String, String> =
            self.connection.hgetall(key(sale, "sale")).await.map_err(|error| unreachable(&error))?;
        let keys = ["sale", "buyers", "orders", "outbox"].map(|name| key(sale, name));
        let present: usize = self.connection.exists(&keys).await.map_err(|error| unreachable(&error))?;
        let info: redis::InfoDict = redis::cmd("INFO")
            .arg("server")
            .query_async(&mut self.connection)
            .await
            .map_err(|error| unreachable(&error))?;
        let run_id: Option<String> = info.get("run_id");
        let number = |name: &str| fields.get(name).and_then(|text| text.parse().ok());
        let (stock, remaining) = (number("stock"), number("remaining"));
        let fenced = run_id.is_some() && fields.get("fence") == run_id.as_ref();
        Ok(LedgerState {
            trusted: fenced && present == keys.len() && stock.is_some() && remaining.is_some(),
            stock: stock.unwrap_or_default(),
            remaining: remaining.unwrap_or_default(),
            ..LedgerState::default()
        })
    }

    async fn outbox(&mut self, sale: &SaleId) -> Result<HashSet<OrderId>, Failure> {
        let members: Vec<Vec<u8>> =
            self.connection.zrange(key(sale, "outbox"), 0, -1).await.map_err(|error| unreachable(&error))?;
        members.iter().filter(|member| !member.is_empty()).map(|member| read_id(member)).collect()
    }

    async fn live(&mut self, sale: &SaleId) -> Result<HashMap<OrderId, Units>, Failure> {
        let mut live = HashMap::new();
        let mut cursor = 0_u64;
        loop {
            // A scan may show an entry twice: the map takes it once.
            let (next, entries): (u64, Vec<Entry>) = redis::cmd("HSCAN")
                .arg(key(sale, "orders"))
                .arg(cursor)
                .arg("COUNT")
                .arg(SCAN_COUNT)
                .query_async(&mut self.connection)
                .await
                .map_err(|error| unreachable(&error))?;
            for (id, record) in entries.iter().filter(|(id, _)| !id.is_empty()) {
                let id = read_id(id)?;
                if let Some(units) =
                    read_live_record(record).map_err(|problem| anyhow::anyhow!("{id}: {problem}"))?
                {
                    live.insert(id, units);
                }
            }
            if next == 0 {
                return Ok(live);
            }
            cursor = next;
        }
    }
}

fn read_id(bytes: &[u8]) -> Result<OrderId, Failure> {
    OrderId::from_slice(bytes)
        .ok_or_else(|| anyhow::anyhow!("an order's id in the ledger is not 16 bytes: {bytes:?}").into())
}

/// Units of a record `L 1 99 1763940000000 3⏎…`, if it is live; nothing of a tombstone (`C`, `R`).
fn read_live_record(record: &[u8]) -> Result<Option<Units>, String> {
    let line = record.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let line = String::from_utf8_lossy(line);
    let mut words = line.split(' ');
    match (words.next(), words.next().and_then(|units| units.parse().ok())) {
        (Some("L"), Some(units)) => Ok(Some(units)),
        (Some("C" | "R"), Some(_)) => Ok(None),
        _ => Err(format!("the ledger's record begins with {line:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_records_have_units_and_tombstones_none() {
        assert_eq!(read_live_record(b"L 3 99 1763940000000 1\nuser\ngoods"), Ok(Some(3)));
        assert_eq!(read_live_record(b"C 3 99 1763940000000 1\nuser\ngoods"), Ok(None));
        assert_eq!(read_live_record(b"R 3 99 1763940000000 1\nuser\ngoods"), Ok(None));
        for bad in [&b""[..], b"X 1", b"L x", b"L"] {
            assert!(read_live_record(bad).is_err());
        }
    }

    #[test]
    fn keys_carry_the_sale_as_hash_tag() {
        assert_eq!(key(&SaleId::parse("spring").unwrap(), "sale"), "seckill:{spring}:sale");
    }
}
