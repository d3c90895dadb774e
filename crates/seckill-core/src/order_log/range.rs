//! Reading a known stretch of a topic, once.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};

use super::{LogError, RawEvent, config, config::Quiet, error::is_transient};

const DOING: &str = "reading a part of the log";

/// Reads `topic` from the first to before the second offset of each partition in `stretch`. Gives up when
/// nothing has come for `patience`.
pub(super) fn read(
    config: &ClientConfig,
    topic: &str,
    stretch: &BTreeMap<i32, (i64, i64)>,
    patience: Duration,
) -> Result<Vec<RawEvent>, LogError> {
    let mut ends = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for (&partition, &(start, end)) in stretch {
        if start < end {
            ends.insert(partition, end);
            assignment
                .add_partition_offset(topic, partition, Offset::Offset(start))
                .map_err(|error| LogError::of(DOING, &error))?;
        }
    }
    if ends.is_empty() {
        return Ok(Vec::new());
    }
    let consumer: BaseConsumer<Quiet> = config::create(config, Quiet)?;
    consumer.assign(&assignment).map_err(|error| LogError::of(DOING, &error))?;
    collect(&consumer, ends, patience)
}

fn collect(
    consumer: &BaseConsumer<Quiet>,
    mut ends: BTreeMap<i32, i64>,
    patience: Duration,
) -> Result<Vec<RawEvent>, LogError> {
    let mut events = Vec::new();
    let mut until = Instant::now() + patience;
    while !ends.is_empty() {
        if Instant::now() >= until {
            return Err(LogError::timed_out(DOING));
        }
        match consumer.poll(Duration::from_millis(100)) {
            None => {}
            Some(Ok(message)) => {
                until = Instant::now() + patience;
                let partition = message.partition();
                let Some(&end) = ends.get(&partition) else { continue };
                if message.offset() < end {
                    events.push(RawEvent::of(&message));
                }
                if message.offset() + 1 >= end {
                    ends.remove(&partition);
                }
            }
            // The last offsets before the end may be no events (a transaction's marks).
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                ends.remove(&partition);
            }
            Some(Err(KafkaError::MessageConsumption(code))) if is_transient(code) => {}
            Some(Err(error)) => return Err(LogError::of(DOING, &error)),
        }
    }
    Ok(events)
}
