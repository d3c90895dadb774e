//! What every request costs in the API's own code, without the HTTP machinery: `cargo bench -p seckill-api`.

use std::hint::black_box;

use actix_web::{ResponseError, web::Bytes};
use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use seckill_api::{
    order_body::{self, Dialect},
    problem::Problem,
    purchase::Placed,
    refusal::Refusal,
    routes,
};
use seckill_core::{
    order::{Order, OrderId, OrderStatus},
    sale::SaleId,
};

const BODY: &str = r#"{"user":"buyer-19ab7-000000042","goods":"flash","quantity":1}"#;

fn parsing(criterion: &mut Criterion) {
    let body = Bytes::from_static(BODY.as_bytes());
    criterion.bench_function("parse an order", |bencher| {
        bencher.iter(|| order_body::parse(black_box(&body), Dialect::V1).expect("an order"));
    });
}

fn answers(criterion: &mut Criterion) {
    let request = order_body::parse(&Bytes::from_static(BODY.as_bytes()), Dialect::V1).expect("an order");
    let (sale, now) = (SaleId::parse("spring").expect("a sale's name"), Timestamp::now());
    let order = Order::new(OrderId::fresh(), sale, request, Some(98), now, OrderStatus::Accepted);
    let placed = Placed { order, json: None, replayed: false, position: None };
    criterion
        .bench_function("answer accepted", |bencher| bencher.iter(|| routes::accepted(black_box(&placed))));
    criterion.bench_function("answer sold out", |bencher| {
        bencher.iter(|| Problem::from(black_box(Refusal::SoldOut)).error_response());
    });
}

criterion_group!(benches, parsing, answers);
criterion_main!(benches);
