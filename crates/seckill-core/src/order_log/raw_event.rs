//! A message as it was read from a topic.

use std::panic::{self, AssertUnwindSafe};

use rdkafka::{
    Message,
    message::{BorrowedMessage, Header, Headers, OwnedHeaders},
};

/// What a dead letter carries beside the headers of the original: why, and where it had been.
pub const DEAD_LETTER_HEADERS: [&str; 4] = ["error", "topic", "partition", "offset"];

/// A message as it was read: not decoded, and perhaps not decodable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEvent {
    /// The partition it was read from.
    pub partition: i32,
    /// Its offset there.
    pub offset: i64,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Option<Vec<u8>>,
    /// Its headers, in order; none, if the name of one is not UTF-8.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// When it was published, in ms since the epoch.
    pub timestamp: Option<i64>,
}

impl RawEvent {
    pub(super) fn of(message: &BorrowedMessage<'_>) -> Self {
        let read = || {
            let owned = |header: Header<'_, &[u8]>| (header.key.to_owned(), header.value.map(<[u8]>::to_vec));
            message.headers().map(|headers| headers.iter().map(owned).collect())
        };
        // rdkafka panics over a name that is not UTF-8, which anybody can send who may write to the topic. Nothing
        // that an event says is in its headers.
        let headers = panic::catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_panic| {
            let (partition, offset) = (message.partition(), message.offset());
            tracing::warn!(partition, offset, "the headers of a message are passed over: a name is not text");
            None
        });
        Self {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers: headers.unwrap_or_default(),
            timestamp: message.timestamp().to_millis(),
        }
    }

    /// The value of the first header `name` that has one.
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        self.headers.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.as_deref())
    }

    /// Where it was, and nothing of what it said.
    pub(super) fn place(&self) -> Self {
        let Self { partition, offset, timestamp, .. } = *self;
        Self { partition, offset, timestamp, key: None, value: None, headers: Vec::new() }
    }

    /// The headers that the message had before it became a dead letter.
    pub(super) fn original_headers(&self) -> OwnedHeaders {
        let mut headers = OwnedHeaders::new_with_capacity(self.headers.len() + DEAD_LETTER_HEADERS.len());
        for (key, value) in &self.headers {
            if !DEAD_LETTER_HEADERS.contains(&key.as_str()) {
                headers = headers.insert(Header { key, value: value.as_ref() });
            }
        }
        headers
    }

    /// The headers of this message as a dead letter of `topic`.
    pub(super) fn dead_letter_headers(&self, topic: &str, reason: &str) -> OwnedHeaders {
        let (partition, offset) = (self.partition.to_string(), self.offset.to_string());
        let mut headers = self.original_headers();
        for (key, value) in DEAD_LETTER_HEADERS.into_iter().zip([reason, topic, &partition, &offset]) {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        headers
    }
}
