//! What every order costs in the shared code, without any service: `cargo bench -p seckill-core`.
//!
//! Measured are the parts that a change could slow unnoticed; `scripts/bench` measures the whole.

use std::hint::black_box;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use jiff::Timestamp;
use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    ledger::{MAX_BATCH, Reservation},
    order::{
        BuyerId, Goods, IdempotencyKey, Order, OrderId, OrderIdSecret, OrderRequest, OrderStatus, Quantity,
    },
    sale::SaleId,
    testing::LedgerCall,
};

fn sale() -> SaleId {
    SaleId::parse("spring").expect("a sale's name")
}

fn request(number: usize) -> OrderRequest {
    OrderRequest {
        buyer: BuyerId::parse(format!("buyer-{number:09}")).expect("a buyer's name"),
        goods: Goods::parse("flash").expect("goods"),
        quantity: Quantity::ONE,
        remark: None,
    }
}

fn event() -> OrderEvent {
    let at = Timestamp::from_millisecond(1_763_942_701_123).expect("a time");
    let order = Order::new(OrderId::fresh(), sale(), request(7), Some(98), at, OrderStatus::Accepted);
    OrderEvent { kind: OrderEventKind::Placed, epoch: 3, order, at }
}

fn ids(criterion: &mut Criterion) {
    let secret = OrderIdSecret::new(b"a secret of some length, as one would have");
    let (sale, buyer) = (sale(), request(7).buyer);
    let key = IdempotencyKey::parse(b"9f3c2f0e-0d8b-4c2a-9a51-6a2f2f3f7c11").expect("a key");
    criterion.bench_function("id of a key", |bencher| {
        bencher.iter(|| secret.order_id(black_box(&sale), black_box(&buyer), black_box(&key)));
    });
    criterion.bench_function("fresh id", |bencher| bencher.iter(OrderId::fresh));
}

fn events(criterion: &mut Criterion) {
    let event = event();
    let (key, value) = (event.key(), event.encode());
    criterion.bench_function("encode an event", |bencher| {
        bencher.iter(|| (event.key(), black_box(&event).encode()));
    });
    criterion.bench_function("decode an event", |bencher| {
        bencher.iter(|| OrderEvent::decode(Some(key.as_bytes()), Some(black_box(&value))).expect("an event"));
    });
}

/// From a batch of orders to the bytes that Redis gets, and from its reply to their outcomes.
fn batches(criterion: &mut Criterion) {
    let batch = || -> Vec<Reservation> {
        (0..MAX_BATCH)
            .map(|number| Reservation { sale: sale(), id: OrderId::fresh(), request: request(number) })
            .collect()
    };
    let mut group = criterion.benchmark_group("ledger");
    group.throughput(Throughput::Elements(MAX_BATCH as u64));
    group.bench_function("assemble a batch", |bencher| {
        bencher.iter_batched(batch, LedgerCall::assemble, BatchSize::SmallInput);
    });
    group.bench_function("decode a batch's reply", |bencher| {
        let call = LedgerCall::assemble(batch());
        bencher.iter_batched(
            || call.reply_of_all_reserved(),
            |reply| call.outcomes(reply),
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

criterion_group!(benches, ids, events, batches);
criterion_main!(benches);
