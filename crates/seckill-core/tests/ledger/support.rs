//! A sale of its own for each test, and what tests say to the ledger.

use deadpool_redis::redis;
pub use seckill_core::testing::terms;
use seckill_core::{
    ledger::{Reservation, ReserveOutcome, StockLedger, load::SwapOutcome},
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, Quantity},
    sale::{Sale, SaleId},
    testing::{patient_ledger, patient_redis},
};

pub fn redis_url() -> String {
    std::env::var("REDIS_URL").expect("REDIS_URL is not set: eval \"$(scripts/services env)\"")
}

pub fn ledger() -> StockLedger {
    patient_ledger()
}

/// A raw connection, for doing to the ledger what no code of ours does.
pub async fn raw() -> redis::aio::MultiplexedConnection {
    patient_redis(&redis_url()).await
}

/// Loads `sale` with `orders` the way a rebuild does.
pub async fn load(
    ledger: &StockLedger,
    sale: &Sale,
    adjustment: u64,
    epoch: u64,
    orders: &[Order],
) -> SwapOutcome {
    assert!(ledger.begin_rebuild(&sale.id, epoch).await.unwrap(), "superseded at once");
    let mut loading = ledger.start_loading(&sale.id, epoch).await.unwrap();
    loading.add(orders).await.unwrap();
    loading.swap_in(sale, adjustment).await.unwrap()
}

/// A sale loaded for the first time.
pub async fn open(ledger: &StockLedger, sale: &Sale) {
    assert_eq!(load(ledger, sale, 1, 1, &[]).await, SwapOutcome::Swapped);
}

/// The name of a part of `sale`.
pub fn key_of(sale: &SaleId, part: &str) -> String {
    format!("seckill:{{{sale}}}:{part}")
}

/// Takes every key of `sale` away.
pub async fn drop_sale(sale: &SaleId) {
    let mut raw = raw().await;
    let keys: Vec<String> = redis::cmd("KEYS").arg(key_of(sale, "*")).query_async(&mut raw).await.unwrap();
    if !keys.is_empty() {
        redis::cmd("DEL").arg(keys).query_async::<()>(&mut raw).await.unwrap();
    }
}

pub fn reservation(sale: &SaleId, id: OrderId, buyer: &str, quantity: u64) -> Reservation {
    let request = OrderRequest {
        buyer: BuyerId::parse(buyer).unwrap(),
        goods: Goods::parse("phone").unwrap(),
        quantity: Quantity::new(quantity).unwrap(),
        remark: None,
    };
    Reservation { sale: sale.clone(), id, request }
}

/// Reserves one unit for a new buyer.
pub async fn buy_one(ledger: &StockLedger, sale: &SaleId) -> ReserveOutcome {
    let id = OrderId::fresh();
    ledger.reserve(sale, &[reservation(sale, id, &id.to_string(), 1)]).await.unwrap().remove(0)
}
