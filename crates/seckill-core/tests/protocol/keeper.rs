//! The keeper: `crates/order-consumer/src/keeper/`. Two at once, each of which may stop anywhere and go on
//! later: the lock in MySQL that keeps them apart is not relied upon.

use super::{
    bounds::{Bounds, ORDERS, Sabotage},
    ledger::Picture,
    log::{Event, ends, has_reached},
    request::{Attempt, arrived},
    state::{Epoch, Order, Orders, State, has, only_if},
};

/// How far a rebuild has come, in one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Keeper {
    Idle,
    /// It has read the sale in the store, and the ledger is not to be trusted.
    Looked {
        never_loaded: bool,
    },
    /// It has taken an epoch.
    Took {
        epoch: Epoch,
        first_load: bool,
    },
    /// The fence is off. It waits for attempts that may still be answered `accepted`.
    Begun {
        epoch: Epoch,
        waits_for: Orders,
    },
    /// What survived is published. It waits until the log is written up to there.
    Draining {
        epoch: Epoch,
        ends: [u8; ORDERS],
    },
    /// Its epoch is admitted.
    Admitted {
        epoch: Epoch,
    },
    /// It has read the sale's orders.
    Loaded {
        epoch: Epoch,
        picture: Picture,
    },
}

/// What a keeper does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Look,
    Take,
    Begin,
    /// Waits, publishes what survived, and asks where the log ends.
    Publish,
    /// Waits until the log is written, and admits its epoch.
    Admit,
    Snapshot,
    Swap,
    /// Gives up, or dies.
    Die,
}

/// What the keeper does beside rebuilding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tending {
    /// The relay publishes an order that is still in the outbox.
    Relay(Order),
    /// The store's terms get a new number, because the ledger has applied another one.
    Realign,
    /// The ledger is told.
    TellLedger,
}

/// All steps of one keeper.
pub const STEPS: [Step; 8] =
    [Step::Look, Step::Take, Step::Begin, Step::Publish, Step::Admit, Step::Snapshot, Step::Swap, Step::Die];

impl Keeper {
    /// The attempt for `order` has ended.
    pub fn no_longer_waits_for(&mut self, order: Order) {
        if let Self::Begun { waits_for, .. } = self {
            *waits_for &= !(1 << order);
        }
    }
}

/// Takes `step` in keeper `number`; none: it is not possible now.
pub fn take(state: &mut State, number: usize, step: Step, bounds: &Bounds) -> Option<()> {
    let row_is_locked = state.row_is_locked();
    let State { store, ledger, log, .. } = state;
    let next = match (step, state.keepers[number]) {
        (Step::Look, Keeper::Idle) => {
            only_if(!ledger.is_trusted())?;
            // Nobody acts upon it but the sabotaged one: fewer states.
            Keeper::Looked { never_loaded: store.epoch == 0 && bounds.lacks(Sabotage::StaleFirstLoad) }
        }
        (Step::Take, Keeper::Looked { never_loaded }) => {
            only_if(!row_is_locked && store.rebuild_epoch < bounds.epochs)?;
            let (epoch, admitted) = store.take_rebuild_epoch();
            let by_the_look = bounds.lacks(Sabotage::StaleFirstLoad);
            Keeper::Took { epoch, first_load: if by_the_look { never_loaded } else { admitted == 0 } }
        }
        (Step::Begin, Keeper::Took { epoch, first_load }) => match ledger.begin_rebuild(epoch) {
            false => Keeper::Idle,
            // Nothing can have been reserved yet: nothing to wait for.
            true if first_load => Keeper::Draining { epoch, ends: [0; ORDERS] },
            true => Keeper::Begun { epoch, waits_for: attempts_in_time(state) },
        },
        (Step::Publish, Keeper::Begun { epoch, waits_for }) => {
            only_if(waits_for == 0 || bounds.lacks(Sabotage::NoWait))?;
            publish_survivors(state);
            let drains = !bounds.lacks(Sabotage::NoDrain);
            Keeper::Draining { epoch, ends: if drains { ends(&state.log) } else { [0; ORDERS] } }
        }
        (Step::Admit, Keeper::Draining { epoch, ends }) => {
            only_if(!row_is_locked && has_reached(log, ends))?;
            if store.admit_epoch(epoch) { Keeper::Admitted { epoch } } else { Keeper::Idle }
        }
        (Step::Snapshot, Keeper::Admitted { epoch }) => Keeper::Loaded { epoch, picture: store.picture() },
        (Step::Swap, Keeper::Loaded { epoch, picture }) => {
            ledger.swap(epoch, picture, bounds);
            Keeper::Idle
        }
        (Step::Die, _) => Keeper::Idle,
        _ => return None,
    };
    state.keepers[number] = next;
    Some(())
}

/// The attempts that may still be answered `accepted`: each began less than `ACCEPT_WITHIN` ago.
fn attempts_in_time(state: &State) -> Orders {
    let mut attempts = 0;
    for (order, request) in state.requests.iter().enumerate() {
        if matches!(request.attempt, Attempt::Publishing(_)) {
            attempts |= 1 << order;
        }
    }
    attempts
}

/// Publishes what is in the outbox, whatever the fence says, and waits until it is in the log.
fn publish_survivors(state: &mut State) {
    for order in 0..ORDERS {
        if let Some(epoch) = state.ledger.in_outbox(order) {
            state.log[order].append(Event::Placed(epoch));
        }
    }
}

/// Takes a step beside the rebuilding; none: it is not possible now.
pub fn tend(state: &mut State, step: Tending, bounds: &Bounds) -> Option<()> {
    match step {
        Tending::Relay(order) => {
            only_if(state.ledger.is_trusted())?;
            let epoch = state.ledger.in_outbox(order)?;
            let request = &state.requests[order];
            // It takes what is older than an attempt may last, and what is settled at once it leaves alone.
            only_if(!matches!(request.attempt, Attempt::Publishing(_)))?;
            only_if(!has(request.acknowledged, epoch.into()))?;
            arrived(state, order, epoch);
        }
        Tending::Realign => {
            only_if(bounds.has_operators() && state.ledger.is_trusted())?;
            only_if(!state.operator.holds_lock() && !state.import.holds_lock())?;
            only_if(state.realigning.is_none())?;
            let ledger = state.ledger.holds.sale?.adjustment;
            only_if(state.store.adjustment != ledger)?;
            let number = state.store.next_number(ledger.max(state.store.adjustment));
            state.store.adjustment = number;
            state.realigning = Some((number, state.store.stock));
        }
        Tending::TellLedger => {
            let (number, stock) = state.realigning.take()?;
            let _whatever_it_says = state.ledger.adjust(number, stock);
        }
    }
    Some(())
}
