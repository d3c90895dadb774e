//! What waits for a reservation: where its answer goes, and what becomes of its event.
//!
//! Everything here runs on the ledger's batching task or on Kafka's thread, never on a connection's: a client
//! that hangs up changes nothing, and an order costs no task of its own.

use std::{
    sync::{Arc, OnceLock},
    time::Instant,
};

use actix_web::web::Bytes;
use seckill_core::{
    ledger::{
        Call, Decided as LedgerDecided, DecidedOrder, LedgerError, LedgerOrder, REPEAT_FOR, RecordState,
        ReserveOutcome, Settled,
    },
    order::Order,
    order_log::{Delivery, OrderPublisher, Position, PreparedEvent},
    traces::TraceContext,
};
use tokio::sync::mpsc::UnboundedSender;

use super::{Claim, Handover, PurchaseMeasures, Settling, SoldOutMemory};
use crate::{reading::Readings, refusal::Refusal};

/// How a reservation ended.
pub enum Resolution {
    /// The order stands as the ledger has it, and its event is in the order log (or it is a tombstone).
    Known,
    /// Its event was acknowledged within the time, there.
    Acknowledged(Position),
    /// Whether its event is or will be in the order log is not known.
    Unacknowledged,
    /// The ledger's own answer is not known.
    Undecided,
    /// It was not taken.
    Refused(Refusal),
    /// The ledger does not know the sale.
    Absent,
}

/// What the ledger decided, for the waiting side to read at any time.
#[derive(Clone, Default)]
pub struct Decision(Arc<OnceLock<Decided>>);

/// An order that the ledger has.
#[derive(Clone)]
pub struct Decided {
    /// The order. Once its event is on its way, how far it has come is for its end to say.
    pub order: Order,
    /// Whether the ledger had it before.
    pub replayed: bool,
    /// The order once its event is acknowledged, as JSON, if it is published: the event has it.
    pub accepted_json: Option<Bytes>,
}

impl Decision {
    fn note(&self, decided: Decided) {
        let first = self.0.set(decided);
        debug_assert!(first.is_ok(), "a ticket is decided once");
    }

    /// What was decided, if it is known that an order stands.
    pub fn into_inner(self) -> Option<Decided> {
        Arc::try_unwrap(self.0).map_or_else(|shared| shared.get().cloned(), OnceLock::into_inner)
    }
}

/// Travels with a reservation through the queue.
pub struct Ticket {
    /// Taken when the order is sent to the ledger, or when its buyer has waited for too long.
    pub claim: Claim,
    /// Where the end is told.
    pub handover: Handover,
    /// Where the decision is written before its event is published.
    pub decision: Decision,
    /// An acknowledgement later than this does not count.
    pub deadline: Instant,
    /// Whether the answer needs the place in the order log, so that a replay is published once more.
    pub wants_position: bool,
    /// The request's place in its trace, if that is recorded.
    pub trace: Option<TraceContext>,
    /// Where acknowledged orders go. In the ticket and in what settles its order, so that the channel closes
    /// when the last order on its way has been acknowledged.
    pub settled: UnboundedSender<Settled>,
}

/// Goes on with decided reservations.
pub struct Desk {
    /// Where events go.
    pub publisher: Arc<OrderPublisher>,
    /// Who wants to know of a sold-out sale.
    pub sold_out: Arc<SoldOutMemory>,
    /// Who shows what is left of a sale.
    pub readings: Readings,
    /// What is measured.
    pub measures: Arc<PurchaseMeasures>,
}

impl Desk {
    /// Takes the ledger's answers to the `orders` of a `call`. Does not block.
    ///
    /// All events are made before the first is published: Kafka's client sends what it has been given, and what comes
    /// while that is on its way has to wait until it is acknowledged.
    pub fn decided(&self, orders: Vec<DecidedOrder<Ticket>>, call: Call) {
        let mut settling = None;
        let decide = |order| self.decide(order, call, &mut settling);
        let events: Vec<_> = orders.into_iter().filter_map(decide).collect();
        self.publisher.publish_all(events);
    }

    /// Takes the answer to one order: the event that is to be published of it, or else its end. `settling` is of the
    /// order before.
    fn decide(
        &self,
        order: DecidedOrder<Ticket>,
        call: Call,
        settling: &mut Option<Arc<Settling>>,
    ) -> Option<PreparedEvent> {
        let DecidedOrder { reservation, ticket, outcome } = order;
        self.measures.decided(&outcome);
        if may_stand(&outcome) {
            self.readings.note_change(&reservation.sale);
        }
        if let Some(trace) = &ticket.trace {
            call.record(trace, reservation.id, outcome.as_ref().err());
        }
        let refusal = match outcome {
            Ok(ReserveOutcome::Reserved(order)) => return Some(self.event(order, false, ticket, settling)),
            Ok(ReserveOutcome::Replayed(order)) => return self.replayed(order, ticket, settling),
            Ok(ReserveOutcome::SoldOut { remaining }) => {
                self.sold_out.remember(&reservation.sale, remaining, Instant::now(), call.took);
                Refusal::SoldOut
            }
            Ok(ReserveOutcome::LimitReached) => Refusal::LimitReached,
            Ok(ReserveOutcome::NotOpen { opens_at }) => Refusal::NotOpen { opens_at },
            Ok(ReserveOutcome::Ended { opens_at }) => Refusal::Ended { opens_at },
            Ok(ReserveOutcome::Paused { opens_at }) => Refusal::Paused { opens_at },
            Ok(ReserveOutcome::Conflict) => Refusal::Conflict,
            Ok(ReserveOutcome::Untrusted) => Refusal::LedgerRecovering,
            Ok(ReserveOutcome::Absent) => {
                ticket.end(Resolution::Absent);
                return None;
            }
            Err(LedgerError::Unavailable(_)) => Refusal::LedgerUnavailable,
            // The script may have run: what it answered is not known.
            Err(LedgerError::Unknown(_) | LedgerError::Corrupt(_)) => {
                ticket.end(Resolution::Undecided);
                return None;
            }
        };
        ticket.end(Resolution::Refused(refusal));
        None
    }

    fn replayed(
        &self,
        order: LedgerOrder,
        ticket: Ticket,
        settling: &mut Option<Arc<Settling>>,
    ) -> Option<PreparedEvent> {
        let live = order.state == RecordState::Live;
        if live && (order.in_outbox || ticket.wants_position) {
            // It may or may not be in the log: one that is there twice is written once.
            return Some(self.event(order, true, ticket, settling));
        }
        ticket.decision.note(Decided { order: order.order, replayed: true, accepted_json: None });
        ticket.end(Resolution::Known);
        None
    }

    fn event(
        &self,
        order: LedgerOrder,
        replayed: bool,
        ticket: Ticket,
        settling: &mut Option<Arc<Settling>>,
    ) -> PreparedEvent {
        let Ticket { handover, decision, deadline, settled, trace, .. } = ticket;
        let settling = Settling::with_the_one_before(settling, &order.order.sale, order.epoch, settled);
        let event = order.into_placed_event();
        let id = event.order.id;
        let (value, order_in_value) = event.encode_around_order();
        let value = Bytes::from(value);
        let accepted_json = Some(value.slice(order_in_value));
        let prepared = self.publisher.prepare(&event, value, trace.as_ref(), move |delivery: Delivery| {
            let end = match delivery {
                Ok(position) => {
                    settling.acknowledged(id);
                    if Instant::now() <= deadline {
                        Resolution::Acknowledged(position)
                    } else {
                        Resolution::Unacknowledged
                    }
                }
                // It may be there all the same: the relay publishes it again.
                Err(_) => Resolution::Unacknowledged,
            };
            handover.tell(end);
        });
        decision.note(Decided { order: event.order, replayed, accepted_json });
        prepared
    }
}

/// Whether an order may be in the ledger now. Where that cannot be reached it is not: then nothing has changed.
fn may_stand(outcome: &LedgerDecided) -> bool {
    matches!(
        outcome,
        Ok(ReserveOutcome::Reserved(_) | ReserveOutcome::Replayed(_))
            | Err(LedgerError::Unknown(_) | LedgerError::Corrupt(_))
    )
}

impl Ticket {
    /// Lets the order be sent to the ledger, unless its buyer will be answered while that may still go on.
    pub fn admit(self) -> Option<Self> {
        if !self.claim.take() {
            return None;
        }
        if Instant::now() + REPEAT_FOR > self.deadline {
            self.end(Resolution::Refused(Refusal::Overloaded));
            return None;
        }
        Some(self)
    }

    fn end(self, resolution: Resolution) {
        self.handover.tell(resolution);
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::{mpsc, oneshot};

    use super::*;

    fn ticket(left: Duration) -> (Ticket, Claim, oneshot::Receiver<Resolution>) {
        let (handover, resolved) = Handover::here();
        let (settled, _) = mpsc::unbounded_channel();
        let claim = Claim::default();
        let ticket = Ticket {
            claim: claim.clone(),
            handover,
            decision: Decision::default(),
            deadline: Instant::now() + left,
            wants_position: false,
            settled,
            trace: None,
        };
        (ticket, claim, resolved)
    }

    #[tokio::test]
    async fn p5_an_order_is_sent_or_its_buyer_is_told_that_it_was_not() {
        let (waiting, claim, _resolved) = ticket(REPEAT_FOR * 2);
        assert!(waiting.admit().is_some());
        assert!(!claim.take(), "what was sent may have been done");

        let (given_up, claim, _resolved) = ticket(REPEAT_FOR * 2);
        assert!(claim.take());
        assert!(given_up.admit().is_none());
    }

    #[tokio::test]
    async fn p5_an_order_that_waited_too_long_is_refused_and_not_sent() {
        let (late, claim, resolved) = ticket(REPEAT_FOR / 2);
        assert!(late.admit().is_none());
        assert!(matches!(resolved.await, Ok(Resolution::Refused(Refusal::Overloaded))));
        assert!(!claim.take());
    }
}
