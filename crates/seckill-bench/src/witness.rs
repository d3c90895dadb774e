//! What MySQL, Redis and Kafka hold at the end, read without any of the code under test.
//!
//! The checker deliberately does not use the adapters of `seckill-core`: a mistake in them would then be
//! on both sides of the comparison and could not be seen. It says in its own few queries what it expects
//! to find where; only the domain's types (ids, statuses) are shared.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use seckill_core::{
    order::{OrderId, OrderStatus, Units},
    sale::SaleId,
};

use crate::exit::Failure;

mod ledger;
mod log;
mod store;

pub use log::{LogWitness, Offsets};
pub use store::StoreWitness;

/// How long a database may take to answer at all.
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// A sale and its orders as MySQL holds them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreState {
    /// All units of the sale.
    pub stock: Units,
    /// Units sold, as the sale's row counts them.
    pub sold: Units,
    /// Most units that one buyer may hold.
    pub per_buyer_limit: Option<Units>,
    /// The orders.
    pub orders: HashMap<OrderId, StoredOrder>,
    /// Orders whose units have still to go back to the ledger.
    pub returns: u64,
}

/// An order as MySQL holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredOrder {
    /// Who bought.
    pub user: String,
    /// How many units.
    pub quantity: Units,
    /// Confirmed, rejected or cancelled.
    pub status: OrderStatus,
    /// When the ledger took it, in milliseconds since the epoch.
    pub created_ms: i64,
}

impl StoreState {
    /// The orders that hold units.
    pub fn live(&self) -> impl Iterator<Item = (&OrderId, &StoredOrder)> {
        self.orders.iter().filter(|(_, order)| order.status == OrderStatus::Confirmed)
    }

    /// The units that orders hold.
    pub fn live_units(&self) -> Units {
        self.live().map(|(_, order)| order.quantity).sum()
    }
}

/// A sale as Redis holds it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LedgerState {
    /// Whether the ledger would sell from it: it is there, whole, and verified on the server that holds it.
    pub trusted: bool,
    /// All units.
    pub stock: Units,
    /// Units for sale.
    pub remaining: Units,
    /// Units of each live order.
    pub live: HashMap<OrderId, Units>,
    /// Orders whose event is not known to be in the log.
    pub outbox: HashSet<OrderId>,
}

/// Where MySQL and Redis are.
#[derive(Debug)]
pub struct Witness {
    store: StoreWitness,
    ledger: ledger::LedgerWitness,
    sale: SaleId,
}

/// The few numbers that tell whether a sale is at rest, read in two round trips.
#[derive(Clone, Copy, Debug)]
struct Pulse {
    stock: Units,
    sold: Units,
    returns: u64,
    remaining: Option<Units>,
    outbox: u64,
}

impl Pulse {
    /// Every unit is for sale or written as sold, and nothing is on its way.
    fn is_at_rest(self) -> bool {
        self.remaining.is_some_and(|remaining| remaining + self.sold == self.stock)
            && self.returns == 0
            && self.outbox == 0
    }
}

impl Witness {
    /// Connects to both.
    pub async fn connect(database: &str, redis: &str, sale: SaleId) -> Result<Self, Failure> {
        let store = StoreWitness::connect(database).await?;
        let ledger = ledger::LedgerWitness::connect(redis).await?;
        Ok(Self { store, ledger, sale })
    }

    /// Whether nothing of the sale is on its way any more.
    pub async fn is_at_rest(&mut self) -> Result<bool, Failure> {
        let (stock, sold) = self.store.counts(&self.sale).await?;
        let returns = self.store.returns(&self.sale).await?;
        let (remaining, outbox) = self.ledger.counts(&self.sale).await?;
        Ok(Pulse { stock, sold, returns, remaining, outbox }.is_at_rest())
    }

    /// A number that moves while anything at all is being written to MySQL.
    pub async fn written(&mut self) -> Result<Units, Failure> {
        self.store.sold_of_all().await
    }

    /// Everything that both hold of the sale.
    pub async fn read(&mut self) -> Result<(StoreState, LedgerState), Failure> {
        let ledger = self.ledger.read(&self.sale).await?;
        let store = self.store.read(&self.sale).await?;
        Ok((store, ledger))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sale_rests_when_every_unit_is_accounted_for() {
        let rest = Pulse { stock: 10, sold: 7, returns: 0, remaining: Some(3), outbox: 0 };
        assert!(rest.is_at_rest());
        for restless in [
            Pulse { sold: 6, ..rest },
            Pulse { remaining: None, ..rest },
            Pulse { returns: 1, ..rest },
            Pulse { outbox: 1, ..rest },
        ] {
            assert!(!restless.is_at_rest(), "{restless:?}");
        }
    }
}
