//! How the program ends: its exit codes, and what it says.

use std::process::ExitCode;

/// All went well.
pub const OK: u8 = 0;
/// A promise is broken, or the work failed.
pub const FAILED: u8 = 1;
/// Wrong usage (`EX_USAGE` of sysexits.h).
pub const USAGE: u8 = 64;
/// Something that is needed does not answer (`EX_UNAVAILABLE` of sysexits.h).
pub const UNREACHABLE: u8 = 69;

/// Why the work was not done.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// It was asked wrongly.
    #[error("{0}")]
    Usage(String),
    /// Something that is needed does not answer; named in the text.
    #[error("{0}")]
    Unreachable(String),
    /// Anything else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        Self::Other(error.into())
    }
}

impl Failure {
    /// Its exit code.
    pub fn code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Usage(_) => USAGE,
            Self::Unreachable(_) => UNREACHABLE,
            Self::Other(_) => FAILED,
        })
    }
}
