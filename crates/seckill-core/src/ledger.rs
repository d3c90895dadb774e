//! Redis: the ledger that decides every order, atomically and fast. Every key and every script is in here;
//! nothing else in the workspace names a Redis command.
//!
//! | key | type | holds |
//! |---|---|---|
//! | `seckill:{SALE}:sale` | hash | terms, `remaining`, `adjustment`, `epoch`, `fence`, `replid` |
//! | `seckill:{SALE}:buyers` | hash | user → units held; kept only where the sale has a limit |
//! | `seckill:{SALE}:orders` | hash | order id (16 bytes) → record, see [`record`] |
//! | `seckill:{SALE}:outbox` | sorted set | order id → ms when it was taken; its event is not known to be in the log |
//! | `seckill:{SALE}:rebuild` | hash | epoch, server and history of the rebuild under way |
//! | `seckill:{SALE}:rebuild:EPOCH:…` | hash | what that rebuild has loaded so far |
//!
//! The hash tag puts all of a sale in one slot. Buyers, orders and outbox each hold a member `""` for as
//! long as they exist, so that a lost key is told from an empty one.
//!
//! **The fence.** `fence` is the `run_id` of the server on which the sale was last verified against the store, and
//! `replid` the history of writes that it went on with (its `master_replid`). A server that was restarted, or another
//! one after a failover, has another `run_id`; one that was demoted and promoted again has another history. Every
//! script that decides anything then answers `untrusted` (`fence.lua`), until the keeper has rebuilt the sale
//! ([`load`]).

mod batch;
mod change;
mod inspect;
pub mod load;
#[cfg(feature = "test-support")]
pub(crate) mod measured;
pub mod record;
mod reserve;

use std::time::Duration;

use deadpool_redis::{
    Connection, Manager, Pool, Runtime,
    redis::{AsyncConnectionConfig, ErrorKind, RedisError, Script, Value},
};
use secrecy::{ExposeSecret, SecretString};

pub use self::{
    batch::{
        CALL_EVERY, Call, Decided, DecidedOrder, MAX_BATCH, REPEAT_FOR, Reservation, ReservationQueue,
        Settled,
    },
    change::{AdjustOutcome, ReleaseOutcome},
    inspect::{LedgerSale, OrderLookup, SaleLookup},
    record::{LedgerOrder, RecordState},
    reserve::ReserveOutcome,
};
use crate::{address::Address, sale::SaleId, settings::SettingsError};

/// The longest time from the start of a reservation to the acknowledgement of its event within which the
/// order is answered `accepted`; later it is `pending`. A constant, not a setting: a rebuild of the ledger
/// relies on every API keeping to it.
pub const ACCEPT_WITHIN: Duration = Duration::from_secs(2);

/// How long one command may take before its outcome counts as unknown.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// Why the ledger gave no answer.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LedgerError {
    /// It cannot be reached or refused the command: nothing was done.
    #[error("the ledger is unavailable: {0}")]
    Unavailable(String),
    /// The answer was lost: the command may have been done, or may still be.
    #[error("the ledger's answer was lost: {0}")]
    Unknown(RedisError),
    /// It answered what no script of ours answers, or a key is of a kind that no script of ours made.
    #[error("the ledger holds what it should not: {0}")]
    Corrupt(String),
}

impl From<RedisError> for LedgerError {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::Io | ErrorKind::Parse if !error.is_connection_refusal() => Self::Unknown(error),
            // Of all that a server refuses, this alone is one sale's trouble: a key of it is somebody else's.
            _ if error.code() == Some("WRONGTYPE") => Self::Corrupt(error.to_string()),
            _ => Self::Unavailable(error.to_string()),
        }
    }
}

/// The ledger. Clones share one pool of connections.
#[derive(Clone)]
pub struct StockLedger {
    pool: Pool,
}

impl StockLedger {
    /// A ledger at `url` (`redis://…` or `rediss://…`, see [`crate::address`]). Connects when it is first used.
    pub fn new(url: &SecretString, max_connections: usize) -> Result<Self, SettingsError> {
        Self::answering_within(RESPONSE_TIMEOUT, url, max_connections)
    }

    /// The same, where an answer counts as lost only after `timeout`: for whoever has no buyer waiting.
    pub fn answering_within(
        timeout: Duration,
        url: &SecretString,
        max_connections: usize,
    ) -> Result<Self, SettingsError> {
        // Not in the client's words: they might repeat what it was given.
        let unusable = || SettingsError::of("REDIS_URL", "not a Redis URL");
        // A new connection has answers to wait for, too.
        let connect = timeout.max(CONNECT_TIMEOUT);
        let config = AsyncConnectionConfig::new()
            .set_response_timeout(Some(timeout))
            .set_connection_timeout(Some(connect));
        let place = Address::of(url.expose_secret()).of_redis();
        let place = place.map_err(|why| SettingsError::of("REDIS_URL", why))?;
        let manager = Manager::new_with_config(place, config).map_err(|_| unusable())?;
        let pool = Pool::builder(manager)
            .max_size(max_connections)
            .wait_timeout(Some(connect))
            .create_timeout(Some(connect))
            .recycle_timeout(Some(timeout))
            .runtime(Runtime::Tokio1)
            .build()
            .map_err(|error| SettingsError::of("REDIS_URL", error))?;
        Ok(Self { pool })
    }

    async fn connection(&self) -> Result<Connection, LedgerError> {
        self.pool.get().await.map_err(|error| LedgerError::Unavailable(error.to_string()))
    }

    /// Runs `script` on the sale's keys (sale, buyers, orders, outbox). Its reply is always an array.
    async fn run(
        &self,
        script: &Script,
        sale: &SaleId,
        arguments: &[impl deadpool_redis::redis::ToRedisArgs],
    ) -> Result<Vec<Value>, LedgerError> {
        let keys = Keys::of(sale);
        let mut invocation = script.prepare_invoke();
        invocation.key(&keys.sale).key(&keys.buyers).key(&keys.orders).key(&keys.outbox);
        for argument in arguments {
            invocation.arg(argument);
        }
        Ok(invocation.invoke_async(&mut *self.connection().await?).await?)
    }
}

/// Fields and values of a hash.
type Entries = Vec<(Vec<u8>, Vec<u8>)>;

/// The names of a sale's keys.
struct Keys {
    sale: String,
    buyers: String,
    orders: String,
    outbox: String,
    rebuild: String,
}

impl Keys {
    fn of(sale: &SaleId) -> Self {
        let key = |part: &str| ["seckill:{", sale.as_str(), "}:", part].concat();
        Self {
            sale: key("sale"),
            buyers: key("buyers"),
            orders: key("orders"),
            outbox: key("outbox"),
            rebuild: key("rebuild"),
        }
    }
}

/// Reads the elements of a script's reply, one after the other.
struct Reply(std::vec::IntoIter<Value>);

impl Reply {
    fn new(values: Vec<Value>) -> Self {
        Self(values.into_iter())
    }

    fn next(&mut self) -> Result<Value, LedgerError> {
        self.0.next().ok_or_else(|| LedgerError::Corrupt("a script's reply is too short".into()))
    }

    fn bytes(&mut self) -> Result<Vec<u8>, LedgerError> {
        match self.next()? {
            Value::BulkString(bytes) => Ok(bytes),
            Value::SimpleString(text) => Ok(text.into_bytes()),
            other => Err(LedgerError::Corrupt(format!("text expected in a reply, found {other:?}"))),
        }
    }

    fn text(&mut self) -> Result<String, LedgerError> {
        String::from_utf8(self.bytes()?)
            .map_err(|_| LedgerError::Corrupt("a reply's text is not UTF-8".into()))
    }

    fn number(&mut self) -> Result<u64, LedgerError> {
        let number = match self.next()? {
            Value::Int(number) => u64::try_from(number).ok(),
            Value::BulkString(bytes) => std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()),
            _ => None,
        };
        number.ok_or_else(|| LedgerError::Corrupt("a count expected in a reply".into()))
    }

    /// Milliseconds since epoch, or empty for none.
    fn time(&mut self) -> Result<Option<jiff::Timestamp>, LedgerError> {
        parse_time(&self.text()?)
    }
}

fn parse_time(text: &str) -> Result<Option<jiff::Timestamp>, LedgerError> {
    if text.is_empty() {
        return Ok(None);
    }
    let time = text.parse().ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    time.map(Some).ok_or_else(|| LedgerError::Corrupt(format!("not a time: {text}")))
}

/// A script that asks for the fence.
fn fenced(text: &str) -> Script {
    Script::new(&[include_str!("ledger/fence.lua"), text].concat())
}

fn unexpected(reply: &str) -> LedgerError {
    LedgerError::Corrupt(format!("unexpected reply of a script: {reply}"))
}
