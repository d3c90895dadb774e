//! Appending to the order log.

use std::time::Duration;

use bytes::Bytes;
use rdkafka::message::{Header, OwnedHeaders};
use tokio::sync::oneshot;

use super::{
    Delivery, ErrorCode, LogError, Position, PublishError, RawEvent, config,
    partition::Slot,
    producer::{Producer, Record},
    reach::Reach,
    topic_id::TopicIds,
    traced,
};
use crate::{
    event::{OrderEvent, OrderEventKind},
    order::OrderId,
    settings::KafkaSettings,
    traces::{TRACEPARENT, TraceContext},
};

/// How much a publisher holds, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct PublisherLimits {
    /// How long a message may wait for its acknowledgement before it is given up.
    pub message_timeout: Duration,
    /// How many messages may wait.
    pub queue_messages: u32,
}

impl Default for PublisherLimits {
    fn default() -> Self {
        Self { message_timeout: Duration::from_secs(10), queue_messages: 100_000 }
    }
}

/// An event that is ready to be appended.
pub struct PreparedEvent {
    order: OrderId,
    value: Bytes,
    headers: OwnedHeaders,
    slot: Slot,
    on_delivery: Box<dyn FnOnce(Delivery) + Send>,
}

/// Appends events to the order log, each acknowledged by all replicas in step.
///
/// Dropping a publisher gives up what is still on its way: [`OrderPublisher::flush`] first.
pub struct OrderPublisher {
    producer: Producer,
    orders_topic: String,
    dead_letter_topic: String,
}

impl OrderPublisher {
    /// A publisher with the usual limits. It connects in the background.
    pub fn new(settings: &KafkaSettings) -> Result<Self, LogError> {
        Self::with_limits(settings, PublisherLimits::default())
    }

    /// A publisher with `limits`.
    pub fn with_limits(settings: &KafkaSettings, limits: PublisherLimits) -> Result<Self, LogError> {
        let reach = Reach::new(TopicIds::new(settings)?, &settings.orders_topic);
        Ok(Self {
            producer: Producer::new(config::producer(settings, limits)?, reach)?,
            orders_topic: settings.orders_topic.clone(),
            dead_letter_topic: settings.dead_letter_topic.clone(),
        })
    }

    /// Appends `event`; never blocks. `on_delivery` hears what became of it, as [`Self::prepare`] says.
    pub fn publish(&self, event: &OrderEvent, on_delivery: impl FnOnce(Delivery) + Send + 'static) {
        self.publish_all([self.prepare(event, event.encode().into(), None, on_delivery)]);
    }

    /// Makes `event`, which is encoded already, ready to be appended, in `trace`: the consumer goes on with it.
    ///
    /// `on_delivery` will hear what became of it: on the thread that all acknowledgements come by, so it must be quick
    /// and must not panic, and it must not own this publisher. If the event is not even taken (the queue is full), it
    /// hears so at once, on the thread that publishes.
    pub fn prepare(
        &self,
        event: &OrderEvent,
        value: Bytes,
        trace: Option<&TraceContext>,
        on_delivery: impl FnOnce(Delivery) + Send + 'static,
    ) -> PreparedEvent {
        let order = event.order.id;
        let slot = Slot::of(&event.order);
        let prepared = |traceparent: Option<&str>, on_delivery: Box<dyn FnOnce(Delivery) + Send>| {
            let headers = cloud_event(order, event.kind, traceparent);
            PreparedEvent { order, value, headers, slot, on_delivery }
        };
        let Some(trace) = trace else { return prepared(None, Box::new(on_delivery)) };
        let Some(span) = traced::sending(trace, &self.orders_topic, event) else {
            // Not recorded here, and perhaps by others.
            return prepared(Some(&trace.to_string()), Box::new(on_delivery));
        };
        let sent = span.context().to_string();
        let on_delivery = move |delivery: Delivery| {
            traced::delivered(span, &delivery);
            on_delivery(delivery);
        };
        prepared(Some(&sent), Box::new(on_delivery))
    }

    /// Appends `events`; never blocks. Those of one moment, handed over together, are one request to Kafka.
    pub fn publish_all(&self, events: impl IntoIterator<Item = PreparedEvent>) {
        self.producer.send_together(|sending| {
            for PreparedEvent { order, value, headers, slot, on_delivery } in events {
                let (topic, mut key) = (&self.orders_topic, [0; 36]);
                let key = Some(order.text(&mut key).as_bytes());
                let record = Record { topic, key, value: Some(&value), headers, slot: Some(slot) };
                sending.send(record, on_delivery);
            }
        });
    }

    /// Appends `event` and waits until it is in the log.
    pub async fn publish_and_wait(&self, event: &OrderEvent) -> Result<Position, LogError> {
        self.publish_traced_and_wait(event, None).await
    }

    /// As [`Self::publish_and_wait`], in `trace`.
    pub async fn publish_traced_and_wait(
        &self,
        event: &OrderEvent,
        trace: Option<&TraceContext>,
    ) -> Result<Position, LogError> {
        let (sender, receiver) = oneshot::channel();
        let answered = |delivery| answer(sender, delivery);
        self.publish_all([self.prepare(event, event.encode().into(), trace, answered)]);
        acknowledged(receiver).await
    }

    /// Puts `event`, which was read from the orders topic, into the dead-letter topic as it is, with `reason`
    /// and where it had been as headers; waits until it is there.
    ///
    /// If it is more than that topic takes, only why and where: its partition must go on, and the orders topic still
    /// has it.
    pub async fn publish_dead_letter(&self, event: &RawEvent, reason: &str) -> Result<(), LogError> {
        match self.send_dead_letter(event, reason).await {
            Err(error) if error.is_about_size() => {
                let reason =
                    format!("{reason}; key, value and headers are left out: the topic does not take so much");
                self.send_dead_letter(&event.place(), &reason).await
            }
            sent => sent,
        }
    }

    async fn send_dead_letter(&self, event: &RawEvent, reason: &str) -> Result<(), LogError> {
        let headers = event.dead_letter_headers(&self.orders_topic, reason);
        self.send_raw(&self.dead_letter_topic, event, headers).await.map(drop)
    }

    /// Appends the original of a dead letter to the orders topic again; waits until it is there.
    pub async fn replay(&self, dead_letter: &RawEvent) -> Result<Position, LogError> {
        self.send_raw(&self.orders_topic, dead_letter, dead_letter.original_headers()).await
    }

    /// Whether acknowledgements have stopped coming: something has been on its way for a second without any,
    /// or the last that was on its way has just failed. While this is so, new orders should not be taken.
    pub fn is_stalled(&self) -> bool {
        self.producer.watch().is_stalled()
    }

    /// How many events are on their way.
    pub fn in_flight(&self) -> u64 {
        self.producer.watch().in_flight()
    }

    /// Waits until everything that was published is acknowledged or has failed, at most for `timeout`.
    pub async fn flush(&self, timeout: Duration) -> Result<(), LogError> {
        self.producer.flush(timeout).await
    }

    /// Asks Kafka whether it answers for the orders topic.
    pub async fn ping(&self) -> Result<(), LogError> {
        self.producer.ping(&self.orders_topic).await
    }

    async fn send_raw(
        &self,
        topic: &str,
        event: &RawEvent,
        headers: OwnedHeaders,
    ) -> Result<Position, LogError> {
        let (sender, receiver) = oneshot::channel();
        let record =
            Record { topic, key: event.key.as_deref(), value: event.value.as_deref(), headers, slot: None };
        self.producer.send(record, Box::new(|delivery| answer(sender, delivery)));
        acknowledged(receiver).await
    }
}

fn answer(sender: oneshot::Sender<Delivery>, delivery: Delivery) {
    // Nobody may be waiting any more, and then nobody needs to know.
    let _ = sender.send(delivery);
}

async fn acknowledged(receiver: oneshot::Receiver<Delivery>) -> Result<Position, LogError> {
    // A callback that is dropped without a call belonged to a producer that has ended.
    let delivery = receiver.await.unwrap_or(Err(PublishError::Unacknowledged(ErrorCode::PurgeQueue)));
    Ok(delivery?)
}

/// The headers of an event: CloudEvents 1.0, binary content mode of its Kafka protocol binding.
fn cloud_event(order: OrderId, kind: OrderEventKind, traceparent: Option<&str>) -> OwnedHeaders {
    let (word, event_type) = match kind {
        OrderEventKind::Placed => ("placed", "seckill.order.placed"),
        OrderEventKind::Cancelled => ("cancelled", "seckill.order.cancelled"),
    };
    // Of an order there is one event of each kind: published twice, it is the same event.
    let id = [order.text(&mut [0; 36]), ":", word].concat();
    let mut headers = OwnedHeaders::new_with_capacity(6);
    for (key, value) in [
        ("ce_specversion", "1.0"),
        ("ce_id", &*id),
        ("ce_type", event_type),
        ("ce_source", "/seckill"),
        ("content-type", "application/json"),
    ] {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    let unrecorded = traceparent.is_none().then(|| unrecorded(order));
    headers.insert(Header { key: TRACEPARENT, value: traceparent.or(unrecorded.as_deref()) })
}

/// The trace of an order that nobody records, the same in all its events: named after the order, a UUID.
fn unrecorded(order: OrderId) -> String {
    let mut id = [0; 32];
    let id = order.uuid().simple().encode_lower(&mut id);
    ["00-", id, "-", &id[16..], "-00"].concat()
}

#[cfg(test)]
mod tests {
    use rdkafka::message::Headers;

    use super::*;

    #[test]
    fn the_headers_are_those_of_the_description() {
        let described: serde_json::Value =
            serde_yaml_ng::from_str(include_str!("../../../../docs/asyncapi.yaml")).unwrap();
        for (message, kind) in [("placed", OrderEventKind::Placed), ("cancelled", OrderEventKind::Cancelled)]
        {
            let example = &described["components"]["messages"][message]["examples"][0];
            let order = OrderId::parse(example["payload"]["order"]["id"].as_str().unwrap()).unwrap();
            let headers = cloud_event(order, kind, example["headers"]["traceparent"].as_str());
            assert_eq!(headers.count(), example["headers"].as_object().unwrap().len());
            let own = cloud_event(order, kind, None);
            let own = own.iter().find(|header| header.key == TRACEPARENT).unwrap();
            let own = TraceContext::parse(std::str::from_utf8(own.value.unwrap()).unwrap());
            assert_eq!(own.as_ref().map(TraceContext::unrecorded), own, "what nobody records says so");
            for header in headers.iter() {
                let value = std::str::from_utf8(header.value.unwrap()).unwrap();
                assert_eq!(example["headers"][header.key].as_str(), Some(value), "{}", header.key);
            }
        }
    }
}
