//! How an order came along, step by step: the answer to "where is my order?" and "why did I not get it?".

use jiff::Timestamp;
use seckill_core::{
    order::{Order, OrderId, OrderStatus},
    sale::SaleId,
    store::{Logged, OrderTimeline},
};
use serde::Serialize;

/// The JSON of a timeline.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Timeline {
    /// The order.
    pub id: OrderId,
    /// Its sale.
    pub sale: SaleId,
    /// How far it has come.
    pub status: OrderStatus,
    /// What is known of its way, in its order.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Step {
    /// Which.
    pub step: StepName,
    /// When. Each part of the system tells the time by its own clock, so that steps may seem to be some
    /// milliseconds out of order.
    pub at: Timestamp,
    /// Of `published`: the partition of the order log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partition: Option<i32>,
    /// Of `published`: the offset within it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<i64>,
}

/// The steps of an order's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum StepName {
    /// The ledger took its units.
    Reserved,
    /// It came into the order log.
    Published,
    /// It came into the store.
    Written,
    /// It did not fit into the stock there.
    Rejected,
    /// Its cancellation came into the store.
    Cancelled,
    /// The ledger had its units back.
    Returned,
}

impl Timeline {
    /// The timeline of `order`; `stored` is what the store has of it.
    pub fn of(order: Order, stored: Option<OrderTimeline>) -> Self {
        let Some(stored) = stored else {
            let steps = vec![Step::new(StepName::Reserved, order.created_date)];
            return Self { id: order.id, sale: order.sale, status: order.status, steps };
        };
        let mut steps = vec![Step::new(StepName::Reserved, stored.reserved)];
        if let Some(Logged { position, at: Some(at) }) = stored.published {
            let (partition, offset) = (Some(position.partition), Some(position.offset));
            steps.push(Step { partition, offset, ..Step::new(StepName::Published, at) });
        }
        let rejected = stored.written.filter(|_| stored.status == OrderStatus::Rejected);
        for (name, at) in [
            (StepName::Written, stored.written),
            (StepName::Rejected, rejected),
            (StepName::Cancelled, stored.cancelled),
            (StepName::Returned, stored.returned),
        ] {
            steps.extend(at.map(|at| Step::new(name, at)));
        }
        Self { id: order.id, sale: order.sale, status: stored.status, steps }
    }
}

impl Step {
    fn new(step: StepName, at: Timestamp) -> Self {
        Self { step, at, partition: None, offset: None }
    }
}
