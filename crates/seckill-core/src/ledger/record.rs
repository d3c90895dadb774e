//! How the ledger writes an order down: one line of numbers, then the body that the buyer sent.
//!
//! `L 1 99 1763940000000 3\nuser\ngoods[\nremark]`: status, quantity, units left right after it, when it was
//! taken (ms since epoch), the epoch in which it was. No field can contain a line break. The body doubles
//! as the fingerprint: a retry of the same key must bring the same bytes.

use jiff::Timestamp;

use super::LedgerError;
use crate::{
    event::{OrderEvent, OrderEventKind},
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, OrderStatus, Quantity, Remark},
    sale::SaleId,
};

/// What stands in the ledger of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordState {
    /// It holds its units.
    Live,
    /// A tombstone: cancelled, its units are back.
    Cancelled,
    /// A tombstone: the store rejected it, its units are back.
    Rejected,
}

impl RecordState {
    pub(super) fn letter(self) -> char {
        match self {
            Self::Live => 'L',
            Self::Cancelled => 'C',
            Self::Rejected => 'R',
        }
    }

    fn parse(letter: &str) -> Option<Self> {
        [Self::Live, Self::Cancelled, Self::Rejected]
            .into_iter()
            .find(|state| letter.len() == 1 && letter.starts_with(state.letter()))
    }

    /// What the ledger keeps of an order that the store has with `status`.
    pub fn of(status: OrderStatus) -> Self {
        match status {
            OrderStatus::Pending | OrderStatus::Accepted | OrderStatus::Confirmed => Self::Live,
            OrderStatus::Cancelled => Self::Cancelled,
            OrderStatus::Rejected => Self::Rejected,
        }
    }
}

/// An order as the ledger knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LedgerOrder {
    /// The order; its status is what the ledger alone can say.
    pub order: Order,
    /// The epoch in which its units were taken.
    pub epoch: u64,
    /// Whether it still holds its units.
    pub state: RecordState,
    /// Whether its event is still in the outbox: not known to be in the order log.
    pub in_outbox: bool,
}

impl LedgerOrder {
    /// The event that tells the order log of this order.
    pub fn placed_event(&self) -> OrderEvent {
        self.clone().into_placed_event()
    }

    /// [`Self::placed_event`], for whoever needs nothing else any more.
    pub fn into_placed_event(self) -> OrderEvent {
        let order = Order { status: OrderStatus::Accepted, ..self.order };
        OrderEvent { kind: OrderEventKind::Placed, epoch: self.epoch, at: order.created_date, order }
    }
}

/// The body of an order's record: the bytes that a retry must repeat.
pub(super) fn encode_body(request: &OrderRequest) -> String {
    let (user, goods) = (request.buyer.as_str(), request.goods.as_str());
    let remark = request.remark.as_ref().map(Remark::as_str);
    let mut body = String::with_capacity(user.len() + goods.len() + remark.map_or(0, str::len) + 2);
    body.push_str(user);
    body.push('\n');
    body.push_str(goods);
    if let Some(remark) = remark {
        body.push('\n');
        body.push_str(remark);
    }
    body
}

/// The record of `order`, in whatever state.
pub(super) fn encode(order: &Order, epoch: u64, state: RecordState) -> String {
    let request = OrderRequest {
        buyer: order.buyer.clone(),
        goods: order.goods.clone(),
        quantity: order.quantity,
        remark: order.remark.clone(),
    };
    format!(
        "{} {} {} {} {epoch}\n{}",
        state.letter(),
        order.quantity.units(),
        order.remain_count.unwrap_or(0),
        order.created_date.as_millisecond(),
        encode_body(&request)
    )
}

/// Reads the record of the order `id` of `sale`.
pub(super) fn decode(
    sale: &SaleId,
    id: OrderId,
    record: &[u8],
    in_outbox: bool,
) -> Result<LedgerOrder, LedgerError> {
    parse(sale, id, record, in_outbox).ok_or_else(|| {
        LedgerError::Corrupt(format!("the record of order {id} in sale {sale} cannot be read"))
    })
}

fn parse(sale: &SaleId, id: OrderId, record: &[u8], in_outbox: bool) -> Option<LedgerOrder> {
    let mut lines = std::str::from_utf8(record).ok()?.split('\n');
    let mut header = lines.next()?.split(' ');
    let state = RecordState::parse(header.next()?)?;
    let quantity = Quantity::new(header.next()?.parse().ok()?).ok()?;
    let remain_count = header.next()?.parse().ok()?;
    let created = Timestamp::from_millisecond(header.next()?.parse().ok()?).ok()?;
    let epoch = header.next()?.parse().ok()?;
    let request = OrderRequest {
        buyer: BuyerId::parse(lines.next()?).ok()?,
        goods: Goods::parse(lines.next()?).ok()?,
        quantity,
        remark: lines.next().map(Remark::parse).transpose().ok()?,
    };
    let status = match state {
        RecordState::Live if in_outbox => OrderStatus::Pending,
        RecordState::Live => OrderStatus::Accepted,
        RecordState::Cancelled => OrderStatus::Cancelled,
        RecordState::Rejected => OrderStatus::Rejected,
    };
    let order = Order::new(id, sale.clone(), request, Some(remain_count), created, status);
    Some(LedgerOrder { order, epoch, state, in_outbox })
}
