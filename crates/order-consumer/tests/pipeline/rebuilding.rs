//! What a rebuild waits for: whatever was accepted before it must be in its picture.

use std::time::Duration;

use seckill_core::order::OrderStatus;

use crate::world::{World, create_sale};

#[tokio::test(flavor = "multi_thread")]
async fn p2_what_is_acknowledged_late_and_still_in_time_is_in_the_rebuilt_ledger() {
    let world = World::open(10).await;
    // Reserved under the old fence; the ledger is lost before its event is in the log, outbox and all.
    let on_its_way = world.reserve(4).await;
    world.lose_the_ledger().await;
    let arriving = async {
        // Less than `ACCEPT_WITHIN`: its API answers `accepted`, whatever is being rebuilt meanwhile.
        tokio::time::sleep(Duration::from_secs(1)).await;
        world.publisher.publish_and_wait(&on_its_way.placed_event()).await.unwrap();
    };
    let (rebuilt, (), ()) = futures_util::join!(world.keeper.rebuild_untrusted(), arriving, world.consume(1));
    rebuilt.unwrap();
    assert_eq!(world.status(on_its_way.order.id).await, Some(OrderStatus::Confirmed));
    assert_eq!(world.ledger_sale().await.remaining, 6);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_rebuild_waits_until_what_was_accepted_is_written() {
    let world = World::open(10).await;
    let accepted = world.buy(3).await;
    world.lose_the_ledger().await;
    // Longer than the rebuild waits for acknowledgements: the consumers were away all that time.
    let writing = async {
        tokio::time::sleep(Duration::from_millis(4_500)).await;
        world.consume(1).await;
    };
    let (rebuilt, ()) = futures_util::join!(world.keeper.rebuild_untrusted(), writing);
    rebuilt.unwrap();
    assert_eq!(world.status(accepted.order.id).await, Some(OrderStatus::Confirmed));
    assert_eq!(world.ledger_sale().await.remaining, 7);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_sale_that_cannot_be_loaded_holds_up_no_other() {
    let mut world = World::new(5).await;
    // Behind the first by its name, so that it comes after it.
    let next = create_sale(&world.store, &format!("{}-next", world.sale), 7).await;
    let loading = async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        world.keeper.rebuild_untrusted().await
    };
    // Longer than anybody waits for a lock.
    let (loaded, ()) = futures_util::join!(loading, world.hold_the_row(Duration::from_secs(8)));
    assert!(loaded.is_err(), "the first cannot be loaded");
    let first = std::mem::replace(&mut world.sale, next);
    assert_eq!(world.ledger_sale().await.remaining, 7);
    world.lose_the_ledger().await;
    world.sale = first;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_ledger_that_cannot_be_read_is_rebuilt() {
    let world = World::open(5).await;
    world.damage("remaining", "a lot").await;
    world.keeper.rebuild_untrusted().await.unwrap();
    assert_eq!(world.ledger_sale().await.remaining, 5);
    world.end().await;
}
