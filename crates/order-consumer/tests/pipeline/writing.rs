//! The consumer: what is in the log comes into the store, once, whatever goes wrong.

use std::time::Duration;

use order_consumer::{consume::StepError, returns};
use rdkafka::{
    config::ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use seckill_core::order::{OrderId, OrderStatus};
use serde_json::json;

use crate::world::World;

#[tokio::test(flavor = "multi_thread")]
async fn p2_what_was_accepted_is_confirmed_and_not_read_twice() {
    let world = World::open(10).await;
    let orders = [world.buy(1).await, world.buy(2).await, world.buy(3).await];
    world.consume(3).await;
    for order in &orders {
        assert_eq!(world.status(order.order.id).await, Some(OrderStatus::Confirmed));
    }
    assert_eq!(world.sold().await, 6);
    // The offsets have moved: the next one sees only what is new.
    world.buy(1).await;
    world.consume(1).await;
    assert_eq!(world.sold().await, 7);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_offsets_do_not_move_before_the_commit() {
    let world = World::open(10).await;
    let order = world.buy(1).await;
    let (mut consumer, stop) = world.consumer_of(World::no_store());
    let stopper = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        stop.request();
    });
    let outcome = tokio::task::spawn_blocking(move || {
        let started = std::time::Instant::now();
        loop {
            match consumer.step() {
                Ok(0) if started.elapsed() < Duration::from_secs(20) => {}
                other => {
                    consumer.subscriber.close().unwrap();
                    return other;
                }
            }
        }
    });
    assert!(matches!(outcome.await.unwrap(), Err(StepError::Stopped)), "there is no store to write to");
    stopper.await.unwrap();

    world.consume(1).await;
    assert_eq!(world.status(order.order.id).await, Some(OrderStatus::Confirmed));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_an_event_that_is_in_the_log_twice_is_one_order() {
    let world = World::open(10).await;
    let order = world.buy(2).await;
    for _ in 0..5 {
        world.publisher.publish_and_wait(&order.placed_event()).await.unwrap();
    }
    world.consume(6).await;
    assert_eq!(world.sold().await, 2);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_poison_becomes_a_dead_letter_and_the_partition_goes_on() {
    let world = World::open(10).await;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &world.kafka.kafka_brokers).create().unwrap();
    let key = OrderId::fresh().to_string();
    let good = world.reserve(1).await;
    let text = String::from_utf8(good.placed_event().encode()).unwrap();
    let elsewhere = text.replace(world.sale.as_str(), "no-such-sale");
    let future = "{\"v\":2}".to_owned();
    let poison = [(key.clone(), "garbage".to_owned()), (key, future), (good.order.id.to_string(), elsewhere)];
    for (key, value) in &poison {
        let record = FutureRecord::to(&world.kafka.orders_topic).partition(0).key(key).payload(value);
        producer.send(record, Duration::from_secs(5)).await.unwrap();
    }
    let tombstone: FutureRecord<'_, str, [u8]> =
        FutureRecord::to(&world.kafka.orders_topic).partition(0).key("tombstone");
    producer.send(tombstone, Duration::from_secs(5)).await.unwrap();
    let id = good.order.id.to_string();
    let record = FutureRecord::to(&world.kafka.orders_topic).partition(0).key(&id).payload(&text);
    producer.send(record, Duration::from_secs(5)).await.unwrap();

    world.consume(5).await;
    assert_eq!(world.status(good.order.id).await, Some(OrderStatus::Confirmed));
    let reasons = world.dead_letters(4).await.join("; ");
    for reason in ["not an order event", "version 2", "unknown sale", "no value"] {
        assert!(reasons.contains(reason), "{reason} is not among {reasons}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_units_of_a_cancelled_order_go_back_once() {
    let world = World::open(3).await;
    let order = world.buy(2).await;
    world.cancel(&order).await;
    world.cancel(&order).await;
    world.consume(3).await;
    assert_eq!(world.status(order.order.id).await, Some(OrderStatus::Cancelled));
    assert_eq!(world.ledger_sale().await.remaining, 1, "not before they are swept");

    assert_eq!(returns::sweep(&world.store, &world.ledger).await.unwrap(), 1);
    assert_eq!(returns::sweep(&world.store, &world.ledger).await.unwrap(), 0);
    assert_eq!(world.ledger_sale().await.remaining, 3);
    assert_eq!(world.sold().await, 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_what_does_not_fit_the_stock_is_rejected() {
    let world = World::open(3).await;
    let orders = [world.buy(1).await, world.buy(2).await];
    // The ledger forgets both and sells on, as no ledger behind the fence does.
    world.lose_the_ledger().await;
    let terms = world.store.sale(&world.sale).await.unwrap().unwrap();
    assert!(world.ledger.begin_rebuild(&world.sale, 2).await.unwrap());
    let loading = world.ledger.start_loading(&world.sale, 2).await.unwrap();
    loading.swap_in(&terms.sale, terms.adjustment).await.unwrap();
    let late = world.buy(3).await;
    world.consume(3).await;

    assert!(world.sold().await <= 3, "oversold");
    let mut rejected = 0;
    for order in orders.iter().chain([&late]) {
        rejected += usize::from(world.status(order.order.id).await == Some(OrderStatus::Rejected));
    }
    assert!(rejected > 0);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_what_others_put_into_the_log_is_held_to_the_stock() {
    let world = World::open(3).await;
    let producer: FutureProducer =
        ClientConfig::new().set("bootstrap.servers", &world.kafka.kafka_brokers).create().unwrap();
    let (pattern, mut orders) = (world.reserve(1).await.order, Vec::new());
    for _ in 0..5 {
        let mut order = pattern.clone();
        order.id = OrderId::fresh();
        order.openid = order.id.openid(order.created_date);
        let event =
            json!({ "v": 1, "type": "placed", "sale": world.sale, "order": order, "at": order.created_date });
        let (key, value) = (order.id.to_string(), event.to_string());
        let record = FutureRecord::to(&world.kafka.orders_topic).key(&key).payload(&value);
        producer.send(record, Duration::from_secs(5)).await.unwrap();
        orders.push(order.id);
    }
    world.consume(5).await;
    let mut statuses = Vec::new();
    for id in orders {
        statuses.push(world.status(id).await.unwrap());
    }
    let confirmed = statuses.iter().filter(|status| **status == OrderStatus::Confirmed).count();
    let rejected = statuses.iter().filter(|status| **status == OrderStatus::Rejected).count();
    assert_eq!((confirmed, rejected, world.sold().await), (3, 2, 3));
    world.end().await;
}
