//! `dead-letters list` and `dead-letters replay`.

use rdkafka::{
    ClientConfig,
    producer::{FutureProducer, FutureRecord},
};
use seckill_core::order::OrderStatus;
use serde_json::json;

use crate::{
    at_work::AtWork,
    support::{Site, run_beside},
};

impl Site {
    /// Puts onto the orders topic what no code of ours writes.
    async fn poison(&self, key: &[u8], value: &[u8]) {
        let mut config = ClientConfig::new();
        let producer: FutureProducer =
            config.set("bootstrap.servers", &self.kafka.kafka_brokers).create().unwrap();
        let record = FutureRecord::to(&self.kafka.orders_topic).key(key).payload(value).partition(1);
        producer.send(record, std::time::Duration::from_secs(10)).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_dead_letter_is_shown_replayed_and_stored_once_its_cause_is_gone() {
    let mut site = Site::to_work_on().await;
    let work = AtWork::writer(&site);
    let sale = site.sale(10).await;
    // An order of a sale that the store does not have: its row is away for a moment.
    let away = format!("UPDATE sales SET id = 'away' WHERE id = '{sale}'");
    let back = format!("UPDATE sales SET id = '{sale}' WHERE id = 'away'");
    site.database.execute(&away).await;
    let order = site.buy(Some(&work.publisher), &sale, 2).await;
    site.letters(1).await;
    site.poison(b"key\x1b[31m", b"not\xffjson").await;
    site.letters(2).await;

    let listed = site.run(&["dead-letters", "list", "--json"]).expect(0).json();
    let letters = listed["deadLetters"].as_array().unwrap();
    assert_eq!(letters.len(), 2, "{listed}");
    let (unknown, poison) = (&letters[0], &letters[1]);
    assert_eq!(unknown["reason"], "unknown sale");
    assert_eq!((&unknown["key"], &unknown["orderStatus"]), (&json!(order.order.id), &json!(null)));
    assert_eq!(unknown["from"]["topic"], json!(site.kafka.orders_topic));
    assert!(unknown["value"].as_str().unwrap().contains("\"placed\""), "{unknown}");
    assert!(poison["reason"].as_str().unwrap().contains("not an order event"), "{poison}");
    assert_eq!(poison["from"]["partition"], 1);
    assert_eq!(poison["value"]["hex"], "6e6f74ff6a736f6e");
    let text = site.run(&["dead-letters", "list"]).expect(0).stdout;
    assert!(text.contains("unknown sale") && text.contains("0:1"), "{text}");
    assert!(!text.contains('\x1b'), "a message must not speak to the terminal: {text:?}");

    site.database.execute(&back).await;
    let chosen = ["dead-letters", "replay", "--reason", "unknown sale", "--json"];
    let replayed = run_beside(site.command(&chosen)).await.expect(0).json();
    assert_eq!((&replayed["replayed"], &replayed["letters"][0]["at"]), (&json!(1), &json!("0:0")));
    site.becomes(&order, OrderStatus::Confirmed).await;
    // Twice is harmless; what is still poison comes back.
    run_beside(site.command(&["dead-letters", "replay", "--all"])).await.expect(0);
    let letters = site.letters(3).await;
    assert_eq!(letters.len(), 3);
    assert_eq!(site.in_store(&sale).await.sold, 2);
    let listed = site.run(&["dead-letters", "list", "--reason", "unknown sale", "--json"]).expect(0).json();
    assert_eq!(listed["deadLetters"].as_array().unwrap().len(), 1);
    assert_eq!(listed["deadLetters"][0]["orderStatus"], "confirmed");
    work.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_dead_letter_is_chosen_by_its_place() {
    let site = Site::to_work_on().await;
    let work = AtWork::writer(&site);
    for key in [b"a", b"b"] {
        site.poison(key, b"garbage").await;
    }
    site.letters(2).await;
    let missing = site.run(&["dead-letters", "replay", "0:2"]).expect(1);
    assert_eq!(missing.complaint(), "stock-admin: there is no dead letter at 0:2");
    assert_eq!(site.letters(2).await.len(), 2, "refused is nothing done");

    run_beside(site.command(&["dead-letters", "replay", "0:1"])).await.expect(0);
    let letters = site.letters(3).await;
    assert_eq!(letters[2].key.as_deref(), Some(&b"b"[..]));
    work.end().await;
}

#[tokio::test]
async fn without_dead_letters_there_is_nothing_to_replay() {
    let site = Site::to_work_on().await;
    let none = site.run(&["dead-letters", "list", "--json"]).expect(0).json();
    assert_eq!(none, json!({ "deadLetters": [] }));
    for all in [&["dead-letters", "replay", "--json"][..], &["dead-letters", "replay", "--all", "--json"]] {
        let replayed = site.run(all).expect(0).json();
        assert_eq!(replayed["replayed"], 0, "nothing to ask about: {replayed}");
    }
}
