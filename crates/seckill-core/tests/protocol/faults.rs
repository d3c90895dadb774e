//! What happens to Redis.

use super::{
    bounds::{Bounds, Sabotage},
    ledger::Contents,
    state::{State, only_if, spend},
};

/// A fault of the ledger.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A replica, or the file on the disk, is as far as the ledger is now.
    Copy,
    /// A restart that loses nothing: only the fence is another.
    Restart,
    /// A restart, or a failover, with the older copy.
    RollBack,
    /// A failover to the older copy and back: the server that was the ledger before is given the copy's data and is the
    /// ledger again. It was not restarted, so its `run_id` is the old one.
    FailBack,
    /// `FLUSHALL`: everything is lost, the server and its history stay.
    Flush,
    /// One key is lost.
    LoseKey(Key),
    /// Somebody adds a unit to `remaining` by hand. Nothing notices.
    Tamper,
}

/// A key of the sale.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Sale,
    Buyers,
    Orders,
    Outbox,
    Rebuild,
}

/// All faults.
pub const FAULTS: [Fault; 11] = [
    Fault::Copy,
    Fault::Restart,
    Fault::RollBack,
    Fault::FailBack,
    Fault::Flush,
    Fault::LoseKey(Key::Sale),
    Fault::LoseKey(Key::Buyers),
    Fault::LoseKey(Key::Orders),
    Fault::LoseKey(Key::Outbox),
    Fault::LoseKey(Key::Rebuild),
    Fault::Tamper,
];

/// Lets `fault` happen; none: it cannot now.
pub fn strike(state: &mut State, fault: Fault, bounds: &Bounds) -> Option<()> {
    match fault {
        Fault::Copy => {
            only_if(state.left.ledger_faults > 0)?;
            spend(&mut state.left.copies)?;
            state.copy = Some(state.ledger.holds);
        }
        Fault::Restart => {
            spend(&mut state.left.ledger_faults)?;
            restart(state, state.ledger.holds);
        }
        Fault::RollBack => {
            let copy = state.copy.take()?;
            spend(&mut state.left.ledger_faults)?;
            restart(state, copy);
        }
        Fault::FailBack => {
            let copy = state.copy.take()?;
            spend(&mut state.left.ledger_faults)?;
            // It is the same process: a call that is on its way to it may still arrive.
            if bounds.lacks(Sabotage::NoHistory) {
                state.ledger.holds = copy;
            } else {
                state.ledger.restart_with(copy);
            }
        }
        Fault::Flush => {
            spend(&mut state.left.ledger_faults)?;
            state.ledger.holds = Contents::default();
        }
        Fault::LoseKey(key) => {
            spend(&mut state.left.ledger_faults)?;
            let holds = &mut state.ledger.holds;
            match key {
                Key::Sale => holds.sale = None,
                Key::Buyers => holds.buyers = None,
                Key::Orders => holds.orders = None,
                Key::Outbox => holds.outbox = None,
                Key::Rebuild => holds.rebuild = None,
            }
        }
        Fault::Tamper => {
            let sale = state.ledger.holds.sale.as_mut()?;
            spend(&mut state.left.tampering)?;
            sale.remaining += 1;
        }
    }
    if state.left.ledger_faults == 0 {
        state.copy = None;
    }
    Some(())
}

fn restart(state: &mut State, contents: Contents) {
    state.ledger.restart_with(contents);
    // Another server's, from here on.
    if let Some(copy) = &mut state.copy {
        copy.disown();
    }
    for request in &mut state.requests {
        // It was on its way to a server that is no more.
        request.late_call = false;
    }
}
