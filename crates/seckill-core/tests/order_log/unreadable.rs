//! A message that no client of ours would send.
#![expect(
    clippy::cast_possible_truncation,
    clippy::cast_possible_wrap,
    clippy::cast_sign_loss,
    reason = "the protocol's numbers, of what is small"
)]

use std::{
    io::{Read, Write},
    net::TcpStream,
};

use crate::fixture::{TestLog, event, ids, orders, read, store};

/// A record batch (magic 2) of one message without compression, with a header of this name and no value.
fn batch(key: &[u8], value: &[u8], header: &[u8]) -> Vec<u8> {
    let sized = |bytes: &[u8]| [varint(bytes.len() as i64), bytes.to_vec()].concat();
    let record = [
        // Attributes, and differences of moment and offset to those of the batch.
        vec![0],
        varint(0),
        varint(0),
        sized(key),
        sized(value),
        varint(1),
        sized(header),
        varint(-1),
    ]
    .concat();
    let checked = [
        // Attributes, the last offset's difference, first and last moment, and nobody's idempotence.
        &0_i16.to_be_bytes()[..],
        &0_i32.to_be_bytes(),
        &1_763_942_701_123_i64.to_be_bytes(),
        &1_763_942_701_123_i64.to_be_bytes(),
        &(-1_i64).to_be_bytes(),
        &(-1_i16).to_be_bytes(),
        &(-1_i32).to_be_bytes(),
        &1_i32.to_be_bytes(),
        &sized(&record),
    ]
    .concat();
    let body = [&(-1_i32).to_be_bytes()[..], &[2], &crc32c(&checked).to_be_bytes(), &checked].concat();
    [&0_i64.to_be_bytes()[..], &(body.len() as i32).to_be_bytes(), &body].concat()
}

/// A number as records have it: zigzag, seven bits a byte.
fn varint(number: i64) -> Vec<u8> {
    let (mut left, mut bytes) = (((number << 1) ^ (number >> 63)) as u64, Vec::new());
    while left >= 0x80 {
        bytes.push(left as u8 | 0x80);
        left >>= 7;
    }
    bytes.push(left as u8);
    bytes
}

fn crc32c(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc, byte| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0x82f6_3b78 & (crc & 1).wrapping_neg()))
    })
}

/// Puts `batch` into partition 0 of `topic`, by a Produce request (version 3) that waits for `acks=all`.
fn produce(brokers: &str, topic: &str, batch: &[u8]) {
    let text = |text: &str| [&(text.len() as i16).to_be_bytes()[..], text.as_bytes()].concat();
    let request = [
        &0_i16.to_be_bytes()[..],
        &3_i16.to_be_bytes(),
        &1_i32.to_be_bytes(),
        &text("test"),
        &(-1_i16).to_be_bytes(),
        &(-1_i16).to_be_bytes(),
        &10_000_i32.to_be_bytes(),
        &1_i32.to_be_bytes(),
        &text(topic),
        &1_i32.to_be_bytes(),
        &0_i32.to_be_bytes(),
        &(batch.len() as i32).to_be_bytes(),
        batch,
    ]
    .concat();
    let mut broker = TcpStream::connect(brokers.split(',').next().unwrap()).unwrap();
    broker.write_all(&(request.len() as i32).to_be_bytes()).unwrap();
    broker.write_all(&request).unwrap();
    let mut size = [0; 4];
    broker.read_exact(&mut size).unwrap();
    let mut answer = vec![0; i32::from_be_bytes(size) as usize];
    broker.read_exact(&mut answer).unwrap();
    // Correlation, one topic and its name, one partition and its number: then what was wrong.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    assert_eq!(answer[at..at + 2], [0, 0], "{answer:?}");
}

#[tokio::test]
async fn p4_a_header_whose_name_is_no_text_holds_nothing_up() {
    let log = TestLog::with_partitions(1).await;
    let strange = event();
    let (key, value) = (strange.order.id.to_string(), strange.encode());
    produce(&log.kafka.kafka_brokers, &log.kafka.orders_topic, &batch(key.as_bytes(), &value, b"\xff\xfe"));
    let usual = log.publish(1).await;
    let mut subscriber = log.subscriber();
    let events = read(&mut subscriber, 2);
    assert_eq!(orders(&events), ids(&[&[strange][..], &usual].concat()));
    assert_eq!(events[0].headers, []);
    store(&mut subscriber, &events);
    subscriber.close().unwrap();
    log.delete().await;
}
