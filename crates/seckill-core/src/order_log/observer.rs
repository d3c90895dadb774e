//! Looking at the order log from outside: how long it is, and how far the consumer group has come.

use std::{collections::BTreeMap, mem, sync::Arc, thread, time::Duration};

use parking_lot::RwLock;
use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer},
};

use super::{
    ErrorCode, LogError, RawEvent, committed, config, config::Quiet, range, reach::Reach, topic_id::TopicIds,
};
use crate::settings::{GroupSettings, KafkaSettings};

/// How long reading a stretch of a topic may take without anything coming.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// An offset for each partition.
type Offsets = BTreeMap<i32, i64>;

/// Looks at the order log and at the group's offsets; joins nothing, changes nothing.
#[derive(Clone)]
pub struct LogObserver(Arc<Observed>);

struct Observed {
    client: RwLock<Arc<BaseConsumer<Quiet>>>,
    reach: Reach,
    config: ClientConfig,
    ids: TopicIds,
    orders_topic: String,
    dead_letter_topic: String,
}

impl LogObserver {
    /// An observer of `group`'s progress. It connects in the background.
    pub fn new(settings: &KafkaSettings, group: &GroupSettings) -> Result<Self, LogError> {
        let (config, ids) = (config::reader(settings, group)?, TopicIds::new(settings)?);
        Ok(Self(Arc::new(Observed {
            client: RwLock::new(Arc::new(config::create(&config, Quiet)?)),
            reach: Reach::new(ids.clone(), &settings.orders_topic),
            config,
            ids,
            orders_topic: settings.orders_topic.clone(),
            dead_letter_topic: settings.dead_letter_topic.clone(),
        })))
    }

    /// Asks Kafka whether it answers for the orders topic.
    pub async fn ping(&self) -> Result<(), LogError> {
        self.blocking(|observed| observed.partitions(&observed.orders_topic).map(drop)).await
    }

    /// Where each partition of the log ends: the offset that its next event will have.
    pub async fn end_offsets(&self) -> Result<Offsets, LogError> {
        self.blocking(|observed| Ok(ends(observed.watermarks(&observed.orders_topic)?))).await
    }

    /// Where the group goes on in each partition; one that it never committed is missing.
    pub async fn committed(&self) -> Result<Offsets, LogError> {
        self.blocking(Observed::committed).await
    }

    /// Whether the group has committed everything before `ends`. An error if the log ends before that now: it was made
    /// anew.
    pub async fn has_reached(&self, ends: &Offsets) -> Result<bool, LogError> {
        let ends = ends.clone();
        self.blocking(move |observed| observed.has_reached(&ends)).await
    }

    /// How many events the group has yet to commit.
    pub async fn lag(&self) -> Result<u64, LogError> {
        let lag = |observed: &Observed| {
            let committed = observed.committed()?;
            let left =
                observed.watermarks(&observed.orders_topic)?.into_iter().map(|(partition, (low, end))| {
                    let next = committed.get(&partition).copied().unwrap_or(low);
                    u64::try_from(end - next.max(low)).unwrap_or(0)
                });
            Ok(left.sum())
        };
        self.blocking(lag).await
    }

    /// The events of each partition from `starts` (where missing: its beginning) up to `ends`, as
    /// [`Self::committed`] and [`Self::end_offsets`] give them.
    pub async fn events_between(&self, starts: &Offsets, ends: &Offsets) -> Result<Vec<RawEvent>, LogError> {
        let (starts, ends) = (starts.clone(), ends.clone());
        let read = move |observed: &Observed| {
            let lows = observed.watermarks(&observed.orders_topic)?;
            let mut stretch = BTreeMap::new();
            for (partition, end) in ends {
                let low = lows.get(&partition).map_or(0, |(low, _)| *low);
                let start = starts.get(&partition).copied().unwrap_or(low).max(low);
                stretch.insert(partition, (start, end));
            }
            range::read(&observed.config, &observed.orders_topic, &stretch, READ_WITHIN)
        };
        self.blocking(read).await
    }

    /// The events that the group has yet to commit, up to where the log ends now.
    pub async fn undone(&self) -> Result<Vec<RawEvent>, LogError> {
        // The end first: what is committed in between is then left out, as it should be.
        let ends = self.end_offsets().await?;
        self.events_between(&self.committed().await?, &ends).await
    }

    /// Everything that is in the dead-letter topic.
    pub async fn dead_letters(&self) -> Result<Vec<RawEvent>, LogError> {
        let read = |observed: &Observed| {
            let stretch = observed.watermarks(&observed.dead_letter_topic)?;
            range::read(&observed.config, &observed.dead_letter_topic, &stretch, READ_WITHIN)
        };
        self.blocking(read).await
    }

    /// Does what blocks where it may.
    async fn blocking<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Observed) -> Result<T, LogError> + Send + 'static,
    ) -> Result<T, LogError> {
        let observed = Arc::clone(&self.0);
        let done = tokio::task::spawn_blocking(move || {
            observed.drain();
            let answer = work(&observed);
            observed.look(!matches!(answer, Err(LogError::Unavailable { .. })));
            answer
        });
        done.await.expect("the work does not panic")
    }
}

impl Observed {
    /// Takes what the client has logged and reported since: nobody polls it otherwise, and it would pile up.
    fn drain(&self) {
        let client = self.client();
        for _ in 0..64 {
            if client.poll(Duration::ZERO).is_none() {
                break;
            }
        }
    }

    fn client(&self) -> Arc<BaseConsumer<Quiet>> {
        Arc::clone(&self.client.read())
    }

    /// Replaces the client if it has lost its brokers, which may be where it was not `answered`.
    fn look(&self, answered: bool) {
        if !self.reach.is_lost(self.client().client(), answered) {
            return;
        }
        match config::create(&self.config, Quiet) {
            Ok(client) => {
                let old = mem::replace(&mut *self.client.write(), Arc::new(client));
                thread::spawn(move || drop(old));
            }
            Err(error) => tracing::error!(%error, "no new client of the order log"),
        }
    }

    fn partitions(&self, topic: &str) -> Result<Vec<i32>, LogError> {
        let doing = "asking for the topic";
        let metadata = self.client().fetch_metadata(Some(topic), config::ANSWER_WITHIN);
        let metadata = metadata.map_err(|error| LogError::of(doing, &error))?;
        let topic = metadata.topics().first().ok_or_else(|| LogError::timed_out(doing))?;
        match topic.error() {
            Some(error) => Err(LogError::of_code(doing, error.into())),
            None => Ok(topic.partitions().iter().map(rdkafka::metadata::MetadataPartition::id).collect()),
        }
    }

    /// The first offset that is there and the one after the last, of each partition.
    fn watermarks(&self, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>, LogError> {
        let (client, mut watermarks) = (self.client(), BTreeMap::new());
        for partition in self.partitions(topic)? {
            let found = client.fetch_watermarks(topic, partition, config::ANSWER_WITHIN);
            watermarks.insert(partition, found.map_err(|error| LogError::of("asking for offsets", &error))?);
        }
        Ok(watermarks)
    }

    fn committed(&self) -> Result<Offsets, LogError> {
        let partitions = self.partitions(&self.orders_topic)?;
        Ok(committed::ask(&self.ids, &*self.client(), &self.orders_topic, partitions)?.next)
    }

    fn has_reached(&self, ends: &Offsets) -> Result<bool, LogError> {
        let committed = self.committed()?;
        for (partition, end) in ends {
            let reached = match committed.get(partition) {
                Some(next) => next >= end,
                None => *end == 0,
            };
            if !reached && !self.is_empty_before(*partition, *end)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether nothing is left of `partition` before `end`: the group commits nothing where there is nothing to read.
    /// An error if the partition ends before that now: then it is another one, which never gets there.
    fn is_empty_before(&self, partition: i32, end: i64) -> Result<bool, LogError> {
        let doing = "asking for offsets";
        let found = self.client().fetch_watermarks(&self.orders_topic, partition, config::ANSWER_WITHIN);
        let (low, high) = found.map_err(|error| LogError::of(doing, &error))?;
        if high < end { Err(LogError::of_code(doing, ErrorCode::OffsetOutOfRange)) } else { Ok(low >= end) }
    }
}

fn ends(watermarks: BTreeMap<i32, (i64, i64)>) -> Offsets {
    watermarks.into_iter().map(|(partition, (_, end))| (partition, end)).collect()
}
