//! How the clients of librdkafka are set up, each with its reasons.

use std::{fmt::Display, time::Duration};

use rdkafka::{
    ClientConfig, ClientContext,
    config::{FromClientConfigAndContext, RDKafkaLogLevel},
    error::KafkaError,
};

use super::{LogError, publisher::PublisherLimits};
use crate::{
    address::Address,
    settings::{GroupSettings, KafkaSettings},
};

/// How long one question to Kafka may take.
pub(super) const ANSWER_WITHIN: Duration = Duration::from_secs(5);

/// How long a producer's client waits for more. What a call of the ledger decides is handed over at once, and so long it
/// takes to hand over the rest of it: less sends the first of its orders by themselves, and the rest waits until those
/// are acknowledged. The client counts in whole milliseconds when left to itself; see `producer/polled.rs`.
pub(super) const LINGER: Duration = Duration::from_micros(100);

/// What all clients share.
pub(super) fn client(settings: &KafkaSettings) -> Result<ClientConfig, LogError> {
    if settings.orders_topic == settings.dead_letter_topic {
        // A dead letter would be read as an order event, and become one again, for ever.
        return Err(LogError::Config("SECKILL_DEAD_LETTER_TOPIC: must not be SECKILL_ORDERS_TOPIC".into()));
    }
    let address = Address::of(&settings.kafka_brokers);
    let brokers = address.of_kafka().map_err(wrong_brokers)?;
    let mut config = ClientConfig::new();
    if brokers.by_tls {
        // Without an authority of one's own, those of the machine, wherever it keeps them.
        config
            .set("security.protocol", "ssl")
            .set("ssl.ca.location", address.authority.as_deref().unwrap_or("probe"))
            .set("ssl.endpoint.identification.algorithm", "https");
    }
    config
        .set("bootstrap.servers", brokers.bootstrap_servers())
        .set("client.id", "seckill")
        // A broker that is back is found within a second or so, not after the default ten.
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("socket.connection.setup.timeout.ms", "5000")
        .set("socket.keepalive.enable", "true")
        // Requests are small and waited for.
        .set("socket.nagle.disable", "true")
        .set("statistics.interval.ms", "0");
    config.set_log_level(RDKafkaLogLevel::Warning);
    Ok(config)
}

/// What is said of brokers' addresses that are none.
pub(super) fn wrong_brokers(why: impl Display) -> LogError {
    LogError::Config(format!("KAFKA_BROKERS: {why}"))
}

/// A producer that loses, doubles and reorders nothing, and gives up while the buyer still cares.
pub(super) fn producer(settings: &KafkaSettings, limits: PublisherLimits) -> Result<ClientConfig, LogError> {
    let mut config = client(settings)?;
    config
        .set("enable.idempotence", "true")
        .set("acks", "all")
        // The default of five minutes would keep events that nobody waits for any more.
        .set("message.timeout.ms", limits.message_timeout.as_millis().to_string())
        .set("linger.ms", (LINGER.as_secs_f64() * 1e3).to_string())
        .set("compression.type", "lz4")
        // What is too large is for the topic to say: a dead letter is larger than the message that it is of.
        .set("message.max.bytes", "16777216")
        .set("queue.buffering.max.messages", limits.queue_messages.to_string())
        .set("queue.buffering.max.kbytes", "65536");
    Ok(config)
}

/// A member of the consumer group whose offsets move only when it is told so.
pub(super) fn group_member(
    settings: &KafkaSettings,
    group: &GroupSettings,
) -> Result<ClientConfig, LogError> {
    let mut config = client(settings)?;
    config
        .set("group.id", &group.consumer_group)
        .set("partition.assignment.strategy", "cooperative-sticky")
        // Stored by hand, after the write they stand for; what is stored is committed in the background.
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "true")
        .set("auto.commit.interval.ms", "200")
        // A group without offsets has written nothing: skipping what is there would lose orders.
        .set("auto.offset.reset", "earliest")
        // The partitions of a consumer that was killed move within so long; brokers allow no less by default.
        .set("session.timeout.ms", "6000")
        .set("heartbeat.interval.ms", "1000")
        .set("max.poll.interval.ms", "300000")
        // New partitions, and a topic made after the start, are found soon.
        .set("topic.metadata.refresh.interval.ms", "10000")
        // Some hundred events, or what came in a moment: answering each few by themselves cost Kafka as much as taking
        // them. Shorter moments cost it more while nothing comes: 20 ms are 0.07 of a core, 100 ms 0.03.
        .set("fetch.min.bytes", "16384")
        .set("fetch.wait.max.ms", "25")
        .set("fetch.error.backoff.ms", "100")
        // A backlog fills this much memory and no more: some batches ahead of the store. Beside its bytes each message
        // that waits costs the client half a KiB, and what is fetched at once is unpacked at once.
        .set("queued.max.messages.kbytes", "2304")
        .set("queued.min.messages", "3000")
        .set("fetch.message.max.bytes", "65536")
        .set("fetch.max.bytes", "524288")
        // Fetches are never smaller than this.
        .set("message.max.bytes", "524288")
        .set("fetch.queue.backoff.ms", "10");
    Ok(config)
}

/// A reader that belongs to no group's members but may look at `group`'s offsets.
pub(super) fn reader(settings: &KafkaSettings, group: &GroupSettings) -> Result<ClientConfig, LogError> {
    let mut config = client(settings)?;
    config
        .set("group.id", &group.consumer_group)
        .set("enable.auto.offset.store", "false")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "50")
        .set("queued.max.messages.kbytes", "16384");
    Ok(config)
}

/// Makes a client of `config`.
pub(super) fn create<C, T>(config: &ClientConfig, context: C) -> Result<T, LogError>
where
    C: ClientContext,
    T: FromClientConfigAndContext<C>,
{
    config.create_with_context(context).map_err(|error: KafkaError| LogError::of("making a client", &error))
}

/// Passes on what librdkafka logs. It repeats itself at most every half minute.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error
        | RDKafkaLogLevel::Warning => tracing::warn!(target: "librdkafka", facility, "{message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
            tracing::debug!(target: "librdkafka", facility, "{message}");
        }
    }
}

/// A context that only logs.
pub(super) struct Quiet;

impl ClientContext for Quiet {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(target: "librdkafka", %error, "{reason}");
    }
}

impl rdkafka::consumer::ConsumerContext for Quiet {}
