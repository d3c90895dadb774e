//! What becomes of an event, rule by rule.

use jiff::Unit;
use seckill_core::{
    order::{BuyerId, Goods, OrderStatus, Remark},
    store::{IncomingEvent, WriteOutcome},
    testing::TestDatabase,
};

use super::events::{
    cancelled, create, order, placed, placed_in_epoch, returned_ids, sale_id, sold, status, write,
};

#[tokio::test]
async fn p2_an_order_that_fits_is_confirmed_and_read_back_whole() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let taken = order("s", "买家 🛒", 3);
    assert_eq!(write(&store, placed(&taken)).await, WriteOutcome::Confirmed);
    assert_eq!(sold(&store, "s").await, 3);

    let stored = store.order(&sale_id("s"), taken.id).await.unwrap().unwrap();
    let mut expected = taken.clone();
    expected.status = OrderStatus::Confirmed;
    // The millisecond of the openid, not the nearest one.
    assert_eq!(stored.created_date.as_millisecond(), taken.created_date.as_millisecond());
    assert_eq!(stored.openid, taken.id.openid(stored.created_date));
    assert!(stored.update_date >= stored.created_date);
    assert_eq!(stored.update_date, stored.update_date.round(Unit::Millisecond).unwrap());
    expected.created_date = stored.created_date;
    expected.update_date = stored.update_date;
    assert_eq!(stored, expected);
    assert_eq!(store.order(&sale_id("default"), taken.id).await.unwrap(), None, "it is of another sale");
    let statuses = store.order_statuses(&[taken.id, order("s", "b", 1).id]).await.unwrap();
    assert_eq!(statuses.into_iter().collect::<Vec<_>>(), [(taken.id, OrderStatus::Confirmed)]);
}

#[tokio::test]
async fn p2_every_order_of_a_batch_is_written_whatever_its_size() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 5_000).await;
    // One row for each statement there is, and the largest once more.
    let orders: Vec<_> = (0..1_023 + 512).map(|_| order("s", "b", 1)).collect();
    let batch: Vec<_> = orders.iter().map(placed).collect();
    assert_eq!(store.write_batch(&batch).await.unwrap(), vec![WriteOutcome::Confirmed; orders.len()]);
    assert_eq!(sold(&store, "s").await, orders.len() as u64);
    let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
    assert_eq!(store.order_statuses(&ids).await.unwrap().len(), ids.len());
}

#[tokio::test]
async fn p1_what_does_not_fit_is_rejected_and_its_units_go_back() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 3).await;
    let (first, large, last) = (order("s", "a", 2), order("s", "b", 2), order("s", "c", 1));
    let outcomes = store.write_batch(&[placed(&first), placed(&large), placed(&last)]).await.unwrap();
    assert_eq!(outcomes, [WriteOutcome::Confirmed, WriteOutcome::Rejected, WriteOutcome::Confirmed]);
    assert_eq!(sold(&store, "s").await, 3);
    assert_eq!(status(&store, &large).await, Some(OrderStatus::Rejected));
    assert_eq!(returned_ids(&store).await, [large.id]);

    assert_eq!(write(&store, placed(&large)).await, WriteOutcome::Duplicate);
    assert_eq!(write(&store, cancelled(&large)).await, WriteOutcome::Duplicate);
    store.delete_returns(&[large.id]).await.unwrap();
    assert_eq!(returned_ids(&store).await, []);
}

#[tokio::test]
async fn p1_no_statement_at_all_can_sell_more_than_the_stock() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 3).await;
    let by_hand = tokio::spawn(async move {
        database.execute("UPDATE sales SET sold = stock + 1 WHERE id = 's'").await;
    });
    assert!(by_hand.await.is_err());
}

#[tokio::test]
async fn p3_a_repeated_event_changes_nothing() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let taken = order("s", "a", 2);
    let outcomes = store.write_batch(&[placed(&taken), placed(&taken)]).await.unwrap();
    assert_eq!(outcomes, [WriteOutcome::Confirmed, WriteOutcome::Duplicate]);
    assert_eq!(write(&store, placed(&taken)).await, WriteOutcome::Duplicate);
    // Taken anew after the ledger forgot it: another moment, another remainder, another epoch.
    let mut again = order("s", "a", 2);
    again.id = taken.id;
    again.remain_count = None;
    assert_eq!(write(&store, placed_in_epoch(&again, 1)).await, WriteOutcome::Duplicate);
    assert_eq!(sold(&store, "s").await, 2);
}

/// Whatever was inserted before the known one was met is undone, and counted once.
#[tokio::test]
async fn p1_p3_a_known_order_anywhere_in_a_batch_of_new_ones_is_told_apart() {
    // Which takes a statement of eight and one of one.
    const ORDERS: usize = 9;
    for place in [0, ORDERS - 2, ORDERS - 1] {
        let database = TestDatabase::create().await;
        let store = database.store();
        create(&store, "s", 100).await;
        // Inserted in the order of their ids, which is this one.
        let orders: Vec<_> = (0..ORDERS).map(|n| order("s", &format!("buyer-{n}"), 1)).collect();
        write(&store, placed(&orders[place])).await;

        let batch: Vec<_> = orders.iter().map(placed).collect();
        let mut expected = [WriteOutcome::Confirmed; ORDERS];
        expected[place] = WriteOutcome::Duplicate;
        assert_eq!(store.write_batch(&batch).await.unwrap(), expected, "{place}");
        assert_eq!(sold(&store, "s").await, ORDERS as u64);
        for order in &orders {
            assert_eq!(status(&store, order).await, Some(OrderStatus::Confirmed));
        }
    }
}

#[tokio::test]
async fn p3_one_id_is_one_body() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    create(&store, "t", 10).await;
    let taken = order("s", "a", 2);
    write(&store, placed(&taken)).await;
    let changed = |change: fn(&mut seckill_core::order::Order)| {
        let mut other = taken.clone();
        change(&mut other);
        other
    };
    let others = [
        changed(|order| order.buyer = BuyerId::parse("A").unwrap()),
        changed(|order| order.buyer = BuyerId::parse("a ").unwrap()),
        changed(|order| order.goods = Goods::parse("phone ").unwrap()),
        changed(|order| order.quantity = 1.try_into().unwrap()),
        changed(|order| order.remark = None),
        changed(|order| order.remark = Some(Remark::parse("").unwrap())),
        changed(|order| order.sale = sale_id("t")),
    ];
    for other in &others {
        assert_eq!(write(&store, placed(other)).await, WriteOutcome::ConflictingPayload, "{other:?}");
        assert_eq!(write(&store, cancelled(other)).await, WriteOutcome::ConflictingPayload, "{other:?}");
    }
    let fresh = order("s", "b", 1);
    let mut conflicting = fresh.clone();
    conflicting.buyer = BuyerId::parse("c").unwrap();
    let outcomes = store.write_batch(&[placed(&fresh), placed(&conflicting)]).await.unwrap();
    assert_eq!(outcomes, [WriteOutcome::Confirmed, WriteOutcome::ConflictingPayload], "within a batch too");
    assert_eq!((sold(&store, "s").await, sold(&store, "t").await), (3, 0));
}

#[tokio::test]
async fn a_cancelled_order_gives_its_units_back_once() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 2).await;
    let (first, second) = (order("s", "a", 2), order("s", "b", 2));
    write(&store, placed(&first)).await;
    assert_eq!(write(&store, cancelled(&first)).await, WriteOutcome::Cancelled);
    assert_eq!(status(&store, &first).await, Some(OrderStatus::Cancelled));
    assert_eq!(sold(&store, "s").await, 0);
    assert_eq!(returned_ids(&store).await, [first.id]);
    assert_eq!(write(&store, cancelled(&first)).await, WriteOutcome::Duplicate);
    assert_eq!(write(&store, placed(&first)).await, WriteOutcome::Duplicate);
    assert_eq!(write(&store, placed(&second)).await, WriteOutcome::Confirmed);
    assert_eq!(sold(&store, "s").await, 2);
}

#[tokio::test]
async fn a_batch_is_as_its_events_one_by_one() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 2).await;
    create(&store, "t", 1).await;
    let (first, second, elsewhere) = (order("s", "a", 2), order("s", "b", 2), order("t", "a", 1));
    let events = [
        placed(&first),
        placed(&elsewhere),
        cancelled(&first),
        placed(&second),
        placed(&first),
        cancelled(&first),
    ];
    let outcomes = store.write_batch(&events).await.unwrap();
    let expected = [
        WriteOutcome::Confirmed,
        WriteOutcome::Confirmed,
        WriteOutcome::Cancelled,
        WriteOutcome::Confirmed,
        WriteOutcome::Duplicate,
        WriteOutcome::Duplicate,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(status(&store, &first).await, Some(OrderStatus::Cancelled));
    assert_eq!(returned_ids(&store).await, [first.id]);
    assert_eq!((sold(&store, "s").await, sold(&store, "t").await), (2, 1));
    let replayed = store.write_batch(&events).await.unwrap();
    assert_eq!(replayed, [WriteOutcome::Duplicate; 6], "a replay of the whole batch changes nothing");
    assert_eq!(store.write_batch(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn what_is_cancelled_before_it_came_never_comes() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 2).await;
    let taken = order("s", "a", 2);
    assert_eq!(write(&store, cancelled(&taken)).await, WriteOutcome::Cancelled);
    assert_eq!(returned_ids(&store).await, [taken.id]);
    assert_eq!(write(&store, placed(&taken)).await, WriteOutcome::Duplicate);
    assert_eq!(status(&store, &taken).await, Some(OrderStatus::Cancelled));
    assert_eq!(sold(&store, "s").await, 0);
}

#[tokio::test]
async fn p1_an_order_that_a_rebuild_could_not_see_is_refused() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let (seen, unseen, later) = (order("s", "a", 1), order("s", "b", 1), order("s", "c", 1));
    write(&store, placed_in_epoch(&seen, 0)).await;
    let epoch = store.take_rebuild_epoch(&sale_id("s")).await.unwrap().unwrap().epoch;
    assert!(store.admit_epoch(&sale_id("s"), epoch).await.unwrap());
    assert_eq!(write(&store, placed_in_epoch(&seen, 0)).await, WriteOutcome::Duplicate);
    assert_eq!(write(&store, placed_in_epoch(&unseen, 0)).await, WriteOutcome::SupersededEpoch);
    assert_eq!(status(&store, &unseen).await, None);
    assert_eq!(
        write(&store, cancelled(&seen)).await,
        WriteOutcome::Cancelled,
        "cancelling is of every epoch"
    );
    assert_eq!(write(&store, placed_in_epoch(&later, epoch)).await, WriteOutcome::Confirmed);
    assert_eq!(sold(&store, "s").await, 1);
}

#[tokio::test]
async fn orders_of_no_sale_are_left_out_and_do_not_stop_the_others() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let (lost, fine) = (order("nowhere", "a", 1), order("s", "a", 1));
    let outcomes = store.write_batch(&[placed(&lost), placed(&fine), cancelled(&lost)]).await.unwrap();
    assert_eq!(outcomes, [WriteOutcome::UnknownSale, WriteOutcome::Confirmed, WriteOutcome::UnknownSale]);
    let dead: Vec<_> = outcomes.into_iter().map(WriteOutcome::dead_letter_reason).collect();
    assert_eq!(dead, [Some("unknown sale"), None, Some("unknown sale")]);
}

#[tokio::test]
async fn p3_buyers_who_differ_by_a_space_are_two_buyers() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let orders = ["a", "a ", "A", "ä", "a\u{308}"].map(|buyer| order("s", buyer, 1));
    let events: Vec<IncomingEvent> = orders.iter().map(placed).collect();
    assert_eq!(store.write_batch(&events).await.unwrap(), [WriteOutcome::Confirmed; 5]);
    for order in &orders {
        let stored = store.order(&order.sale, order.id).await.unwrap().unwrap();
        assert_eq!(stored.buyer.as_str().as_bytes(), order.buyer.as_str().as_bytes());
    }
}

#[tokio::test]
async fn the_raw_message_is_kept() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 10).await;
    let event = placed(&order("s", "买家", 1));
    let text = event.raw.replace('\\', "\\\\").replace('\'', "''");
    write(&store, event).await;
    // Marking all rows that hold it is a way to see that one does.
    database.execute(&format!("UPDATE orders SET remark = 'found' WHERE kafka_raw_message = '{text}'")).await;
    let mut snapshot = store.snapshot(&sale_id("s")).await.unwrap().unwrap();
    let page = snapshot.next_page().await.unwrap();
    assert_eq!(page.len(), 1);
    let stored = store.order(&sale_id("s"), page[0].id).await.unwrap().unwrap();
    assert_eq!(stored.remark.unwrap().as_str(), "found");
}
