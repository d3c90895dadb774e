//! What a rebuild waits for: whatever was accepted before it must be in its picture.

use std::time::Duration;

use seckill_core::order::OrderStatus;

use crate::world::World;

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
