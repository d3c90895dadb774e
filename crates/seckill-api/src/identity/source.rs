//! Where a key set comes from: a file, or a URL.

use std::{convert::Infallible, fs, io, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use ureq::{
    Agent,
    tls::{RootCerts, TlsConfig},
};

/// How long a server may take.
const ANSWER_WITHIN: Duration = Duration::from_secs(5);
/// Most bytes of a key set.
const MAX_BYTES: u64 = 1 << 20;

/// Where a key set comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A file.
    File(PathBuf),
    /// `http://…` or `https://…`, with the machine's own certificate authorities.
    Url(String),
}

/// Why there is no key set.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The file cannot be read. Its name is not repeated: it may be a secret in the place of one.
    #[error("cannot read the file that it names: {0}")]
    File(io::Error),
    /// The URL cannot be fetched.
    #[error("cannot fetch the key set: {0}")]
    Url(Box<ureq::Error>),
    /// It is something else.
    #[error("not a key set (RFC 7517)")]
    NotAKeySet,
    /// It has only keys that cannot be used here.
    #[error("the key set has no RSA or P-256 key for signatures")]
    NoUsableKey,
}

impl FromStr for Source {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let scheme = text.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
        let is_url = matches!(scheme.as_deref(), Some("http" | "https"));
        Ok(if is_url { Self::Url(text.to_owned()) } else { Self::File(text.into()) })
    }
}

impl Source {
    /// What is there now. Blocks.
    pub fn read(&self) -> Result<String, SourceError> {
        match self {
            Self::File(path) => fs::read_to_string(path).map_err(SourceError::File),
            Self::Url(url) => fetch(url).map_err(|error| SourceError::Url(Box::new(error))),
        }
    }
}

fn fetch(url: &str) -> Result<String, ureq::Error> {
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let agent: Agent =
        Agent::config_builder().tls_config(tls).timeout_global(Some(ANSWER_WITHIN)).build().into();
    agent.get(url).call()?.body_mut().with_config().limit(MAX_BYTES).read_to_string()
}
