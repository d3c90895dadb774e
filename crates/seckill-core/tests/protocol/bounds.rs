//! How large a world is, what may go wrong in it, and what is left out of the protocol on purpose.

/// Most orders of any world: each is one buyer's request under one idempotency key.
pub const ORDERS: usize = 3;
/// Most keepers at once.
pub const KEEPERS: usize = 2;

/// A mechanism of the protocol that is left out, to see which promise falls without it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sabotage {
    /// (a) The store confirms orders that do not fit its stock.
    NoStockGuard,
    /// (b) The consumer stores an offset before the transaction it stands for.
    OffsetsBeforeCommit,
    /// (c) The API gives units back when an acknowledgement does not come in time.
    UnitsBackOnTimeout,
    /// (d) `reserve.lua` decides without comparing the fence with the server.
    NoFence,
    /// The fence is the server alone, without its history of writes.
    NoHistory,
    /// (e) `reserve.lua` takes units for an order that it already has a record of.
    RecordIgnored,
    /// `reserve.lua` does not count what a buyer holds.
    NoLimit,
    /// (f) `release.lua` deletes records instead of leaving tombstones.
    RecordsDeleted,
    /// (g) `swap.lua` does not compare epochs.
    SwapAnyEpoch,
    /// A rebuild does not wait for orders that may still be answered `accepted`.
    NoWait,
    /// A rebuild does not wait until the log is written.
    NoDrain,
    /// The store writes events of epochs that a rebuild has left behind.
    SupersededWritten,
    /// `settle.lua` does not compare epochs.
    SettleAnyEpoch,
    /// A keeper judges by what it read earlier whether a load is a sale's first.
    StaleFirstLoad,
    /// A refusal is passed on though an earlier call for the same order may have taken units.
    RefusalAfterLostReply,
    /// An import sets no units aside in the ledger.
    NothingSetAside,
    /// An import goes on although a rebuild has put up for sale what was set aside.
    StaleSetAside,
    /// An import leaves the fence on.
    ImportKeepsFence,
    /// A change of stock is a raise or a lowering by what the ledger said, not by what the store has.
    ChangeByLedger,
}

/// The bounds of a world. Whatever may happen more than a few times has a budget here.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Requests, at most [`ORDERS`], of one unit each.
    pub orders: usize,
    /// Units of the sale.
    pub stock: u8,
    /// Most units of one buyer, who then makes all the requests.
    pub limit: Option<u8>,
    /// How often each request may be sent.
    pub tries: u8,
    /// Keepers at once, at most [`KEEPERS`].
    pub keepers: usize,
    /// The last epoch that a rebuild may take.
    pub epochs: u8,
    /// Whether the sale is in the ledger at the beginning; else it has just been created.
    pub loaded: bool,
    /// How often Redis may be restarted, emptied or lose a key.
    pub ledger_faults: u8,
    /// Whether Redis may come back from an older copy of itself.
    pub copies: u8,
    /// How often an answer of the ledger may be lost or a call be late.
    pub lost_replies: u8,
    /// How many orders their buyers cancel.
    pub cancels: u8,
    /// The changes of stock that operators make, one after the other.
    pub changes: &'static [i8],
    /// Orders that an operator imports.
    pub imports: u8,
    /// How often an operator's command may be cut off.
    pub operator_deaths: u8,
    /// How often somebody adds a unit to `remaining` in Redis by hand.
    pub tampering: u8,
    /// What is left out of the protocol.
    pub without: &'static [Sabotage],
}

impl Bounds {
    /// Two buyers and one unit, and nothing goes wrong but messages that are late and APIs that die.
    pub const CALM: Self = Self {
        orders: 2,
        stock: 1,
        limit: None,
        tries: 2,
        keepers: 1,
        epochs: 1,
        loaded: true,
        ledger_faults: 0,
        copies: 0,
        lost_replies: 0,
        cancels: 0,
        changes: &[],
        imports: 0,
        operator_deaths: 0,
        tampering: 0,
        without: &[],
    };

    /// Whether operators change the sale.
    pub fn has_operators(&self) -> bool {
        !self.changes.is_empty() || self.imports > 0
    }

    /// Whether the protocol lacks `mechanism` here.
    pub fn lacks(&self, mechanism: Sabotage) -> bool {
        self.without.contains(&mechanism)
    }
}
