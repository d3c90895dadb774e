//! `import`: the original's orders become orders of a sale.

use std::{process::Stdio, time::Duration};

use assert_cmd::Command;
use seckill_core::{
    order::{OrderId, OrderStatus},
    sale::SaleId,
    testing::{Silent, TestDatabase},
};
use secrecy::ExposeSecret;
use serde_json::json;

use crate::{
    at_work::AtWork,
    support::{Site, run_beside},
};

/// The table as `TypeORM` makes it of the published entity. It has no column of `goods`.
const TABLE: &str = "CREATE TABLE `order` (
    `id` varchar(36) NOT NULL, `user` varchar(255) NOT NULL, `openid` varchar(255) NOT NULL,
    `remainCount` int NOT NULL, `remark` varchar(255) NOT NULL,
    `createdDate` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    `updateDate` datetime(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6) ON UPDATE CURRENT_TIMESTAMP(6),
    `kafkaRawMessage` varchar(255) NOT NULL,
    UNIQUE INDEX `IDX_openid` (`openid`), PRIMARY KEY (`id`)) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4";

/// The original's database.
pub struct Original(TestDatabase);

impl Original {
    /// One with so many orders, of `user0`, `user1` …
    pub async fn with(orders: usize) -> Self {
        let original = Self::of(TABLE).await;
        let rows: Vec<String> = (0..orders)
            .map(|number| {
                let openid = format!("{}-{}", OrderId::fresh(), 1_613_800_000_000 + number);
                let value = json!({ "user": format!("user{number}"), "goods": "小米11" }).to_string();
                let message =
                    json!({ "topic": "PHONE_NUMBER", "value": value, "offset": number }).to_string();
                // SQL takes a backslash for its own.
                let (id, message) = (OrderId::fresh(), message.replace('\\', "\\\\"));
                format!("('{id}', 'user{number}', '{openid}', 0, '', '{message}')")
            })
            .collect();
        for page in rows.chunks(1_000) {
            original.insert(&page.join(", ")).await;
        }
        original
    }

    /// One whose table is made by `sql`.
    async fn of(sql: &str) -> Self {
        let database = TestDatabase::create_empty().await;
        database.execute(sql).await;
        Self(database)
    }

    async fn insert(&self, rows: &str) {
        let columns = "`id`, `user`, `openid`, `remainCount`, `remark`, `kafkaRawMessage`";
        self.0.execute(&format!("INSERT INTO `order` ({columns}) VALUES {rows}")).await;
    }

    /// `import` into `sale`, with more arguments.
    pub fn import(&self, site: &Site, sale: &SaleId, more: &[&str]) -> Command {
        let mut command = site.command(&[&["import", sale.as_str()], more].concat());
        command.env("SECKILL_IMPORT_URL", self.0.url().expose_secret());
        command
    }

    /// Keeps whoever stores the order that is read after `orders` others waiting, for as long as what is returned
    /// lives: another transaction has its id.
    async fn keep_out_of(&self, site: &Site, orders: usize) -> Silent {
        let (_server, name) = self.0.url().expose_secret().rsplit_once('/').unwrap();
        let name = name.split('?').next().unwrap();
        let taken = format!(
            "BEGIN; \
             INSERT INTO orders (id, user, goods, quantity, openid, status, created_date, update_date) \
             SELECT UNHEX(REPLACE(id, '-', '')), '', '', 1, UUID(), 'confirmed', NOW(), NOW() \
             FROM {name}.`order` ORDER BY id LIMIT 1 OFFSET {orders}"
        );
        site.database.execute_and_fall_silent(&taken).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p1_p4_imported_orders_count_against_the_stock_and_the_ledger_agrees() {
    let mut site = Site::to_work_on().await;
    let (work, original) = (AtWork::all(&site), Original::with(1_234).await);
    let sale = site.sale_by_keeper(2_000).await;
    let bought = site.buy(Some(&work.publisher), &sale, 6).await;

    let said = run_beside(original.import(&site, &sale, &["--yes", "--json"])).await.expect(0).json();
    assert_eq!((&said["imported"], &said["units"], &said["bad"]), (&json!(1234), &json!(1234), &json!(0)));
    assert_eq!((&said["stock"], &said["remaining"]), (&json!(2000), &json!(760)));
    site.becomes(&bought, OrderStatus::Confirmed).await;
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    assert_eq!((stored.sold, stored.sale.stock, ledger.remaining), (1_240, 2_000, 760));
    assert_eq!((ledger.sale.stock, ledger.orders, ledger.adjustment), (2_000, 1_235, stored.adjustment));
    site.run(&["reconcile", sale.as_str()]).expect(0);

    let history = site.store.history(&sale).await.unwrap();
    let last = history.last().unwrap();
    assert!(last.reason.ends_with(": 1234 of 1234 orders") && last.actor == "olga", "{last:?}");
    assert!(history.iter().all(|it| !it.reason.contains("realigned")), "{history:?}");
    // What a second run finds is there, and it touches nothing.
    let before = site.everything(&sale).await;
    let again = run_beside(original.import(&site, &sale, &["--yes", "--json"])).await.expect(0).json();
    assert_eq!((&again["imported"], &again["alreadyThere"]), (&json!(0), &json!(1234)));
    assert_eq!(site.everything(&sale).await, before);
    work.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_order_is_the_originals_to_the_letter() {
    let mut site = Site::to_work_on().await;
    let (work, original) = (AtWork::all(&site), Original::of(TABLE).await);
    let sale = site.sale_by_keeper(5).await;
    let (id, taken) = (OrderId::fresh(), "7c9e6679-7425-40de-944b-e07fc1f90ae7-1613800000123");
    original.insert(&format!("('{id}', '用户 ''1''', '{taken}', -2, '双十一特惠', 'no JSON')")).await;
    let goods = ["--yes", "--goods", "小米11"];
    run_beside(original.import(&site, &sale, &goods)).await.expect(0);
    let order = site.store.order(&sale, id).await.unwrap().expect("it is there");
    assert_eq!((order.buyer.as_str(), order.goods.as_str()), ("用户 '1'", "小米11"));
    assert_eq!((order.openid.as_str(), order.created_date.as_millisecond()), (taken, 1_613_800_000_123));
    assert_eq!((order.remark.unwrap().as_str(), order.remain_count), ("双十一特惠", None));
    assert_eq!((order.status, order.quantity.units()), (OrderStatus::Confirmed, 1));
    let shown = site.store.legacy_order(id).await.unwrap().expect("it is there");
    assert_eq!(shown.kafka_raw_message.as_deref(), Some("no JSON"));
    work.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_rows_are_told_with_their_reason_and_the_others_are_imported() {
    let mut site = Site::to_work_on().await;
    let (work, original) = (AtWork::all(&site), Original::with(3).await);
    let (sale, other) = (site.sale_by_keeper(10).await, site.sale_by_keeper(10).await);
    let taken = site.buy(Some(&work.publisher), &other, 1).await;
    site.becomes(&taken, OrderStatus::Confirmed).await;
    let (theirs, fresh) = (&taken.order, OrderId::fresh());
    let long = "u".repeat(65);
    original
        .insert(&format!(
            "('17', 'a', 'a', 1, '', ''), ('{fresh}', '{long}', 'b', 1, '', ''), \
             ('{}', 'c', 'c-1', 1, '', '{{\"value\":\"{{\\\\\"goods\\\\\":\\\\\"g\\\\\"}}\"}}'), \
             ('{}', 'd', '{}', 1, '', '{{\"value\":\"{{\\\\\"goods\\\\\":\\\\\"g\\\\\"}}\"}}')",
            theirs.id,
            OrderId::fresh(),
            theirs.openid
        ))
        .await;
    let ran = run_beside(original.import(&site, &sale, &["--yes", "--json"])).await.expect(1);
    let said = ran.json();
    assert_eq!((&said["imported"], &said["bad"], &said["remaining"]), (&json!(3), &json!(4), &json!(7)));
    let mut reasons: Vec<&str> =
        said["badRows"].as_array().unwrap().iter().map(|row| row["reason"].as_str().unwrap()).collect();
    reasons.sort_unstable();
    assert_eq!(reasons[0], "its id is not a UUID");
    assert_eq!(reasons[1], format!("order {} has this openid", theirs.id));
    assert_eq!(reasons[2], format!("sale {other} has an order of this id"));
    assert_eq!(reasons[3], "user must have 1 to 64 characters");
    let for_people = run_beside(original.import(&site, &sale, &["--yes"])).await.expect(1).stdout;
    assert!(for_people.contains("0 orders imported, 3 there already, 4 rows are bad"), "{for_people}");
    work.end().await;
}

#[tokio::test]
async fn a_dry_run_tells_and_changes_nothing() {
    let mut site = Site::to_work_on().await;
    let (original, sale) = (Original::with(7).await, site.sale(10).await);
    let before = site.everything(&sale).await;
    let said = run_beside(original.import(&site, &sale, &["--dry-run", "--json"])).await.expect(0).json();
    assert_eq!((&said["new"], &said["imported"], &said["dryRun"]), (&json!(7), &json!(0), &json!(true)));
    assert_eq!(site.everything(&sale).await, before);
    site.hold(&sale, 4).await;
    let before = site.everything(&sale).await;
    let ran = run_beside(original.import(&site, &sale, &["--dry-run"])).await.expect(1);
    assert!(ran.stdout.contains("has 6 left: add 1 first"), "{ran:?}");
    assert_eq!(site.everything(&sale).await, before);
}

#[tokio::test]
async fn what_must_be_refused_is_and_nothing_is_changed() {
    let mut site = Site::to_work_on().await;
    let (original, sale) = (Original::with(7).await, site.sale(10).await);
    let (nothing, url) = (TestDatabase::create_empty().await, original.0.url().expose_secret());
    let name = sale.as_str();
    for (arguments, named) in [
        (&["import", name, "--from", url][..], "--yes"),
        (&["import", name, "--from", url, "--yes"], "no order-consumer runs"),
        (&["import", name, "--from", nothing.url().expose_secret(), "--yes"], "no table `order`"),
    ] {
        let said = site.refused(&sale, arguments).await;
        assert!(said.contains(named) && said.contains("nothing was changed"), "{said}");
    }
    site.hold(&sale, 4).await;
    let said = site.refused(&sale, &["import", name, "--from", url, "--yes"]).await;
    assert!(said.contains("hold 7 units") && said.contains("has 6 left: add 1 first"), "{said}");
    let ran = site.run(&["import", "no-such-sale", "--from", url, "--yes"]).expect(1);
    assert!(ran.complaint().contains("there is no sale no-such-sale"), "{ran:?}");
    let ran = site.run(&["import", name, "--from", "mysql://u:hunter2@127.0.0.1:1/x", "--yes"]).expect(69);
    assert!(ran.complaint().contains("--from") && !ran.stderr.contains("hunter2"), "{ran:?}");
    for arguments in [&["import", name][..], &["import", name, "--from", "hunter2"]] {
        let ran = site.run(arguments).expect(64);
        assert!(ran.complaint().contains("SECKILL_IMPORT_URL") && !ran.stderr.contains("hunter2"), "{ran:?}");
    }
}

/// When an import is killed.
enum Killed {
    /// Once it has stored so many orders, while it stores the next.
    Behind(usize),
    /// After so long, wherever it is.
    After(Duration),
    /// As soon as it is seen to have stored something more.
    OnceItStored,
}

#[tokio::test(flavor = "multi_thread")]
async fn p4_an_import_that_is_killed_anywhere_is_finished_by_the_next() {
    let mut site = Site::to_work_on().await;
    let (work, original) = (AtWork::all(&site), Original::with(3_000).await);
    let sale = site.sale_by_keeper(3_100).await;
    let after = |milliseconds| Killed::After(Duration::from_millis(milliseconds));
    for killed in [Killed::Behind(500), Killed::Behind(1_500), after(100), after(350), Killed::OnceItStored] {
        let before = site.in_store(&sale).await.sold;
        let in_its_way = match killed {
            Killed::Behind(orders) => Some(original.keep_out_of(&site, orders + 100).await),
            _ => None,
        };
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_stock-admin"));
        command.args(["import", sale.as_str(), "--yes"]).envs(site.places());
        command.env("SECKILL_IMPORT_URL", original.0.url().expose_secret());
        let mut running = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        match killed {
            Killed::Behind(orders) => {
                while site.in_store(&sale).await.sold != orders as u64 {
                    assert!(running.try_wait().unwrap().is_none(), "it ended before {orders} were stored");
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                site.database.wait_for_connection("info LIKE 'INSERT INTO `orders`%'").await;
            }
            Killed::After(duration) => tokio::time::sleep(duration).await,
            Killed::OnceItStored => {
                while site.in_store(&sale).await.sold == before && running.try_wait().unwrap().is_none() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            }
        }
        running.kill().unwrap();
        running.wait().unwrap();
        drop(in_its_way);
        let sold = site.in_store(&sale).await.sold;
        assert_eq!(sold % 500, 0, "half a batch was stored");
        if let Killed::Behind(orders) = killed {
            assert_eq!(sold, orders as u64, "the batch it was killed in was stored");
        }
        // What the killed one has stored is in the ledger, whether or not it came to ask for that.
        site.loaded(&sale).await;
        assert_eq!(site.in_ledger(&sale).await.remaining, 3_100 - site.in_store(&sale).await.sold);
    }
    run_beside(original.import(&site, &sale, &["--yes"])).await.expect(0);
    let (stored, ledger) = (site.in_store(&sale).await, site.in_ledger(&sale).await);
    assert_eq!((stored.sold, ledger.remaining, ledger.orders), (3_000, 100, 3_000));
    site.run(&["reconcile", sale.as_str()]).expect(0);
    work.end().await;
}
