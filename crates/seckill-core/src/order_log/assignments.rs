//! What happens when partitions of the order log come and go.

use std::{
    mem,
    sync::atomic::{AtomicBool, Ordering},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::{KafkaError, KafkaResult},
    types::RDKafkaRespErr,
};

use super::{
    ErrorCode, committed, config,
    topic_id::{TopicId, TopicIds},
};

/// How often it is asked where the group goes on before that is left for later.
const ATTEMPTS: usize = 3;

/// What the rebalance callbacks, which run inside polls, leave for the subscriber.
pub(super) struct Assignments {
    topic: String,
    ids: TopicIds,
    /// Whether nothing is to be read.
    pub(super) paused: AtomicBool,
    /// What was lost since the subscriber last looked.
    pub(super) revoked: Mutex<Vec<i32>>,
    /// Whether partitions came of which nobody could say where the group goes on: they are not read.
    pub(super) unplaced: AtomicBool,
    /// Which topic this client has read first. It is of no use for another.
    pub(super) read: Mutex<Option<TopicId>>,
    /// Why offsets could not be committed when that was logged last, so that it is logged once.
    uncommitted: Mutex<Option<ErrorCode>>,
}

impl Assignments {
    /// Of a member that has no partitions yet.
    pub(super) fn new(topic: &str, ids: TopicIds, paused: bool) -> Self {
        Self {
            topic: topic.to_owned(),
            ids,
            paused: AtomicBool::new(paused),
            revoked: Mutex::default(),
            unplaced: AtomicBool::new(false),
            read: Mutex::default(),
            uncommitted: Mutex::default(),
        }
    }

    /// Takes partitions, from where the group has come in this very topic. Where nobody can tell, none: to begin at
    /// their beginning would set the group's offsets back there, and all would be written again before what is new.
    fn take(&self, consumer: &BaseConsumer<Self>, partitions: &mut TopicPartitionList) -> KafkaResult<()> {
        let asked = numbers(partitions);
        let known = (0..ATTEMPTS).find_map(|_| {
            committed::ask(&self.ids, consumer, &self.topic, asked.iter().copied())
                .inspect_err(|error| tracing::warn!(%error, "where to go on reading is not known yet"))
                .ok()
        });
        let Some(known) = known else {
            self.unplaced.store(true, Ordering::Relaxed);
            return consumer.incremental_assign(&TopicPartitionList::new());
        };
        let mut read = self.read.lock();
        *read = read.or(known.topic);
        drop(read);
        for partition in known.foreign {
            tracing::warn!(partition, "a partition is read from its beginning");
            partitions.set_partition_offset(&self.topic, partition, Offset::Beginning)?;
        }
        consumer.incremental_assign(partitions)?;
        self.pause_or_resume(consumer, partitions)
    }

    /// Lets partitions that have come be paused or not, like all others. Either must be said: one that was paused when
    /// it went is paused still when it comes back, as far as the client is concerned.
    fn pause_or_resume(&self, consumer: &BaseConsumer<Self>, come: &TopicPartitionList) -> KafkaResult<()> {
        if self.paused.load(Ordering::Relaxed) { consumer.pause(come) } else { consumer.resume(come) }
    }
}

impl ClientContext for Assignments {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        config::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // The poll returns it as well.
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl ConsumerContext for Assignments {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        partitions: &mut TopicPartitionList,
    ) {
        let done = match code {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                tracing::info!(partitions = ?numbers(partitions), "partitions of the order log were assigned");
                self.take(consumer, partitions)
            }
            other => {
                if other != RDKafkaRespErr::RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS {
                    tracing::warn!(code = %ErrorCode::from(other), "rebalancing failed");
                }
                let numbers = numbers(partitions);
                tracing::info!(partitions = ?numbers, "partitions of the order log were taken away");
                self.revoked.lock().extend(numbers);
                consumer.incremental_unassign(partitions)
            }
        };
        if let Err(error) = done {
            tracing::warn!(%error, "partitions of the order log could not come or go as they should");
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _: &TopicPartitionList) {
        match result {
            Ok(()) => *self.uncommitted.lock() = None,
            // Nothing new was stored.
            Err(KafkaError::ConsumerCommit(ErrorCode::NoOffset)) => {}
            // The next commit carries the same offsets.
            Err(error) => {
                let code = error.rdkafka_error_code();
                if mem::replace(&mut *self.uncommitted.lock(), code) != code {
                    tracing::warn!(%error, "offsets could not be committed");
                }
            }
        }
    }
}

/// Which partitions these are.
pub(super) fn numbers(partitions: &TopicPartitionList) -> Vec<i32> {
    partitions
        .elements()
        .iter()
        .map(rdkafka::topic_partition_list::TopicPartitionListElem::partition)
        .collect()
}
