//! The world as a model that can be checked: every step that anybody may take, in any order.

use stateright::{Model, Property};

use super::{
    bounds::{Bounds, KEEPERS},
    consumer,
    faults::{self, FAULTS, Fault},
    import,
    keeper::{self, Tending},
    operator, promises, request,
    state::{Order, State},
};

/// One step of one part of the system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    Request(Order, request::Step),
    Consumer(Order, consumer::Step),
    Tending(Tending),
    Keeper(usize, keeper::Step),
    Operator(operator::Step),
    Import(import::Step),
    Fault(Fault),
}

/// The protocol in a bounded world.
#[derive(Clone, Debug)]
pub struct Protocol {
    pub bounds: Bounds,
    /// Every step there is; most are not possible most of the time.
    pub steps: Vec<Step>,
}

impl Protocol {
    pub fn new(bounds: Bounds) -> Self {
        let mut steps = Vec::new();
        for order in 0..bounds.orders {
            request::steps(order, &bounds, &mut |order, step| steps.push(Step::Request(order, step)));
            consumer::steps(order, &bounds, &mut |order, step| steps.push(Step::Consumer(order, step)));
            steps.push(Step::Tending(Tending::Relay(order)));
        }
        for number in 0..bounds.keepers.min(KEEPERS) {
            steps.extend(keeper::STEPS.map(|step| Step::Keeper(number, step)));
        }
        if bounds.has_operators() {
            steps.extend([Tending::Realign, Tending::TellLedger].map(Step::Tending));
            steps.extend(operator::STEPS.map(Step::Operator));
        }
        if bounds.imports > 0 {
            steps.extend(import::STEPS.map(Step::Import));
        }
        steps.extend(FAULTS.map(Step::Fault));
        Self { bounds, steps }
    }

    /// The orders of this world.
    pub fn orders(&self) -> std::ops::Range<Order> {
        0..self.bounds.orders
    }

    /// The limit of a buyer, where there is one.
    pub fn limit(&self) -> Option<u8> {
        self.bounds.limit
    }

    /// Whether some step other than a fault changes `state`.
    pub fn heals(&self, state: &State) -> bool {
        let faultless = |step: &&Step| {
            !matches!(
                step,
                Step::Fault(_)
                    | Step::Keeper(_, keeper::Step::Die)
                    | Step::Operator(operator::Step::Die)
                    | Step::Import(import::Step::Die)
            )
        };
        self.steps.iter().filter(faultless).any(|step| self.next_state(state, *step).is_some())
    }

    fn take(&self, state: &mut State, step: Step) -> Option<()> {
        let bounds = &self.bounds;
        match step {
            Step::Request(order, step) => request::take(state, order, step, bounds),
            Step::Consumer(order, step) => consumer::take(state, order, step, bounds),
            Step::Tending(step) => keeper::tend(state, step, bounds),
            Step::Keeper(number, step) => keeper::take(state, number, step, bounds),
            Step::Operator(step) => operator::take(state, step, bounds),
            Step::Import(step) => import::take(state, step, bounds),
            Step::Fault(fault) => faults::strike(state, fault, bounds),
        }
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(&self.bounds)]
    }

    fn actions(&self, _: &State, actions: &mut Vec<Step>) {
        actions.extend_from_slice(&self.steps);
    }

    fn next_state(&self, before: &State, step: Step) -> Option<State> {
        let mut state = *before;
        self.take(&mut state, step)?;
        (state != *before).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        promises::properties()
    }
}
