//! `reconcile` and `doctor` see what is wrong, and services that cannot be reached are named.

use deadpool_redis::redis;
use rdkafka::{
    ClientConfig,
    admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier},
};
use seckill_core::{ledger::StockLedger, order::OrderId, sale::SaleId, testing::patient_redis};
use serde_json::json;

use crate::{
    own_redis::OwnRedis,
    support::{Site, raw, run, run_beside},
};

async fn damage(sale: &SaleId, by: i64) {
    let mut hincrby = redis::cmd("HINCRBY");
    hincrby.arg(format!("seckill:{{{sale}}}:sale")).arg("remaining").arg(by);
    hincrby.query_async::<()>(&mut raw().await).await.unwrap();
}

#[tokio::test]
async fn reconcile_of_a_sale_that_adds_up_is_clean() {
    let mut site = Site::with_topics().await;
    let sale = site.sale(100).await;
    site.hold(&sale, 3).await;
    let counted = site.run(&["reconcile", sale.as_str(), "--json"]).expect(0).json();
    let row = json!({ "sale": sale, "stock": 100, "remaining": 97, "held": 3, "outbox": 3, "inLog": 0, "sold": 0, "drift": 0 });
    assert_eq!(counted, json!({ "sales": [row], "notLoaded": [], "lost": [], "drift": false }));
}

#[tokio::test]
async fn reconcile_prints_units_that_came_from_nowhere_or_went_there() {
    let mut site = Site::with_topics().await;
    let sale = site.sale(100).await;
    site.hold(&sale, 3).await;
    for (by, drift) in [(5, -5), (-7, 2)] {
        damage(&sale, by).await;
        let counted = site.run(&["reconcile", sale.as_str(), "--json"]).expect(1).json();
        assert_eq!((&counted["drift"], &counted["sales"][0]["drift"]), (&json!(true), &json!(drift)));
    }
    let text = site.run(&["reconcile", sale.as_str()]).expect(1);
    assert!(text.stdout.contains("drift") && text.stderr.is_empty(), "{text:?}");
}

#[tokio::test]
async fn reconcile_says_which_sale_it_could_not_count() {
    let mut site = Site::with_topics().await;
    let sale = site.unloaded_sale(5).await.sale.id;
    let counted = site.run(&["reconcile", sale.as_str(), "--json"]).expect(0).json();
    let unknown = json!({ "sales": [], "notLoaded": [sale], "lost": [], "drift": false });
    assert_eq!(counted, unknown);
}

#[tokio::test]
async fn p4_reconcile_does_not_pass_over_a_ledger_that_was_lost() {
    let mut site = Site::with_topics().await;
    let sale = site.unloaded_sale(5).await.sale.id;
    // As the keeper leaves it that has loaded the sale.
    site.database.execute(&format!("UPDATE sales SET epoch = 1 WHERE id = '{sale}'")).await;
    let counted = site.run(&["reconcile", sale.as_str(), "--json"]).expect(1).json();
    assert_eq!((&counted["lost"], &counted["notLoaded"]), (&json!([sale]), &json!([sale])));
    let said = site.run(&["reconcile", sale.as_str()]).expect(1).stdout;
    assert!(said.contains("has lost it"), "{said}");
}

/// Puts something in place of a key of the sale, or of the record of an order, that no script of ours does.
async fn spoil(sale: &SaleId, key: &str, order: Option<OrderId>) {
    let key = format!("seckill:{{{sale}}}:{key}");
    let mut write = redis::cmd(if order.is_some() { "HSET" } else { "SET" });
    write.arg(key);
    if let Some(id) = order {
        write.arg(id.as_bytes());
    }
    write.arg("L spoilt").query_async::<()>(&mut raw().await).await.unwrap();
}

#[tokio::test]
async fn p4_a_ledger_that_cannot_be_read_keeps_no_other_from_being_looked_at() {
    for (key, order) in
        [("sale", None), ("orders", None), ("outbox", None), ("orders", Some(OrderId::fresh()))]
    {
        let mut site = Site::with_topics().await;
        let (spoilt, other) = (site.sale(5).await, site.sale(7).await);
        site.hold(&other, 2).await;
        spoil(&spoilt, key, order).await;
        let counted = site.run(&["reconcile", "--json"]).expect(0).json();
        assert_eq!(counted["sales"][0]["sale"], json!(other), "{key}: {counted}");
        assert!(counted["notLoaded"].as_array().unwrap().contains(&json!(spoilt)), "{key}: {counted}");
        let listed = site.run(&["outbox", "list", "--json"]).expect(0).json();
        assert_eq!(listed["entries"][0]["sale"], json!(other), "{key}: {listed}");
        site.run(&["sale", "list"]).expect(0);
    }
}

#[tokio::test]
async fn a_change_that_the_ledger_cannot_follow_is_said_to_be_in_the_store_alone() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    site.hold(&sale, 8).await;
    // A store that was set back.
    site.database.execute(&format!("UPDATE sales SET stock = 5 WHERE id = '{sale}'")).await;
    let ran = site.run(&["stock", "add", sale.as_str(), "1", "--reason", "r"]).expect(1);
    assert!(ran.complaint().contains("recorded") && ran.stderr.contains("hold 8 units"), "{ran:?}");
    assert_eq!(site.store.sale(&sale).await.unwrap().unwrap().sale.stock, 6);
    assert_eq!(site.in_ledger(&sale).await.remaining, 2);
}

#[tokio::test]
async fn reconcile_without_topics_blames_the_topic_and_not_the_network() {
    let mut site = Site::new().await;
    let sale = site.sale(5).await;
    let ran = site.run(&["reconcile", sale.as_str()]).expect(1);
    assert!(ran.complaint().contains("Kafka") && !ran.stderr.contains("unreachable"), "{ran:?}");
}

#[tokio::test]
async fn a_ledger_with_more_left_than_there_were_is_shown_and_not_reset() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    damage(&sale, 5).await;
    let shown = site.run(&["sale", "show", sale.as_str(), "--json"]).expect(0).json();
    assert_eq!((&shown["remaining"], &shown["held"]), (&json!(15), &json!(0)));
    let said = site.refused(&sale, &["reset", sale.as_str(), "--to", "1", "--yes"]).await;
    assert!(said.contains("does not add up"), "{said}");
}

#[tokio::test]
async fn doctor_finds_nothing_wrong_with_services_as_they_should_be() {
    let site = Site::with_topics().await;
    let checked = site.run(&["doctor", "--json"]).expect(0).json();
    assert_eq!(checked["ok"], true, "{checked}");
    assert!(checked["checks"].as_array().unwrap().len() > 10, "{checked}");
}

#[tokio::test]
async fn doctor_finds_a_missing_topic_and_a_schema_that_is_behind() {
    let site = Site::new().await;
    site.database.execute("DELETE FROM __diesel_schema_migrations").await;
    let checked = site.run(&["doctor", "--json"]).expect(1).json();
    let faults: Vec<_> =
        checked["checks"].as_array().unwrap().iter().filter(|it| it["ok"] == false).collect();
    let of = |check: &str| faults.iter().filter(|it| it["check"] == check).count();
    assert_eq!((of("kafka: topic"), of("mysql: migrations to apply"), faults.len()), (2, 1, 3), "{checked}");
}

#[tokio::test]
async fn doctor_finds_a_topic_that_wants_more_replicas_than_it_has() {
    let site = Site::with_topics().await;
    let brokers = ClientConfig::new().set("bootstrap.servers", &site.kafka.kafka_brokers).clone();
    let admin: AdminClient<_> = brokers.create().unwrap();
    let topic = AlterConfig::new(ResourceSpecifier::Topic(&site.kafka.orders_topic));
    let settings = topic.set("min.insync.replicas", "2");
    admin.alter_configs([&settings], &AdminOptions::new()).await.unwrap()[0].as_ref().unwrap();
    let checked = site.run(&["doctor", "--json"]).expect(1).json();
    let checks = checked["checks"].as_array().unwrap();
    let faults: Vec<_> = checks.iter().filter(|it| it["ok"] == false).map(|it| &it["check"]).collect();
    assert_eq!(faults, ["kafka: replication"], "{checked}");
}

#[tokio::test]
async fn doctor_finds_a_redis_that_forgets() {
    let site = Site::with_topics().await;
    let server = OwnRedis::start();
    let mut connection = patient_redis(&server.url).await;
    for (setting, bad, good, check) in [
        ("maxmemory-policy", "allkeys-lru", "noeviction", "redis: eviction policy"),
        ("appendfsync", "everysec", "always", "redis: persistence on every write"),
        ("appendonly", "no", "yes", "redis: persistence"),
    ] {
        let mut set = async |value: &str| {
            let mut set = redis::cmd("CONFIG");
            set.arg("SET").arg(setting).arg(value);
            set.query_async::<()>(&mut connection).await.unwrap();
        };
        set(bad).await;
        let checked = run(site.command(&["doctor", "--json"]).env("REDIS_URL", &server.url)).expect(1).json();
        let checks = checked["checks"].as_array().unwrap();
        let faults: Vec<_> = checks.iter().filter(|it| it["ok"] == false).map(|it| &it["check"]).collect();
        assert_eq!(faults, [check], "{checked}");
        set(good).await;
    }
}

#[tokio::test]
async fn a_redis_that_is_silent_for_a_moment_is_waited_for() {
    let mut site = Site::new().await;
    let server = OwnRedis::start();
    site.ledger = StockLedger::new(&server.url.clone().into(), 2).unwrap();
    let sale = site.sale(100).await;
    let mut connection = patient_redis(&server.url).await;
    redis::cmd("CLIENT").arg("PAUSE").arg(1500).query_async::<()>(&mut connection).await.unwrap();
    let mut added = site.command(&["stock", "add", sale.as_str(), "1", "--reason", "r"]);
    added.env("REDIS_URL", &server.url);
    run_beside(added).await.expect(0);
    assert_eq!(site.in_ledger(&sale).await.remaining, 101);
}

#[tokio::test]
async fn doctor_names_every_service_that_it_cannot_reach() {
    let site = Site::new().await;
    let ran = run(site
        .command(&["doctor"])
        .env("DATABASE_URL", "mysql://u:hunter2@127.0.0.1:1/x")
        .env("REDIS_URL", "redis://:hunter2@127.0.0.1:1/1")
        .env("KAFKA_BROKERS", "127.0.0.1:1"));
    let ran = ran.expect(1);
    for service in ["redis: reachable", "kafka: reachable", "mysql: reachable"] {
        let line = ran.stdout.lines().find(|line| line.contains(service)).unwrap();
        assert!(line.contains("FAULT"), "{ran:?}");
    }
    assert!(!ran.stdout.contains("hunter2") && !ran.stderr.contains("hunter2"), "{ran:?}");
}

#[tokio::test]
async fn a_service_that_cannot_be_reached_is_named_and_its_secret_is_not_shown() {
    let mut site = Site::new().await;
    let sale = site.sale(10).await;
    let name = sale.as_str();
    let mysql = ("DATABASE_URL", "mysql://u:hunter2@127.0.0.1:1/x");
    let redis = ("REDIS_URL", "redis://:hunter2@127.0.0.1:1/1");
    let kafka = ("KAFKA_BROKERS", "127.0.0.1:1");
    for ((variable, value), arguments) in [
        (mysql, &["migrate"][..]),
        (mysql, &["sale", "list"]),
        (mysql, &["stock", "add", name, "1", "--reason", "r"]),
        (redis, &["sale", "list"]),
        (redis, &["sale", "show", name]),
        (redis, &["stock", "show", name]),
        (redis, &["sale", "create", "never-made", "--stock", "1"]),
        (redis, &["stock", "add", name, "1", "--reason", "r"]),
        (redis, &["reset", name, "--to", "1", "--yes"]),
        (redis, &["reconcile", name]),
        (kafka, &["topics", "create"]),
        (kafka, &["reconcile", name]),
    ] {
        let before = site.everything(&sale).await;
        let ran = run(site.command(arguments).env(variable, value)).expect(69);
        let said = ran.stderr.lines().last().unwrap_or_default();
        assert!(said.contains(variable) && said.contains("unreachable"), "{arguments:?}: {ran:?}");
        assert!(!ran.stderr.contains("hunter2"), "{ran:?}");
        assert_eq!(site.everything(&sale).await, before);
    }
    let never_made = SaleId::parse("never-made").unwrap();
    assert!(site.store.sale(&never_made).await.unwrap().is_none());
}
