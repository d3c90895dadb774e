//! `PUT /seckill/reset` `{"count":N}`: what `stock-admin reset` does, with the original's answers.

use std::time::Duration;

use reqwest::Method;
use seckill_core::{
    ledger::{LedgerSale, RecordState},
    sale::{Sale, SaleSwitch},
    store::StoredSale,
};

use crate::{
    office::{Office, TOKEN},
    world::{PHONE, RunningApi, terms},
};

async fn both(office: &Office) -> (StoredSale, LedgerSale) {
    let stored = office.world.store.sale(&office.world.sale).await.unwrap().unwrap();
    (stored, office.world.ledger_sale().await)
}

#[tokio::test(flavor = "multi_thread")]
async fn put_seckill_reset_leaves_exactly_n_and_says_so_as_the_original() {
    let office = Office::open(10).await;
    office.world.buy("ada", 3).await;
    for count in [0_u64, 50, 7, 7] {
        let answer = office.reset(&count.to_string()).await;
        assert_eq!((answer.status, answer.body), (200, format!("更新剩余商品数成功！现在剩余：{count}")));
        let (stored, ledger) = both(&office).await;
        assert_eq!((ledger.remaining, ledger.sale.stock, stored.sale.stock), (count, count + 3, count + 3));
        assert_eq!((ledger.sale.switch, stored.sale.switch), (SaleSwitch::Open, SaleSwitch::Open));
        assert_eq!(ledger.adjustment, stored.adjustment);
    }
    let answer = office.reset("1").await;
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    office.world.buy("bob", 1).await;
    assert_eq!(office.world.order(PHONE).await.status, 409);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_is_written_down_in_the_name_of_the_api() {
    let office = Office::open(10).await;
    office.reset("4").await;
    let history = office.world.store.history(&office.world.sale).await.unwrap();
    let last = history.last().unwrap();
    assert_eq!((last.actor.as_str(), last.delta, last.reason.as_str()), ("api", -6, "reset: 4 left"));
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn put_seckill_reset_below_nothing_is_200_with_the_originals_text_and_changes_nothing() {
    let office = Office::open(10).await;
    let before = both(&office).await;
    for count in ["-1", "-9223372036854775808", "-1e30"] {
        let answer = office.reset(count).await;
        assert_eq!((answer.status, &*answer.body), (200, "剩余数量不可小于0！"), "{count}");
        assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    }
    let after = both(&office).await;
    assert_eq!((after.0, after.1.remaining), (before.0, before.1.remaining));
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_put_seckill_reset_to_what_is_no_count_is_a_problem_and_changes_nothing() {
    let office = Office::open(10).await;
    let before = both(&office).await;
    for count in ["1.5", "\"5\"", "null", "[]", "1e999", ""] {
        office.reset(count).await.problem(400, "malformed-request");
    }
    for body in ["", "[]", "5", r#"{"count":1,"count":1}"#, r#"{"count":1,"sale":"x"}"#] {
        office.ask(Method::PUT, "/seckill/reset", body).await.problem(400, "malformed-request");
    }
    office.ask(Method::PUT, "/seckill/reset", "{}").await.names_field("count");
    office.reset("1000000001").await.names_field("count");
    office.reset("1e30").await.names_field("count");
    let bearer = format!("Bearer {TOKEN}");
    let not_json = [("authorization", &*bearer), ("content-type", "text/plain")];
    let answer = office.api.send(Method::PUT, "/seckill/reset", &not_json, r#"{"count":1}"#).await;
    answer.problem(415, "unsupported-media-type");
    let after = both(&office).await;
    assert_eq!((after.0, after.1.remaining), (before.0, before.1.remaining));
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_reset_beyond_the_largest_stock_is_refused_and_does_not_pause_the_sale() {
    let office = Office::open(10).await;
    office.world.buy("ada", 1).await;
    office.reset("1000000000").await.names_field("count");
    assert_eq!(office.world.remaining().await, 9);
    assert_eq!(office.world.order(PHONE).await.status, 202);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_of_a_paused_sale_leaves_it_paused() {
    let office = Office::of(Sale { switch: SaleSwitch::Paused, ..terms(10) }).await;
    assert_eq!(office.reset("4").await.status, 200);
    let (stored, ledger) = both(&office).await;
    assert_eq!((stored.sale.switch, ledger.sale.switch), (SaleSwitch::Paused, SaleSwitch::Paused));
    assert_eq!(ledger.remaining, 4);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_reset_of_a_sale_that_is_not_there_or_not_loaded_is_a_problem() {
    let office = Office::open(10).await;
    office.world.lose_the_ledger().await;
    office.reset("4").await.problem(503, "ledger-recovering");
    let mut parts = office.world.parts().await;
    parts.admin_token = Some(TOKEN.into());
    parts.default_sale = terms(1).id;
    let api = RunningApi::start(parts, &[]);
    let bearer = format!("Bearer {TOKEN}");
    let headers = [("authorization", &*bearer), ("content-type", "application/json")];
    let answer = api.send(Method::PUT, "/seckill/reset", &headers, r#"{"count":4}"#).await;
    answer.problem(404, "sale-not-found");
    api.stop().await;
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_of_resets_at_once_each_is_made_or_told_that_another_is_being_made() {
    let office = Office::open(100).await;
    office.world.buy("ada", 8).await;
    let resets = [20_u64, 40, 60, 80].map(|count| {
        let office = &office;
        async move { (count, office.reset(&count.to_string()).await) }
    });
    let mut made = Vec::new();
    for (count, answer) in futures_util::future::join_all(resets).await {
        if answer.status == 200 {
            made.push(count);
        } else {
            answer.problem(503, "overloaded");
        }
    }
    let (stored, ledger) = both(&office).await;
    assert!(made.contains(&ledger.remaining), "{made:?}, {ledger:?}");
    assert_eq!((ledger.sale.stock, stored.sale.stock), (ledger.remaining + 8, ledger.remaining + 8));
    assert_eq!(ledger.sale.switch, SaleSwitch::Open);
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p4_resets_under_load_lose_and_invent_no_unit() {
    let office = Office::open(50).await;
    let buying = futures_util::future::join_all((0..4).map(|buyer| {
        let office = &office;
        async move {
            let mut bought = 0_u64;
            for attempt in 0..100 {
                let body = format!("{{\"user\":\"u{buyer}-{attempt}\",\"goods\":\"phone\"}}");
                let answer = office.api.post(&office.world.path("/orders"), &[], &body).await;
                match answer.status {
                    202 => bought += 1,
                    // Sold out, or paused for the moment of a reset.
                    409 => {}
                    _ => panic!("{}", answer.body),
                }
            }
            bought
        }
    }));
    let resetting = async {
        for count in ["30", "0", "40", "20"] {
            tokio::time::sleep(Duration::from_millis(50)).await;
            assert_eq!(office.reset(count).await.status, 200);
        }
    };
    let (bought, ()) = futures_util::future::join(buying, resetting).await;
    let bought: u64 = bought.iter().sum();
    assert!(bought > 0, "nothing was sold");
    let mut live = 0;
    let visit = office.world.ledger.visit_orders(&office.world.sale, |found| {
        live += if found.state == RecordState::Live { found.order.quantity.units() } else { 0 };
    });
    visit.await.unwrap();
    let (stored, ledger) = both(&office).await;
    assert_eq!(live, bought);
    assert_eq!((ledger.sale.stock, stored.sale.stock), (ledger.remaining + live, ledger.remaining + live));
    let history = office.world.store.history(&office.world.sale).await.unwrap();
    let sum: i64 = history.iter().map(|it| it.delta).sum();
    assert_eq!(u64::try_from(sum).unwrap(), stored.sale.stock, "the audit adds up to the stock");
    office.end().await;
}
