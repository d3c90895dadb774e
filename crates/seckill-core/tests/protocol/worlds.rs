//! The worlds that are checked, and how one is.

use std::{collections::BTreeSet, time::Duration};

use stateright::{Checker, Expectation, HasDiscoveries, Model, UniformChooser};

use super::{bounds::Bounds, model::Protocol, promises};

/// Retries, lost and late calls, APIs that die, one cancellation.
pub const CANCELLED: Bounds = Bounds { lost_replies: 1, cancels: 1, ..Bounds::CALM };

/// Redis is restarted, emptied, rolled back or loses a key; every buyer asks twice.
pub const LEDGER_LOST: Bounds = Bounds { ledger_faults: 1, copies: 1, epochs: 2, ..Bounds::CALM };

/// The same, and an answer of the ledger is lost or late.
pub const REPLY_LOST: Bounds = Bounds { lost_replies: 1, tries: 1, ..LEDGER_LOST };

/// The same with a cancellation instead, whose unit is on its way back while the ledger is rebuilt.
pub const CANCELLED_AND_LOST: Bounds = Bounds { cancels: 1, tries: 1, ..LEDGER_LOST };

/// Two keepers at once, each of which may stop anywhere and go on later.
pub const TWO_KEEPERS: Bounds = Bounds { keepers: 2, epochs: 3, copies: 0, tries: 1, ..LEDGER_LOST };

/// Two keepers load a sale that has just been created.
pub const FIRST_LOAD: Bounds = Bounds { loaded: false, ledger_faults: 0, ..TWO_KEEPERS };

/// One buyer who may have one unit and asks for two.
pub const LIMITED: Bounds = Bounds { stock: 2, limit: Some(1), ..CANCELLED_AND_LOST };

/// Three buyers and two units.
pub const THREE_BUYERS: Bounds = Bounds { orders: 3, stock: 2, tries: 1, cancels: 1, ..Bounds::CALM };

/// The stock is raised and lowered again; one of the commands may be cut off.
pub const CHANGED: Bounds = Bounds { changes: &[1, -1], operator_deaths: 1, tries: 1, ..Bounds::CALM };

/// The stock is lowered and raised again, likewise.
pub const LOWERED: Bounds = Bounds { stock: 2, changes: &[-1, 1], ..CHANGED };

/// The stock is raised while Redis loses something.
pub const RAISED_AND_LOST: Bounds = Bounds { changes: &[1], ledger_faults: 1, epochs: 2, ..CHANGED };

/// Two orders are imported while a buyer wants one; the import may be cut off, and is run again.
pub const IMPORTED: Bounds =
    Bounds { orders: 1, stock: 3, imports: 2, epochs: 6, operator_deaths: 1, ..Bounds::CALM };

/// The same, and there is room for two only.
pub const IMPORTED_OR_SOLD: Bounds = Bounds { stock: 2, ..IMPORTED };

/// The same while Redis loses something.
pub const IMPORTED_AND_LOST: Bounds =
    Bounds { imports: 1, ledger_faults: 1, epochs: 5, tries: 1, ..IMPORTED_OR_SOLD };

/// Somebody adds a unit in Redis by hand, which nothing there notices.
pub const TAMPERED: Bounds = Bounds { tampering: 1, tries: 1, ..Bounds::CALM };

/// Everything at once, more than once: too many states to go through all of them.
pub const WIDEST: Bounds = Bounds {
    orders: 3,
    stock: 2,
    limit: None,
    tries: 3,
    keepers: 2,
    epochs: 4,
    loaded: false,
    ledger_faults: 3,
    copies: 2,
    lost_replies: 3,
    cancels: 2,
    changes: &[1, -1, 1],
    imports: 0,
    operator_deaths: 1,
    tampering: 0,
    without: &[],
};

/// Goes through every state of the world and fails if a promise does not hold in one of them, or if one of
/// `reached` is true in none: a world in which nothing happens proves nothing.
pub fn holds(bounds: Bounds, reached: &[&'static str]) {
    let found = explore(bounds, HasDiscoveries::All);
    for promise in promises() {
        if let Some(steps) = found.trace(promise) {
            panic!("\"{promise}\" falls:\n{steps}");
        }
    }
    for name in [reached, &[promises::AT_REST]].concat() {
        assert!(found.trace(name).is_some(), "never reached: {name}");
    }
    assert!(
        found.trace(promises::REJECTED).is_none(),
        "the stock guard is the last wall, and something got there"
    );
}

/// Walks through the world at random for a while, again and again from its beginning, and fails if a promise
/// does not hold somewhere on the way. The same `seed` takes the same steps.
pub fn holds_on_walks(bounds: Bounds, seed: u64, duration: Duration) {
    println!("seed {seed}");
    let walks = Protocol::new(bounds).checker().threads(2).timeout(duration);
    let failed = walks.finish_when(HasDiscoveries::AnyFailures);
    let found = Found::of(&failed.spawn_simulation(seed, UniformChooser).join());
    for promise in promises() {
        if let Some(steps) = found.trace(promise) {
            panic!("\"{promise}\" falls:\n{steps}");
        }
    }
}

/// Fails unless `promise` falls in the world; shows how, with `--nocapture`.
pub fn falls(bounds: Bounds, promise: &'static str) {
    let what = format!("{:?}", bounds.without);
    let found = explore(bounds, HasDiscoveries::AllOf(BTreeSet::from([promise])));
    match found.trace(promise) {
        Some(steps) => println!("without {what}, \"{promise}\" falls:\n{steps}"),
        None => panic!("\"{promise}\" holds without {what}"),
    }
}

/// What a check found: for each property that was violated or reached, the steps to there.
pub struct Found(Vec<(&'static str, String)>);

impl Found {
    fn of(checker: &impl Checker<Protocol>) -> Self {
        println!("{} states", checker.unique_state_count());
        let mut found = Vec::new();
        for (name, path) in checker.discoveries() {
            let steps: Vec<String> = path.into_actions().iter().map(|step| format!("    {step:?}")).collect();
            found.push((name, steps.join("\n")));
        }
        Self(found)
    }

    /// The steps to where `property` was violated or reached.
    pub fn trace(&self, property: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| *name == property).map(|(_, steps)| steps.as_str())
    }
}

/// Goes through the states of a world, all of them or until `finish` has been found.
pub fn explore(bounds: Bounds, finish: HasDiscoveries) -> Found {
    Found::of(&Protocol::new(bounds).checker().threads(2).finish_when(finish).spawn_bfs().join())
}

fn promises() -> impl Iterator<Item = &'static str> {
    let always = |property: &stateright::Property<Protocol>| property.expectation == Expectation::Always;
    promises::properties().into_iter().filter(always).map(|property| property.name)
}
