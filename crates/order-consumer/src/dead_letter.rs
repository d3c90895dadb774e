//! What cannot be stored goes to the dead-letter topic, with the reason, and the partition goes on.

use metrics::counter;
use seckill_core::order_log::{LogError, OrderPublisher, RawEvent};

/// A message of the order log that cannot be stored.
#[derive(Debug)]
pub struct DeadLetter {
    /// The message, as it was read.
    pub message: RawEvent,
    /// Why it cannot be stored, for people.
    pub reason: String,
}

/// Sends `letter` and waits until it is safe: only then may the offset move.
pub async fn send(publisher: &OrderPublisher, letter: &DeadLetter) -> Result<(), LogError> {
    let DeadLetter { message, reason } = letter;
    tracing::error!(partition = message.partition, offset = message.offset, %reason, "a message became a dead letter");
    counter!("seckill_consumer_dead_letters_total").increment(1);
    publisher.publish_dead_letter(message, reason).await
}
