//! A producer that tells each caller what became of its message, and replaces itself when it is beyond help.

mod polled;

use std::{
    sync::{Arc, Weak},
    thread,
    time::{Duration, Instant},
};

use metrics::{Counter, Histogram, counter, histogram};
use parking_lot::{Mutex, RwLock};
use rdkafka::{
    ClientConfig, ClientContext, Message,
    config::RDKafkaLogLevel,
    error::{KafkaError, KafkaResult},
    message::{DeliveryResult, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _, ProducerContext},
};

use self::polled::Polled;
use super::{
    Delivery, ErrorCode, LogError, Position, PublishError,
    ack_watch::AckWatch,
    config,
    partition::{BySlot, Slot, in_slot},
    reach::Reach,
};

/// How long to wait before a replacement is tried again that could not be made.
const REPLACE_AGAIN: Duration = Duration::from_secs(1);

type Client = BaseProducer<Deliveries, BySlot>;

/// A message to send.
pub(super) struct Record<'a> {
    pub(super) topic: &'a str,
    pub(super) key: Option<&'a [u8]>,
    pub(super) value: Option<&'a [u8]>,
    pub(super) headers: OwnedHeaders,
    /// What it shares its partition with; none: its key decides.
    pub(super) slot: Option<Slot>,
}

/// Sends messages. Dropping it gives up what is on its way: [`Producer::flush`] first.
pub(super) struct Producer(Arc<Shared>);

struct Shared {
    config: ClientConfig,
    current: RwLock<Current>,
    watch: Arc<AckWatch>,
    reach: Arc<Reach>,
}

/// The librdkafka producer in use; none while it is being replaced.
struct Current {
    generation: u64,
    client: Option<Arc<Polled>>,
}

/// Who waits for one message, and since when.
struct Waiting {
    /// The lock is never contended: the client asks for `Sync`.
    on_delivery: Mutex<Box<dyn FnOnce(Delivery) + Send>>,
    since: Instant,
}

/// Sends records one right after the other.
pub(super) struct Sending<'a> {
    current: &'a Current,
    watch: &'a AckWatch,
    now: Instant,
    /// The same, as the watch counts.
    now_watched: u64,
    /// Whether a record was taken.
    taken: bool,
    /// Who waits for a record that was not taken, and why.
    refused: Vec<(ErrorCode, Box<Waiting>)>,
}

/// Receives what librdkafka tells about the messages of one generation.
struct Deliveries {
    shared: Weak<Shared>,
    generation: u64,
    watch: Arc<AckWatch>,
    reach: Arc<Reach>,
    ack_seconds: Histogram,
    failures: Counter,
}

impl Producer {
    pub(super) fn new(config: ClientConfig, reach: Reach) -> Result<Self, LogError> {
        let current = RwLock::new(Current { generation: 0, client: None });
        let (watch, reach) = (Arc::new(AckWatch::new()), Arc::new(reach));
        let shared = Arc::new(Shared { config, current, watch, reach });
        let client = shared.connect(0)?;
        shared.current.write().client = Some(Arc::new(client));
        Ok(Self(shared))
    }

    /// Sends `record`, see [`Sending::send`].
    pub(super) fn send(&self, record: Record<'_>, on_delivery: Box<dyn FnOnce(Delivery) + Send>) {
        self.send_together(|sending| sending.send(record, on_delivery));
    }

    /// Sends what `send_all` sends, one right after the other.
    ///
    /// All that are there [`config::LINGER`] after the first are one request to each partition.
    pub(super) fn send_together(&self, send_all: impl FnOnce(&mut Sending<'_>)) {
        let Shared { current, watch, .. } = &*self.0;
        let (now, current) = (Instant::now(), current.read());
        let (now_watched, refused) = (watch.now(), Vec::new());
        let mut sending = Sending { current: &current, watch, now, now_watched, taken: false, refused };
        send_all(&mut sending);
        let Sending { taken, refused, .. } = sending;
        if let (true, Some(client)) = (taken, &current.client) {
            client.hurry();
        }
        let generation = current.generation;
        drop(current);
        for (code, waiting) in refused {
            match code {
                // That is about this message, or about how many there are.
                ErrorCode::QueueFull | ErrorCode::MessageSizeTooLarge => watch.not_sent(),
                _ => watch.finished(false),
            }
            if code == ErrorCode::Fatal {
                replace(&self.0, generation);
            }
            waiting.on_delivery.into_inner()(Err(PublishError::NotSent(code)));
        }
    }

    pub(super) fn watch(&self) -> &AckWatch {
        &self.0.watch
    }

    /// Waits until everything that was sent is acknowledged or has failed.
    pub(super) async fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        self.blocking("flushing", move |client| client.flush(timeout)).await
    }

    /// Asks the brokers whether they answer for `topic`.
    pub(super) async fn ping(&self, topic: &str) -> Result<(), LogError> {
        let topic = topic.to_owned();
        let answer = move |client: &Client| {
            let metadata = client.client().fetch_metadata(Some(&topic), config::ANSWER_WITHIN)?;
            match metadata.topics().first().and_then(rdkafka::metadata::MetadataTopic::error) {
                Some(error) => Err(KafkaError::MetadataFetch(error.into())),
                None => Ok(()),
            }
        };
        self.blocking("asking for the topic", answer).await
    }

    /// Does what blocks where it may.
    async fn blocking(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Client) -> KafkaResult<()> + Send + 'static,
    ) -> Result<(), LogError> {
        let Some(client) = self.0.current.read().client.clone() else {
            return Err(LogError::timed_out(doing));
        };
        let done = tokio::task::spawn_blocking(move || work(&client)).await;
        done.expect("the work does not panic").map_err(|error| LogError::of(doing, &error))
    }

    #[cfg(test)]
    fn break_down(&self) {
        let generation = self.0.current.read().generation;
        replace(&self.0, generation);
    }
}

impl Sending<'_> {
    /// Sends `record` without waiting for anything; `on_delivery` hears what became of it, on librdkafka's
    /// thread, or on this one, once all are sent, if the record was not taken.
    pub(super) fn send(&mut self, record: Record<'_>, on_delivery: Box<dyn FnOnce(Delivery) + Send>) {
        let waiting = Box::new(Waiting { on_delivery: Mutex::new(on_delivery), since: self.now });
        let mut message = BaseRecord::with_opaque_to(record.topic, waiting).headers(record.headers);
        message.key = record.key;
        message.payload = record.value;

        self.watch.sending_at(self.now_watched);
        let sent = match &self.current.client {
            Some(client) => in_slot(record.slot, || {
                client.send(message).map_err(|(error, message)| {
                    let code = error.rdkafka_error_code().unwrap_or(ErrorCode::InvalidArgument);
                    (code, message.delivery_opaque)
                })
            }),
            None => Err((ErrorCode::Fatal, message.delivery_opaque)),
        };
        self.taken |= sent.is_ok();
        self.refused.extend(sent.err());
    }
}

impl Shared {
    fn connect(self: &Arc<Self>, generation: u64) -> Result<Polled, LogError> {
        let deliveries = Deliveries {
            shared: Arc::downgrade(self),
            generation,
            watch: Arc::clone(&self.watch),
            reach: Arc::clone(&self.reach),
            ack_seconds: histogram!("seckill_order_log_ack_seconds"),
            failures: counter!("seckill_order_log_failures_total"),
        };
        Ok(Polled::start(config::create(&self.config, deliveries)?))
    }
}

/// Replaces the producer of `generation` by a new one, unless that was done already. What the old one still
/// holds is given up, and its callers are told.
///
/// An idempotent producer that can no longer vouch for its sequence refuses everything for ever ("fatal").
fn replace(shared: &Arc<Shared>, generation: u64) {
    let old = {
        let mut current = shared.current.write();
        if current.generation != generation {
            return;
        }
        current.generation += 1;
        current.client.take()
    };
    tracing::warn!("the producer of the order log is beyond help: making a new one");
    let weak = Arc::downgrade(shared);
    // On a thread of its own: giving up the old one waits for the thread that may have called this.
    thread::spawn(move || {
        while let Some(shared) = weak.upgrade() {
            match shared.connect(generation + 1) {
                Ok(client) => {
                    shared.current.write().client = Some(Arc::new(client));
                    break;
                }
                Err(error) => tracing::error!(%error, "no new producer of the order log"),
            }
            drop(shared);
            thread::sleep(REPLACE_AGAIN);
        }
        drop(old);
    });
}

impl Deliveries {
    /// Replaces `client`, which is that of this generation, if it has lost its brokers. While acknowledgements come it
    /// has not, and their thread, which this is called on, has better to do than to ask.
    fn look(&self, client: &Client) {
        let acknowledged = self.watch.in_flight() > 0 && !self.watch.is_stalled();
        if self.reach.is_lost(client.client(), acknowledged) {
            self.replace();
        }
    }

    /// Never on this thread: if nobody else holds the producer any more, its end waits for this thread.
    fn replace(&self) {
        let (shared, generation) = (Weak::clone(&self.shared), self.generation);
        thread::spawn(move || {
            if let Some(shared) = shared.upgrade() {
                replace(&shared, generation);
            }
        });
    }
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        config::log(level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        if error.rdkafka_error_code() == Some(ErrorCode::Fatal) {
            tracing::error!(target: "librdkafka", "{reason}");
            self.replace();
        } else {
            tracing::debug!(target: "librdkafka", %error, "{reason}");
        }
    }
}

impl ProducerContext<BySlot> for Deliveries {
    type DeliveryOpaque = Box<Waiting>;

    fn get_custom_partitioner(&self) -> Option<&BySlot> {
        Some(&BySlot)
    }

    fn delivery(&self, result: &DeliveryResult<'_>, waiting: Box<Waiting>) {
        let delivery = match result {
            Ok(message) => {
                self.ack_seconds.record(waiting.since.elapsed());
                Ok(Position { partition: message.partition(), offset: message.offset() })
            }
            Err((error, _)) => {
                self.failures.increment(1);
                let code = error.rdkafka_error_code().unwrap_or(ErrorCode::Unknown);
                Err(PublishError::Unacknowledged(code))
            }
        };
        self.watch.finished(delivery.is_ok());
        waiting.on_delivery.into_inner()(delivery);
    }
}

#[cfg(test)]
mod tests;
