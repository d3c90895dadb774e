//! `GET /order/all`: newest first, in pages that a `Link` leads through.

use serde_json::Value;

use crate::office::{Office, text};

/// The path of the next page, as the answer's `Link` says.
fn next(link: &str) -> String {
    let (path, rel) = link.strip_prefix('<').unwrap().split_once('>').unwrap();
    assert_eq!(rel, "; rel=\"next\"");
    path.to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn get_order_all_shows_every_order_newest_first_with_its_message() {
    let office = Office::open(10).await;
    assert_eq!(office.get("/order/all").await.body, "[]");
    office.make(r#"{"user":"first","goods":"phone"}"#).await;
    office.buy("second", 1).await;
    office.make(r#"{"user":"third","goods":"phone"}"#).await;
    let answer = office.get("/order/all").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("application/json; charset=utf-8"));
    assert_eq!(answer.header("link"), None);
    let orders = answer.json();
    let users: Vec<&str> = orders.as_array().unwrap().iter().map(|order| text(order, "user")).collect();
    assert_eq!(users, ["third", "second", "first"]);
    assert!(text(&orders[1], "kafkaRawMessage").contains("second"));
    for field in [
        "id",
        "sale",
        "user",
        "goods",
        "quantity",
        "remark",
        "openid",
        "remainCount",
        "status",
        "createdDate",
        "updateDate",
        "kafkaRawMessage",
    ] {
        assert!(orders[0].get(field).is_some(), "no {field}");
    }
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_order_all_leads_through_all_pages_by_link_and_shows_each_order_once() {
    let office = Office::open(1).await;
    let mut made = Vec::new();
    for number in 0..7 {
        let order = office.make(&format!(r#"{{"user":"u{number}","goods":"phone"}}"#)).await;
        made.push(text(&order, "id").to_owned());
    }
    // Several in one millisecond: their ids decide.
    let same = "2026-01-02 03:04:05.678";
    office.world.database.execute(&format!("UPDATE orders SET created_date = '{same}'")).await;
    let (mut seen, mut path, mut pages) = (Vec::new(), "/order/all?limit=3".to_owned(), 0);
    loop {
        let answer = office.get(&path).await;
        let orders = answer.json();
        seen.extend(orders.as_array().unwrap().iter().map(|order: &Value| text(order, "id").to_owned()));
        pages += 1;
        match answer.header("link") {
            Some(link) => path = next(link),
            None => break,
        }
        // What is new comes in front, and does not move what is behind.
        office.make(&format!(r#"{{"user":"late{pages}","goods":"phone"}}"#)).await;
    }
    made.sort_unstable();
    made.reverse();
    assert_eq!((seen, pages), (made, 3));
    office.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn get_order_all_takes_a_limit_of_1_to_10000_and_1000_if_none_is_given() {
    let office = Office::open(1).await;
    // A thousand and one, and one more that is deleted: it neither is shown nor counts.
    office
        .world
        .database
        .execute(
            "INSERT INTO orders (id, user, goods, quantity, openid, status, created_date, update_date, deleted_at) \
             SELECT UNHEX(LPAD(HEX(seq.n), 32, '0')), 'u', 'g', 1, CONCAT('o', seq.n), 'confirmed', NOW(3), NOW(3), \
             IF(seq.n = 0, NOW(3), NULL) FROM (SELECT a.n + 10 * b.n + 100 * c.n + 1000 * d.n AS n FROM \
             (SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION \
             SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) a, \
             (SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION \
             SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) b, \
             (SELECT 0 AS n UNION SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4 UNION SELECT 5 UNION \
             SELECT 6 UNION SELECT 7 UNION SELECT 8 UNION SELECT 9) c, \
             (SELECT 0 AS n UNION SELECT 1) d) seq WHERE seq.n < 1002",
        )
        .await;
    let first = office.get("/order/all").await;
    assert_eq!(first.json().as_array().unwrap().len(), 1000);
    let rest = office.get(&next(first.header("link").unwrap())).await;
    assert_eq!((rest.json().as_array().unwrap().len(), rest.header("link")), (1, None));
    let all = office.get("/order/all?limit=10000").await;
    assert_eq!((all.json().as_array().unwrap().len(), all.header("link")), (1001, None));
    for limit in ["0", "10001", "-1", "99999999999999999999"] {
        office.get(&format!("/order/all?limit={limit}")).await.names_field("limit");
    }
    for query in ["limit=x", "limit=", "limit=1&limit=2", "cursor=x", "cursor=1.x"] {
        office.get(&format!("/order/all?{query}")).await.problem(400, "malformed-request");
    }
    office.end().await;
}
