//! The keeper: what was cut off between ledger, log and store is mended.

use std::time::{Duration, Instant};

use order_consumer::keeper::{KeeperError, drift, rebuild};
use seckill_core::{
    ledger::{AdjustOutcome, LedgerOrder, OrderLookup, ReserveOutcome, SaleLookup},
    order::{OrderId, OrderStatus, Remark},
    sale::SaleSwitch,
    store::{AdjustmentRequest, BeginAdjustment, StockChange},
};

use crate::world::{World, create_sale};

#[tokio::test(flavor = "multi_thread")]
async fn p2_p4_a_lost_ledger_is_rebuilt_from_log_and_store() {
    let world = World::open(10).await;
    let written = world.buy(2).await;
    world.consume(1).await;
    let in_the_log = world.buy(3).await;
    let never_published = world.reserve(4).await;
    world.lose_the_ledger().await;
    assert_eq!(world.ledger.sale(&world.sale).await.unwrap(), SaleLookup::Absent);

    // A rebuild waits for the consumers: run one beside it.
    let (rebuilt, ()) = futures_util::join!(world.keeper.rebuild_untrusted(), world.consume(1));
    rebuilt.unwrap();
    let ledger = world.ledger_sale().await;
    assert_eq!((ledger.remaining, ledger.epoch, ledger.orders), (5, 2, 2));

    // A retry of either gets its old answer; what the log never had is taken anew.
    for order in [&written, &in_the_log] {
        let found = world.ledger.order(&world.sale, order.order.id).await.unwrap();
        let OrderLookup::Found(found) = found else { panic!("{found:?}") };
        assert_eq!(found.order.openid, order.order.openid);
    }
    let retry = world.reservation(never_published.order.id, 4);
    let outcome = world.ledger.reserve(&world.sale, &[retry]).await.unwrap().remove(0);
    assert!(matches!(outcome, ReserveOutcome::Reserved(order) if order.epoch == 2));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_keeper_that_looked_before_the_first_load_still_waits_for_the_log() {
    let world = World::new(10).await;
    // One keeper reads the sale, which is in no ledger yet, and is stopped.
    let seen_before = world.store.sales().await.unwrap();
    // Another one loads it; an order is sold and accepted, and not written yet.
    world.keeper.rebuild_untrusted().await.unwrap();
    let accepted = world.buy(3).await;

    let woken = rebuild::rebuild(&world.keeper, &seen_before);
    let (rebuilt, ()) = futures_util::join!(woken, world.consume(1));
    rebuilt.unwrap();
    assert_eq!(world.status(accepted.order.id).await, Some(OrderStatus::Confirmed));
    assert_eq!(world.ledger_sale().await.remaining, 7);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_an_event_from_before_a_rebuild_that_missed_it_is_refused() {
    let world = World::open(10).await;
    world.buy(1).await;
    world.consume(1).await;
    let stopped_before_publishing = world.reserve(5).await;
    world.lose_the_ledger().await;
    world.keeper.rebuild_untrusted().await.unwrap();

    world.publisher.publish_and_wait(&stopped_before_publishing.placed_event()).await.unwrap();
    world.consume(1).await;
    assert_eq!(world.status(stopped_before_publishing.order.id).await, None);
    assert_eq!(world.sold().await, 1);
    assert_eq!(world.dead_letter_reasons(1).await, ["superseded epoch"]);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_what_an_outbox_still_holds_is_published() {
    let world = World::open(10).await;
    let forgotten = world.reserve(2).await;
    world.keeper.tend().await.unwrap();
    assert_eq!(world.ledger_sale().await.outbox, 1, "too young to be forgotten");
    tokio::time::sleep(Duration::from_millis(3200)).await;
    world.keeper.tend().await.unwrap();
    assert_eq!(world.ledger_sale().await.outbox, 0);
    world.consume(1).await;
    assert_eq!(world.status(forgotten.order.id).await, Some(OrderStatus::Confirmed));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_what_the_log_does_not_take_keeps_nothing_else_in_an_outbox() {
    let world = World::open(10_000).await;
    // A client that does not know the topic yet chooses partitions otherwise.
    world.buy(1).await;
    let mut large = world.reservation(OrderId::fresh(), 1);
    let remark = (0..500).map(|i| char::from_u32(0x4e00 + i * 7_919 % 20_000).unwrap()).collect::<String>();
    large.request.remark = Some(Remark::parse(remark).unwrap());
    let taken = world.ledger.reserve(&world.sale, &[large]).await.unwrap().remove(0);
    let ReserveOutcome::Reserved(large) = taken else { panic!("{taken:?}") };
    let forget = async |order: &LedgerOrder| {
        world.age_in_the_outbox(order.order.id, Duration::from_secs(3600)).await;
    };
    forget(&large).await;
    // In another partition than that one: the world's topic has three.
    let partition = |order: &LedgerOrder| order.order.created_date.as_millisecond() % 3;
    let small = loop {
        let order = world.reserve(1).await;
        forget(&order).await;
        if partition(&order) != partition(&large) {
            break order;
        }
    };
    let in_outbox = async |order: &LedgerOrder| {
        let found = world.ledger.order(&world.sale, order.order.id).await.unwrap();
        let OrderLookup::Found(found) = found else { panic!("{found:?}") };
        found.in_outbox
    };
    // It takes a moment until the broker does as it is told.
    let until_taken = async |taken: bool| {
        let until = Instant::now() + Duration::from_secs(10);
        while world.publisher.publish_and_wait(&large.placed_event()).await.is_ok() != taken {
            assert!(Instant::now() < until, "the broker goes by the old limit");
        }
    };
    world.limit_batches(1_500).await;
    until_taken(false).await;
    assert!(world.keeper.tend().await.is_err(), "the large one is refused");
    assert_eq!((in_outbox(&large).await, in_outbox(&small).await), (true, false));
    world.limit_batches(1_000_000).await;
    until_taken(true).await;
    world.keeper.tend().await.unwrap();
    assert!(!in_outbox(&large).await);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_p5_a_sale_whose_row_cannot_be_read_keeps_the_keeper_from_no_other() {
    let world = World::new(10).await;
    let spoilt = create_sale(&world.store, &format!("a-{}", world.sale), 5).await;
    world.database.execute(&format!("UPDATE sales SET state = 'ajar' WHERE id = '{spoilt}'")).await;
    let says_so = |done: Result<(), KeeperError>| done.unwrap_err().to_string().contains(spoilt.as_str());
    assert!(says_so(world.keeper.rebuild_untrusted().await));
    assert_eq!(world.ledger_sale().await.remaining, 10, "the other is loaded");

    let forgotten = world.reserve(2).await;
    world.age_in_the_outbox(forgotten.order.id, Duration::from_secs(3600)).await;
    assert!(says_so(world.keeper.tend().await));
    assert_eq!(world.ledger_sale().await.outbox, 0, "and tended");
    world.consume(1).await;
    assert!(drift::measure(&world.keeper).await.unwrap().contains_key(&world.sale), "and watched");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p5_what_an_outbox_holds_since_a_time_to_come_is_published() {
    let world = World::open(10).await;
    let forgotten = world.reserve(2).await;
    // As the outbox is when Redis' clock is set back by an hour.
    world.age_in_the_outbox(forgotten.order.id, Duration::from_secs(3600)).await;
    world.keeper.tend().await.unwrap();
    assert_eq!(world.ledger_sale().await.outbox, 0);
    world.consume(1).await;
    assert_eq!(world.status(forgotten.order.id).await, Some(OrderStatus::Confirmed));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_raise_that_missed_the_ledger_is_applied() {
    let world = World::open(10).await;
    let mut lock = world.store.lock_sale(&world.sale).await.unwrap().unwrap();
    let request = AdjustmentRequest {
        stock: StockChange::To(25),
        switch: Some(SaleSwitch::Paused),
        reason: "test".into(),
        actor: "test".into(),
        above: 0,
    };
    let BeginAdjustment::Begun(pending) = lock.begin(&request).await.unwrap() else { panic!("refused") };
    pending.commit().await.unwrap();
    world.keeper.tend().await.unwrap();
    assert_eq!(world.ledger_sale().await.sale.stock, 10, "an operator is still at work");
    lock.release().await;

    world.keeper.tend().await.unwrap();
    let ledger = world.ledger_sale().await;
    assert_eq!((ledger.sale.stock, ledger.remaining, ledger.sale.switch), (25, 25, SaleSwitch::Paused));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_lowering_that_the_store_never_had_is_taken_back() {
    let world = World::open(10).await;
    world.buy(4).await;
    let number = world.ledger_sale().await.adjustment + 5;
    let lowered = world.ledger.adjust(&world.sale, number, 6, SaleSwitch::Open, None).await.unwrap();
    assert_eq!(lowered, AdjustOutcome::Applied { remaining: 2 });
    world.keeper.tend().await.unwrap();
    let ledger = world.ledger_sale().await;
    assert_eq!((ledger.sale.stock, ledger.remaining), (10, 6));
    assert!(ledger.adjustment > number);
    world.keeper.tend().await.unwrap();
    assert_eq!(world.ledger_sale().await.adjustment, ledger.adjustment, "mended once");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_lost_a_raise_is_not_written_to_again_and_again() {
    let world = World::open(10).await;
    world.reserve(8).await;
    world.database.execute("UPDATE sales SET stock = 5, adjustment = 0").await;
    let before = world.store.history(&world.sale).await.unwrap();
    for _ in 0..2 {
        world.keeper.tend().await.unwrap();
    }
    assert_eq!(world.store.history(&world.sale).await.unwrap(), before);
    let seen = world.ledger_sale().await;
    assert_eq!((seen.sale.stock, seen.remaining), (10, 2), "what was promised stands");
    world.end().await;
}
