//! Making the topics, and describing them for the operator.

use std::collections::HashMap;

use rdkafka::{
    admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication},
    client::DefaultClientContext,
    error::KafkaError,
    metadata::MetadataTopic,
};

use super::{ErrorCode, LogError, config};
use crate::settings::{KafkaSettings, TopicSettings};

const MAKING: &str = "making a topic";
const TAKING_AWAY: &str = "taking a topic away";
const LOOKING: &str = "looking at a topic";

/// How long a dead letter is kept, in milliseconds: long enough for people (90 days).
const DEAD_LETTERS_KEPT_MS: &str = "7776000000";
/// How large a dead letter may be, in bytes: twice what a topic takes by default, for it says more than its original.
const DEAD_LETTER_BYTES: &str = "2097152";

/// What became of one topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicOutcome {
    /// It was made.
    Created(String),
    /// It was there; nothing was changed.
    Existed(String),
}

/// A topic as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// Its name.
    pub name: String,
    /// How many partitions it has; none: it is not there.
    pub partitions: usize,
    /// Replicas of the partition that has fewest.
    pub replicas: usize,
    /// Its settings, by Kafka's names.
    pub settings: HashMap<String, String>,
}

/// Makes the order log and the dead-letter topic where they are not there.
pub async fn create(settings: &KafkaSettings, topics: &TopicSettings) -> Result<Vec<TopicOutcome>, LogError> {
    let replication = || TopicReplication::Fixed(topics.replication_factor);
    // With three replicas a write waits for two: one may fail without loss and without a stop.
    let min_in_sync = if topics.replication_factor >= 3 { "2" } else { "1" };
    let orders = NewTopic::new(&settings.orders_topic, topics.orders_partitions, replication())
        .set("min.insync.replicas", min_in_sync)
        .set("unclean.leader.election.enable", "false");
    let dead = NewTopic::new(&settings.dead_letter_topic, 1, replication())
        .set("min.insync.replicas", min_in_sync)
        .set("unclean.leader.election.enable", "false")
        .set("retention.ms", DEAD_LETTERS_KEPT_MS)
        .set("max.message.bytes", DEAD_LETTER_BYTES);
    let results = admin(settings)?.create_topics([&orders, &dead], &options()).await;
    let mut outcomes = Vec::with_capacity(2);
    for result in results.map_err(|error| LogError::of(MAKING, &error))? {
        outcomes.push(match result {
            Ok(name) => TopicOutcome::Created(name),
            Err((name, ErrorCode::TopicAlreadyExists)) => TopicOutcome::Existed(name),
            Err((_, code)) => return Err(LogError::of_code(MAKING, code)),
        });
    }
    Ok(outcomes)
}

/// Takes both topics away, for tests.
pub async fn delete(settings: &KafkaSettings) -> Result<(), LogError> {
    let names = [settings.orders_topic.as_str(), settings.dead_letter_topic.as_str()];
    let results = admin(settings)?.delete_topics(&names, &options()).await;
    for result in results.map_err(|error| LogError::of(TAKING_AWAY, &error))? {
        match result {
            Ok(_) | Err((_, ErrorCode::UnknownTopicOrPartition)) => {}
            Err((_, code)) => return Err(LogError::of_code(TAKING_AWAY, code)),
        }
    }
    Ok(())
}

/// Describes the order log and the dead-letter topic.
pub async fn describe(settings: &KafkaSettings) -> Result<Vec<TopicDescription>, LogError> {
    let mut described = Vec::new();
    for name in [&settings.orders_topic, &settings.dead_letter_topic] {
        let (partitions, replicas) = shape(admin(settings)?, name.clone()).await?;
        // Asked for the settings of a topic that is not there, Kafka answers with none and no error.
        let settings = if partitions == 0 { HashMap::new() } else { topic_settings(settings, name).await? };
        described.push(TopicDescription { name: name.clone(), partitions, replicas, settings });
    }
    Ok(described)
}

type Admin = AdminClient<DefaultClientContext>;

/// How many partitions the topic has, and how many replicas the least replicated of them.
async fn shape(admin: Admin, name: String) -> Result<(usize, usize), LogError> {
    let asked = tokio::task::spawn_blocking(move || {
        let metadata = admin.inner().fetch_metadata(Some(&name), config::ANSWER_WITHIN)?;
        let partitions = metadata.topics().first().map(MetadataTopic::partitions).unwrap_or_default();
        let replicas = partitions.iter().map(|partition| partition.replicas().len()).min();
        Ok((partitions.len(), replicas.unwrap_or(0)))
    });
    let shape = asked.await.expect("the work does not panic");
    shape.map_err(|error: KafkaError| LogError::of(LOOKING, &error))
}

async fn topic_settings(settings: &KafkaSettings, name: &str) -> Result<HashMap<String, String>, LogError> {
    let resource = ResourceSpecifier::Topic(name);
    let results = admin(settings)?.describe_configs([&resource], &options()).await;
    let mut found = HashMap::new();
    for result in results.map_err(|error| LogError::of(LOOKING, &error))? {
        let resource = result.map_err(|code| LogError::of_code(LOOKING, code))?;
        found.extend(resource.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))));
    }
    Ok(found)
}

fn admin(settings: &KafkaSettings) -> Result<Admin, LogError> {
    config::create(&config::client(settings)?, DefaultClientContext)
}

fn options() -> AdminOptions {
    let within = Some(config::ANSWER_WITHIN);
    AdminOptions::new().operation_timeout(within).request_timeout(within)
}
