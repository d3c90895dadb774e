//! Requests as they come over the wire: slow, cut off, without end, too large.

use std::{
    fmt::Write,
    io::ErrorKind,
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{
    raw,
    world::{PHONE, RunningApi, World},
};

/// The head of an order, but for how its body comes.
fn head(world: &World, rest: &str) -> String {
    let orders = world.path("/orders");
    format!("POST {orders} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n{rest}\r\n\r\n")
}

/// So many header lines.
fn headers(count: usize) -> String {
    let mut lines = String::new();
    for number in 0..count {
        write!(lines, "x-{number}: y\r\n").unwrap();
    }
    lines
}

async fn post(world: &World, headers: &str) -> String {
    raw::exchange(world.api.address, &raw::post(&world.path("/orders"), headers, PHONE.as_bytes())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_bodies_over_4_kib_are_too_large_however_they_come() {
    let world = World::open(10).await;
    let padded = |length: usize| format!("{PHONE}{}", " ".repeat(length - PHONE.len()));
    assert_eq!(world.order(&padded(4096)).await.status, 202);
    world.order(&padded(4097)).await.problem(413, "payload-too-large");
    world.order(&padded(1_000_000)).await.problem(413, "payload-too-large");
    // Announced, and never sent: refused by the head alone.
    let announced = head(&world, "content-length: 999999999");
    let answer = raw::exchange(world.api.address, announced.as_bytes()).await;
    raw::assert_problem(&answer, 413, "payload-too-large");
    // Not announced: chunks that do not end.
    let mut chunked = head(&world, "transfer-encoding: chunked");
    for _ in 0..100 {
        write!(chunked, "400\r\n{}\r\n", " ".repeat(0x400)).unwrap();
    }
    let answer = raw::exchange(world.api.address, chunked.as_bytes()).await;
    raw::assert_problem(&answer, 413, "payload-too-large");
    assert_eq!(world.remaining().await, 9);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_many_chunks_is_one_body() {
    let world = World::open(10).await;
    let mut request = head(&world, "transfer-encoding: chunked\r\nconnection: close");
    for character in PHONE.chars() {
        write!(request, "1\r\n{character}\r\n").unwrap();
    }
    request.push_str("0\r\n\r\n");
    assert_eq!(raw::status(&raw::exchange(world.api.address, request.as_bytes()).await), 202);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_body_that_ends_early_or_lies_about_its_chunks_is_malformed() {
    let world = World::open(10).await;
    // The client closes its side after half of what it announced.
    let mut stream = TcpStream::connect(world.api.address).await.unwrap();
    let half = format!("{}{PHONE}", head(&world, "content-length: 100"));
    stream.write_all(half.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let answer = raw::read_to_end(&mut stream).await;
    assert!(answer.is_empty() || raw::status(&answer) == 400, "{answer}");
    let bad_chunk = format!("{}ZZ\r\n{PHONE}\r\n0\r\n\r\n", head(&world, "transfer-encoding: chunked"));
    assert_eq!(raw::status(&raw::exchange(world.api.address, bad_chunk.as_bytes()).await), 400);
    assert_eq!(world.remaining().await, 10);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_what_is_no_path_is_not_found() {
    let world = World::open(10).await;
    for target in ["OPTIONS *", "GET *"] {
        let request = format!("{target} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n");
        let answer = raw::exchange(world.api.address, request.as_bytes()).await;
        raw::assert_problem(&answer, 404, "not-found");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_in_pieces_is_read_also_behind_another_request() {
    let world = World::open(5).await;
    let whole = format!("{}{PHONE}", head(&world, &format!("content-length: {}", PHONE.len())));
    let chunks = head(&world, "transfer-encoding: chunked");
    let chunks = format!("{chunks}{:x}\r\n{PHONE}\r\n0\r\n\r\n", PHONE.len());
    for order in [whole, chunks] {
        let mut connection = TcpStream::connect(world.api.address).await.unwrap();
        connection.set_nodelay(true).unwrap();
        let (first, rest) = order.split_at(order.len() - 20);
        connection.write_all(format!("{order}{first}").as_bytes()).await.unwrap();
        for byte in rest.bytes() {
            tokio::time::sleep(Duration::from_millis(20)).await;
            connection.write_all(&[byte]).await.unwrap();
        }
        let mut answers = String::new();
        let both = async {
            while answers.matches("HTTP/1.1 202 ").count() < 2 {
                let mut piece = [0; 4096];
                let length = connection.read(&mut piece).await.unwrap();
                assert_ne!(length, 0, "{answers}");
                answers.push_str(std::str::from_utf8(&piece[..length]).unwrap());
            }
        };
        timeout(Duration::from_secs(3), both).await.expect("both are answered");
    }
    assert_eq!(world.remaining().await, 1);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_slow_body_is_given_up_after_five_seconds() {
    let world = World::open(10).await;
    let started = Instant::now();
    let mut stream = TcpStream::connect(world.api.address).await.unwrap();
    let head = head(&world, &format!("content-length: {}", PHONE.len()));
    stream.write_all(head.as_bytes()).await.unwrap();
    for byte in PHONE.bytes().take(10) {
        stream.write_all(&[byte]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let answer = raw::read_to_end(&mut stream).await;
    raw::assert_problem(&answer, 400, "malformed-request");
    assert!((4..9).contains(&started.elapsed().as_secs()), "after {:?}", started.elapsed());
    assert_eq!(world.remaining().await, 10);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_chunked_body_that_never_ends_does_not_hold_its_connection() {
    let world = World::open(10).await;
    // One to a handler that wants a body, and is slow; two to handlers that want none.
    for (request, expected) in [
        (format!("POST {}", world.path("/orders")), 400),
        ("GET /livez".to_owned(), 200),
        ("PUT /livez".to_owned(), 405),
    ] {
        let head = format!(
            "{request} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n1\r\n{{\r\n"
        );
        // Ends when the server closes, and fails if it does not.
        let answer = raw::exchange(world.api.address, head.as_bytes()).await;
        assert_eq!(raw::status(&answer), expected, "{answer}");
        assert!(answer.contains("connection: close\r\n"), "{answer}");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_heads_that_are_too_much_or_no_http_are_refused_and_closed() {
    let world = World::open(10).await;
    assert_eq!(raw::status(&post(&world, &headers(200)).await), 431);
    let large = format!("x-large: {}\r\n", "y".repeat(200_000));
    assert_eq!(raw::status(&post(&world, &large).await), 431);
    assert_eq!(raw::status(&post(&world, &headers(80)).await), 202);
    for nonsense in
        ["not http at all\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\0 HTTP/1.1\r\nhost: x\r\n\r\n"]
    {
        let answer = raw::exchange(world.api.address, nonsense.as_bytes()).await;
        assert_eq!(raw::status(&answer), 400, "{nonsense:?}");
    }
    assert_eq!(world.remaining().await, 9);
    world.end().await;
}

/// Whether `connection` is answered within a moment.
async fn is_answered(connection: &mut TcpStream) -> bool {
    timeout(Duration::from_secs(1), connection.read(&mut [0; 4096])).await.is_ok_and(|read| read.unwrap() > 0)
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_connections_beyond_the_limit_wait_for_a_place() {
    let world = World::open(1).await;
    // By two workers.
    let api = RunningApi::start(world.parts().await, &["--max-connections", "2"]);
    let (mut served, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..6 {
        let mut connection = TcpStream::connect(api.address).await.unwrap();
        connection.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
        if is_answered(&mut connection).await { served.push(connection) } else { waiting.push(connection) }
    }
    assert_eq!((served.len(), waiting.len()), (4, 2));
    drop(served);
    for connection in &mut waiting {
        assert!(is_answered(connection).await, "there is room again");
    }
    drop(waiting);
    api.stop().await;
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_half_a_request_does_not_hold_a_connection_that_was_kept() {
    let world = World::open(1).await;
    let (mut resting, mut connection) = (asked_and_answered(&world).await, asked_and_answered(&world).await);
    let rested = tokio::spawn(async move { timeout(Duration::from_secs(100), resting.read_u8()).await });
    // The server's own limits are of a connection's first head, and of one that says nothing.
    connection.write_all(b"GET /livez HTTP/1.1\r\nx: ").await.unwrap();
    let answered = Instant::now();
    let given_up = async {
        while connection.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_secs(3)).await;
        }
    };
    timeout(Duration::from_secs(100), given_up).await.expect("it is given up");
    assert!(answered.elapsed() > Duration::from_secs(79), "not before a connection at rest would be");
    let rested = rested.await.unwrap().expect("one at rest is closed");
    assert_eq!(rested.unwrap_err().kind(), ErrorKind::UnexpectedEof, "and not reset");
    world.end().await;
}

/// A connection that was used once.
async fn asked_and_answered(world: &World) -> TcpStream {
    let mut connection = TcpStream::connect(world.api.address).await.unwrap();
    connection.write_all(b"GET /livez HTTP/1.1\r\nhost: test\r\n\r\n").await.unwrap();
    assert!(is_answered(&mut connection).await);
    connection
}
