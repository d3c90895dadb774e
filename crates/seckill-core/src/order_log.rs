//! The order log: Kafka. What has been decided, in the order of each order's events.
//!
//! | part | does |
//! |---|---|
//! | [`OrderPublisher`] | appends events, and tells when the log stops answering |
//! | [`OrderSubscriber`] | reads events as a member of a consumer group |
//! | [`LogObserver`] | looks at offsets and at what lies between them, without joining the group |
//! | [`topics`] | makes and describes the topics |
//!
//! Every Kafka setting of the system is in this module.

mod ack_watch;
mod assignments;
mod committed;
mod config;
mod error;
mod observer;
mod partition;
mod producer;
mod publisher;
mod range;
mod raw_event;
mod reach;
mod subscriber;
mod topic_id;
pub mod topics;
mod traced;

pub use self::{
    error::{Delivery, ErrorCode, InvalidPosition, LogError, Position, PublishError},
    observer::LogObserver,
    publisher::{OrderPublisher, PreparedEvent, PublisherLimits},
    raw_event::{DEAD_LETTER_HEADERS, RawEvent},
    subscriber::OrderSubscriber,
    traced::{processing, receiving},
};
