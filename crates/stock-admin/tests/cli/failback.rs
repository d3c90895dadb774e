//! A Redis that was the primary, was demoted, and is the primary again: the same process, without what it decided last.

use std::time::{Duration, Instant};

use deadpool_redis::redis;
use seckill_core::{
    ledger::{ReserveOutcome, SaleLookup, StockLedger},
    order::Units,
    testing::patient_redis,
};
use serde_json::json;

use crate::{
    own_redis::OwnRedis,
    support::{Site, load, reserve, run},
};

const FOLLOWED_WITHIN: Duration = Duration::from_secs(20);
/// What is decided is tried here, not when.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes the server at `url` follow `primary`; none: makes it a primary.
async fn follow(url: &str, primary: Option<&str>) {
    let at =
        primary.map(|primary| primary.trim_start_matches("redis://").split('/').next().unwrap().to_owned());
    let (host, port) = at.as_deref().map_or(("NO", "ONE"), |at| at.rsplit_once(':').unwrap());
    let mut connection = patient_redis(url).await;
    let mut replicaof = redis::cmd("REPLICAOF");
    replicaof.arg(host).arg(port).query_async::<()>(&mut connection).await.unwrap();
    let began = Instant::now();
    while primary.is_some() {
        let said: String = redis::cmd("INFO").arg("replication").query_async(&mut connection).await.unwrap();
        if said.contains("master_link_status:up") {
            break;
        }
        assert!(began.elapsed() < FOLLOWED_WITHIN, "it does not follow: {said}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn p2_a_primary_that_was_demoted_and_is_promoted_again_is_not_trusted() {
    let mut site = Site::new().await;
    let stored = site.unloaded_sale(10).await;
    let sale = &stored.sale.id;
    let (first, second) = (OwnRedis::start(), OwnRedis::start());
    let ledger = StockLedger::answering_within(PATIENCE, &first.url.clone().into(), 2).unwrap();
    follow(&second.url, Some(&first.url)).await;
    load(&ledger, &stored).await;
    let began = Instant::now();
    while left_by_hand(&second.url, sale.as_str()).await != Some(10) {
        assert!(began.elapsed() < FOLLOWED_WITHIN, "the sale does not reach the replica");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }

    // A failover that misses an order.
    follow(&second.url, None).await;
    assert!(matches!(reserve(&ledger, sale, 3).await, ReserveOutcome::Reserved(_)));
    // The first becomes the second's replica, and loses the order; then everything is as it was, but for that.
    follow(&first.url, Some(&second.url)).await;
    follow(&first.url, None).await;

    assert_eq!(left_by_hand(&first.url, sale.as_str()).await, Some(10), "the order was to be lost");
    assert_eq!(ledger.sale(sale).await.unwrap(), SaleLookup::Untrusted);
    assert_eq!(reserve(&ledger, sale, 3).await, ReserveOutcome::Untrusted);
    let shown = run(site.command(&["sale", "show", sale.as_str(), "--json"]).env("REDIS_URL", &first.url));
    assert_eq!(shown.expect(0).json()["ledger"], json!("being rebuilt"));
}

#[tokio::test]
async fn p2_a_rebuild_knows_whether_another_primary_may_have_gone_on() {
    let server = OwnRedis::start();
    let ledger = StockLedger::answering_within(PATIENCE, &server.url.clone().into(), 2).unwrap();
    assert!(!ledger.needs_replicas().await.unwrap());
    let mut set = redis::cmd("CONFIG");
    set.arg("SET").arg("min-replicas-to-write").arg(1);
    set.query_async::<()>(&mut patient_redis(&server.url).await).await.unwrap();
    assert!(ledger.needs_replicas().await.unwrap());
}

/// Units left, whatever they are worth.
async fn left_by_hand(url: &str, sale: &str) -> Option<Units> {
    let mut hget = redis::cmd("HGET");
    hget.arg(format!("seckill:{{{sale}}}:sale")).arg("remaining");
    hget.query_async(&mut patient_redis(url).await).await.unwrap()
}
