//! When an order came to each step.

use jiff::{SignedDuration, Timestamp};
use seckill_core::{
    order::OrderStatus,
    order_log::Position,
    store::{Logged, OrderTimeline},
    testing::TestDatabase,
};

use super::events::{cancelled, create, order, placed, write};

fn logged(offset: i64) -> Logged {
    let at = Timestamp::from_millisecond(1_763_942_701_123).unwrap();
    Logged { position: Position { partition: 3, offset }, at: Some(at) }
}

/// Whether `at` is just now.
fn recent(at: Option<Timestamp>) -> bool {
    at.is_some_and(|at| Timestamp::now().duration_since(at).abs() < SignedDuration::from_secs(10))
}

#[tokio::test]
async fn every_step_of_an_order_has_its_time() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let order = order("s", "ada", 2);
    let timeline = async || store.timeline(&order.sale, order.id).await.unwrap();
    assert_eq!(timeline().await, None);

    write(&store, placed(&order).logged(logged(42))).await;
    let written: OrderTimeline = timeline().await.unwrap();
    assert_eq!(written.status, OrderStatus::Confirmed);
    assert_eq!(written.reserved.as_millisecond(), order.created_date.as_millisecond());
    assert_eq!(written.published, Some(logged(42)));
    assert!(recent(written.written));
    assert_eq!((written.cancelled, written.returned), (None, None));

    // What comes twice changes nothing.
    write(&store, placed(&order).logged(logged(43))).await;
    assert_eq!(timeline().await.unwrap(), written);

    write(&store, cancelled(&order).logged(logged(44))).await;
    let gone = timeline().await.unwrap();
    assert_eq!(
        (gone.status, gone.published, gone.written),
        (OrderStatus::Cancelled, written.published, written.written)
    );
    assert!(recent(gone.cancelled) && gone.returned.is_none());
    write(&store, cancelled(&order).logged(logged(45))).await;
    assert_eq!(timeline().await.unwrap(), gone);

    store.delete_returns(&[order.id]).await.unwrap();
    let returned = timeline().await.unwrap();
    assert!(recent(returned.returned));
    assert_eq!(OrderTimeline { returned: None, ..returned.clone() }, gone);
    store.delete_returns(&[order.id]).await.unwrap();
    assert_eq!(timeline().await.unwrap(), returned);
}

#[tokio::test]
async fn an_order_that_was_cancelled_first_was_never_seen_placed() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let (early, at_once, rejected) = (order("s", "ada", 1), order("s", "bob", 1), order("s", "eve", 50));
    write(&store, cancelled(&early).logged(logged(1))).await;
    write(&store, placed(&early).logged(logged(2))).await;
    let timeline = store.timeline(&early.sale, early.id).await.unwrap().unwrap();
    assert_eq!((timeline.status, timeline.published), (OrderStatus::Cancelled, None));
    assert!(recent(timeline.written) && recent(timeline.cancelled));

    // Placed and cancelled in one batch.
    let batch =
        [placed(&at_once).logged(logged(3)), cancelled(&at_once).logged(logged(4)), placed(&rejected)];
    store.write_batch(&batch).await.unwrap();
    let timeline = store.timeline(&at_once.sale, at_once.id).await.unwrap().unwrap();
    assert_eq!((timeline.status, timeline.published), (OrderStatus::Cancelled, Some(logged(3))));
    assert!(recent(timeline.cancelled));
    let timeline = store.timeline(&rejected.sale, rejected.id).await.unwrap().unwrap();
    assert_eq!((timeline.status, timeline.cancelled), (OrderStatus::Rejected, None));
}

#[tokio::test]
async fn orders_from_before_times_were_kept_have_what_is_known() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let order = order("s", "ada", 1);
    write(&store, placed(&order)).await;
    database.execute("UPDATE orders SET written_at = NULL, published_at = NULL, log_position = NULL").await;
    let timeline = store.timeline(&order.sale, order.id).await.unwrap().unwrap();
    assert_eq!((timeline.published, timeline.written), (None, None));
    assert_eq!(timeline.status, OrderStatus::Confirmed);
}
