//! `dead-letters list|replay`: messages of the order log that could not be stored.

use std::collections::HashMap;

use futures_util::{StreamExt, stream};
use jiff::Timestamp;
use seckill_core::{
    event::OrderEvent,
    order::{OrderId, OrderStatus},
    order_log::{Position, RawEvent},
};
use serde_json::{Value, json};

use crate::{
    failure::Failure,
    output::{Report, counted, harmless, table_or},
    progress,
    surroundings::Surroundings,
};

/// Most letters on their way at once.
const AT_ONCE: usize = 200;

/// Which letters are meant.
pub enum Choice {
    /// The one at this place.
    One(Position),
    /// All, or those whose reason contains the text.
    All(Option<String>),
}

impl Choice {
    fn holds(&self, letter: &RawEvent) -> bool {
        match self {
            Self::One(at) => (letter.partition, letter.offset) == (at.partition, at.offset),
            Self::All(None) => true,
            Self::All(Some(text)) => header(letter, "error").contains(text.as_str()),
        }
    }
}

/// Shows the letters, oldest first.
pub async fn list(all: &Surroundings, choice: &Choice) -> Result<Report, Failure> {
    let letters = chosen(all, choice).await?;
    let statuses = all.store.order_statuses(&letters.iter().filter_map(order_id).collect::<Vec<_>>()).await?;
    let rows = letters.iter().map(|letter| {
        vec![
            place(letter),
            harmless(&header(letter, "error")),
            harmless(&lossy(letter.key.as_deref())),
            harmless(&origin(letter)),
            time(letter).map_or_else(|| "-".to_owned(), |time| time.to_string()),
            status(letter, &statuses).map_or("-", OrderStatus::as_str).to_owned(),
        ]
    });
    let header = ["at", "reason", "key", "from", "time", "order now"];
    let text = table_or("there are no dead letters", &header, rows.collect());
    let json: Vec<Value> = letters.iter().map(|letter| as_json(letter, &statuses)).collect();
    Ok(Report::new(text, &json!({ "deadLetters": json })))
}

/// Puts the letters into the order log again, as they were.
///
/// They stay in the dead-letter topic, until Kafka drops what is old: replaying twice is harmless, because the
/// consumer knows an order by its id. What still cannot be stored becomes a dead letter once more.
pub async fn replay(all: &Surroundings, choice: &Choice) -> Result<Report, Failure> {
    let letters = chosen(all, choice).await?;
    if letters.is_empty() {
        return match choice {
            Choice::One(Position { partition, offset }) => {
                Err(Failure::Refused(format!("there is no dead letter at {partition}:{offset}")))
            }
            Choice::All(_) => Ok(replayed(&[])),
        };
    }
    let count = letters.len();
    let (publisher, bar) = (all.publisher()?, progress::bar("replaying", count));
    // In their order: of one order, the cancellation must stay behind what it cancels.
    let acks = stream::iter(&letters).map(|letter| publisher.replay(letter)).buffered(AT_ONCE);
    tokio::pin!(acks);
    let mut done = Vec::with_capacity(count);
    while let Some(ack) = acks.next().await {
        let known = done.len();
        let said = format!("{known} of {count} are in the order log for sure; again is harmless");
        done.push(ack.map_err(|error| Failure::from(error).but(&said))?);
        bar.inc(1);
    }
    Ok(replayed(&letters.iter().zip(done).collect::<Vec<_>>()))
}

fn replayed(done: &[(&RawEvent, Position)]) -> Report {
    let json: Vec<Value> = done
        .iter()
        .map(|(letter, at)| json!({ "at": place(letter), "partition": at.partition, "offset": at.offset }))
        .collect();
    let mut text =
        format!("{} in the order log again", counted(done.len(), "dead letter is", "dead letters are"));
    if !done.is_empty() {
        text.push_str("; what still cannot be stored comes back as a new one");
    }
    Report::new(text, &json!({ "replayed": done.len(), "letters": json }))
}

async fn chosen(all: &Surroundings, choice: &Choice) -> Result<Vec<RawEvent>, Failure> {
    let mut letters = all.observer()?.dead_letters().await?;
    letters.retain(|letter| choice.holds(letter));
    letters.sort_by_key(|letter| (letter.partition, letter.offset));
    Ok(letters)
}

fn place(letter: &RawEvent) -> String {
    format!("{}:{}", letter.partition, letter.offset)
}

/// Where the message had been in the order log.
fn origin(letter: &RawEvent) -> String {
    let [topic, partition, offset] = ["topic", "partition", "offset"].map(|name| header(letter, name));
    format!("{topic} {partition}:{offset}")
}

fn header(letter: &RawEvent, name: &str) -> String {
    lossy(letter.header(name))
}

fn lossy(bytes: Option<&[u8]>) -> String {
    bytes.map_or_else(|| "-".to_owned(), |bytes| String::from_utf8_lossy(bytes).into_owned())
}

fn time(letter: &RawEvent) -> Option<Timestamp> {
    letter.timestamp.and_then(|ms| Timestamp::from_millisecond(ms).ok())
}

/// The order that the letter is about, if it can be read.
fn order_id(letter: &RawEvent) -> Option<OrderId> {
    let event = OrderEvent::decode(letter.key.as_deref(), letter.value.as_deref()).ok()?;
    Some(event.order.id)
}

fn status(letter: &RawEvent, statuses: &HashMap<OrderId, OrderStatus>) -> Option<OrderStatus> {
    order_id(letter).and_then(|id| statuses.get(&id).copied())
}

/// Text, or else the bytes in hexadecimal digits: a poisoned message need not be text.
fn bytes(bytes: Option<&[u8]>) -> Value {
    match bytes.map(|bytes| (bytes, std::str::from_utf8(bytes))) {
        None => Value::Null,
        Some((_, Ok(text))) => json!(text),
        Some((bytes, Err(_))) => {
            let digits: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            json!({ "hex": digits.concat() })
        }
    }
}

fn as_json(letter: &RawEvent, statuses: &HashMap<OrderId, OrderStatus>) -> Value {
    let number = |name: &str| header(letter, name).parse::<i64>().ok();
    json!({
        "partition": letter.partition,
        "offset": letter.offset,
        "reason": header(letter, "error"),
        "key": bytes(letter.key.as_deref()),
        "value": bytes(letter.value.as_deref()),
        "from": { "topic": header(letter, "topic"), "partition": number("partition"), "offset": number("offset") },
        "time": time(letter),
        "orderStatus": status(letter, statuses).map(OrderStatus::as_str),
    })
}
