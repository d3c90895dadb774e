//! A state of the world: what every part of the system holds at one moment.

use super::{
    bounds::{Bounds, KEEPERS, ORDERS},
    import::Import,
    keeper::Keeper,
    ledger::{Contents, Ledger},
    log::Partition,
    operator::Operator,
    request::Request,
    store::Store,
};

/// An order, by its place. The id is made from the idempotency key, so a retry is the same order.
pub type Order = usize;
/// The number of a rebuild.
pub type Epoch = u8;
/// A set of orders: bit `n` stands for order `n`.
pub type Orders = u8;
/// A set of epochs, likewise.
pub type Epochs = u8;

/// Everything, at one moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct State {
    /// What each buyer asks and was told, and what the APIs know of it.
    pub requests: [Request; ORDERS],
    /// Redis.
    pub ledger: Ledger,
    /// An older copy of its contents, which it may come back with.
    pub copy: Option<Contents>,
    /// Kafka: one partition an order, for only the events of one order keep their order.
    pub log: [Partition; ORDERS],
    /// MySQL.
    pub store: Store,
    /// The processes that rebuild, each wherever it was stopped.
    pub keepers: [Keeper; KEEPERS],
    /// Orders whose return the ledger has confirmed and the store still lists.
    pub swept: Orders,
    /// Who changes the stock.
    pub operator: Operator,
    /// Who imports orders.
    pub import: Import,
    /// A change of the keeper that the ledger has not been told of yet: number and stock.
    pub realigning: Option<(u8, u8)>,
    /// What may still go wrong.
    pub left: Budget,
}

/// How often an import may be run.
const IMPORT_RUNS: u8 = 2;

/// How often each of these may still happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Budget {
    /// Restarts, losses.
    pub ledger_faults: u8,
    /// Older copies.
    pub copies: u8,
    /// Lost and late calls.
    pub lost_replies: u8,
    /// Cancellations.
    pub cancels: u8,
    /// Commands of an operator that are cut off.
    pub operator_deaths: u8,
    /// Runs of an import: one that finds no room could be tried for ever.
    pub import_runs: u8,
    /// Units added by hand.
    pub tampering: u8,
}

impl State {
    /// The beginning: the sale has been created, and loaded where `bounds` says so.
    pub fn new(bounds: &Bounds) -> Self {
        let store = Store::new(bounds.stock, bounds.loaded);
        let ledger = if bounds.loaded { Ledger::loaded(&store) } else { Ledger::default() };
        Self {
            requests: [Request::new(bounds.tries); ORDERS],
            ledger,
            copy: None,
            log: [Partition::default(); ORDERS],
            store,
            keepers: [Keeper::Idle; KEEPERS],
            swept: 0,
            operator: Operator::Away { next_change: 0 },
            import: Import::Away,
            realigning: None,
            left: Budget {
                ledger_faults: bounds.ledger_faults,
                copies: bounds.copies,
                lost_replies: bounds.lost_replies,
                cancels: bounds.cancels,
                operator_deaths: bounds.operator_deaths,
                import_runs: if bounds.imports > 0 { IMPORT_RUNS } else { 0 },
                tampering: bounds.tampering,
            },
        }
    }
}

impl State {
    /// Whether the sale's row is locked, so that no writer and no rebuild changes it.
    pub fn row_is_locked(&self) -> bool {
        self.operator.locks_row() || self.import.locks_row()
    }
}

/// Spends one of `budget`; none: nothing is left, and the step is not possible.
pub fn spend(budget: &mut u8) -> Option<()> {
    *budget = budget.checked_sub(1)?;
    Some(())
}

/// Whether `set` has `member`.
pub fn has(set: u8, member: usize) -> bool {
    set & (1 << member) != 0
}

/// Goes on only if `condition` holds: a step that is not possible now gives none.
pub fn only_if(condition: bool) -> Option<()> {
    condition.then_some(())
}
