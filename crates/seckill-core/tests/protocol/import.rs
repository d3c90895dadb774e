//! An import: orders that another system has taken become orders of the sale, one in each transaction.
//! `crates/seckill-core/src/change/import.rs`, `store/import.rs`. It may be cut off anywhere, and is run again.

use super::{
    bounds::{Bounds, Sabotage},
    ledger::Adjusted,
    state::{Epoch, State, only_if, spend},
};

/// How far an import has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Import {
    Away,
    /// Holds the sale's lock. In which admitted epoch the ledger has set aside the units of what is left.
    Between {
        set_aside_in: Option<Epoch>,
    },
    /// An order is written in a transaction that is open, and locks the sale's row.
    Written {
        set_aside: bool,
        number: u8,
    },
    /// The fence is off, under an epoch of that transaction.
    Fenced {
        number: u8,
        epoch: Epoch,
    },
}

/// What an import does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Lock,
    Write,
    SetAside,
    TakeFenceOff,
    Commit,
    /// The command is cut off: what is open is rolled back, and the lock is free.
    Die,
}

/// All steps.
pub const STEPS: [Step; 6] =
    [Step::Lock, Step::Write, Step::SetAside, Step::TakeFenceOff, Step::Commit, Step::Die];

impl Import {
    /// Whether the sale's row is locked, so that no writer and no rebuild changes it.
    pub fn locks_row(self) -> bool {
        matches!(self, Self::Written { .. } | Self::Fenced { .. })
    }

    /// Whether it keeps others from changing the sale.
    pub fn holds_lock(self) -> bool {
        self != Self::Away
    }
}

/// Takes `step`; none: it is not possible now.
pub fn take(state: &mut State, step: Step, bounds: &Bounds) -> Option<()> {
    let others = state.operator.holds_lock();
    let State { store, ledger, .. } = state;
    state.import = match (step, state.import) {
        (Step::Lock, Import::Away) => {
            only_if(!others && store.imported < bounds.imports && ledger.is_trusted())?;
            spend(&mut state.left.import_runs)?;
            Import::Between { set_aside_in: None }
        }
        (Step::Write, Import::Between { set_aside_in: Some(epoch) })
            if epoch != store.epoch && !bounds.lacks(Sabotage::StaleSetAside) =>
        {
            // A rebuild has put them up for sale.
            Import::Between { set_aside_in: None }
        }
        (Step::Write, Import::Between { set_aside_in }) => {
            if store.sold == store.stock {
                Import::Away
            } else if set_aside_in.is_some() {
                Import::Written { set_aside: true, number: store.adjustment }
            } else {
                only_if(ledger.is_trusted())?;
                let above = ledger.holds.sale?.adjustment;
                let number = store.next_number(above.max(store.adjustment));
                Import::Written { set_aside: bounds.lacks(Sabotage::NothingSetAside), number }
            }
        }
        (Step::SetAside, Import::Written { set_aside: false, number }) => {
            let left = bounds.imports - store.imported;
            match store.stock.checked_sub(left).map(|stock| ledger.adjust(number, stock)) {
                Some(Adjusted::Applied) => Import::Written { set_aside: true, number },
                Some(Adjusted::No | Adjusted::Short) | None => Import::Away,
            }
        }
        (Step::TakeFenceOff, Import::Written { set_aside: true, number }) => {
            let epoch = store.rebuild_epoch + 1;
            if bounds.lacks(Sabotage::ImportKeepsFence) {
                Import::Fenced { number, epoch }
            } else if epoch < bounds.epochs {
                // Overtaken: the next number, in the same transaction. Later bounds than these are not needed.
                let taken = (epoch..bounds.epochs).find(|epoch| ledger.begin_rebuild(*epoch));
                taken.map_or(Import::Away, |epoch| Import::Fenced { number, epoch })
            } else {
                Import::Away
            }
        }
        (Step::Commit, Import::Fenced { number, epoch }) => {
            store.imported += 1;
            store.sold += 1;
            (store.adjustment, store.rebuild_epoch) = (number, epoch);
            if store.imported == bounds.imports {
                Import::Away
            } else {
                Import::Between { set_aside_in: Some(store.epoch) }
            }
        }
        (Step::Die, Import::Between { .. } | Import::Written { .. } | Import::Fenced { .. }) => {
            spend(&mut state.left.operator_deaths)?;
            Import::Away
        }
        _ => return None,
    };
    Some(())
}
