//! Why a command was not done, and the exit code that says so.

use seckill_core::{
    ledger::LedgerError,
    order_log::LogError,
    settings::{EXIT_USAGE, SettingsError},
    store::StoreError,
    upkeep::UpkeepError,
};

/// Why a command was not done. Nothing was changed, except where the message says otherwise.
#[derive(Debug)]
pub enum Failure {
    /// It may not be done.
    Refused(String),
    /// It was asked for in a way that cannot be understood.
    Usage(String),
    /// A dependency cannot be reached: its name, and why.
    Unreachable(&'static str, String),
    /// A dependency answered with a failure: its name, and which.
    Failed(&'static str, String),
}

impl Failure {
    /// A sale that is not there.
    pub fn no_such_sale(sale: &seckill_core::sale::SaleId) -> Self {
        Self::Refused(format!("there is no sale {sale}"))
    }

    /// The same failure, of which people must know `more`.
    pub fn but(mut self, more: &str) -> Self {
        let (Self::Refused(text) | Self::Usage(text) | Self::Unreachable(_, text) | Self::Failed(_, text)) =
            &mut self;
        text.push_str("; ");
        text.push_str(more);
        self
    }

    /// The code this process ends with.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Refused(_) | Self::Failed(..) => 1,
            Self::Usage(_) => u8::try_from(EXIT_USAGE).unwrap_or(u8::MAX),
            Self::Unreachable(..) => 69,
        }
    }

    /// Says it in one line.
    pub fn line(&self) -> String {
        match self {
            Self::Refused(text) | Self::Usage(text) => text.clone(),
            Self::Unreachable(name, why) => format!("{name} is unreachable: {why}"),
            Self::Failed(name, why) => format!("{name}: {why}"),
        }
    }

    /// Says it on stderr, in one line: also as JSON, so that what reads stdout never takes a failure for an
    /// answer.
    pub fn print(&self, json: bool) {
        let kind = match self {
            Self::Refused(_) => "refused",
            Self::Usage(_) => "usage",
            Self::Unreachable(..) => "unreachable",
            Self::Failed(..) => "failed",
        };
        if json {
            eprintln!("{}", serde_json::json!({ "error": kind, "message": self.line() }));
        } else {
            eprintln!("stock-admin: {}", self.line());
        }
    }
}

impl From<SettingsError> for Failure {
    fn from(error: SettingsError) -> Self {
        Self::Usage(error.to_string())
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(why) => Self::Unreachable("MySQL (DATABASE_URL)", why),
            StoreError::Url(why) => Self::Usage(format!("DATABASE_URL: {why}")),
            StoreError::Retry(_)
            | StoreError::Query { .. }
            | StoreError::Corrupt(_)
            | StoreError::StockGuard(_)
            | StoreError::Migration(_) => Self::Failed("MySQL", error.to_string()),
        }
    }
}

impl From<LedgerError> for Failure {
    fn from(error: LedgerError) -> Self {
        match error {
            LedgerError::Unavailable(why) => Self::Unreachable("Redis (REDIS_URL)", why),
            LedgerError::Unknown(why) => Self::Unreachable("Redis (REDIS_URL)", why.to_string()),
            LedgerError::Corrupt(why) => Self::Failed("Redis", why),
        }
    }
}

impl From<UpkeepError> for Failure {
    fn from(error: UpkeepError) -> Self {
        match error {
            UpkeepError::Store(error) => error.into(),
            UpkeepError::Ledger(error) => error.into(),
            UpkeepError::Log(error) => error.into(),
        }
    }
}

impl From<LogError> for Failure {
    fn from(error: LogError) -> Self {
        match error {
            LogError::Unavailable { .. } => Self::Unreachable("Kafka (KAFKA_BROKERS)", error.to_string()),
            LogError::Kafka { .. } => Self::Failed("Kafka", error.to_string()),
            LogError::Config(why) => Self::Usage(why),
        }
    }
}
