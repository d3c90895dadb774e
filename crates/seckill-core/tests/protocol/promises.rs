//! The promises of the system, as properties of a state. `docs/reliability.md` says what each rests on.

use stateright::Property;

use super::{
    bounds::ORDERS,
    ledger::Record,
    log::Event,
    model::Protocol,
    request::Attempt,
    state::{Order, State},
    store::Row,
};

pub const P1: &str = "p1: units in live orders never exceed the stock";
pub const P2: &str = "p2: an accepted order is confirmed, or cancelled by its buyer";
pub const P3_ANSWER: &str = "p3: an accepted order is never refused to a retry";
pub const P3_LIMIT: &str = "p3: no buyer holds more than the limit";
pub const P4_LEDGER: &str = "p4: in a trusted ledger, stock = remaining + live orders";
pub const P4_REST: &str = "p4: at rest, ledger and store hold the same orders";
pub const P5_REFUSED: &str = "p5: what was refused takes nothing";
pub const P5_LAST: &str = "p5: an order whose last answer was sold out is not confirmed";
pub const P5_RESOLVES: &str = "p5: whatever is under way can go on until nothing is";

pub const SOLD_OUT: &str = "a buyer is refused";
pub const REBUILT: &str = "a rebuilt ledger sells";
pub const RESOLD: &str = "a unit that was cancelled is sold again";
pub const SUPERSEDED: &str = "an event is superseded";
pub const TAKEN_ANEW: &str = "an order that was superseded is taken anew";
pub const PENDING_CONFIRMED: &str = "a pending order is confirmed";
pub const REJECTED: &str = "the stock guard rejects an order";
pub const CHANGED: &str = "the stock is changed, and the change is sold";
pub const IMPORTED: &str = "all orders are imported, and the ledger sells on";
pub const AT_REST: &str = "all orders are answered and nothing is under way";

/// Every promise, and what must be reachable for the check to mean something.
pub fn properties() -> Vec<Property<Protocol>> {
    vec![
        Property::always(P1, |_, state: &State| holds_p1(state)),
        Property::always(P2, |model, state: &State| model.orders().all(|order| holds_p2(state, order))),
        Property::always(P3_ANSWER, |_, state: &State| !state.requests.iter().any(|it| it.told.contradicted)),
        Property::always(P3_LIMIT, |model, state: &State| {
            model.limit().is_none_or(|it| state.store.live() <= it)
        }),
        Property::always(P4_LEDGER, |_, state: &State| holds_p4_in_ledger(state)),
        Property::always(P4_REST, |model, state: &State| !model.is_at_rest(state) || agrees(state)),
        Property::always(P5_REFUSED, |model, state: &State| {
            model.orders().all(|it| refused_nothing(state, it))
        }),
        Property::always(P5_LAST, |model, state: &State| model.orders().all(|order| last_word(state, order))),
        Property::always(P5_RESOLVES, |model, state: &State| model.can_go_on(state)),
        Property::sometimes(SOLD_OUT, |_, state: &State| state.requests.iter().any(|it| it.told.refused)),
        Property::sometimes(REBUILT, |_, state: &State| was_rebuilt(state)),
        Property::sometimes(RESOLD, |_, state: &State| was_resold(state)),
        Property::sometimes(SUPERSEDED, |model, state: &State| {
            model.orders().any(|it| superseded(state, it, Row::None))
        }),
        Property::sometimes(TAKEN_ANEW, |model, state: &State| {
            model.orders().any(|it| taken_anew(state, it))
        }),
        Property::sometimes(PENDING_CONFIRMED, |model, state: &State| {
            model.orders().any(|order| confirmed_after_pending(state, order))
        }),
        Property::sometimes(REJECTED, |_, state: &State| state.store.orders.contains(&Row::Rejected)),
        Property::sometimes(CHANGED, |model, state: &State| was_changed(model, state)),
        Property::sometimes(IMPORTED, |model, state: &State| was_imported(model, state)),
        Property::sometimes(AT_REST, |model, state: &State| {
            model.is_at_rest(state) && model.orders().all(|order| state.requests[order].tries_left == 0)
        }),
    ]
}

fn holds_p1(state: &State) -> bool {
    let store = &state.store;
    let live = store.live() + store.imported;
    live <= store.stock && live == store.sold
}

/// Accepted is acknowledged, so it is in the log; once the log is written it is in the store.
fn holds_p2(state: &State, order: Order) -> bool {
    if !state.requests[order].told.accepted || !state.log[order].is_drained() {
        return true;
    }
    match state.store.orders[order] {
        Row::Confirmed => true,
        Row::Cancelled => state.log[order].contains(Event::Cancelled),
        Row::None | Row::Rejected => false,
    }
}

fn holds_p4_in_ledger(state: &State) -> bool {
    let Some(sale) = state.ledger.holds.sale.filter(|_| state.ledger.is_trusted()) else { return true };
    let live = (0..ORDERS).filter(|order| matches!(state.ledger.record(*order), Record::Live(_)));
    let live = u8::try_from(live.count()).expect("few orders") + sale.imported;
    sale.remaining.checked_add(live) == Some(sale.stock)
}

/// Ledger and store, with nothing on its way between them.
fn agrees(state: &State) -> bool {
    let Some(sale) = state.ledger.holds.sale else { return false };
    let orders_agree = (0..ORDERS).all(|order| {
        let live = matches!(state.ledger.record(order), Record::Live(_));
        live == (state.store.orders[order] == Row::Confirmed)
    });
    let live = state.store.live() + state.store.imported;
    orders_agree
        && sale.imported == state.store.imported
        && sale.stock == state.store.stock
        && sale.remaining + live == sale.stock
}

/// A buyer all of whose attempts were refused has no order.
fn refused_nothing(state: &State, order: Order) -> bool {
    let request = &state.requests[order];
    request.told.open || request.attempt != Attempt::None || state.store.orders[order] == Row::None
}

fn last_word(state: &State, order: Order) -> bool {
    let request = &state.requests[order];
    let refused = request.told.refused && request.attempt == Attempt::None;
    !refused || state.store.orders[order] != Row::Confirmed
}

fn was_rebuilt(state: &State) -> bool {
    let epoch = state.ledger.holds.sale.map_or(0, |sale| sale.epoch);
    epoch > 1 && (0..ORDERS).any(|order| placed_and_confirmed(state, order, epoch))
}

fn placed_and_confirmed(state: &State, order: Order, epoch: u8) -> bool {
    state.log[order].contains(Event::Placed(epoch)) && state.store.orders[order] == Row::Confirmed
}

fn was_resold(state: &State) -> bool {
    state.store.orders.contains(&Row::Cancelled) && state.store.live() == state.store.stock
}

/// All events of `order` have been written, among them one of an old epoch, and its row is `row`.
fn superseded(state: &State, order: Order, row: Row) -> bool {
    let log = &state.log[order];
    log.end() > 0 && log.is_drained() && state.store.orders[order] == row
}

fn taken_anew(state: &State, order: Order) -> bool {
    let log = &state.log[order];
    let both = matches!((log.at(0), log.at(1)), (Some(Event::Placed(_)), Some(Event::Placed(_))));
    both && superseded(state, order, Row::Confirmed)
}

fn confirmed_after_pending(state: &State, order: Order) -> bool {
    !state.requests[order].told.accepted && state.store.orders[order] == Row::Confirmed
}

fn was_changed(model: &Protocol, state: &State) -> bool {
    state.store.stock != model.bounds.stock && state.store.live() == state.store.stock
}

fn was_imported(model: &Protocol, state: &State) -> bool {
    let sale = state.ledger.holds.sale.filter(|_| state.ledger.is_trusted());
    model.bounds.imports > 0
        && state.store.imported == model.bounds.imports
        && sale.is_some_and(|sale| sale.imported == model.bounds.imports)
}

impl Protocol {
    /// Nothing is under way, and the ledger is trusted. Events that may yet fly into the log do not count, nor
    /// do keepers that were stopped halfway: whether they ever go on must make no difference.
    pub fn is_at_rest(&self, state: &State) -> bool {
        state.ledger.is_trusted()
            && state.ledger.holds.outbox == Some(0)
            && state.store.returns == 0
            && self.orders().all(|order| {
                state.requests[order].attempt == Attempt::None
                    && !state.requests[order].late_call
                    && state.log[order].is_drained()
            })
            && !state.row_is_locked()
            && state.ledger.holds.sale.is_some_and(|sale| sale.adjustment == state.store.adjustment)
    }

    /// Nothing is stuck: the state is at rest, or somebody can do the next thing without a further fault.
    /// As every such thing uses up something, what can go on comes to rest. (A world whose epochs are used
    /// up cannot rebuild any more, which is a bound of the model and not of the system.)
    fn can_go_on(&self, state: &State) -> bool {
        let bounded = !state.ledger.is_trusted() && state.store.rebuild_epoch == self.bounds.epochs;
        bounded || self.is_at_rest(state) || self.heals(state)
    }
}
