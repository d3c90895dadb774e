//! The use case: reserve → publish → settle → answer.
//!
//! A request is put into the queue in front of the ledger and then only waits. Deciding and publishing
//! happen elsewhere ([`ticket`]); the API never gives units back, because an event that was sent may still
//! reach the log: an order whose end is not known in time is answered `pending`, and the keeper's relay
//! publishes it again.

mod claim;
mod handover;
mod measures;
mod settling;
mod sold_out;
mod ticket;

use std::{sync::Arc, time::Instant};

use actix_web::web::Bytes;
use jiff::Timestamp;
use seckill_core::{
    ledger::{ACCEPT_WITHIN, Reservation, ReservationQueue, Settled, StockLedger},
    order::{IdempotencyKey, Order, OrderId, OrderIdSecret, OrderRequest, OrderStatus},
    order_log::{OrderPublisher, Position},
    sale::SaleId,
    traces::TraceContext,
};
use tokio::{
    sync::mpsc::{UnboundedSender, unbounded_channel},
    task::JoinHandle,
};

use self::{
    claim::Claim,
    handover::Handover,
    measures::PurchaseMeasures,
    settling::Settling,
    sold_out::SoldOutMemory,
    ticket::{Decision, Desk, Resolution, Ticket},
};
use crate::{reading::Readings, refusal::Refusal};

/// What a buyer asks.
pub struct Purchase {
    /// Of which sale.
    pub sale: SaleId,
    /// For what.
    pub request: OrderRequest,
    /// The buyer's name for this attempt.
    pub key: Option<IdempotencyKey>,
    /// Whether the answer must say where in the order log the order is.
    pub wants_position: bool,
    /// The request's place in its trace, if that is recorded.
    pub trace: Option<TraceContext>,
}

/// An order that stands, or may stand.
pub struct Placed {
    /// The order. `pending`: whether it stands is not known yet.
    pub order: Order,
    /// The same as JSON, where that is there already.
    pub json: Option<Bytes>,
    /// Whether this answers a retry.
    pub replayed: bool,
    /// Where in the order log it is, where that is known.
    pub position: Option<Position>,
}

/// Takes orders.
pub struct Purchases {
    queue: ReservationQueue<Ticket>,
    settled: UnboundedSender<Settled>,
    publisher: Arc<OrderPublisher>,
    secret: OrderIdSecret,
    sold_out: Arc<SoldOutMemory>,
    readings: Readings,
    measures: Arc<PurchaseMeasures>,
}

impl Purchases {
    /// Starts to take orders, at most `capacity` of them waiting at once. The task ends, and with it all that
    /// was taken is decided and acknowledged, some time after the result is dropped.
    pub fn start(
        ledger: StockLedger,
        publisher: Arc<OrderPublisher>,
        secret: OrderIdSecret,
        readings: Readings,
        capacity: usize,
    ) -> (Self, JoinHandle<()>) {
        let (settled, settled_receiver) = unbounded_channel();
        let sold_out = Arc::new(SoldOutMemory::default());
        let measures = Arc::new(PurchaseMeasures::new());
        let desk = Desk {
            publisher: Arc::clone(&publisher),
            sold_out: Arc::clone(&sold_out),
            readings: readings.clone(),
            measures: Arc::clone(&measures),
        };
        let (queue, task) = ReservationQueue::start(
            ledger,
            capacity,
            settled_receiver,
            Ticket::admit,
            move |orders, call| desk.decided(orders, call),
        );
        (Self { queue, settled, publisher, secret, sold_out, readings, measures }, task)
    }

    /// Takes an order, or says why not. Dropping the future does not undo anything.
    pub async fn place(&self, purchase: Purchase) -> Result<Placed, Refusal> {
        let Purchase { sale, request, key, wants_position, trace } = purchase;
        // A request with a key may be the retry of a winner, whose order is there although all is sold.
        if key.is_none() && self.sold_out.knows(&sale, request.quantity.units()) {
            self.measures.sold_out_from_memory();
            return Err(Refusal::SoldOut);
        }
        if self.publisher.is_stalled() {
            return Err(Refusal::OrderLogUnavailable);
        }
        let id = match &key {
            Some(key) => self.secret.order_id(&sale, &request.buyer, key),
            None => OrderId::fresh(),
        };
        let reservation = Reservation { sale, id, request };
        // Kept for the answer in case that the ledger gives none in time.
        let asked = reservation.clone();
        let (resolution, decision) = self.reserve(reservation, wants_position, trace).await?;
        self.answer(asked, resolution, decision, key.is_some()).await
    }

    /// Puts the order into the queue and waits for its end, at most until its deadline.
    async fn reserve(
        &self,
        reservation: Reservation,
        wants_position: bool,
        trace: Option<TraceContext>,
    ) -> Result<(Resolution, Decision), Refusal> {
        let deadline = Instant::now() + ACCEPT_WITHIN;
        let (handover, ended) = Handover::here();
        let decision = Decision::default();
        let claim = Claim::default();
        let ticket = Ticket {
            claim: claim.clone(),
            handover,
            decision: decision.clone(),
            deadline,
            wants_position,
            trace,
            settled: self.settled.clone(),
        };
        self.queue.submit(reservation, ticket).map_err(|_| Refusal::Overloaded)?;
        let resolution = match tokio::time::timeout_at(deadline.into(), ended).await {
            Ok(Ok(resolution)) => resolution,
            // It waits still: nothing was done, and now nothing will be.
            Ok(Err(_)) | Err(_) if claim.take() => Resolution::Refused(Refusal::Overloaded),
            // Too late, or the process is at its end: whatever was decided is in the decision.
            Ok(Err(_)) | Err(_) => Resolution::Unacknowledged,
        };
        Ok((resolution, decision))
    }

    async fn answer(
        &self,
        asked: Reservation,
        resolution: Resolution,
        decision: Decision,
        keyed: bool,
    ) -> Result<Placed, Refusal> {
        let (position, acknowledged) = match resolution {
            Resolution::Refused(refusal) => return Err(refusal),
            Resolution::Absent => return Err(self.readings.why_absent(&asked.sale).await),
            Resolution::Acknowledged(position) => (Some(position), true),
            Resolution::Known | Resolution::Unacknowledged | Resolution::Undecided => (None, false),
        };
        let Some(decided) = decision.into_inner() else {
            let Reservation { sale, id, request } = asked;
            let order = Order::new(id, sale, request, None, Timestamp::now(), OrderStatus::Pending);
            return Ok(Placed { order, json: None, replayed: false, position: None });
        };
        let mut order = decided.order;
        if acknowledged {
            order.status = OrderStatus::Accepted;
        } else if !matches!(resolution, Resolution::Known) {
            order.status = OrderStatus::Pending;
        }
        let status = order.status.as_str();
        tracing::debug!(order = %order.id, sale = %order.sale, status, "an order is answered");
        // Without a key there was no retry: the ledger's call was repeated because its answer was lost.
        let json = decided.accepted_json.filter(|_| acknowledged);
        Ok(Placed { order, json, replayed: decided.replayed && keyed, position })
    }

    /// Notes that an operator has changed the units of `sale` by this process.
    pub fn note_change(&self, sale: &SaleId) {
        self.sold_out.forget(sale);
        self.readings.note_change(sale);
    }

    /// How many orders wait for the ledger.
    pub fn depth(&self) -> usize {
        self.queue.depth()
    }
}
