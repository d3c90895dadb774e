//! Whatever lies on the order log or stands in a setting: it is read or refused, without a panic, and with no more
//! memory than what was sent is worth.

use std::{ffi::OsString, sync::Mutex};

use clap::Parser;
use jiff::Timestamp;
use proptest::{collection::vec, prelude::*, sample::Index, test_runner::Config};
use seckill_core::{
    address::Address,
    event::{OrderEvent, OrderEventKind},
    order::{BuyerId, Goods, IdempotencyKey, Order, OrderId, OrderRequest, OrderStatus, Quantity, Remark},
    sale::SaleId,
    settings::{
        DatabaseSettings, GroupSettings, KafkaSettings, LogSettings, RedisSettings, TopicSettings, try_parse,
    },
    testing::{PeakAlloc, fuzz_cases, within_bounds},
};
use uuid::Uuid;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// One test at a time: what is measured is the whole process.
static ALONE: Mutex<()> = Mutex::new(());

/// Bytes of memory for an input of so many. It may be copied a few times, and what is wrong with it be told.
fn enough_for(length: usize) -> usize {
    8 * length
}

fn event() -> OrderEvent {
    let request = OrderRequest {
        buyer: BuyerId::parse("买家").unwrap(),
        goods: Goods::parse("phone").unwrap(),
        quantity: Quantity::new(2).unwrap(),
        remark: Some(Remark::parse("\"quoted\" \\ and more").unwrap()),
    };
    let at = Timestamp::from_millisecond(1_763_942_701_123).unwrap();
    let (id, sale) = (OrderId::from(Uuid::from_u128(7)), SaleId::parse("default").unwrap());
    let order = Order::new(id, sale, request, Some(98), at, OrderStatus::Accepted);
    OrderEvent { kind: OrderEventKind::Placed, epoch: 3, order, at }
}

/// One way to damage a text.
#[derive(Clone, Debug)]
enum Damage {
    Change(Index, u8),
    Remove(Index, u8),
    Insert(Index, Vec<u8>),
    Repeat(Index, u16),
    CutOff(Index),
}

/// What parsers stumble over.
fn morsel() -> impl Strategy<Value = Vec<u8>> {
    let known = [
        "null",
        "true",
        "-1",
        "1e999",
        "18446744073709551616",
        "0.1",
        "\"\"",
        "[]",
        "{}",
        "[[[[[[[[",
        "\\ud800",
        "\\u0000",
        "\"v\":2,",
        "\"v\":1,",
        "\"epoch\":-1,",
        "\u{202e}",
        "\0",
        "\r\n",
        ",",
        "}",
        "9999999999-01-01T00:00:00Z",
        "-009999-01-01T00:00:00Z",
        "00000000-0000-0000-0000-000000000000",
    ];
    prop_oneof![
        3 => prop::sample::select(known.to_vec()).prop_map(|text| text.as_bytes().to_vec()),
        1 => vec(any::<u8>(), 0..20),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Damage::Change(at, byte)),
        (any::<Index>(), 1..40_u8).prop_map(|(at, count)| Damage::Remove(at, count)),
        (any::<Index>(), morsel()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (any::<Index>(), 1..2000_u16).prop_map(|(at, times)| Damage::Repeat(at, times)),
        any::<Index>().prop_map(Damage::CutOff),
    ]
}

fn damaged(mut bytes: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        let place = |at: &Index| if bytes.is_empty() { 0 } else { at.index(bytes.len()) };
        match damage {
            Damage::Change(at, byte) => {
                let at = place(at);
                if let Some(changed) = bytes.get_mut(at) {
                    *changed = *byte;
                }
            }
            Damage::Remove(at, count) => {
                let at = place(at);
                bytes.drain(at..(at + usize::from(*count)).min(bytes.len()));
            }
            Damage::Insert(at, more) => {
                let at = place(at);
                bytes.splice(at..at, more.iter().copied());
            }
            Damage::Repeat(at, times) => {
                let at = place(at);
                let Some(byte) = bytes.get(at).copied() else { continue };
                bytes.splice(at..at, std::iter::repeat_n(byte, usize::from(*times)));
            }
            Damage::CutOff(at) => bytes.truncate(place(at)),
        }
    }
    bytes
}

/// Decodes a message; what is taken must be a whole event, that says the same when it is written again.
fn decode(key: &[u8], value: &[u8]) -> Result<bool, TestCaseError> {
    let decoded = within_bounds(&MEMORY, enough_for(key.len() + value.len()), || {
        OrderEvent::decode(Some(key), Some(value))
    });
    let Ok(event) = decoded else { return Ok(false) };
    let (key, value) = (event.key(), event.encode());
    let again = OrderEvent::decode(Some(key.as_bytes()), Some(&value)).map_err(|error| {
        TestCaseError::fail(format!("what was read is not read again: {error}: {event:?}"))
    })?;
    prop_assert_eq!(again, event);
    Ok(true)
}

fn cases(cases: u32) -> Config {
    Config { cases: fuzz_cases(cases), failure_persistence: None, ..Config::default() }
}

#[test]
fn p6_a_message_of_the_order_log_is_read_or_refused() {
    let _alone = ALONE.lock();
    let (key, value) = (event().key(), event().encode());
    assert!(decode(key.as_bytes(), &value).unwrap(), "what is not damaged is taken");
    proptest!(cases(20_000), |(damages in vec(damage(), 1..5))| {
        decode(key.as_bytes(), &damaged(value.clone(), &damages))?;
    });
    proptest!(cases(5_000), |(key in vec(any::<u8>(), 0..60), value in vec(any::<u8>(), 0..3_000))| {
        decode(&key, &value)?;
    });
}

#[test]
fn p6_a_message_may_be_as_deep_and_as_long_as_it_likes() {
    let _alone = ALONE.lock();
    let key = event().key();
    let text = String::from_utf8(event().encode()).unwrap();
    for deep in ["[", "{\"a\":", "[{\"order\":"] {
        for value in [deep.repeat(200_000), text.replacen("\"phone\"", &deep.repeat(200_000), 1)] {
            assert!(!decode(key.as_bytes(), value.as_bytes()).unwrap());
        }
    }
    for long in ["x".repeat(1_000_000), "\\u4e70".repeat(200_000), "9".repeat(1_000_000)] {
        assert!(!decode(key.as_bytes(), text.replacen("phone", &long, 1).as_bytes()).unwrap());
        assert!(
            !decode(
                key.as_bytes(),
                text.replacen("\"quantity\":2", &format!("\"quantity\":{long}"), 1).as_bytes()
            )
            .unwrap()
        );
    }
    let unknown =
        (0..20_000).fold(String::new(), |text, number| text + "\"f" + &number.to_string() + "\":[],");
    decode(key.as_bytes(), text.replacen('{', &format!("{{{unknown}"), 1).as_bytes()).unwrap();
}

#[test]
fn p6_names_and_addresses_are_read_or_refused() {
    let _alone = ALONE.lock();
    proptest!(cases(6_000), |(bytes in prop_oneof![vec(any::<u8>(), 0..400), vec(0x20..0x7f_u8, 0..400)])| {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        within_bounds(&MEMORY, enough_for(bytes.len()), || {
            let _ = IdempotencyKey::parse(&bytes);
            let _ = OrderId::from_slice(&bytes);
            let _ = (OrderId::parse(&text), OrderStatus::parse(&text));
            let _ = (BuyerId::parse(text.as_str()), Goods::parse(text.as_str()), Remark::parse(text.as_str()));
        });
        // Names of sales are in keys of Redis, in paths and in logs.
        if let Ok(sale) = SaleId::parse(&text) {
            prop_assert!(sale.as_str().len() <= 64 && sale.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        }
        for address in [text.clone(), format!("rediss://{text}?ssl_ca={text}"), format!("mysql://h/d?{text}&ssl_ca=/")] {
            within_bounds(&MEMORY, enough_for(address.len()), || {
                let address = Address::of(&address);
                let _ = (address.of_redis(), address.of_mysql());
            });
        }
    });
}

#[derive(Parser, Debug)]
struct All {
    #[command(flatten)]
    _database: DatabaseSettings,
    #[command(flatten)]
    _redis: RedisSettings,
    #[command(flatten)]
    _kafka: KafkaSettings,
    #[command(flatten)]
    _group: GroupSettings,
    #[command(flatten)]
    _topics: TopicSettings,
    #[command(flatten)]
    _log: LogSettings,
}

#[test]
fn p6_settings_are_taken_or_refused_in_one_line() {
    let _alone = ALONE.lock();
    let flags = [
        "--kafka-brokers",
        "--orders-topic",
        "--dead-letter-topic",
        "--database-url",
        "--database-url-file",
        "--redis-url",
        "--consumer-group",
        "--orders-partitions",
        "--replication-factor",
        "--profile",
        "--log-filter",
        "--log-format",
    ];
    let value = prop_oneof![
        ".{0,60}",
        morsel().prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        prop::sample::select(vec![
            "a:1",
            "ssl://a:1,b:2",
            "info,x=debug",
            "json",
            "12",
            "mysql://",
            "redis://h?ssl_ca=x"
        ])
        .prop_map(str::to_owned),
    ];
    let argument = (prop::sample::select(flags.to_vec()), value, any::<bool>());
    proptest!(cases(3_000), |(arguments in vec(argument, 0..5))| {
        let words = arguments.iter().flat_map(|(flag, value, joined)| {
            if *joined { vec![format!("{flag}={value}")] } else { vec![(*flag).to_owned(), value.clone()] }
        });
        let words: Vec<OsString> = std::iter::once("test".to_owned()).chain(words).map(OsString::from).collect();
        let length = words.iter().map(|word| word.len()).sum();
        let taken = within_bounds(&MEMORY, enough_for(length), || try_parse::<All>(words));
        if let Err(seckill_core::settings::Refusal::Wrong(error)) = taken {
            prop_assert!(!error.to_string().contains('\n'), "{}", error);
        }
    });
}
