//! Noise on the wire: whatever comes, the server answers it or closes, never with an error of its own, and goes on.

use std::time::Duration;

use proptest::{
    collection::vec,
    prelude::*,
    sample::Index,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::{
    raw,
    world::{PHONE, World},
};

/// Lines and ends of requests, good and bad.
const PIECES: [&str; 40] = [
    "GET /livez HTTP/1.1\r\n",
    "POST {orders} HTTP/1.1\r\n",
    "PUT /seckill/reset HTTP/1.1\r\n",
    "OPTIONS * HTTP/1.1\r\n",
    "CONNECT a:1 HTTP/1.1\r\n",
    "GET http://a/livez HTTP/1.1\r\n",
    "GET {orders}/%00%ff%2e%2e HTTP/1.1\r\n",
    "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "GET /livez HTTP/1.0\r\n",
    "GET /livez\r\n",
    "host: a\r\n",
    "host: b:99999\r\n",
    "content-length: 3\r\n",
    "content-length: 29\r\n",
    "content-length: 9999999999\r\n",
    "transfer-encoding: chunked\r\n",
    "connection: close\r\n",
    "connection: keep-alive\r\n",
    "connection: upgrade\r\nupgrade: websocket\r\n",
    "expect: 100-continue\r\n",
    "content-type: application/json\r\n",
    "content-type: application/json; charset=\"\r\n",
    "content-encoding: gzip\r\n",
    "idempotency-key: \u{e9}\r\n",
    "idempotency-key: k\r\n",
    "authorization: Bearer \r\n",
    "authorization: Basic x\r\n",
    "traceparent: 00-ffffffffffffffffffffffffffffffff-ffffffffffffffff-01\r\n",
    "x-forwarded-for: ,,,\r\n",
    "accept-encoding: *;q=2\r\n",
    "range: bytes=0-0,-1\r\n",
    "if-none-match: \"\r\n",
    ": x\r\n",
    "x\r\n",
    "\r\n",
    "\n",
    "0\r\n\r\n",
    "3\r\nabc\r\n",
    "ffffffff\r\n",
    "{\"user\":\"ada\",\"goods\":\"phone\"}",
];

fn request(orders: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let orders = orders.to_owned();
    let pieces = vec(prop::sample::select(PIECES.to_vec()), 1..12);
    (pieces, vec((any::<Index>(), any::<u8>()), 0..3)).prop_map(move |(pieces, flips)| {
        let mut bytes = pieces.concat().replace("{orders}", &orders).into_bytes();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_noise_is_answered_or_cut_off_and_the_server_goes_on() {
    let world = World::open(100_000).await;
    let mut runner = TestRunner::new(Config::default());
    let requests = request(&world.path("/orders"));
    for _round in 0..60 {
        let noise = (0..10).map(|_| requests.new_tree(&mut runner).unwrap().current());
        let asked = noise.map(async |bytes| {
            let mut stream = TcpStream::connect(world.api.address).await.unwrap();
            let _ = stream.write_all(&bytes).await;
            // Nothing more comes: whatever the server still waits for, it need not.
            let _ = stream.shutdown().await;
            let answer = timeout(Duration::from_secs(15), raw::read_bytes(&mut stream)).await;
            (bytes, answer)
        });
        for (bytes, answer) in futures_util::future::join_all(asked).await {
            let sent = String::from_utf8_lossy(&bytes).into_owned();
            let answer = answer.unwrap_or_else(|_| panic!("neither answered nor cut off: {sent:?}"));
            let answer = String::from_utf8_lossy(&answer);
            for status in answer.split("HTTP/1.1 ").skip(1) {
                assert!(!status.starts_with('5'), "{sent:?}: {answer}");
            }
        }
    }
    assert_eq!(world.api.get("/livez").await.status, 200);
    assert_eq!(world.order(PHONE).await.status, 202);
    world.end().await;
}
