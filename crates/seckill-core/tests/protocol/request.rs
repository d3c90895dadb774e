//! Buyers, and the API between them and the rest: `crates/seckill-api/src/purchase.rs`, `purchase/ticket.rs`
//! and the queue in `crates/seckill-core/src/ledger/batch.rs`.

use super::{
    bounds::{Bounds, Sabotage},
    ledger::{Decision, Record},
    log::Event,
    state::{Epoch, Epochs, Order, State, has, only_if, spend},
};

/// One order as its buyer and the APIs see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Request {
    /// How often it may still be sent.
    pub tries_left: u8,
    /// What is under way; an API that died has nothing under way.
    pub attempt: Attempt,
    /// What the buyer was told.
    pub told: Told,
    /// A call of `reserve.lua` that the API has given up on is still on its way to the ledger.
    pub late_call: bool,
    /// Events that were sent and that nobody waits for any more: each may yet reach the log, or not.
    pub flying: Epochs,
    /// Acknowledgements that the ledger has not heard of yet.
    pub acknowledged: Epochs,
}

/// How far an attempt has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Attempt {
    None,
    /// The ledger's answer was lost, and it is asked again.
    AskedAgain,
    /// Its event is on its way to the log, and its time is not over.
    Publishing(Epoch),
}

/// What a buyer was told, as far as a promise depends on it.
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is about answers of its own, and any may be true beside any"
)]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Told {
    /// Once `accepted`.
    pub accepted: bool,
    /// The last answer was "sold out" or "limit reached".
    pub refused: bool,
    /// Some attempt ended without a refusal: the order may be there.
    pub open: bool,
    /// Refused after it had been accepted.
    pub contradicted: bool,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    /// None: the API died.
    Lost,
    /// 503: try again, nothing was done.
    Busy,
    /// Sold out, or the limit is reached.
    Refused,
    Pending,
    Accepted,
    /// A tombstone, to a retry.
    Final,
}

/// What buyers and APIs do, for one order. Nobody else notices how long a request waits for the ledger: to
/// ask and to be decided is one step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// The buyer sends the request, for the first time or again, always by the same key; the ledger decides,
    /// and the API goes on.
    Ask,
    /// The same, and the API dies before it publishes anything.
    AskAndDie,
    /// The same, and the ledger's answer is lost.
    AskUnheard,
    /// The buyer sends the request, and the API gives up on its call before the ledger sees it.
    AskLate,
    /// A late call reaches the ledger. Nobody waits for its answer.
    ArriveLate,
    /// The API asks the ledger again, and hears its answer.
    AskAgain,
    /// A second of asking again was in vain.
    GiveUp,
    /// The event is in the log, and the API learns it in time.
    Acknowledge,
    /// The time is over, or the API dies: whether the event will be in the log is open.
    Expire,
    /// An event that nobody waits for reaches the log after all.
    Arrive(Epoch),
    /// The ledger hears of an acknowledgement.
    Settle(Epoch),
    /// The buyer cancels: an event that says so goes to the log.
    Cancel,
}

impl Request {
    pub fn new(tries: u8) -> Self {
        Self {
            tries_left: tries,
            attempt: Attempt::None,
            told: Told { accepted: false, refused: false, open: false, contradicted: false },
            late_call: false,
            flying: 0,
            acknowledged: 0,
        }
    }

    /// The buyer sends the request.
    fn begin(&mut self) -> Option<()> {
        only_if(self.attempt == Attempt::None)?;
        spend(&mut self.tries_left)?;
        // A call is late by less than a buyer takes to hear of it and to ask again.
        self.late_call = false;
        Some(())
    }

    fn answer(&mut self, answer: Answer) {
        self.attempt = Attempt::None;
        let told = &mut self.told;
        told.accepted |= answer == Answer::Accepted;
        told.refused = answer == Answer::Refused;
        told.open |= !matches!(answer, Answer::Busy | Answer::Refused);
        told.contradicted |= told.accepted && told.refused;
    }
}

/// All steps of `order`.
pub fn steps(order: Order, bounds: &Bounds, add: &mut impl FnMut(Order, Step)) {
    for step in [Step::Acknowledge, Step::AskAgain, Step::Expire, Step::GiveUp, Step::ArriveLate, Step::Ask] {
        add(order, step);
    }
    for epoch in 1..=bounds.epochs {
        add(order, Step::Arrive(epoch));
        add(order, Step::Settle(epoch));
    }
    for step in [Step::AskAndDie, Step::AskUnheard, Step::AskLate, Step::Cancel] {
        add(order, step);
    }
}

/// Takes `step` for `order`; none: it is not possible now.
pub fn take(state: &mut State, order: Order, step: Step, bounds: &Bounds) -> Option<()> {
    let request = &mut state.requests[order];
    match step {
        Step::Ask => {
            request.begin()?;
            decide(state, order, false, bounds);
        }
        Step::AskAndDie => {
            request.begin()?;
            request.answer(Answer::Lost);
            state.ledger.reserve(order, bounds);
        }
        Step::AskUnheard => {
            request.begin()?;
            spend(&mut state.left.lost_replies)?;
            request.attempt = Attempt::AskedAgain;
            state.ledger.reserve(order, bounds);
        }
        Step::AskLate => {
            request.begin()?;
            spend(&mut state.left.lost_replies)?;
            request.attempt = Attempt::AskedAgain;
            request.late_call = true;
        }
        Step::ArriveLate => {
            only_if(request.late_call)?;
            request.late_call = false;
            state.ledger.reserve(order, bounds);
        }
        Step::AskAgain => {
            only_if(request.attempt == Attempt::AskedAgain)?;
            decide(state, order, true, bounds);
        }
        Step::GiveUp => {
            only_if(request.attempt == Attempt::AskedAgain)?;
            request.answer(Answer::Pending);
        }
        Step::Acknowledge => {
            let Attempt::Publishing(epoch) = request.attempt else { return None };
            request.answer(Answer::Accepted);
            arrived(state, order, epoch);
            waited_for(state, order);
        }
        Step::Expire => expire(state, order, bounds)?,
        Step::Arrive(epoch) => {
            only_if(has(request.flying, epoch.into()))?;
            request.flying &= !(1 << epoch);
            arrived(state, order, epoch);
        }
        Step::Settle(epoch) => {
            only_if(has(request.acknowledged, epoch.into()))?;
            request.acknowledged &= !(1 << epoch);
            state.ledger.settle(order, epoch, bounds);
        }
        Step::Cancel => {
            only_if(request.told.open && !state.log[order].contains(Event::Cancelled))?;
            spend(&mut state.left.cancels)?;
            state.log[order].append(Event::Cancelled);
        }
    }
    Some(())
}

/// The event of `order` is in the log, and whoever sent it tells the ledger sooner or later.
pub fn arrived(state: &mut State, order: Order, epoch: Epoch) {
    state.log[order].append(Event::Placed(epoch));
    state.requests[order].acknowledged |= 1 << epoch;
}

/// `Desk::decided`: the ledger answers, for the first time or `again`.
fn decide(state: &mut State, order: Order, again: bool, bounds: &Bounds) {
    let request = &mut state.requests[order];
    // A refusal says nothing of an earlier call that may have taken units, or may yet.
    let says_nothing = again && !bounds.lacks(Sabotage::RefusalAfterLostReply);
    match state.ledger.reserve(order, bounds) {
        Decision::Reserved(epoch) | Decision::Replayed(Record::Live(epoch), true) => {
            request.attempt = Attempt::Publishing(epoch);
        }
        Decision::Replayed(Record::Live(_), false) => request.answer(Answer::Accepted),
        Decision::Replayed(..) => request.answer(Answer::Final),
        _ if says_nothing => request.answer(Answer::Pending),
        Decision::Absent | Decision::Untrusted => request.answer(Answer::Busy),
        Decision::SoldOut | Decision::LimitReached => request.answer(Answer::Refused),
    }
}

/// The deadline passes. (An API that dies here leaves the same behind: an event on its way.)
fn expire(state: &mut State, order: Order, bounds: &Bounds) -> Option<()> {
    let request = &mut state.requests[order];
    let Attempt::Publishing(epoch) = request.attempt else { return None };
    request.flying |= 1 << epoch;
    request.answer(Answer::Pending);
    if bounds.lacks(Sabotage::UnitsBackOnTimeout) {
        state.ledger.release(order, Record::Cancelled, bounds);
    }
    waited_for(state, order);
    Some(())
}

/// No keeper needs to wait for `order` any more: its attempt has ended.
fn waited_for(state: &mut State, order: Order) {
    for keeper in &mut state.keepers {
        keeper.no_longer_waits_for(order);
    }
}
