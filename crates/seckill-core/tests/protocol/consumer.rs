//! The consumers: `crates/order-consumer/src/consume.rs` and `returns.rs`. There may be any number of them.
//!
//! A consumer that holds an event and was stopped, one that reads again after a crash between COMMIT and
//! offset, and a second event that says the same are one thing: [`Step::Rewrite`], at any time.

use super::{
    bounds::{Bounds, Sabotage},
    ledger::Record,
    state::{Order, State, has, only_if},
    store::Row,
};

/// What consumers do, for one order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The next event is written, and after the COMMIT its offset is stored.
    Write,
    /// The event at this place is written once more.
    Rewrite(u8),
    /// Sabotage: the offset is stored first.
    StoreOffset,
    /// Sabotage: a consumer dies between the offset and the transaction.
    Die,
    /// A sweep gives the order's unit back to the ledger.
    Release,
    /// The sweep takes the order off the list.
    DeleteReturn,
}

/// All steps of `order`.
pub fn steps(order: Order, bounds: &Bounds, add: &mut impl FnMut(Order, Step)) {
    for step in [Step::Write, Step::Release, Step::DeleteReturn] {
        add(order, step);
    }
    for place in 0..=bounds.epochs {
        add(order, Step::Rewrite(place));
    }
    if bounds.lacks(Sabotage::OffsetsBeforeCommit) {
        add(order, Step::StoreOffset);
        add(order, Step::Die);
    }
}

/// Takes `step` for `order`; none: it is not possible now.
pub fn take(state: &mut State, order: Order, step: Step, bounds: &Bounds) -> Option<()> {
    let early = bounds.lacks(Sabotage::OffsetsBeforeCommit);
    let row_is_locked = state.row_is_locked();
    let partition = &mut state.log[order];
    match step {
        Step::Write => {
            let event = partition.at(partition.written)?;
            only_if(!row_is_locked && (!early || partition.committed > partition.written))?;
            partition.written += 1;
            partition.committed = partition.written;
            state.store.write(order, event, bounds);
        }
        Step::Rewrite(place) => {
            only_if(place < partition.written && !row_is_locked)?;
            let event = partition.at(place)?;
            state.store.write(order, event, bounds);
        }
        Step::StoreOffset => {
            only_if(partition.committed == partition.written)?;
            partition.at(partition.written)?;
            partition.committed += 1;
        }
        Step::Die => {
            only_if(partition.committed > partition.written)?;
            partition.written = partition.committed;
        }
        Step::Release => {
            only_if(has(state.store.returns, order) && !has(state.swept, order))?;
            let tombstone = match state.store.orders[order] {
                Row::Rejected => Record::Rejected,
                Row::None | Row::Confirmed | Row::Cancelled => Record::Cancelled,
            };
            only_if(state.ledger.release(order, tombstone, bounds))?;
            state.swept |= 1 << order;
        }
        Step::DeleteReturn => {
            only_if(has(state.swept, order))?;
            state.swept &= !(1 << order);
            state.store.returns &= !(1 << order);
        }
    }
    Some(())
}
