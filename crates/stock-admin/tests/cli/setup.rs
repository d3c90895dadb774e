//! `migrate` and `topics create`: what a new installation needs.

use std::thread;

use seckill_core::{sale::SaleId, testing::TestDatabase};

use crate::support::{Site, run};

async fn empty() -> Site {
    Site::on(TestDatabase::create_empty().await)
}

fn default_sale() -> SaleId {
    SaleId::parse("default").unwrap()
}

#[tokio::test]
async fn the_first_migrate_makes_the_default_sale_of_100_and_the_second_does_nothing() {
    let site = empty().await;
    let first = site.run(&["migrate", "--json"]).expect(0).json();
    assert!(!first["applied"].as_array().unwrap().is_empty(), "{first}");
    let made = site.in_store(&default_sale()).await;
    assert_eq!((made.sale.stock, made.sold), (100, 0));

    let second = site.run(&["migrate", "--json"]).expect(0).json();
    assert_eq!(second["applied"], serde_json::json!([]));
    assert_eq!(site.in_store(&default_sale()).await, made);
    let text = site.run(&["migrate"]).expect(0);
    assert_eq!(text.stdout, "the schema is up to date\n");
}

#[tokio::test]
async fn a_later_migrate_leaves_a_changed_stock_alone() {
    let site = empty().await;
    site.run(&["migrate"]).expect(0);
    site.database.execute("UPDATE sales SET stock = 7, state = 'paused' WHERE id = 'default'").await;
    let changed = site.in_store(&default_sale()).await;
    site.run(&["migrate"]).expect(0);
    assert_eq!(site.in_store(&default_sale()).await, changed);
}

#[tokio::test]
async fn migrates_at_once_take_turns() {
    let site = empty().await;
    let running: Vec<_> = (0..4)
        .map(|_| {
            let mut command = site.command(&["migrate", "--json"]);
            thread::spawn(move || run(&mut command))
        })
        .collect();
    let mut who_applied = 0;
    for ran in running {
        let applied = ran.join().unwrap().expect(0).json();
        who_applied += usize::from(!applied["applied"].as_array().unwrap().is_empty());
    }
    assert_eq!(who_applied, 1);
    assert_eq!(site.in_store(&default_sale()).await.sale.stock, 100);
    assert_eq!(site.store.history(&default_sale()).await.unwrap().len(), 1);
}

#[tokio::test]
async fn topics_are_made_once_and_left_alone_after() {
    let mut site = Site::new().await;
    let first = site.create_topics().expect(0).json();
    let (orders, dead) = (&site.kafka.orders_topic, &site.kafka.dead_letter_topic);
    let outcome = |created: bool| serde_json::json!({ "topics": [{ "topic": orders, "created": created }, { "topic": dead, "created": created }] });
    assert_eq!(first, outcome(true));
    let second = site.run(&["topics", "create", "--orders-partitions", "5", "--json"]).expect(0).json();
    assert_eq!(second, outcome(false));
    let text = site.run(&["topics", "create"]).expect(0).stdout;
    assert!(text.contains("there already, left as it is"), "{text}");
    let doctor = site.run(&["doctor"]).stdout;
    assert!(doctor.contains("2 partitions"), "{doctor}");
}

#[tokio::test]
async fn topics_that_kafka_will_not_make_are_a_refusal_and_not_an_outage() {
    let site = Site::new().await;
    let ran = site.run(&["topics", "create", "--replication-factor", "99"]).expect(1);
    assert!(ran.stderr.contains("Kafka") && !ran.stderr.contains("unreachable"), "{ran:?}");
}
