//! Loading a sale into the ledger: the Redis side of a rebuild, and the only way in which a sale gets there.
//!
//! [`StockLedger::begin_rebuild`] takes the fence off; the orders come in through [`Loading::add`] under
//! temporary keys; [`Loading::swap_in`] puts them in place in one atomic step, if nothing has come between.
//! The order of the whole, with the log and the store, is the keeper's: `order-consumer/src/keeper/rebuild.rs`.

use std::{collections::HashMap, sync::LazyLock};

use deadpool_redis::redis::{Script, cmd, pipe};

use super::{Entries, Keys, LedgerError, RecordState, Reply, StockLedger, fenced, record, unexpected};
use crate::{
    order::{Order, Units},
    sale::{Sale, SaleId},
};

static BEGIN: LazyLock<Script> = LazyLock::new(|| fenced(include_str!("begin_rebuild.lua")));
static SWAP: LazyLock<Script> = LazyLock::new(|| fenced(include_str!("swap.lua")));

/// Temporary keys of a rebuild that was given up go by themselves.
const TEMPORARY_SECONDS: i64 = 3600;

/// Most entries in one `HSET`.
const PAGE: usize = 1000;

/// What became of a step of a rebuild.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SwapOutcome {
    /// The sale is in the ledger, trusted.
    Swapped,
    /// A later rebuild has begun: this one is over.
    Superseded,
    /// The ledger lost something meanwhile: rebuild once more.
    Incomplete,
}

impl StockLedger {
    /// Takes the fence off `sale`, so that it decides nothing until a rebuild of `epoch` or a later one has
    /// swapped it in. False if a later rebuild has begun.
    pub async fn begin_rebuild(&self, sale: &SaleId, epoch: u64) -> Result<bool, LedgerError> {
        let keys = Keys::of(sale);
        let mut invocation = BEGIN.prepare_invoke();
        invocation.key(&keys.sale).key(&keys.rebuild).arg(epoch);
        let mut reply = Reply::new(invocation.invoke_async(&mut *self.connection().await?).await?);
        match reply.text()?.as_str() {
            "begun" => Ok(true),
            "superseded" => Ok(false),
            other => Err(unexpected(other)),
        }
    }

    /// Whether the server decides only while replicas follow it closely (`min-replicas-to-write`). One that was cut off
    /// from them may then have gone on for a moment after another took its place.
    pub async fn needs_replicas(&self) -> Result<bool, LedgerError> {
        let mut info = cmd("INFO");
        let told: String = info.arg("replication").query_async(&mut *self.connection().await?).await?;
        Ok(told.contains("min_slaves_good_slaves:"))
    }

    /// Starts to load `sale` for the rebuild of `epoch`, under temporary keys.
    pub async fn start_loading(&self, sale: &SaleId, epoch: u64) -> Result<Loading, LedgerError> {
        let keys = Keys::of(sale);
        // `begin_rebuild.lua` knows these names.
        let loading = Loading {
            ledger: self.clone(),
            sale: sale.clone(),
            epoch,
            buyers_key: format!("{}:{epoch}:buyers", keys.rebuild),
            orders_key: format!("{}:{epoch}:orders", keys.rebuild),
            held: 0,
            held_by_buyer: Some(HashMap::new()),
            orders: 0,
        };
        let mut connection = self.connection().await?;
        cmd("UNLINK")
            .arg(&loading.buyers_key)
            .arg(&loading.orders_key)
            .query_async::<()>(&mut *connection)
            .await?;
        // Given back before the next is taken: rebuilds at once would starve each other of connections.
        drop(connection);
        loading.put(&loading.orders_key, &[(Vec::new(), Vec::new())]).await?;
        Ok(loading)
    }
}

/// A sale that is being loaded.
pub struct Loading {
    ledger: StockLedger,
    sale: SaleId,
    epoch: u64,
    buyers_key: String,
    orders_key: String,
    held: Units,
    /// None: nobody asks.
    held_by_buyer: Option<HashMap<String, Units>>,
    orders: usize,
}

impl Loading {
    /// The same, for a sale without a limit: what each buyer holds is not counted. A million buyers are 100 MB.
    #[must_use]
    pub fn without_buyers(self) -> Self {
        Self { held_by_buyer: None, ..self }
    }

    /// Adds orders as the store has them; none may come twice.
    pub async fn add(&mut self, orders: &[Order]) -> Result<(), LedgerError> {
        let mut entries = Vec::with_capacity(orders.len());
        for order in orders {
            let state = RecordState::of(order.status);
            if state == RecordState::Live {
                self.held += order.quantity.units();
                if let Some(held_by_buyer) = &mut self.held_by_buyer {
                    // Summed here by bytes: the store's collations would take buyers for one that are not.
                    *held_by_buyer.entry(order.buyer.as_str().to_owned()).or_default() +=
                        order.quantity.units();
                }
            }
            entries
                .push((order.id.as_bytes().to_vec(), record::encode(order, self.epoch, state).into_bytes()));
        }
        self.orders += entries.len();
        self.put(&self.orders_key, &entries).await
    }

    /// Units of the live orders that were added.
    pub fn held(&self) -> Units {
        self.held
    }

    /// Puts what was loaded in place, atomically, with `sale`'s terms, its last change and a new fence.
    /// `sale.stock` must not be less than [`Self::held`].
    pub async fn swap_in(self, sale: &Sale, adjustment: u64) -> Result<SwapOutcome, LedgerError> {
        let mut buyers: Entries = vec![(Vec::new(), Vec::new())];
        if sale.per_buyer_limit.is_some() {
            let held_by_buyer = self.held_by_buyer.as_ref().ok_or_else(|| {
                LedgerError::Corrupt(format!("what buyers of sale {} hold was not counted", self.sale))
            })?;
            for (buyer, held) in held_by_buyer {
                buyers.push((buyer.clone().into_bytes(), held.to_string().into_bytes()));
            }
        }
        self.put(&self.buyers_key, &buyers).await?;

        let keys = Keys::of(&self.sale);
        let mut invocation = SWAP.prepare_invoke();
        for key in [&keys.sale, &keys.buyers, &keys.orders, &keys.outbox, &keys.rebuild] {
            invocation.key(key);
        }
        invocation.key(&self.buyers_key).key(&self.orders_key);
        invocation.arg(self.epoch).arg(buyers.len()).arg(self.orders + 1);
        for (field, value) in self.fields(sale, adjustment)? {
            invocation.arg(field).arg(value);
        }
        let mut reply = Reply::new(invocation.invoke_async(&mut *self.ledger.connection().await?).await?);
        match reply.text()?.as_str() {
            "swapped" => Ok(SwapOutcome::Swapped),
            "superseded" => Ok(SwapOutcome::Superseded),
            "incomplete" => Ok(SwapOutcome::Incomplete),
            other => Err(unexpected(other)),
        }
    }

    fn fields(&self, sale: &Sale, adjustment: u64) -> Result<Vec<(&'static str, String)>, LedgerError> {
        let remaining = sale.stock.checked_sub(self.held).ok_or_else(|| {
            LedgerError::Corrupt(format!("live orders of sale {} hold more than its stock", self.sale))
        })?;
        let mut fields = vec![
            ("title", sale.title.clone()),
            ("stock", sale.stock.to_string()),
            ("remaining", remaining.to_string()),
            ("state", sale.switch.as_str().to_owned()),
            ("adjustment", adjustment.to_string()),
        ];
        let optional = [
            ("limit", sale.per_buyer_limit.map(|limit| limit.to_string())),
            ("opensAt", sale.opens_at.map(|time| time.as_millisecond().to_string())),
            ("closesAt", sale.closes_at.map(|time| time.as_millisecond().to_string())),
        ];
        fields.extend(optional.into_iter().filter_map(|(field, value)| Some((field, value?))));
        Ok(fields)
    }

    async fn put(&self, key: &str, entries: &[(Vec<u8>, Vec<u8>)]) -> Result<(), LedgerError> {
        let mut connection = self.ledger.connection().await?;
        for page in entries.chunks(PAGE) {
            // Together: what comes at once costs Redis one write to its disk.
            let mut both = pipe();
            both.cmd("HSET").arg(key);
            for (field, value) in page {
                both.arg(field).arg(value);
            }
            both.ignore().expire(key, TEMPORARY_SECONDS).ignore();
            both.query_async::<()>(&mut *connection).await?;
        }
        Ok(())
    }
}
