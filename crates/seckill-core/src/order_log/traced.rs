//! The order log in traces, by OpenTelemetry's conventions for messaging.

use std::time::SystemTime;

use super::{Delivery, RawEvent};
use crate::{
    event::OrderEvent,
    traces::{self, Kind, Span, TRACEPARENT, TraceContext},
};

/// The span of publishing `event`; its own place in the trace is what travels with the event.
pub(super) fn sending(trace: &TraceContext, topic: &str, event: &OrderEvent) -> Option<Span> {
    let mut span = trace.child(Kind::Producer, format!("send {topic}"))?;
    about(&mut span, topic, "send", "send");
    span.set("messaging.kafka.message.key", event.key());
    span.set("seckill.order.id", event.key());
    Some(span)
}

/// Ends the span of publishing.
pub(super) fn delivered(mut span: Span, delivery: &Delivery) {
    match delivery {
        Ok(position) => at(&mut span, position.partition, position.offset),
        Err(error) => span.fail("order_log", error.to_string()),
    }
}

/// The span of reading a batch, which leads on from every event in it that is traced; none: no event is recorded.
pub fn receiving(topic: &str, batch: &[RawEvent]) -> Option<Span> {
    let from: Vec<_> = batch.iter().filter_map(RawEvent::trace).collect();
    if from.is_empty() {
        return None;
    }
    let mut span = traces::linked(Kind::Client, format!("receive {topic}"), &from)?;
    about(&mut span, topic, "poll", "receive");
    span.set("messaging.batch.message_count", i64::try_from(batch.len()).unwrap_or(i64::MAX));
    Some(span)
}

/// The span of what becomes of one event, in its own trace, since it was `read`; none: it is not recorded.
pub fn processing(topic: &str, event: &RawEvent, read: SystemTime) -> Option<Span> {
    let mut span = event.trace()?.child_since(read, Kind::Consumer, format!("process {topic}"))?;
    about(&mut span, topic, "process", "process");
    at(&mut span, event.partition, event.offset);
    if let Some(key) = event.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()) {
        span.set("messaging.kafka.message.key", key.to_owned());
        span.set("seckill.order.id", key.to_owned());
    }
    Some(span)
}

impl RawEvent {
    /// Where in a trace it comes from.
    fn trace(&self) -> Option<TraceContext> {
        let header = self.header(TRACEPARENT)?;
        TraceContext::parse(std::str::from_utf8(header).ok()?)
    }
}

fn about(span: &mut Span, topic: &str, operation: &'static str, kind: &'static str) {
    span.set("messaging.system", "kafka");
    span.set("messaging.destination.name", topic.to_owned());
    span.set("messaging.operation.name", operation);
    span.set("messaging.operation.type", kind);
}

fn at(span: &mut Span, partition: i32, offset: i64) {
    span.set("messaging.destination.partition.id", partition.to_string());
    span.set("messaging.kafka.offset", offset);
}
