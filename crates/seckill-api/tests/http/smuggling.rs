//! What is meant to be read in two ways, by a proxy and by us: nothing of it becomes a request of its own, and no
//! part of a request becomes a header of an answer.
//!
//! Most of it is actix's doing. It is tried here because the promises rest on it, and a version of it comes and goes.

use tokio::{io::AsyncWriteExt, net::TcpStream};

use crate::{
    raw,
    world::{PHONE, World},
};

/// An order that nobody has asked for, hidden in the body of another request.
fn hidden(world: &World) -> String {
    let (orders, length) = (world.path("/orders"), PHONE.len());
    format!(
        "POST {orders} HTTP/1.1\r\nhost: test\r\nconnection: close\r\ncontent-type: application/json\r\n\
         content-length: {length}\r\n\r\n{PHONE}"
    )
}

/// Sends `request` and then nothing; gives all answers, once the server has closed the connection.
async fn answers(world: &World, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.api.address).await.unwrap();
    let _ = stream.write_all(request).await;
    // A server that wants more than there is hears that there is nothing more.
    let _ = stream.shutdown().await;
    raw::read_to_end(&mut stream).await
}

/// How many answers there are in `text`.
fn count(text: &str) -> usize {
    text.matches("HTTP/1.1 ").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_requests_in_a_row_are_two() {
    // What the tests below look for would be seen.
    let world = World::open(10).await;
    let both = format!("GET /livez HTTP/1.1\r\nhost: test\r\n\r\n{}", hidden(&world));
    let answers = answers(&world, both.as_bytes()).await;
    assert_eq!(count(&answers), 2, "{answers}");
    assert_eq!(world.remaining().await, 9);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_request_whose_length_is_in_doubt_is_refused_and_its_connection_closed() {
    let world = World::open(10).await;
    let (orders, hidden) = (world.path("/orders"), hidden(&world));
    let length = hidden.len() + 5;
    let framings = [
        format!("HTTP/1.1\r\ncontent-length: {length}\r\ntransfer-encoding: chunked"),
        format!("HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: {length}"),
        "HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 0".to_owned(),
        format!("HTTP/1.1\r\ncontent-length: {length}\r\ncontent-length: 5"),
        "HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 5".to_owned(),
        format!("HTTP/1.1\r\ncontent-length: 5, {length}"),
        "HTTP/1.1\r\ncontent-length: +5".to_owned(),
        "HTTP/1.1\r\ncontent-length: -5".to_owned(),
        "HTTP/1.1\r\ncontent-length: 0x5".to_owned(),
        "HTTP/1.1\r\ncontent-length: 5 5".to_owned(),
        "HTTP/1.1\r\ncontent-length: 18446744073709551616".to_owned(),
        "HTTP/1.1\r\ncontent-length:".to_owned(),
        "HTTP/1.1\r\ntransfer-encoding: chunked\r\ntransfer-encoding: identity".to_owned(),
        "HTTP/1.1\r\ntransfer-encoding: identity, chunked".to_owned(),
        "HTTP/1.1\r\ntransfer-encoding: identity".to_owned(),
        "HTTP/1.1\r\ntransfer-encoding: xchunked".to_owned(),
        "HTTP/1.1\r\ntransfer-encoding: chunked;q=1".to_owned(),
        "HTTP/1.1\r\ntransfer-encoding:\u{b}chunked".to_owned(),
        "HTTP/1.1\r\ntransfer-encoding : chunked".to_owned(),
        "HTTP/1.1\r\n transfer-encoding: chunked".to_owned(),
        "HTTP/1.1\r\ntransfer-encoding:\r\n chunked".to_owned(),
        "HTTP/1.1\r\nx: y\r\n transfer-encoding: chunked".to_owned(),
        "HTTP/1.1\r\nx: y\rtransfer-encoding: chunked".to_owned(),
        "HTTP/1.1\r\nx: y\0\r\ntransfer-encoding: chunked".to_owned(),
        "HTTP/1.0\r\ntransfer-encoding: chunked\r\nconnection: keep-alive".to_owned(),
    ];
    let order = format!("{:x}\r\n{PHONE}\r\n0\r\n\r\n", PHONE.len());
    for framing in &framings {
        // What comes behind the head: an empty chunked body, none, or a whole order in chunks; then the hidden one.
        for body in ["0\r\n\r\n", "", &order] {
            let request = format!(
                "POST {orders} {framing}\r\nhost: test\r\ncontent-type: application/json\r\n\r\n{body}{hidden}"
            );
            let answers = answers(&world, request.as_bytes()).await;
            let said = (count(&answers), raw::status(&answers));
            assert_eq!(said, (1, 400), "{framing:?}, {body:?}: {answers}");
            assert_eq!(world.remaining().await, 10, "{framing:?}, {body:?}: something was bought");
        }
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_chunks_are_read_in_one_way_only() {
    let world = World::open(10).await;
    let (orders, hidden) = (world.path("/orders"), hidden(&world));
    for chunks in [
        "0x0\r\n\r\n",
        "-0\r\n\r\n",
        "+0\r\n\r\n",
        "0 0\r\n\r\n",
        "\r\n0\r\n\r\n",
        "10000000000000000\r\n\r\n",
        "ffffffffffffffff1\r\n",
        "1\r\n{0\r\n\r\n",
        "1\n{\n0\n\n",
    ] {
        let request = format!(
            "POST {orders} HTTP/1.1\r\nhost: test\r\ncontent-type: application/json\r\n\
             transfer-encoding: chunked\r\n\r\n{chunks}{hidden}"
        );
        let answers = answers(&world, request.as_bytes()).await;
        assert!(count(&answers) <= 1, "{chunks:?}: {answers}");
        assert!(answers.is_empty() || raw::status(&answers) == 400, "{chunks:?}: {answers}");
        assert_eq!(world.remaining().await, 10, "{chunks:?} has bought something");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_a_body_that_nobody_wants_is_not_a_request() {
    let world = World::open(10).await;
    let hidden = hidden(&world);
    let length = hidden.len();
    for head in [
        "GET /livez HTTP/1.1\r\n".to_owned(),
        "HEAD /livez HTTP/1.1\r\n".to_owned(),
        "DELETE /nowhere HTTP/1.1\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nupgrade: websocket\r\nconnection: upgrade\r\n".to_owned(),
        "GET /livez HTTP/1.1\r\nupgrade: h2c\r\nconnection: upgrade, http2-settings\r\n".to_owned(),
        format!("POST {} HTTP/1.1\r\nexpect: 100-continue\r\n", world.path("/orders")),
    ] {
        let request = format!("{head}host: test\r\ncontent-length: {length}\r\n\r\n{hidden}");
        let answers = answers(&world, request.as_bytes()).await;
        let answered = count(&answers) - answers.matches("HTTP/1.1 100 ").count();
        assert_eq!(answered, 1, "{head:?}: {answers}");
        assert_eq!(world.remaining().await, 10, "{head:?} has bought something");
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_nothing_of_a_request_becomes_a_header_of_the_answer() {
    let world = World::open(100).await;
    let orders = world.path("/orders");
    let injection = "%0d%0ax-injected:%20yes%0d%0a%0d%0aHTTP/1.1%20200%20OK";
    let mut requests = vec![
        format!("GET /v1/sales/x{injection} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
        format!("GET {orders}/{injection} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
        format!("GET /problems/{injection} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
        format!("GET /api-docs{injection} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
        format!("GET /order/all?limit=1{injection} HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
        format!("{injection} /livez HTTP/1.1\r\nhost: test\r\nconnection: close\r\n\r\n"),
    ];
    for (header, separator) in [
        ("idempotency-key", "\r\n "),
        ("idempotency-key", "\r"),
        ("idempotency-key", "\n"),
        ("traceparent", "\r\n "),
        ("traceparent", "\r"),
        ("host", "\r"),
        ("x-forwarded-for", "\n"),
        ("accept-language", "\r"),
    ] {
        let line = format!("{header}: a{separator}x-injected: yes\r\n");
        requests.push(String::from_utf8(raw::post(&orders, &line, PHONE.as_bytes())).unwrap());
    }
    for text in [r"a\r\nx-injected: yes", r"a\u000d\u000ax-injected: yes", r"a\u0085b", r"a\u0000b"] {
        let body = format!("{{\"user\":\"{text}\",\"goods\":\"phone\"}}");
        requests.push(String::from_utf8(raw::post(&orders, "", body.as_bytes())).unwrap());
    }
    for request in &requests {
        let answer = answers(&world, request.as_bytes()).await;
        assert_eq!(count(&answer), 1, "{request:?}: {answer}");
        let (head, _) = answer.split_once("\r\n\r\n").unwrap();
        assert!(!head.to_ascii_lowercase().contains("injected"), "{request:?}: {answer}");
        assert!(raw::status(&answer) < 500, "{request:?}: {answer}");
    }
    world.end().await;
}
