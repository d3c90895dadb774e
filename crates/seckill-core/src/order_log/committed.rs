//! How far the group has come in this very topic.
//!
//! An offset is committed together with the id of the topic that it is of. Kafka forgets a group's offsets when it
//! deletes a topic, but a member that does not know of that yet commits once more, and the new topic of the same name
//! would be read from there on only: what comes before would be lost.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
};

use super::{
    LogError, config,
    topic_id::{TopicId, TopicIds},
};

/// What is known of one topic at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Committed {
    /// Which topic it is, where Kafka says so.
    pub(super) topic: Option<TopicId>,
    /// Where the group goes on in each partition; those of which it has committed nothing are missing.
    pub(super) next: BTreeMap<i32, i64>,
    /// Partitions whose offset was committed of an earlier topic, and says nothing of this one.
    pub(super) foreign: Vec<i32>,
}

/// Asks for the offsets of the group in `partitions` of `topic`.
pub(super) fn ask<C: ConsumerContext>(
    ids: &TopicIds,
    consumer: &BaseConsumer<C>,
    topic: &str,
    partitions: impl IntoIterator<Item = i32>,
) -> Result<Committed, LogError> {
    let failed = |error: KafkaError| LogError::of("asking for the group's offsets", &error);
    let within: Duration = config::ANSWER_WITHIN;
    let mut asked = TopicPartitionList::new();
    for partition in partitions {
        asked.add_partition(topic, partition);
    }
    let id = ids.ask(consumer.client(), topic, within)?;
    let mut committed = Committed { topic: id, next: BTreeMap::new(), foreign: Vec::new() };
    for element in consumer.committed_offsets(asked, within).map_err(failed)?.elements() {
        element.error().map_err(failed)?;
        let Offset::Offset(next) = element.offset() else { continue };
        if is_of(element.metadata(), id) {
            committed.next.insert(element.partition(), next);
        } else {
            committed.foreign.push(element.partition());
        }
    }
    Ok(committed)
}

/// Whether an offset that was committed with `note` is of the topic `id`. One without a note is: it was committed
/// before there were notes, or where Kafka has no ids.
fn is_of(note: &str, id: Option<TopicId>) -> bool {
    note.is_empty() || id.is_none_or(|id| note == id.to_string())
}
