//! Examples, made by the very types that answer.

use jiff::Timestamp;
use seckill_core::{
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, OrderStatus, Quantity},
    sale::{Sale, SaleId, SaleSwitch, SaleView},
};
use serde_json::{Value, json};

/// The sale of the examples.
pub const SALE: &str = "phone";
/// The order of the examples.
pub const ORDER: &str = "f0d06e86-7918-80ef-accc-8b3267092801";
const TAKEN_AT_MS: i64 = 1_795_485_506_236;

/// An order of `status`.
pub fn order(status: OrderStatus) -> Order {
    let request = OrderRequest {
        buyer: BuyerId::parse("ada").expect("in range"),
        goods: Goods::parse("phone").expect("in range"),
        quantity: Quantity::ONE,
        remark: None,
    };
    let id = OrderId::parse(ORDER).expect("a UUID");
    let remain_count = if status == OrderStatus::Pending { None } else { Some(1) };
    Order::new(id, sale_id(), request, remain_count, taken_at(), status)
}

/// The JSON of an order of `status`.
pub fn order_json(status: OrderStatus) -> Value {
    serde_json::to_value(order(status)).expect("an order is always JSON")
}

/// A sale as buyers see it.
pub fn sale() -> SaleView {
    let sale = Sale {
        id: sale_id(),
        title: "Phone, one day only".into(),
        stock: 2,
        per_buyer_limit: Some(1),
        opens_at: None,
        closes_at: None,
        switch: SaleSwitch::Open,
    };
    sale.view(taken_at(), 1)
}

/// The JSON of a sale.
pub fn sale_json() -> Value {
    serde_json::to_value(sale()).expect("a sale is always JSON")
}

/// What a buyer sends.
pub fn order_request() -> Value {
    json!({ "user": "ada", "goods": "phone", "quantity": 1, "remark": "in blue, please" })
}

fn sale_id() -> SaleId {
    SaleId::parse(SALE).expect("a sale's name")
}

fn taken_at() -> Timestamp {
    Timestamp::from_millisecond(TAKEN_AT_MS).expect("a time")
}
