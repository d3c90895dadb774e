//! Several writers at once.

use seckill_core::{
    store::{IncomingEvent, OrderStore, StoreError, WriteOutcome},
    testing::TestDatabase,
};

use super::events::{cancelled, create, order, placed, returned_ids, sale_id, sold};

/// Writes a batch as the consumer does: again after what is transient.
async fn write_stubbornly(store: &OrderStore, events: &[IncomingEvent]) -> Vec<WriteOutcome> {
    loop {
        match store.write_batch(events).await {
            Ok(outcomes) => return outcomes,
            Err(error) if error.is_transient() => eprintln!("again: {error}"),
            Err(error) => panic!("{error}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_writers_of_one_sale_never_sell_more_than_the_stock() {
    let database = TestDatabase::create().await;
    create(&database.store(), "s", 300).await;
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..2 {
        let store = database.store();
        writers.spawn(async move {
            let mut units = 0;
            for batch in 0..20 {
                let mut events = Vec::new();
                for number in 0..20 {
                    let taken = order("s", &format!("{writer}-{batch}-{number}"), 1 + number % 3);
                    events.push(placed(&taken));
                    if number % 5 == 0 {
                        events.push(cancelled(&taken));
                    }
                }
                for (event, outcome) in events.iter().zip(write_stubbornly(&store, &events).await) {
                    let quantity = event.event.order.quantity.units();
                    match outcome {
                        WriteOutcome::Confirmed => units += quantity,
                        WriteOutcome::Cancelled => units -= quantity,
                        _ => (),
                    }
                }
                assert!(sold(&store, "s").await <= 300);
            }
            units
        });
    }
    let units: u64 = writers.join_all().await.into_iter().sum();
    let store = database.store();
    assert_eq!(sold(&store, "s").await, units);
    assert_eq!(units, 300, "there were enough buyers for all of it");
    assert!(!returned_ids(&store).await.is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_the_same_events_written_by_two_at_once_are_written_once() {
    let database = TestDatabase::create().await;
    create(&database.store(), "s", 10_000).await;
    let events: Vec<IncomingEvent> = (0..200).map(|n| placed(&order("s", &format!("{n}"), 2))).collect();
    let mut writers = tokio::task::JoinSet::new();
    for _writer in 0..4 {
        let (store, events) = (database.store(), events.clone());
        writers.spawn(async move { write_stubbornly(&store, &events).await });
    }
    let outcomes = writers.join_all().await;
    for event in 0..events.len() {
        let confirmed = outcomes.iter().filter(|of| of[event] == WriteOutcome::Confirmed).count();
        assert_eq!(confirmed, 1);
    }
    assert_eq!(sold(&database.store(), "s").await, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_of_several_sales_do_not_wait_in_a_circle() {
    let database = TestDatabase::create().await;
    let names = ["a", "b", "c", "d"];
    for name in names {
        create(&database.store(), name, 1_000).await;
    }
    let mut writers = tokio::task::JoinSet::new();
    for writer in 0..3 {
        let store = database.store();
        writers.spawn(async move {
            for batch in 0..15 {
                // Each writer names the sales in another order.
                let events: Vec<IncomingEvent> = (0..20)
                    .map(|n| {
                        placed(&order(names[(n + writer + batch) % 4], &format!("{writer}-{batch}-{n}"), 1))
                    })
                    .collect();
                let written: Result<_, StoreError> = store.write_batch(&events).await;
                assert_eq!(written.unwrap(), vec![WriteOutcome::Confirmed; 20], "no deadlock, no wait");
            }
        });
    }
    writers.join_all().await;
    for name in names {
        assert_eq!(database.store().sale(&sale_id(name)).await.unwrap().unwrap().sold, 225);
    }
}

/// Writes `events` while another connection has done `first` to the sale's row and holds it, until the batch waits for
/// the row with all its orders inserted.
async fn write_behind(database: &TestDatabase, first: &str, events: &[IncomingEvent]) -> Vec<WriteOutcome> {
    let holding = format!("BEGIN; {first}; DO SLEEP(2); COMMIT");
    let holding = database.execute(&holding);
    let store = database.store();
    let writing = async {
        database.wait_for_connection("state = 'User sleep'").await;
        write_stubbornly(&store, events).await
    };
    // While it is held: a batch that waits for it before it inserts comes here, too, once it is free.
    let inserted = database.wait_for_connection(
        "info LIKE 'UPDATE `sales` SET `sold`%' AND EXISTS \
         (SELECT * FROM information_schema.processlist WHERE db = DATABASE() AND state = 'User sleep')",
    );
    let ((), outcomes, ()) = tokio::join!(holding, writing, inserted);
    outcomes
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_orders_that_are_inserted_already_do_not_count_once_a_rebuild_has_missed_them() {
    let database = TestDatabase::create().await;
    create(&database.store(), "s", 5).await;
    let events = [placed(&order("s", "ada", 1)), placed(&order("s", "bob", 1))];
    let outcomes = write_behind(&database, "UPDATE sales SET epoch = 1", &events).await;
    assert_eq!(outcomes, [WriteOutcome::SupersededEpoch; 2]);
    assert_eq!(sold(&database.store(), "s").await, 0);
    for event in &events {
        let order = &event.event.order;
        assert!(database.store().order(&order.sale, order.id).await.unwrap().is_none(), "it is undone");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_orders_that_are_inserted_already_are_rejected_where_another_took_the_last_units() {
    let database = TestDatabase::create().await;
    create(&database.store(), "s", 5).await;
    let events = [placed(&order("s", "ada", 2)), placed(&order("s", "bob", 2))];
    let outcomes = write_behind(&database, "UPDATE sales SET sold = 3", &events).await;
    assert_eq!(outcomes, [WriteOutcome::Confirmed, WriteOutcome::Rejected]);
    assert_eq!(sold(&database.store(), "s").await, 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_again_keeps_no_writer_from_inserting_beside_others() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 5).await;
    let again = placed(&order("s", "ada", 1));
    store.write_batch(std::slice::from_ref(&again)).await.unwrap();
    let events = [placed(&order("s", "bob", 1)), again, placed(&order("s", "cyd", 1))];
    let outcomes = write_behind(&database, "UPDATE sales SET title = title", &events).await;
    assert_eq!(outcomes, [WriteOutcome::Confirmed, WriteOutcome::Duplicate, WriteOutcome::Confirmed]);
    assert_eq!(sold(&store, "s").await, 3);
}

#[tokio::test]
async fn p4_a_machine_that_vanishes_in_a_transaction_holds_the_others_up_for_seconds() {
    let database = TestDatabase::create().await;
    let store = database.store();
    create(&store, "s", 5).await;
    let vanished =
        database.execute_and_fall_silent("BEGIN; SELECT id FROM sales WHERE id = 's' FOR UPDATE").await;
    let started = std::time::Instant::now();
    let written = write_stubbornly(&store, &[placed(&order("s", "ada", 1))]).await;
    assert_eq!(written, [WriteOutcome::Confirmed]);
    let took = started.elapsed().as_secs();
    assert!((5..60).contains(&took), "{took} s: it had the row for no time, or for too long");
    drop(vanished);
}
