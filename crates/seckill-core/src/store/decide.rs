//! What becomes of the events of a batch: the rules alone, without a database.

use std::{
    borrow::Cow,
    collections::{BTreeMap, HashMap},
};

use super::write::{IncomingEvent, WriteOutcome};
use crate::{
    event::{OrderEvent, OrderEventKind},
    order::{Order, OrderId, OrderStatus, Units},
    sale::SaleId,
};

/// What a decision needs to know of a sale.
#[derive(Clone, Copy, Debug)]
pub(super) struct Totals {
    pub(super) stock: Units,
    pub(super) sold: Units,
    pub(super) epoch: u64,
}

/// What was asked for: an id stands for one body, for ever. When it was taken, what was left then and
/// in which epoch are not part of it: an order that a lost ledger forgot before the log had it is taken
/// anew on a retry, by the same id.
///
/// Texts are compared here, by their bytes, and not by the server, for which `a` and `a ` are equal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Body<'a> {
    pub(super) sale: Option<Cow<'a, str>>,
    pub(super) buyer: Cow<'a, str>,
    pub(super) goods: Cow<'a, str>,
    pub(super) units: Units,
    pub(super) remark: Option<Cow<'a, str>>,
}

impl<'a> From<&'a Order> for Body<'a> {
    fn from(order: &'a Order) -> Self {
        Self {
            sale: Some(order.sale.as_str().into()),
            buyer: order.buyer.as_str().into(),
            goods: order.goods.as_str().into(),
            units: order.quantity.units(),
            remark: order.remark.as_ref().map(|remark| remark.as_str().into()),
        }
    }
}

/// Where an order's row is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Row {
    /// In the table.
    Stored,
    /// To be inserted; first told of by the event at this place of the batch.
    New { event: usize },
}

struct KnownOrder<'a> {
    body: Body<'a>,
    status: OrderStatus,
    row: Row,
}

/// A batch in the middle of being decided: the state that the database will have after its commit.
#[derive(Default)]
pub(super) struct Batch<'a> {
    sales: BTreeMap<SaleId, SaleInBatch>,
    orders: HashMap<OrderId, KnownOrder<'a>>,
    new_orders: Vec<OrderId>,
    cancelled: Vec<OrderId>,
    returned: Vec<(OrderId, SaleId)>,
}

struct SaleInBatch {
    now: Totals,
    sold_before: Units,
    earliest_epoch: u64,
}

impl From<Totals> for SaleInBatch {
    fn from(now: Totals) -> Self {
        Self { now, sold_before: now.sold, earliest_epoch: u64::MAX }
    }
}

/// A row to insert: the order of the event at this place of the batch, and the status it has come to.
pub(super) struct NewOrder {
    pub(super) event: usize,
    pub(super) status: OrderStatus,
}

/// A sale's sold units, before and after the batch.
pub(super) struct SoldChange {
    pub(super) sale: SaleId,
    pub(super) before: Units,
    pub(super) after: Units,
    /// The earliest epoch in which units were taken that the batch sells.
    pub(super) earliest_epoch: u64,
}

impl<'a> Batch<'a> {
    /// A batch of these sales, as their locked rows are.
    pub(super) fn of(sales: impl IntoIterator<Item = (SaleId, Totals)>) -> Self {
        let sales = sales.into_iter().map(|(sale, totals)| (sale, totals.into())).collect();
        Self { sales, ..Self::default() }
    }

    /// A batch of the sales of `events`, nothing of which is known: as if each could sell all that there is.
    pub(super) fn of_limitless_sales(events: &[IncomingEvent]) -> Self {
        let limitless = Totals { stock: Units::MAX, sold: 0, epoch: 0 };
        Self::of(events.iter().map(|incoming| (incoming.event.order.sale.clone(), limitless)))
    }

    /// Decides all of `events`, in their order.
    pub(super) fn decide_all(&mut self, events: &'a [IncomingEvent]) -> Vec<WriteOutcome> {
        let decide = |(index, incoming): (usize, &'a IncomingEvent)| self.decide(index, &incoming.event);
        events.iter().enumerate().map(decide).collect()
    }

    /// Makes an order known that the store already has.
    pub(super) fn know_order(&mut self, id: OrderId, body: Body<'a>, status: OrderStatus) {
        self.orders.insert(id, KnownOrder { body, status, row: Row::Stored });
    }

    /// Decides the event at place `index` of the batch. Events must come in the batch's order: each
    /// sees what the ones before it have done, as if they had been written one by one.
    fn decide(&mut self, index: usize, event: &'a OrderEvent) -> WriteOutcome {
        let order = &event.order;
        let Some(sale) = self.sales.get_mut(&order.sale) else { return WriteOutcome::UnknownSale };
        if let Some(known) = self.orders.get_mut(&order.id) {
            if known.body != Body::from(order) {
                return WriteOutcome::ConflictingPayload;
            }
            if event.kind == OrderEventKind::Placed || known.status != OrderStatus::Confirmed {
                return WriteOutcome::Duplicate;
            }
            known.status = OrderStatus::Cancelled;
            sale.now.sold = sale.now.sold.saturating_sub(known.body.units);
            if known.row == Row::Stored {
                self.cancelled.push(order.id);
            }
            self.returned.push((order.id, order.sale.clone()));
            return WriteOutcome::Cancelled;
        }
        let (outcome, status) = match event.kind {
            // Whatever is to be cancelled is cancelled even before it has come: then it never will.
            OrderEventKind::Cancelled => (WriteOutcome::Cancelled, OrderStatus::Cancelled),
            // A rebuild has counted the sale's orders and not seen this one: its units are for sale.
            OrderEventKind::Placed if event.epoch < sale.now.epoch => return WriteOutcome::SupersededEpoch,
            OrderEventKind::Placed
                if order.quantity.units() <= sale.now.stock.saturating_sub(sale.now.sold) =>
            {
                sale.now.sold += order.quantity.units();
                sale.earliest_epoch = sale.earliest_epoch.min(event.epoch);
                (WriteOutcome::Confirmed, OrderStatus::Confirmed)
            }
            OrderEventKind::Placed => (WriteOutcome::Rejected, OrderStatus::Rejected),
        };
        if status != OrderStatus::Confirmed {
            self.returned.push((order.id, order.sale.clone()));
        }
        self.new_orders.push(order.id);
        let row = Row::New { event: index };
        self.orders.insert(order.id, KnownOrder { body: Body::from(order), status, row });
        outcome
    }

    /// The rows to insert, in the order of their ids: neighbours in the table, and the same order of
    /// locks for every writer.
    pub(super) fn new_orders(&self) -> Vec<NewOrder> {
        let mut ids = self.new_orders.clone();
        ids.sort_unstable();
        let mut rows = Vec::with_capacity(ids.len());
        for id in ids {
            let known = &self.orders[&id];
            if let Row::New { event } = known.row {
                rows.push(NewOrder { event, status: known.status });
            }
        }
        rows
    }

    /// Stored orders that are now cancelled.
    pub(super) fn cancelled(&self) -> &[OrderId] {
        &self.cancelled
    }

    /// Orders whose units the ledger must take back.
    pub(super) fn returned(&self) -> &[(OrderId, SaleId)] {
        &self.returned
    }

    /// The sales of which the batch sold or took back units, by name.
    pub(super) fn sold(&self) -> Vec<SoldChange> {
        let mut changes = Vec::new();
        for (sale, known) in &self.sales {
            if known.now.sold != known.sold_before {
                changes.push(SoldChange {
                    sale: sale.clone(),
                    before: known.sold_before,
                    after: known.now.sold,
                    earliest_epoch: known.earliest_epoch,
                });
            }
        }
        changes
    }
}
