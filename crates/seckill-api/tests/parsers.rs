//! Whatever a client sends as a body or a header: it is read or refused, without a panic, and with no more memory
//! than what was sent is worth.

use std::{net::IpAddr, sync::Mutex};

use actix_web::{
    http::header::{HeaderMap, HeaderName, HeaderValue},
    web::Bytes,
};
use proptest::{collection::vec, prelude::*, test_runner::Config};
use seckill_api::{
    back_office_body,
    client_address::{TrustedProxy, client_address},
    order_body::{self, Dialect},
};
use seckill_core::{
    order::BuyerId,
    testing::{PeakAlloc, fuzz_cases, within_bounds},
};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time: what is measured is the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Bytes of memory for an input of so many, that several parsers read one after the other.
fn enough_for(length: usize) -> usize {
    32 * length
}

fn cases(cases: u32) -> Config {
    Config { cases: fuzz_cases(cases), failure_persistence: None, ..Config::default() }
}

/// Pieces that bodies are made of. Put together at random, now and then they are one.
const PIECES: [&str; 48] = [
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    " ",
    "\"user\":\"ada\"",
    "\"goods\":\"phone\"",
    "\"quantity\":1",
    "\"quantity\":0",
    "\"quantity\":101",
    "\"quantity\":-1",
    "\"quantity\":1.0",
    "\"quantity\":1e2",
    "\"quantity\":\"1\"",
    "\"quantity\":18446744073709551616",
    "\"remark\":null",
    "\"remark\":\"\"",
    "\"remark\":\"\\u0000\"",
    "\"count\":7",
    "\"count\":-7",
    "\"count\":1e400",
    "\"user\":\"a\\nb\"",
    "\"user\":\"\\ud800\"",
    "\"user\":\"\\ud83d\\ude00\"",
    "\"user\":null",
    "\"user\":[]",
    "\"goods\":{\"a\":[[[[]]]]}",
    "\"openid\":\"x\"",
    "\"kafkaRawMessage\":{\"deep\":[1,2,{}]}",
    "\"id\":\"018f2a4e-7c4b-7d31-9d3a-1f2e3d4c5b6a\"",
    "\"018f2a4e-7c4b-7d31-9d3a-1f2e3d4c5b6a\"",
    "\"remainCount\":3",
    "\"unknown\":1",
    "\"\\u0075ser\":\"eve\"",
    "{\"user\":\"ada\",\"goods\":\"phone\"}",
    "null",
    "true",
    "\"",
    "\\",
    "\u{feff}",
    "\u{202e}",
    "/*",
    "NaN",
    "\0",
    "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
    "\"user\":\"ada\",\"goods\":\"phone\"",
];

fn body() -> impl Strategy<Value = Vec<u8>> {
    let pieces = vec(prop::sample::select(PIECES.to_vec()), 0..14);
    prop_oneof![
        4 => pieces.clone().prop_map(|pieces| pieces.concat().into_bytes()),
        4 => pieces.prop_map(|pieces| format!("{{{}}}", pieces.join(",")).into_bytes()),
        1 => vec(any::<u8>(), 0..4096),
    ]
}

#[test]
fn p6_a_body_is_read_or_refused() {
    let _alone = ALONE.lock();
    let other = BuyerId::parse("eve").unwrap();
    proptest!(cases(40_000), |(body in body())| {
        let (length, body) = (body.len(), Bytes::from(body));
        let read = within_bounds(&MEMORY, enough_for(length), || {
            let _ = (back_office_body::count(&body), back_office_body::hand_made(&body));
            let _ = (back_office_body::edit(&body), back_office_body::ids(&body));
            let _ = order_body::parse_for(&body, Dialect::V1, Some(&other));
            [Dialect::V1, Dialect::Legacy].map(|dialect| order_body::parse(&body, dialect))
        });
        for order in read.into_iter().flatten() {
            prop_assert!((1..=100).contains(&order.quantity.units()));
            for text in [order.buyer.as_str(), order.goods.as_str(), order.remark.as_ref().map_or("", |it| it.as_str())] {
                prop_assert!(text.chars().count() <= 500 && !text.chars().any(char::is_control), "{:?}", text);
            }
        }
    });
}

#[test]
fn p6_a_list_of_forwarding_proxies_is_read_as_far_as_it_makes_sense() {
    let _alone = ALONE.lock();
    let trusted: Vec<TrustedProxy> = ["10.0.0.0/8", "::1"].map(|network| network.parse().unwrap()).to_vec();
    let peer: IpAddr = "10.1.1.1".parse().unwrap();
    let entry = prop::sample::select(vec![
        "10.0.0.1",
        "1.2.3.4",
        "[::1]:80",
        "::1",
        "::ffff:10.0.0.1",
        "unknown",
        "",
        " ",
        "1.2.3.4:5",
        "[::1",
        "]",
        "999.1.1.1",
        "1.2.3.4, 5.6.7.8",
        "\u{ff}",
        ",,,,,,",
    ]);
    proptest!(cases(10_000), |(lists in vec(vec(entry, 0..6), 0..4), raw in vec(0x20..=0xff_u8, 0..200))| {
        let mut headers = HeaderMap::new();
        let name = HeaderName::from_static("x-forwarded-for");
        let lists = lists.iter().map(|list| list.join(",").into_bytes()).chain([raw]);
        for list in lists {
            if let Ok(value) = HeaderValue::from_bytes(&list) {
                headers.append(name.clone(), value);
            }
        }
        within_bounds(&MEMORY, enough_for(2_000), || client_address(peer, &headers, &trusted));
    });
}
