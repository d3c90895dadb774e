//! An operator who changes the stock: `crates/stock-admin/src/change.rs`, `store/adjust.rs`. A raise reaches
//! the store first, a lowering the ledger first; the command may be cut off anywhere.

use super::{
    bounds::{Bounds, Sabotage},
    ledger::Adjusted,
    state::{State, only_if, spend},
};

/// How far a command has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    Away {
        next_change: u8,
    },
    /// Holds the sale's lock, and has read the ledger: its stock and its last number.
    Looked {
        change: u8,
        ledger_stock: u8,
        above: u8,
    },
    /// The change is written in a transaction that is open, and locks the sale's row.
    Begun {
        change: u8,
        number: u8,
        stock: u8,
        store_first: bool,
    },
    /// A raise that the store has committed.
    Committed {
        change: u8,
        number: u8,
        stock: u8,
    },
    /// A lowering that the ledger has applied, in a transaction that is still open.
    Told {
        change: u8,
        number: u8,
        stock: u8,
    },
}

/// What an operator does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Look,
    Begin,
    Commit,
    TellLedger,
    /// The command is cut off: what is open is rolled back, and the lock is free.
    Die,
}

/// All steps.
pub const STEPS: [Step; 5] = [Step::Look, Step::Begin, Step::Commit, Step::TellLedger, Step::Die];

impl Operator {
    /// Whether the sale's row is locked, so that no writer and no rebuild changes it.
    pub fn locks_row(self) -> bool {
        matches!(self, Self::Begun { .. } | Self::Told { .. })
    }

    /// Whether somebody is changing the sale.
    pub fn holds_lock(self) -> bool {
        !matches!(self, Self::Away { .. })
    }
}

/// Takes `step`; none: it is not possible now.
pub fn take(state: &mut State, step: Step, bounds: &Bounds) -> Option<()> {
    let done = |change: u8| Operator::Away { next_change: change + 1 };
    let State { store, ledger, import, .. } = state;
    state.operator = match (step, state.operator) {
        (Step::Look, Operator::Away { next_change }) => {
            only_if(usize::from(next_change) < bounds.changes.len() && ledger.is_trusted())?;
            only_if(!import.holds_lock())?;
            let sale = ledger.holds.sale?;
            Operator::Looked { change: next_change, ledger_stock: sale.stock, above: sale.adjustment }
        }
        (Step::Begin, Operator::Looked { change, ledger_stock, above }) => {
            let wanted = store.stock.checked_add_signed(bounds.changes[usize::from(change)]);
            match wanted.filter(|stock| *stock >= store.sold) {
                None => done(change),
                Some(stock) => {
                    let by_ledger = bounds.lacks(Sabotage::ChangeByLedger);
                    let before = if by_ledger { ledger_stock } else { store.stock };
                    let number = store.next_number(above.max(store.adjustment));
                    Operator::Begun { change, number, stock, store_first: stock >= before }
                }
            }
        }
        (Step::Commit, Operator::Begun { change, number, stock, store_first: true }) => {
            (store.stock, store.adjustment) = (stock, number);
            Operator::Committed { change, number, stock }
        }
        (Step::TellLedger, Operator::Committed { change, number, stock }) => {
            let _whatever_it_says = ledger.adjust(number, stock);
            done(change)
        }
        (Step::TellLedger, Operator::Begun { change, number, stock, store_first: false }) => {
            match ledger.adjust(number, stock) {
                Adjusted::Applied => Operator::Told { change, number, stock },
                Adjusted::No | Adjusted::Short => done(change),
            }
        }
        (Step::Commit, Operator::Told { change, number, stock }) => {
            (store.stock, store.adjustment) = (stock, number);
            done(change)
        }
        (
            Step::Die,
            Operator::Looked { change, .. }
            | Operator::Begun { change, .. }
            | Operator::Committed { change, .. }
            | Operator::Told { change, .. },
        ) => {
            spend(&mut state.left.operator_deaths)?;
            done(change)
        }
        _ => return None,
    };
    Some(())
}
