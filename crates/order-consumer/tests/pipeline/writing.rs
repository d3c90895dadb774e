//! The consumer: what is in the log comes into the store, once, whatever goes wrong.

use std::{iter, mem, sync::Arc, time::Duration};

use order_consumer::{consume::StepError, returns};
use seckill_core::{
    event::{OrderEvent, OrderEventKind},
    ledger::ReserveOutcome,
    order::{OrderId, OrderStatus},
    order_log::OrderPublisher,
    settings::KafkaSettings,
    store::IncomingEvent,
    testing::RunningProcess,
};
use secrecy::ExposeSecret;
use serde_json::json;
use tokio::time::timeout;
use uuid::Uuid;

use crate::world::{World, create_sale};

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
    let (consumer, stop) = world.consumer_of(World::no_store());
    let stopper = tokio::spawn(async move {
        tokio::time::sleep(Duration::from_secs(4)).await;
        stop.request();
    });
    let outcome = World::first_step(consumer, Duration::from_secs(20)).await;
    assert!(matches!(outcome, Err(StepError::Stopped)), "there is no store to write to");
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
    let key = OrderId::fresh().to_string();
    let good = world.reserve(1).await;
    let (id, event) = (good.order.id.to_string(), good.placed_event().encode());
    let elsewhere = String::from_utf8(event.clone()).unwrap().replace(world.sale.as_str(), "no-such-sale");
    world.place(&key, Some(b"garbage")).await;
    world.place(&key, Some(b"{\"v\":2}")).await;
    world.place(&id, Some(elsewhere.as_bytes())).await;
    world.place("tombstone", None).await;
    world.place(&id, Some(&event)).await;

    world.consume(5).await;
    assert_eq!(world.status(good.order.id).await, Some(OrderStatus::Confirmed));
    let reasons = world.dead_letter_reasons(4).await.join("; ");
    for reason in ["not an order event", "version 2", "unknown sale", "no value"] {
        assert!(reasons.contains(reason), "{reason} is not among {reasons}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_consumer_that_waited_for_the_store_reads_on() {
    let world = World::open(10).await;
    let first = world.buy(1).await;
    world.database.execute("RENAME TABLE orders TO orders_elsewhere").await;
    let (consumer, _stop) = world.consumer();
    let working = tokio::spawn(World::work(consumer, 2));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(!working.is_finished(), "there is no table to write to");
    world.database.execute("RENAME TABLE orders_elsewhere TO orders").await;
    world.until_status(first.order.id, OrderStatus::Confirmed).await;
    let second = world.buy(1).await;
    working.await.unwrap();
    assert_eq!(world.status(second.order.id).await, Some(OrderStatus::Confirmed));
    world.end().await;
}

/// As a step leaves it that was given up while the store was away.
#[tokio::test(flavor = "multi_thread")]
async fn p4_a_consumer_that_was_left_paused_reads_on() {
    let world = World::open(10).await;
    let (mut consumer, _stop) = world.consumer();
    consumer.subscriber.pause_all().unwrap();
    let order = world.buy(1).await;
    World::work(consumer, 1).await;
    assert_eq!(world.status(order.order.id).await, Some(OrderStatus::Confirmed));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_what_the_store_can_never_take_becomes_a_dead_letter_by_itself() {
    let world = World::open(10).await;
    let (endless, good) = (world.reserve(1).await, world.reserve(1).await);
    // It says what it should, and is longer than the store's column. (Spaces at the end the store would drop.)
    let mut padded = vec![b' '; 70_000];
    padded.extend(endless.placed_event().encode());
    world.place(&endless.order.id.to_string(), Some(&padded)).await;
    world.place(&good.order.id.to_string(), Some(&good.placed_event().encode())).await;

    world.consume(2).await;
    assert_eq!(world.status(good.order.id).await, Some(OrderStatus::Confirmed));
    assert_eq!(world.status(endless.order.id).await, None);
    let letters = world.dead_letters(1).await;
    assert_eq!(letters.iter().map(|letter| letter.value.as_ref()).collect::<Vec<_>>(), [Some(&padded)]);
    assert!(world.dead_letter_reasons(1).await[0].contains("too long"));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_offsets_do_not_move_before_the_dead_letter() {
    let world = World::open(10).await;
    let nowhere = KafkaSettings { kafka_brokers: "127.0.0.1:1".to_owned(), ..world.kafka.clone() };
    let nobody = Arc::new(OrderPublisher::new(&nowhere).unwrap());
    world.place("garbage", Some(b"garbage")).await;
    let (consumer, _stop) = world.consumer_with(world.database.store(), nobody);
    let outcome = World::first_step(consumer, Duration::from_secs(60)).await;
    assert!(matches!(outcome, Err(StepError::Log(_))), "nobody took the letter: {outcome:?}");

    world.consume(1).await;
    assert_eq!(world.dead_letters(1).await.len(), 1);
    world.end().await;
}

/// So many bytes that cannot be packed.
fn noise(bytes: usize) -> Vec<u8> {
    iter::repeat_with(Uuid::new_v4).flat_map(Uuid::into_bytes).take(bytes).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_poison_as_large_as_the_log_takes_does_not_stop_its_partition() {
    let world = World::open(10).await;
    let (good, key) = (world.reserve(1).await, OrderId::fresh().to_string());
    // The topic takes 1,048,588 bytes, and a dead letter is larger than its original.
    let largest = noise(1_048_400);
    world.place(&key, Some(&largest)).await;
    let quoted = format!("{{\"v\":1,\"type\":\"{}\"}}", "x".repeat(600_000));
    world.place(&key, Some(quoted.as_bytes())).await;
    world.place(&good.order.id.to_string(), Some(&good.placed_event().encode())).await;

    world.consume(3).await;
    assert_eq!(world.status(good.order.id).await, Some(OrderStatus::Confirmed));
    let letters = world.dead_letters(2).await;
    assert!(letters.iter().any(|letter| letter.value.as_ref() == Some(&largest)), "the original is lost");
    for reason in world.dead_letter_reasons(2).await {
        assert!(reason.contains("not an order event") && reason.len() <= 1000, "{} bytes", reason.len());
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_poison_that_the_dead_letter_topic_does_not_take_leaves_its_place_there() {
    let world = World::open(10).await.with_dead_letters_of(2_000).await;
    let good = world.reserve(1).await;
    world.place("large", Some(&noise(4_000))).await;
    world.place(&good.order.id.to_string(), Some(&good.placed_event().encode())).await;

    world.consume(2).await;
    assert_eq!(world.status(good.order.id).await, Some(OrderStatus::Confirmed));
    let letters = world.dead_letters(1).await;
    assert_eq!((&letters[0].key, &letters[0].value), (&None, &None));
    assert_eq!(letters[0].header("offset"), Some(&b"0"[..]));
    let reasons = world.dead_letter_reasons(1).await.join("; ");
    assert!(reasons.contains("not an order event") && reasons.contains("left out"), "{reasons}");
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
async fn p4_a_ledger_that_takes_no_units_back_keeps_no_other_from_it() {
    let mut world = World::open(3).await;
    world.cancel(&world.buy(2).await).await;
    let next = create_sale(&world.store, &format!("{}-next", world.sale), 5).await;
    world.keeper.rebuild_untrusted().await.unwrap();
    let first = mem::replace(&mut world.sale, next);
    world.cancel(&world.buy(4).await).await;
    world.consume(4).await;
    assert_eq!(world.ledger_sale().await.remaining, 1, "not before they are swept");

    let next = mem::replace(&mut world.sale, first);
    world.spoil("orders").await;
    assert!(returns::sweep(&world.store, &world.ledger).await.is_err(), "the first is spoilt");
    let first = mem::replace(&mut world.sale, next);
    assert_eq!(world.ledger_sale().await.remaining, 5);
    world.lose_the_ledger().await;
    world.sale = first;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_an_order_that_cannot_be_read_keeps_the_units_of_no_other() {
    let mut world = World::open(9).await;
    let [spoilt, sound] = [world.buy(1).await, world.buy(2).await];
    for order in [&spoilt, &sound] {
        world.cancel(order).await;
    }
    let next = create_sale(&world.store, &format!("{}-next", world.sale), 5).await;
    world.keeper.rebuild_untrusted().await.unwrap();
    let first = mem::replace(&mut world.sale, next);
    world.cancel(&world.buy(4).await).await;
    world.consume(6).await;

    let row = spoilt.order.id.to_string().replace('-', "");
    let set_goods = async |goods: &str| {
        let update = format!("UPDATE orders SET goods = '{goods}' WHERE id = x'{row}'");
        world.database.execute(&update).await;
    };
    set_goods("").await;
    let failed = returns::sweep(&world.store, &world.ledger).await.unwrap_err().to_string();
    assert!(failed.contains(&format!("order {}: orders.goods", spoilt.order.id)), "{failed}");
    assert_eq!(world.ledger_sale().await.remaining, 5, "of the next sale");
    set_goods("phone").await;
    assert_eq!(returns::sweep(&world.store, &world.ledger).await.unwrap(), 1, "what it was kept from");

    world.lose_the_ledger().await;
    world.sale = first;
    assert_eq!(world.ledger_sale().await.remaining, 9);
    world.end().await;
}

fn incoming(kind: OrderEventKind, taken: &ReserveOutcome) -> IncomingEvent {
    let ReserveOutcome::Reserved(order) = taken else { panic!("{taken:?}") };
    IncomingEvent::new(OrderEvent { kind, ..order.placed_event() }, b"{}")
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_however_many_units_wait_for_a_ledger_those_of_other_sales_go_back() {
    let mut world = World::open(2_000).await;
    let asks: Vec<_> = (0..1_100).map(|_| world.reservation(OrderId::fresh(), 1)).collect();
    for page in asks.chunks(100) {
        let taken = world.ledger.reserve(&world.sale, page).await.unwrap();
        for kind in [OrderEventKind::Placed, OrderEventKind::Cancelled] {
            let events: Vec<_> = taken.iter().map(|outcome| incoming(kind, outcome)).collect();
            world.store.write_batch(&events).await.unwrap();
        }
    }
    let next = create_sale(&world.store, &format!("{}-next", world.sale), 5).await;
    world.keeper.rebuild_untrusted().await.unwrap();
    let first = mem::replace(&mut world.sale, next);
    world.cancel(&world.buy(4).await).await;
    world.consume(2).await;

    let next = mem::replace(&mut world.sale, first);
    world.lose_the_ledger().await;
    let swept = timeout(Duration::from_secs(20), returns::sweep(&world.store, &world.ledger)).await;
    assert_eq!(swept.expect("it ends").unwrap(), 1, "of the next");
    world.keeper.rebuild_untrusted().await.unwrap();
    assert_eq!(returns::sweep(&world.store, &world.ledger).await.unwrap(), asks.len(), "all of the first");
    let first = mem::replace(&mut world.sale, next);
    assert_eq!(world.ledger_sale().await.remaining, 5);
    world.lose_the_ledger().await;
    world.sale = first;
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
    let (pattern, mut orders) = (world.reserve(1).await.order, Vec::new());
    for _ in 0..5 {
        let mut order = pattern.clone();
        order.id = OrderId::fresh();
        order.openid = order.id.openid(order.created_date);
        let event =
            json!({ "v": 1, "type": "placed", "sale": world.sale, "order": order, "at": order.created_date });
        world.place(&order.id.to_string(), Some(event.to_string().as_bytes())).await;
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

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_stop_is_orderly_while_an_event_cannot_be_published() {
    let world = World::open(10).await;
    world.reserve(1).await;
    let consumer = RunningProcess::start(
        env!("CARGO_BIN_EXE_order-consumer"),
        &[("DATABASE_URL", world.database.url().expose_secret()), ("KAFKA_BROKERS", "127.0.0.1:1")],
    );
    // The relay gives it to a client that cannot send it, and waits.
    tokio::time::sleep(Duration::from_secs(6)).await;
    consumer.request_stop();
    assert_eq!(consumer.ended().code(), Some(0));
    assert_eq!(world.ledger_sale().await.outbox, 1, "it is for the next keeper");
    world.end().await;
}
