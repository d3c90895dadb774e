//! Not a test of speed, which machines differ in: `cargo test --release -- --ignored --nocapture speed`
//! prints how many orders a second the consumer's transaction writes.

use std::time::Instant;

use seckill_core::{
    store::{FULL_STATEMENT, IncomingEvent, WriteOutcome},
    testing::TestDatabase,
};

use super::events::{create, order, placed};

/// Writes `batches` full batches of orders, spread over `sales`, and prints the rate.
async fn measure(sales: u64, batches: u64) {
    let database = TestDatabase::create().await;
    let store = database.store();
    for sale in 0..sales {
        create(&store, &format!("s{sale}"), 1_000_000).await;
    }
    let mut backlog: Vec<Vec<IncomingEvent>> = Vec::new();
    for _batch in 0..batches {
        let batch = (0..FULL_STATEMENT)
            .map(|n| placed(&order(&format!("s{}", n as u64 % sales), &format!("buyer-{n}"), 1)));
        backlog.push(batch.collect());
    }
    let started = Instant::now();
    for batch in &backlog {
        assert_eq!(store.write_batch(batch).await.unwrap(), [WriteOutcome::Confirmed; FULL_STATEMENT]);
    }
    let rate = (batches * FULL_STATEMENT as u64) as f64 / started.elapsed().as_secs_f64();
    println!("{sales} sales, batches of {FULL_STATEMENT}: {rate:.0} orders/s");
    let started = Instant::now();
    for batch in backlog.iter().take(50) {
        assert_eq!(store.write_batch(batch).await.unwrap(), [WriteOutcome::Duplicate; FULL_STATEMENT]);
    }
    println!(
        "the same again: {:.0} orders/s",
        (50 * FULL_STATEMENT) as f64 / started.elapsed().as_secs_f64()
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed_of_the_consumers_transaction() {
    measure(1, 100).await;
    measure(1, 200).await;
    measure(100, 100).await;
}
