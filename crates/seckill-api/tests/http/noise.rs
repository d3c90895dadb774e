//! Noise on the wire: whatever comes, the server answers it or closes, never with an error of its own, and goes on.

use std::{
    panic,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use proptest::{
    collection::vec,
    prelude::*,
    sample::{Index, select},
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use seckill_core::testing::fuzz_cases;
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use crate::{
    raw,
    world::{PHONE, World},
};

/// First lines of requests, good and bad.
const LINES: [&str; 10] = [
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
];

/// Headers.
const HEADERS: [&str; 24] = [
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
];

/// What follows a head, or ends it.
const ENDS: [&str; 6] =
    ["\r\n", "\n", "0\r\n\r\n", "3\r\nabc\r\n", "ffffffff\r\n", "{\"user\":\"ada\",\"goods\":\"phone\"}"];

fn request(orders: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    let orders = orders.to_owned();
    let at_random = vec(select([&LINES[..], &HEADERS, &ENDS].concat()), 1..12);
    // At random they are hardly ever a whole request, that gets as far as what is behind the parser.
    let (headers, ends) = (vec(select(&HEADERS[..]), 0..5), vec(select(&ENDS[..]), 0..3));
    let whole = (select(&LINES[..]), headers, ends).prop_map(|(line, headers, ends)| {
        [&[line, "host: a\r\n"], &headers[..], &["\r\n"], &ends[..]].concat()
    });
    let pieces = prop_oneof![at_random, whole];
    (pieces, vec((any::<Index>(), any::<u8>()), 0..3)).prop_map(move |(pieces, flips)| {
        let mut bytes = pieces.concat().replace("{orders}", &orders).into_bytes();
        for (at, byte) in flips {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

/// Keeps what any thread of this process panics with, from now on. A panic of the server ends one connection, which a
/// client cannot tell from being cut off.
fn watch_for_panics() -> Arc<Mutex<Vec<String>>> {
    let seen = Arc::<Mutex<Vec<String>>>::default();
    let (watch, usual) = (Arc::clone(&seen), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        watch.lock().unwrap_or_else(PoisonError::into_inner).push(panic.to_string());
        usual(panic);
    }));
    seen
}

/// Requests sent at once.
const CROWD: u32 = 10;

#[tokio::test(flavor = "multi_thread")]
async fn p6_noise_is_answered_or_cut_off_and_the_server_goes_on() {
    let world = World::open(100_000).await;
    let panics = watch_for_panics();
    let mut runner = TestRunner::new(Config::default());
    let requests = request(&world.path("/orders"));
    for _round in 0..fuzz_cases(600).div_ceil(CROWD) {
        let noise = (0..CROWD).map(|_| requests.new_tree(&mut runner).unwrap().current());
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
    // Other tests run in this process: one that fails may stand here, too.
    let panics = std::mem::take(&mut *panics.lock().unwrap());
    assert!(panics.is_empty(), "{panics:?}");
    assert_eq!(world.api.get("/livez").await.status, 200);
    assert_eq!(world.order(PHONE).await.status, 202);
    world.end().await;
}
