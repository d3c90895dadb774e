//! What Kafka holds: the order log, its dead letters, and how far the consumer group has written it.
//!
//! Every question makes a client of its own: it is asked while Kafka is killed and comes back, and what a client
//! remembers of a broker that is gone is not to be trusted.

use std::{
    collections::{BTreeMap, HashSet},
    time::Duration,
};

use anyhow::{Context, bail};
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
    message::{BorrowedMessage, Headers},
    metadata::MetadataTopic,
};
use seckill_core::{
    order::OrderId,
    order_log::LogObserver,
    sale::SaleId,
    settings::{GroupSettings, KafkaSettings},
};

/// How long one question may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
/// How long reading a stretch of a topic may take without anything coming.
const READ_WITHIN: Duration = Duration::from_secs(10);

/// An offset for each partition.
pub type Offsets = BTreeMap<i32, i64>;

/// Where the order log is.
#[derive(Clone, Debug)]
pub struct LogWitness {
    /// Kafka's brokers.
    pub brokers: String,
    /// The topic of orders.
    pub orders: String,
    /// The topic of what could not be stored.
    pub dead_letters: String,
    /// The consumers' group.
    pub group: String,
}

impl LogWitness {
    fn client(&self) -> anyhow::Result<BaseConsumer> {
        Ok(ClientConfig::new()
            .set("bootstrap.servers", &self.brokers)
            .set("group.id", &self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "false")
            .set("fetch.wait.max.ms", "50")
            .create()?)
    }

    /// Asks without holding up the runtime.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Self, &BaseConsumer) -> anyhow::Result<T> + Send + 'static,
    ) -> anyhow::Result<T> {
        let witness = self.clone();
        tokio::task::spawn_blocking(move || question(&witness, &witness.client()?)).await?
    }

    /// Where the partitions of both topics end: orders, dead letters.
    pub async fn ends(&self) -> anyhow::Result<(Offsets, Offsets)> {
        self.ask(|witness, client| {
            Ok((ends_of(client, &witness.orders)?, ends_of(client, &witness.dead_letters)?))
        })
        .await
    }

    /// The broker that leads a partition of the order log.
    pub async fn leader(&self, partition: i32) -> anyhow::Result<usize> {
        self.ask(move |witness, client| {
            let metadata = client.fetch_metadata(Some(&witness.orders), ANSWER_WITHIN)?;
            let partitions = metadata.topics().first().map(MetadataTopic::partitions).unwrap_or_default();
            let found = partitions.iter().find(|found| found.id() == partition);
            Ok(usize::try_from(found.context("no such partition")?.leader())?)
        })
        .await
    }

    /// How many members the group has that all have their part; none while that is yet to be settled.
    pub async fn members(&self) -> anyhow::Result<usize> {
        self.ask(|witness, client| {
            let groups = client.fetch_group_list(Some(&witness.group), ANSWER_WITHIN)?;
            let settled = groups.groups().iter().find(|group| group.state() == "Stable");
            Ok(settled.map_or(0, |group| group.members().len()))
        })
        .await
    }

    /// Whether the group has committed all of the log up to `ends`: then it is in MySQL.
    pub async fn is_written(&self, ends: &Offsets) -> anyhow::Result<bool> {
        let kafka = KafkaSettings {
            kafka_brokers: self.brokers.clone(),
            orders_topic: self.orders.clone(),
            dead_letter_topic: self.dead_letters.clone(),
        };
        let group = GroupSettings { consumer_group: self.group.clone() };
        Ok(LogObserver::new(&kafka, &group)?.has_reached(ends).await?)
    }

    /// The orders of `sale` that the log tells of, from `starts` to its end.
    pub async fn orders_of(&self, sale: SaleId, starts: Offsets) -> anyhow::Result<HashSet<OrderId>> {
        self.ask(move |witness, client| {
            let mut orders = HashSet::new();
            read(client, &witness.orders, &starts, |message| {
                // Poison is none of ours: whatever is not an event of this sale is passed over.
                let Some(value) = message.payload() else { return };
                let Ok(event) = serde_json::from_slice::<serde_json::Value>(value) else { return };
                if event["sale"] == sale.as_str()
                    && let Some(id) = event["order"]["id"].as_str().and_then(OrderId::parse)
                {
                    orders.insert(id);
                }
            })?;
            Ok(orders)
        })
        .await
    }

    /// Some event of `sale` and the partition it is in, if there is one yet.
    pub async fn an_event_of(&self, sale: &str) -> anyhow::Result<Option<(i32, serde_json::Value)>> {
        let sale = sale.to_owned();
        self.ask(move |witness, client| {
            let mut found = None;
            read(client, &witness.orders, &Offsets::new(), |message| {
                let event: Option<serde_json::Value> =
                    message.payload().and_then(|value| serde_json::from_slice(value).ok());
                let event = event.filter(|event| event["sale"] == *sale);
                found = event.map(|event| (message.partition(), event)).or(found.take());
            })?;
            Ok(found)
        })
        .await
    }

    /// Deletes the topic of orders, and waits until it is gone.
    pub async fn delete_orders(&self) -> anyhow::Result<()> {
        let admin: AdminClient<DefaultClientContext> =
            ClientConfig::new().set("bootstrap.servers", &self.brokers).create()?;
        let results = admin.delete_topics(&[&self.orders], &AdminOptions::new()).await?;
        for result in results {
            result.map_err(|(topic, error)| anyhow::anyhow!("topic {topic} cannot be deleted: {error}"))?;
        }
        while self.ends().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// The reasons of the dead letters from `starts` to the end.
    pub async fn reasons(&self, starts: Offsets) -> anyhow::Result<Vec<String>> {
        self.ask(move |witness, client| {
            let mut reasons = Vec::new();
            read(client, &witness.dead_letters, &starts, |message| reasons.push(reason_of(message)))?;
            Ok(reasons)
        })
        .await
    }
}

fn reason_of(message: &BorrowedMessage<'_>) -> String {
    let headers = message.headers().into_iter().flat_map(Headers::iter);
    let error = headers.filter(|header| header.key == "error").find_map(|header| header.value);
    String::from_utf8_lossy(error.unwrap_or_default()).into_owned()
}

fn ends_of(client: &BaseConsumer, topic: &str) -> anyhow::Result<Offsets> {
    let metadata = client.fetch_metadata(Some(topic), ANSWER_WITHIN)?;
    let found = metadata.topics().first().with_context(|| format!("no topic {topic}"))?;
    if let Some(error) = found.error() {
        bail!("topic {topic}: {error:?}");
    }
    let mut ends = Offsets::new();
    for partition in found.partitions() {
        let (_, end) = client.fetch_watermarks(topic, partition.id(), ANSWER_WITHIN)?;
        ends.insert(partition.id(), end);
    }
    Ok(ends)
}

/// Shows every message of `topic` from `starts` (where missing: its beginning) to where it ends now.
fn read(
    client: &BaseConsumer,
    topic: &str,
    starts: &Offsets,
    mut show: impl FnMut(&BorrowedMessage<'_>),
) -> anyhow::Result<()> {
    let mut left = ends_of(client, topic)?;
    // A topic that was made anew ends before it began.
    left.retain(|partition, end| *end > starts.get(partition).copied().unwrap_or(0));
    let mut assignment = TopicPartitionList::new();
    for partition in left.keys() {
        let start = starts.get(partition).map_or(Offset::Beginning, |&start| Offset::Offset(start));
        assignment.add_partition_offset(topic, *partition, start)?;
    }
    client.assign(&assignment)?;
    while !left.is_empty() {
        let message = client
            .poll(READ_WITHIN)
            .with_context(|| format!("topic {topic} cannot be read to its end"))??;
        show(&message);
        if left.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            left.remove(&message.partition());
        }
    }
    Ok(())
}
