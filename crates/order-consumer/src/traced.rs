//! A batch in traces. One transaction serves many orders, so there are two views of it, linked both ways:
//!
//! - in the trace of each recorded order: that it was processed, from the poll to the COMMIT;
//! - in a trace of its own: the batch, with every attempt to write it, and all orders that lead to it.
//!
//! A batch without a recorded order is nothing here.

use std::{
    collections::{BTreeMap, HashSet},
    time::SystemTime,
};

use seckill_core::{
    order_log::{self, RawEvent},
    store::{self, StoreError},
    traces::{self, Span},
};

/// The spans of a batch.
#[derive(Default)]
pub struct BatchTrace {
    batch: Option<Span>,
    /// Those of its recorded events, by partition and offset.
    events: BTreeMap<(i32, i64), Span>,
}

impl BatchTrace {
    /// Begins the spans of `batch`, which was just read from `topic`.
    pub fn begin(topic: &str, batch: &[RawEvent]) -> Self {
        if !traces::are_on() {
            return Self::default();
        }
        let Some(whole) = order_log::receiving(topic, batch) else { return Self::default() };
        let (read, place) = (SystemTime::now(), whole.context());
        let mut events = BTreeMap::new();
        for event in batch {
            if let Some(mut span) = order_log::processing(topic, event, read) {
                span.link(&place);
                events.insert((event.partition, event.offset), span);
            }
        }
        Self { batch: Some(whole), events }
    }

    /// Notes an attempt to write so many `events`, which `began` then.
    pub fn attempted(&self, began: SystemTime, events: usize, failed: Option<&StoreError>) {
        let Some(batch) = &self.batch else { return };
        if events == 0 {
            // Nothing in it could be read, and the store was not asked.
            return;
        }
        for span in self.events.values().chain([batch]) {
            store::record_write(&span.context(), began, events, failed);
        }
    }

    /// Says what became of `event` in the COMMIT that has just been made. What is logged inside the result carries
    /// its ids.
    pub fn committed(&mut self, event: &RawEvent, outcome: &'static str) -> tracing::Span {
        let Some(span) = self.span_of(event) else { return tracing::Span::none() };
        span.set("seckill.outcome", outcome);
        span.end();
        span.context().log_scope()
    }

    /// Says that `event` becomes a dead letter, and why; its span ends with the batch. What is logged inside the
    /// result carries its ids.
    pub fn set_aside(&mut self, event: &RawEvent, reason: &str) -> tracing::Span {
        let Some(span) = self.span_of(event) else { return tracing::Span::none() };
        span.set("seckill.outcome", "dead_letter");
        span.fail("dead_letter", reason.to_owned());
        span.context().log_scope()
    }

    fn span_of(&mut self, event: &RawEvent) -> Option<&mut Span> {
        self.events.get_mut(&(event.partition, event.offset))
    }

    /// Drops what belongs to partitions that were lost.
    pub fn forget(&mut self, revoked: &HashSet<i32>) {
        self.events.retain(|(partition, _), _| !revoked.contains(partition));
    }
}
