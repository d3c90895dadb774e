//! A change of stock while the other side moves.

use std::time::Duration;

use seckill_core::{
    change::{ChangeError, ChangeRefusal, Sides},
    ledger::AdjustOutcome,
    order::OrderStatus,
    sale::SaleSwitch,
    store::{AdjustmentRequest, BeginAdjustment, StockChange},
};

use crate::world::World;

fn to(stock: u64) -> AdjustmentRequest {
    AdjustmentRequest {
        stock: StockChange::To(stock),
        switch: None,
        reason: "because".into(),
        actor: "ann".into(),
        above: 0,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_lowering_is_one_whatever_the_ledger_had_when_it_was_begun() {
    let world = World::open(10).await;
    // A raise to 20 is in the store for good, and still on its way to the ledger.
    let mut lock = world.store.lock_sale(&world.sale).await.unwrap().unwrap();
    let BeginAdjustment::Begun(pending) = lock.begin(&to(20)).await.unwrap() else { panic!("refused") };
    let raise = pending.commit().await.unwrap().adjustment;
    lock.release().await;

    // An operator lowers the stock to 15. By the ledger's 10 that would be a raise. It is held up at the
    // sale's row, and meanwhile the ledger gets the raise, and sells 18.
    let row = world.hold_the_row(Duration::from_secs(4));
    let lowering = async {
        world.database.wait_for_connection("state = 'User sleep'").await;
        Sides { store: &world.store, ledger: &world.ledger }.change(&world.sale, to(15)).await
    };
    let selling = async {
        world.database.wait_for_connection("info LIKE 'SELECT%FROM `sales`%FOR UPDATE%'").await;
        let raised = world.ledger.adjust(&world.sale, raise, 20, SaleSwitch::Open, None).await.unwrap();
        assert_eq!(raised, AdjustOutcome::Applied { remaining: 20 });
        [world.buy(10).await, world.buy(8).await]
    };
    let ((), lowered, orders) = futures_util::join!(row, lowering, selling);

    let refused = matches!(lowered, Err(ChangeError::Refused(ChangeRefusal::Short { held: 18 })));
    assert!(refused, "{lowered:?}");
    world.consume(2).await;
    for order in orders {
        assert_eq!(world.status(order.order.id).await, Some(OrderStatus::Confirmed), "it was accepted");
    }
    world.end().await;
}
