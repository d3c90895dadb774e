//! What cannot be stored goes to the dead-letter topic, with the reason, and the partition goes on.

use metrics::counter;
use seckill_core::order_log::{LogError, OrderPublisher, RawEvent};

/// Most bytes of a reason: one may quote the message, which may be as large as the log takes.
const MAX_REASON: usize = 1000;

/// A message of the order log that cannot be stored.
#[derive(Debug)]
pub struct DeadLetter {
    /// The message, as it was read.
    pub message: RawEvent,
    /// Why it cannot be stored, for people.
    pub reason: String,
}

impl DeadLetter {
    /// `message`, and what of `reason` there is room for.
    pub fn new(message: RawEvent, mut reason: String) -> Self {
        let room = (0..=MAX_REASON.min(reason.len())).rev().find(|&end| reason.is_char_boundary(end));
        reason.truncate(room.unwrap_or(0));
        Self { message, reason }
    }
}

/// Sends `letter` and waits until it is safe: only then may the offset move.
pub async fn send(publisher: &OrderPublisher, letter: &DeadLetter) -> Result<(), LogError> {
    let DeadLetter { message, reason } = letter;
    tracing::error!(partition = message.partition, offset = message.offset, %reason, "a message became a dead letter");
    counter!("seckill_consumer_dead_letters_total").increment(1);
    publisher.publish_dead_letter(message, reason).await
}
