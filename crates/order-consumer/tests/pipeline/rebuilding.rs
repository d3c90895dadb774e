//! What a rebuild waits for: whatever was accepted before it must be in its picture.

use std::time::Duration;

use seckill_core::{
    ledger::{LedgerError, OrderLookup},
    order::{OrderId, OrderStatus},
    upkeep::relay::STALE_AFTER,
};

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
    let mut world = World::new(7).await;
    // The newest comes first.
    let next = create_sale(&world.store, &format!("{}-newest", world.sale), 5).await;
    let next = std::mem::replace(&mut world.sale, next);
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
async fn p4_the_sale_that_opened_last_waits_for_no_other() {
    let mut world = World::new(5).await;
    let oldest = world.sale.clone();
    let mut newer = Vec::new();
    for (name, stock) in [("middle", 6), ("newest", 7)] {
        // Not made in the same millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
        newer.push(create_sale(&world.store, &format!("{oldest}-{name}"), stock).await);
    }
    let [middle, newest] = newer.try_into().unwrap();
    world.keeper.rebuild_untrusted().await.unwrap();
    for sale in [&oldest, &middle, &newest] {
        world.sale = sale.clone();
        world.lose_the_ledger().await;
    }
    let meddling = async {
        while world.store.sale(&oldest).await.unwrap().unwrap().rebuild_epoch < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let losing_the_newest_again = async {
            while !world.is_trusted(&newest).await {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            world.damage("remaining", "a lot").await;
        };
        // All have begun. The one in the middle is not loaded before that is over.
        let hold = world.hold_the_row_of(&middle, Duration::from_secs(5));
        futures_util::join!(hold, losing_the_newest_again);
    };
    let (rebuilt, ()) = futures_util::join!(world.keeper.rebuild_untrusted(), meddling);
    rebuilt.unwrap();
    assert!(world.is_trusted(&middle).await, "it had been begun");
    assert!(!world.is_trusted(&oldest).await, "that would have kept the newest waiting");
    world.keeper.rebuild_untrusted().await.unwrap();
    for (sale, stock) in [(oldest, 5), (middle, 6), (newest, 7)] {
        world.sale = sale;
        assert_eq!(world.ledger_sale().await.remaining, stock);
        world.lose_the_ledger().await;
    }
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

#[tokio::test(flavor = "multi_thread")]
async fn p4_a_key_that_is_somebody_elses_is_one_sales_trouble_and_costs_no_order() {
    let mut world = World::open(10).await;
    let first = world.sale.clone();
    let mut spoilt = Vec::new();
    for key in ["sale", "buyers", "orders", "outbox", "rebuild"] {
        world.sale = create_sale(&world.store, &format!("{first}-{key}"), 10).await;
        world.keeper.rebuild_untrusted().await.unwrap();
        let bought = world.buy(3).await;
        spoilt.push((key, world.sale.clone(), bought.order.id));
    }
    world.consume(spoilt.len()).await;
    for (key, sale, ..) in &spoilt {
        world.sale = sale.clone();
        if *key == "rebuild" {
            world.lose_the_ledger().await;
        }
        world.spoil(key).await;
    }
    // The oldest, and so behind the others.
    world.sale = first.clone();
    world.lose_the_ledger().await;
    world.keeper.rebuild_untrusted().await.unwrap();
    assert_eq!(world.ledger_sale().await.remaining, 10);
    world.lose_the_ledger().await;
    for (key, sale, bought) in spoilt {
        world.sale = sale;
        let ledger = world.ledger_sale().await;
        assert_eq!((ledger.remaining, ledger.epoch), (7, 2), "{key}: rebuilt");
        assert_eq!(world.status(bought).await, Some(OrderStatus::Confirmed), "{key}");
        world.reserve(7).await;
        world.lose_the_ledger().await;
    }
    world.sale = first;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_order_that_cannot_get_into_the_outbox_is_not_taken() {
    let world = World::open(10).await;
    world.spoil("outbox").await;
    let ask = world.reservation(OrderId::fresh(), 1);
    let failure = world.ledger.reserve(&world.sale, std::slice::from_ref(&ask)).await.unwrap_err();
    assert!(matches!(failure, LedgerError::Unavailable(_)), "{failure:?}");
    // Were it there, a retry of its key would be answered `accepted`, and it would never get into the log.
    assert_eq!(world.ledger.order(&world.sale, ask.id).await.unwrap(), OrderLookup::Unknown);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_an_order_that_cannot_be_read_keeps_no_other_of_the_outbox_from_the_log() {
    let world = World::open(10).await;
    let (lost, kept) = (world.reserve(1).await, world.reserve(2).await);
    world.damage_order(lost.order.id).await;
    // As after a restart.
    world.damage("fence", "another server").await;
    let (rebuilt, ()) = futures_util::join!(world.keeper.rebuild_untrusted(), world.consume(1));
    rebuilt.unwrap();
    assert_eq!(world.status(kept.order.id).await, Some(OrderStatus::Confirmed));
    assert_eq!(world.ledger_sale().await.remaining, 8);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_p4_orders_that_cannot_be_read_are_not_in_front_of_the_others_for_ever() {
    let world = World::open(1_000).await;
    // More than are published at once, and first in the outbox.
    for _ in 0..501 {
        world.damage_order(world.reserve(1).await.order.id).await;
    }
    let kept = world.reserve(2).await;
    tokio::time::sleep(STALE_AFTER + Duration::from_millis(100)).await;
    world.keeper.tend().await.unwrap();
    world.consume(1).await;
    assert_eq!(world.status(kept.order.id).await, Some(OrderStatus::Confirmed));
    world.keeper.rebuild_untrusted().await.unwrap();
    assert_eq!(world.ledger_sale().await.remaining, 998, "nor are they there for ever");
    world.end().await;
}
