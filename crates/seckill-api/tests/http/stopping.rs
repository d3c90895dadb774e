//! Stopping: unready at once, and nothing that was asked before is lost.

use std::{io::ErrorKind, net::SocketAddr, time::Duration};

use seckill_core::{
    ledger::OrderLookup,
    order::{OrderId, OrderStatus},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::world::{RunningApi, World};

#[tokio::test(flavor = "multi_thread")]
async fn p2_a_stop_makes_unready_at_once_and_loses_nothing() {
    let world = World::open(1000).await;
    let api = RunningApi::start(world.parts().await, &["--lame-duck-seconds", "2"]);
    let orders = world.path("/orders");
    let ask = async |number: usize| {
        // Some come before the stop, some while it is under way.
        tokio::time::sleep(Duration::from_millis(10 * number as u64)).await;
        let body = format!("{{\"user\":\"buyer-{number}\",\"goods\":\"phone\"}}");
        api.post(&orders, &[], &body).await
    };
    let asking = futures_util::future::join_all((0..100).map(ask));
    let stopping = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let ready = api.get("/readyz").await;
        assert_eq!((ready.status, ready.header("connection")), (200, None));
        api.request_stop();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let ready = api.get("/readyz").await;
        assert_eq!((ready.status, &ready.json()["stopping"]), (503, &true.into()));
        assert_eq!(ready.header("connection"), Some("close"), "a proxy sends nothing more on this one");
        assert_eq!(api.get("/livez").await.status, 200);
    };
    let (answers, ()) = futures_util::join!(asking, stopping);
    let address = api.address;
    api.stop().await;
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");

    for answer in answers {
        assert_eq!(answer.status, 202, "{}", answer.body);
        let order = answer.json();
        assert_eq!(order["status"], "accepted");
        let id = OrderId::parse(order["id"].as_str().unwrap()).unwrap();
        let OrderLookup::Found(found) = world.ledger.order(&world.sale, id).await.unwrap() else {
            panic!("{id} is lost")
        };
        // Acknowledged, and settled before the process ended.
        assert_eq!(found.order.status, OrderStatus::Accepted);
    }
    assert_eq!(world.ledger_sale().await.outbox, 0);
    assert_eq!(world.remaining().await, 900);
    world.end().await;
}

/// Whoever gets a connection gets an answer; everybody else is refused the connection, and knows that nothing was sent.
#[tokio::test(flavor = "multi_thread")]
async fn p5_nobody_who_was_let_in_is_cut_off_by_a_stop() {
    let world = World::open(10).await;
    for _stop in 0..5 {
        let api = RunningApi::start(world.parts().await, &["--lame-duck-seconds", "0"]);
        let address = api.address;
        let knocking: Vec<_> = (0..16).map(|_| tokio::spawn(knock_until_refused(address))).collect();
        tokio::time::sleep(Duration::from_millis(200)).await;
        api.stop().await;
        for asked in knocking {
            let answered = asked.await.expect("nobody was cut off");
            assert!(answered > 0);
        }
    }
    world.end().await;
}

/// Asks again and again, each time by a connection of its own, until there is none to be had. How often it was answered.
async fn knock_until_refused(address: SocketAddr) -> usize {
    let mut answered = 0;
    loop {
        let mut connection = match TcpStream::connect(address).await {
            Ok(connection) => connection,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::ConnectionRefused);
                return answered;
            }
        };
        let mut answer = String::new();
        connection.write_all(b"GET /livez HTTP/1.1\r\nHost: api\r\nConnection: close\r\n\r\n").await.unwrap();
        connection.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer:?}");
        answered += 1;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn p3_a_key_outlives_the_server() {
    let world = World::open(10).await;
    let body = r#"{"user":"ada","goods":"phone"}"#;
    let (orders, key) = (world.path("/orders"), [("idempotency-key", "for-ever")]);
    let first = RunningApi::start(world.parts().await, &[]);
    let order = first.post(&orders, &key, body).await;
    first.stop().await;
    let again = world.api.post(&orders, &key, body).await;
    assert_eq!((again.status, again.header("idempotency-replayed")), (202, Some("true")));
    assert_eq!(again.json(), order.json());
    assert_eq!(world.remaining().await, 9);
    world.end().await;
}
