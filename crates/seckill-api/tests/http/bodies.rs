//! Bodies: every way in which one can be wrong has its answer, and odd ones that are right are taken as data.

use crate::{
    raw,
    world::{PHONE, World},
};

/// Sends `body` as bytes, whatever they are.
async fn post(world: &World, headers: &str, body: &[u8]) -> String {
    raw::exchange(world.api.address, &raw::post(&world.path("/orders"), headers, body)).await
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_bodies_that_are_no_order_are_malformed() {
    let world = World::open(10).await;
    let deep = format!("{{\"user\":\"u\",\"goods\":{}1{}}}", "[".repeat(1500), "]".repeat(1500));
    let just_deep = "[".repeat(4000);
    let bodies = [
        "",
        " ",
        "{",
        "}",
        "{\"user\":\"ada\",\"goods\":\"pho",
        "nonsense",
        "null",
        "[]",
        "\"text\"",
        "1",
        &deep,
        &just_deep,
        r#"{"user":"ada","user":"ada","goods":"phone"}"#,
        r#"{"user":"ada","goods":"phone","extra":1}"#,
        r#"{"user":"ada","goods":"phone","openid":"x"}"#,
        r#"{"User":"ada","goods":"phone"}"#,
        r#"{"user":"ada","goods":"phone"}{"user":"ada","goods":"phone"}"#,
        r#"{"user":"ada","goods":"phone",}"#,
        r#"{"user":null,"goods":"phone"}"#,
        r#"{"user":1,"goods":"phone"}"#,
        r#"{"user":["ada"],"goods":"phone"}"#,
        r#"{"user":"\ud800","goods":"phone"}"#,
        r#"{"user":"\udc00\ud800","goods":"phone"}"#,
        r#"{"user":"\x41","goods":"phone"}"#,
        "{\"user\":\"a\0b\",\"goods\":\"phone\"}",
        "{\"user\":\"a\r\nb\",\"goods\":\"phone\"}",
        "{\"user\":\"ada\",\"goods\":\"phone\"}\0",
        "\u{feff}{\"user\":\"ada\",\"goods\":\"phone\"}",
    ];
    for body in bodies {
        let answer = post(&world, "", body.as_bytes()).await;
        raw::assert_problem(&answer, 400, "malformed-request");
    }
    for bytes in [
        &b"{\"user\":\"\xff\",\"goods\":\"phone\"}"[..],
        b"{\"user\":\"\xc0\x80\",\"goods\":\"phone\"}",
        b"\xed\xa0\x80",
    ] {
        raw::assert_problem(&post(&world, "", bytes).await, 400, "malformed-request");
    }
    // UTF-16 is not UTF-8.
    let utf16: Vec<u8> = PHONE.encode_utf16().flat_map(u16::to_be_bytes).collect();
    raw::assert_problem(&post(&world, "", &utf16).await, 400, "malformed-request");
    assert_eq!(world.remaining().await, 10);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_fields_out_of_their_range_are_named() {
    let world = World::open(10).await;
    let with = |field: &str, value: &str| match field {
        "user" => format!("{{\"user\":{value},\"goods\":\"phone\"}}"),
        "goods" => format!("{{\"user\":\"ada\",\"goods\":{value}}}"),
        _ => format!("{{\"user\":\"ada\",\"goods\":\"phone\",\"{field}\":{value}}}"),
    };
    let text = |length: usize| format!("\"{}\"", "买".repeat(length));
    let cases = [
        ("user", "\"\"".to_owned()),
        ("user", text(65)),
        ("user", r#""a\u0000b""#.to_owned()),
        ("user", r#""a\r\nb""#.to_owned()),
        ("user", r#""\u0085""#.to_owned()),
        ("goods", "\"\"".to_owned()),
        ("goods", text(129)),
        ("goods", r#""\u007f""#.to_owned()),
        ("remark", text(501)),
        ("remark", r#""tab\t""#.to_owned()),
        ("quantity", "0".to_owned()),
        ("quantity", "-1".to_owned()),
        ("quantity", "101".to_owned()),
        ("quantity", "9223372036854775808".to_owned()),
        ("quantity", "18446744073709551616".to_owned()),
        ("quantity", "-9223372036854775809".to_owned()),
        ("quantity", "1e300".to_owned()),
    ];
    for (field, value) in cases {
        world.order(&with(field, &value)).await.names_field(field);
    }
    for value in ["1.5", "\"1\"", "true", "[1]", "{}", "1e400", "01", "+1", "0x1"] {
        world.order(&with("quantity", value)).await.problem(400, "malformed-request");
    }
    // All of them at once.
    let problem =
        world.order(r#"{"quantity":0,"goods":"","remark":"\n"}"#).await.problem(422, "validation-failed");
    let fields: Vec<_> =
        problem["errors"].as_array().unwrap().iter().map(|error| error["field"].clone()).collect();
    assert_eq!(fields, ["user", "goods", "quantity", "remark"]);
    assert_eq!(world.remaining().await, 10);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn odd_texts_are_data() {
    let world = World::open(100).await;
    let longest = "😀".repeat(64);
    let texts = [
        "'; DROP TABLE orders; --",
        "{sale}",
        "{}",
        "seckill:{x}:sale",
        "%s%n",
        "${jndi:ldap://x}",
        "<script>alert(1)</script>",
        "买家😀",
        "\\",
        "\"",
        " ",
        "null",
        "\u{202e}",
        "\u{fffd}",
        "e\u{301}",
        &longest,
    ];
    for text in texts {
        let body = serde_json::json!({"user": text, "goods": text, "remark": text}).to_string();
        let answer = world.order_by_key("odd", &body).await;
        assert_eq!(answer.status, 202, "{text:?}: {}", answer.body);
        let location = answer.header("location").unwrap();
        let found = world.api.get(location).await.json();
        for field in ["user", "goods", "remark"] {
            assert_eq!(found[field], text, "{field}");
        }
    }
    // The largest request that there is: every field at its most, every character escaped.
    let widest = |length: usize| "\\ud83d\\ude00".repeat(length);
    let body = format!("{{\"user\":\"{}\",\"goods\":\"{}\",\"remark\":\"\"}}", widest(64), widest(128));
    assert_eq!(world.order(&body).await.status, 202);
    world.end().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn p6_bodies_that_are_not_json_or_compressed_are_unsupported() {
    let world = World::open(10).await;
    let orders = world.path("/orders");
    let send =
        async |headers: &[(&str, &str)]| world.api.send(reqwest::Method::POST, &orders, headers, PHONE).await;
    for other in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "application/jsonp",
        "application/problem+json",
        "json",
        "",
    ] {
        send(&[("content-type", other)]).await.problem(415, "unsupported-media-type");
    }
    send(&[]).await.problem(415, "unsupported-media-type");
    // Of nothing it does not matter what it would have been.
    world.api.send(reqwest::Method::POST, &orders, &[], "").await.problem(400, "malformed-request");
    for coding in ["gzip", "br", "gzip, identity", "zstd"] {
        let headers = [("content-type", "application/json"), ("content-encoding", coding)];
        send(&headers).await.problem(415, "unsupported-media-type");
    }
    for same in ["application/json; charset=utf-8", "Application/JSON", " application/json ;x=y"] {
        assert_eq!(send(&[("content-type", same)]).await.status, 202);
    }
    assert_eq!(
        send(&[("content-type", "application/json"), ("content-encoding", "identity")]).await.status,
        202
    );
    assert_eq!(world.remaining().await, 6);
    world.end().await;
}
