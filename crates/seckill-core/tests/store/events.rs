//! Sales and events to test with.

use std::collections::BTreeSet;

use jiff::{Timestamp, ToSpan};
use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, OrderStatus, Quantity, Remark},
    sale::{Sale, SaleId, SaleSwitch},
    store::{CreateOutcome, IncomingEvent, OrderStore, StoredSale, WriteOutcome},
};

pub fn sale_id(name: &str) -> SaleId {
    SaleId::parse(name).unwrap()
}

pub fn new_sale(name: &str, stock: u64) -> Sale {
    Sale {
        id: sale_id(name),
        title: format!("Sale {name} 特卖"),
        stock,
        per_buyer_limit: None,
        opens_at: None,
        closes_at: None,
        switch: SaleSwitch::Open,
    }
}

pub async fn create(store: &OrderStore, name: &str, stock: u64) -> StoredSale {
    match store.create_sale(&new_sale(name, stock), "test").await.unwrap() {
        CreateOutcome::Created(stored) => stored,
        CreateOutcome::AlreadyExists => panic!("{name} is there already"),
    }
}

pub fn order(sale: &str, buyer: &str, units: u64) -> Order {
    let request = OrderRequest {
        buyer: BuyerId::parse(buyer).unwrap(),
        goods: Goods::parse("phone").unwrap(),
        quantity: Quantity::new(units).unwrap(),
        remark: Some(Remark::parse("as a 'gift' 🎁; --").unwrap()),
    };
    // A real ledger gives whole milliseconds; this one is finer on purpose.
    let taken = Timestamp::now() - 1.microsecond();
    Order::new(OrderId::fresh(), sale_id(sale), request, Some(7), taken, OrderStatus::Accepted)
}

fn event(kind: OrderEventKind, order: &Order, epoch: u64) -> IncomingEvent {
    let event = OrderEvent { kind, epoch, order: order.clone(), at: Timestamp::now() };
    let raw = event.encode();
    IncomingEvent::new(event, &raw)
}

pub fn placed(order: &Order) -> IncomingEvent {
    event(OrderEventKind::Placed, order, 0)
}

pub fn placed_in_epoch(order: &Order, epoch: u64) -> IncomingEvent {
    event(OrderEventKind::Placed, order, epoch)
}

pub fn cancelled(order: &Order) -> IncomingEvent {
    event(OrderEventKind::Cancelled, order, 0)
}

/// Writes one event in a batch of its own.
pub async fn write(store: &OrderStore, event: IncomingEvent) -> WriteOutcome {
    store.write_batch(&[event]).await.unwrap()[0]
}

pub async fn sold(store: &OrderStore, sale: &str) -> u64 {
    store.sale(&sale_id(sale)).await.unwrap().unwrap().sold
}

pub async fn status(store: &OrderStore, order: &Order) -> Option<OrderStatus> {
    store.order(&order.sale, order.id).await.unwrap().map(|stored| stored.status)
}

pub async fn returned_ids(store: &OrderStore) -> Vec<OrderId> {
    let mut ids: Vec<OrderId> = store
        .returns(&BTreeSet::new(), 1_000)
        .await
        .unwrap()
        .into_iter()
        .map(|(_, order)| order.unwrap().id)
        .collect();
    ids.sort_unstable();
    ids
}
