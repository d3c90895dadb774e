//! Reading the order log as a member of the consumer group.

use std::{
    collections::{BTreeMap, HashSet},
    mem,
    sync::{atomic::Ordering, mpsc},
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;
use rdkafka::{
    ClientConfig, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
    topic_partition_list::TopicPartitionListElem,
};

use super::{
    ErrorCode, LogError, RawEvent,
    assignments::{Assignments, numbers},
    config,
    error::is_transient,
    reach::{LOOK_WITHIN, Reach},
    topic_id::TopicIds,
};
use crate::settings::{GroupSettings, KafkaSettings};

/// How long an empty log is waited for.
const IDLE_WAIT: Duration = Duration::from_millis(100);
/// A batch ends when nothing more has come for this long.
const SETTLED: Duration = Duration::from_millis(2);
/// How often it is asked whether the topic is still the same one.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How long leaving the group may take.
const CLOSE_WITHIN: Duration = Duration::from_secs(10);

/// A member of the consumer group.
///
/// It belongs to one thread. Partitions come and go only inside its polls, so nothing that the thread does
/// between two of them is ever overtaken by a rebalance.
pub struct OrderSubscriber {
    consumer: BaseConsumer<Assignments>,
    config: ClientConfig,
    ids: TopicIds,
    reach: Reach,
    topic: String,
    /// Where each partition goes on that has events which were read and not stored.
    unstored: Mutex<BTreeMap<i32, i64>>,
    /// Lost since the caller last asked.
    revoked: HashSet<i32>,
    /// Read while the caller wanted none, or just after a rebalance; they come first in the next batch.
    early: Vec<RawEvent>,
    /// The passing trouble that was logged last, so that it is logged once.
    trouble: Option<ErrorCode>,
    /// When it was last asked which topic it is.
    looked: Instant,
}

impl OrderSubscriber {
    /// Joins the group, in the background of the first polls.
    pub fn new(settings: &KafkaSettings, group: &GroupSettings) -> Result<Self, LogError> {
        let (config, topic) = (config::group_member(settings, group)?, settings.orders_topic.clone());
        let ids = TopicIds::new(settings)?;
        Ok(Self {
            consumer: Self::member(&config, &topic, &ids, false)?,
            config,
            reach: Reach::new(ids.clone(), &topic),
            ids,
            topic,
            unstored: Mutex::default(),
            revoked: HashSet::new(),
            early: Vec::new(),
            trouble: None,
            looked: Instant::now(),
        })
    }

    fn member(
        config: &ClientConfig,
        topic: &str,
        ids: &TopicIds,
        paused: bool,
    ) -> Result<BaseConsumer<Assignments>, LogError> {
        let consumer: BaseConsumer<_> = config::create(config, Assignments::new(topic, ids.clone(), paused))?;
        consumer.subscribe(&[topic]).map_err(|error| LogError::of("subscribing", &error))?;
        Ok(consumer)
    }

    /// Reads up to `max_events`. Waits a tenth of a second for the first; from then on it gathers until
    /// `max_wait` is over or nothing more has come for two milliseconds. So a lone event is hardly delayed,
    /// and under load, while one batch is being written, the next is already waiting.
    ///
    /// A rebalance that takes partitions away ends the batch, without their events. Passing trouble is logged
    /// and gives an empty batch: the client recovers by itself. An error is the end of this subscriber.
    pub fn poll_batch(&mut self, max_events: usize, max_wait: Duration) -> Result<Vec<RawEvent>, LogError> {
        if self.look_at_topic()? {
            return Ok(Vec::new());
        }
        let mut batch = mem::take(&mut self.early);
        let mut until = (!batch.is_empty()).then(|| Instant::now() + max_wait);
        while batch.len() < max_events {
            // Whole milliseconds: the client waits for those, and asks without a pause for what is left.
            let patience = match until {
                None => IDLE_WAIT,
                Some(until) if until <= Instant::now() => break,
                Some(_) => SETTLED,
            };
            let event = self.poll_one(patience)?;
            let was_revoked = self.note_revoked(&mut batch);
            let Some(event) = event else { break };
            self.note_read(&event);
            if was_revoked {
                // Read after the rebalance, which the batch ends with.
                self.early.push(event);
                break;
            }
            until.get_or_insert_with(|| Instant::now() + max_wait);
            batch.push(event);
        }
        Ok(batch)
    }

    /// Stays a member of the group for `duration` without reading: for use while paused.
    pub fn poll_paused(&mut self, duration: Duration) -> Result<(), LogError> {
        let until = Instant::now() + duration;
        loop {
            let patience = until.saturating_duration_since(Instant::now());
            if patience.is_zero() {
                return Ok(());
            }
            self.look_at_topic()?;
            let event = self.poll_one(patience)?;
            let mut early = mem::take(&mut self.early);
            self.note_revoked(&mut early);
            early.extend(event.inspect(|event| self.note_read(event)));
            self.early = early;
        }
    }

    /// The partitions that were lost since the last call, whether or not they have come back. Whatever was
    /// read of them before is somebody else's now, or will be read again: drop it.
    pub fn take_revoked(&mut self) -> HashSet<i32> {
        mem::take(&mut self.revoked)
    }

    /// Remembers that everything of `partition` below `next_offset` is done: it is committed in the background,
    /// and when the partition or this subscriber goes.
    pub fn store(&self, partition: i32, next_offset: i64) -> Result<(), LogError> {
        let mut offsets = TopicPartitionList::with_capacity(1);
        let mut offset = offsets.add_partition(&self.topic, partition);
        if let Some(id) = *self.consumer.context().read.lock() {
            offset.set_metadata(id.to_string());
        }
        let stored = offset
            .set_offset(Offset::Offset(next_offset))
            .and_then(|()| self.consumer.store_offsets(&offsets));
        match stored {
            Ok(()) => {
                self.unstored.lock().insert(partition, next_offset);
                Ok(())
            }
            // Lost in the meantime: its new owner reads from the last offset that was committed.
            Err(KafkaError::StoreOffset(ErrorCode::State)) => Ok(()),
            Err(error) => Err(LogError::of("storing an offset", &error)),
        }
    }

    /// Goes back to where offsets were last stored: what was read since is read again.
    pub fn rewind(&mut self) -> Result<(), LogError> {
        self.early.clear();
        let mut offsets = TopicPartitionList::new();
        for (partition, offset) in self.unstored.lock().iter() {
            offsets
                .add_partition_offset(&self.topic, *partition, Offset::Offset(*offset))
                .map_err(|error| LogError::of("going back", &error))?;
        }
        if offsets.count() == 0 {
            return Ok(());
        }
        let sought = self.consumer.seek_partitions(offsets, config::ANSWER_WITHIN);
        // Each partition has its own outcome: one that goes on where it is would leave out what was given up.
        sought
            .and_then(|sought| sought.elements().iter().try_for_each(TopicPartitionListElem::error))
            .map_err(|error| LogError::of("going back", &error))
    }

    /// Reads nothing any more, also of partitions that are yet to be assigned, and stays in the group.
    pub fn pause_all(&mut self) -> Result<(), LogError> {
        if self.consumer.context().paused.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let paused = self.consumer.assignment().and_then(|all| self.consumer.pause(&all));
        paused.map_err(|error| LogError::of("pausing", &error))
    }

    /// Reads again.
    pub fn resume_all(&mut self) -> Result<(), LogError> {
        if !self.consumer.context().paused.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let resumed = self.consumer.assignment().and_then(|all| self.consumer.resume(&all));
        resumed.map_err(|error| LogError::of("resuming", &error))
    }

    /// The topic that is read.
    pub fn topic(&self) -> &str {
        &self.topic
    }

    /// How many partitions are this member's.
    pub fn assigned(&self) -> Result<usize, LogError> {
        let assignment = self.consumer.assignment();
        assignment.map(|all| all.count()).map_err(|error| LogError::of("asking for the assignment", &error))
    }

    /// Commits what is stored and leaves the group, so that others take over at once. Gives up after ten seconds:
    /// what was not committed is then read again by others, which is harmless.
    pub fn close(self) -> Result<(), LogError> {
        let (closed, waiting) = mpsc::channel();
        let consumer = self.consumer;
        thread::spawn(move || {
            drop(consumer);
            // Nobody may be waiting any more.
            let _ = closed.send(());
        });
        waiting.recv_timeout(CLOSE_WITHIN).map_err(|_| LogError::timed_out("leaving the group"))
    }

    /// Joins the group anew if the topic was deleted and made anew, if partitions came of which nobody could say where to
    /// go on, or if the client is of no use any more, and says so: everything is revoked by that.
    ///
    /// A topic made anew needs a client that never knew the old one: one that did goes on at the offsets of that, and
    /// pays no heed to a leader whose epoch is lower than the last one of the old topic, so that it reads nothing at all.
    fn look_at_topic(&mut self) -> Result<bool, LogError> {
        if self.looked.elapsed() < LOOK_EVERY {
            return Ok(false);
        }
        self.looked = Instant::now();
        let asked = self.ids.ask(self.consumer.client(), &self.topic, LOOK_WITHIN);
        let lost = self.reach.is_lost(self.consumer.client(), asked.is_ok());
        let held =
            self.consumer.assignment().map_err(|error| LogError::of("looking at the topic", &error))?;
        let read = *self.consumer.context().read.lock();
        // While Kafka does not answer, a new client would know no more.
        let can_be_placed = asked.is_ok() && self.consumer.context().unplaced.load(Ordering::Relaxed);
        // While it is not there, or does not answer, there is nothing else to be read.
        let made_anew = asked.ok().flatten().is_some_and(|now| read != Some(now) && held.count() > 0);
        if made_anew {
            tracing::warn!(topic = self.topic, "the order log was made anew; reading it from its beginning");
        }
        let anew = lost || made_anew || can_be_placed;
        if anew {
            self.join_anew(&held)?;
        }
        Ok(anew)
    }

    /// Goes on with a new client, which joins the group in the background of the next polls.
    fn join_anew(&mut self, held: &TopicPartitionList) -> Result<(), LogError> {
        let paused = self.consumer.context().paused.load(Ordering::Relaxed);
        let client = Self::member(&self.config, &self.topic, &self.ids, paused)?;
        let old = mem::replace(&mut self.consumer, client);
        // It leaves by itself, if it can. What it commits bears the name of the topic that it has read.
        thread::spawn(move || drop(old));
        self.early.clear();
        self.unstored.lock().clear();
        self.revoked.extend(numbers(held));
        Ok(())
    }

    fn poll_one(&mut self, patience: Duration) -> Result<Option<RawEvent>, LogError> {
        let polled = self.consumer.poll(patience).map(|polled| polled.map(|message| RawEvent::of(&message)));
        match polled {
            None => Ok(None),
            Some(Ok(event)) => {
                self.trouble = None;
                Ok(Some(event))
            }
            Some(Err(error)) => self.weigh(error).map(|()| None),
        }
    }

    /// Only what the client does not get over is an error.
    fn weigh(&mut self, error: KafkaError) -> Result<(), LogError> {
        match error {
            KafkaError::MessageConsumption(code) => {
                if self.trouble.replace(code) != Some(code) {
                    let transient = is_transient(code);
                    tracing::warn!(%code, transient, "the order log cannot be read for the moment");
                }
                Ok(())
            }
            fatal => Err(LogError::of("reading", &fatal)),
        }
    }

    /// Notes that this member has to store `event`, and where it goes back to if it cannot.
    fn note_read(&self, event: &RawEvent) {
        self.unstored.lock().entry(event.partition).or_insert(event.offset);
    }

    /// Drops from `events`, and from what is known of this member's progress, what belongs to partitions that
    /// were just lost. Says whether any was.
    fn note_revoked(&mut self, events: &mut Vec<RawEvent>) -> bool {
        let revoked = mem::take(&mut *self.consumer.context().revoked.lock());
        if revoked.is_empty() {
            return false;
        }
        events.retain(|event| !revoked.contains(&event.partition));
        self.unstored.lock().retain(|partition, _| !revoked.contains(partition));
        self.revoked.extend(revoked);
        true
    }
}
