//! What can go wrong with the order log, by kind.

use std::{fmt, str::FromStr};

use rdkafka::error::KafkaError;

use crate::settings::SettingsError;

/// Kafka's own name of an error.
pub type ErrorCode = rdkafka::types::RDKafkaErrorCode;

/// Why something could not be done with the order log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// It does not answer, or not in time. What was asked for may have happened all the same.
    #[error("the order log did not answer while {doing}: {code}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// Kafka's reason.
        code: ErrorCode,
    },
    /// It, or its client, refused. Trying again will not help.
    #[error("the order log refused {doing}: {code}")]
    Kafka {
        /// What was being done.
        doing: &'static str,
        /// Kafka's reason.
        code: ErrorCode,
    },
    /// The client cannot be made from these settings; the text names them.
    #[error("{0}")]
    Config(String),
}

impl LogError {
    /// The kind of `code`, met while `doing`.
    pub(super) fn of_code(doing: &'static str, code: ErrorCode) -> Self {
        if is_transient(code) { Self::Unavailable { doing, code } } else { Self::Kafka { doing, code } }
    }

    /// The kind of `error`, met while `doing`.
    pub(super) fn of(doing: &'static str, error: &KafkaError) -> Self {
        match (error, error.rdkafka_error_code()) {
            (KafkaError::AdminOp(code), _) => Self::of_code(doing, *code),
            (_, Some(code)) => Self::of_code(doing, code),
            // The client's own complaints come as text; they are about what it was given.
            (_, None) => Self::Config(format!("KAFKA_BROKERS: {doing}: {error}")),
        }
    }

    /// Whether a message was refused because it is larger than its topic takes.
    pub(super) fn is_about_size(&self) -> bool {
        matches!(self, Self::Kafka { code: ErrorCode::MessageSizeTooLarge, .. })
    }

    /// The error of a time limit of our own.
    pub(super) fn timed_out(doing: &'static str) -> Self {
        Self::Unavailable { doing, code: ErrorCode::OperationTimedOut }
    }
}

/// Making a client fails by its settings alone: nothing connects before it is used.
impl From<LogError> for SettingsError {
    fn from(error: LogError) -> Self {
        Self(error.to_string())
    }
}

/// Whether the client, or a later attempt, gets over `code` by itself.
pub(super) fn is_transient(code: ErrorCode) -> bool {
    matches!(
        code,
        ErrorCode::AllBrokersDown
            | ErrorCode::BrokerNotAvailable
            | ErrorCode::BrokerTransportFailure
            | ErrorCode::CoordinatorLoadInProgress
            | ErrorCode::CoordinatorNotAvailable
            | ErrorCode::LeaderNotAvailable
            | ErrorCode::MessageTimedOut
            | ErrorCode::NetworkException
            | ErrorCode::NotCoordinator
            | ErrorCode::NotEnoughReplicas
            | ErrorCode::NotEnoughReplicasAfterAppend
            | ErrorCode::NotLeaderForPartition
            | ErrorCode::OperationTimedOut
            | ErrorCode::PollExceeded
            | ErrorCode::PurgeInflight
            | ErrorCode::PurgeQueue
            | ErrorCode::QueueFull
            | ErrorCode::RebalanceInProgress
            | ErrorCode::ReplicaNotAvailable
            | ErrorCode::RequestTimedOut
            | ErrorCode::Resolve
            | ErrorCode::TimedOutQueue
            | ErrorCode::WaitingForCoordinator
    )
}

/// Where an event is in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset within it.
    pub offset: i64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition, self.offset)
    }
}

/// Why a text is no [`Position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a position is PARTITION/OFFSET")]
pub struct InvalidPosition;

impl FromStr for Position {
    type Err = InvalidPosition;

    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let (partition, offset) = text.split_once('/').ok_or(InvalidPosition)?;
        match (partition.parse(), offset.parse()) {
            (Ok(partition), Ok(offset)) => Ok(Self { partition, offset }),
            _ => Err(InvalidPosition),
        }
    }
}

/// Why an event is not known to be in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// It was never sent, and is not in the log.
    #[error("the event was not taken: {0}")]
    NotSent(ErrorCode),
    /// It may have been sent, and may be in the log or still get there.
    #[error("the event was not acknowledged: {0}")]
    Unacknowledged(ErrorCode),
}

impl From<PublishError> for LogError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::NotSent(code) | PublishError::Unacknowledged(code) => {
                Self::of_code("publishing an event", code)
            }
        }
    }
}

/// What became of one publish.
pub type Delivery = Result<Position, PublishError>;
