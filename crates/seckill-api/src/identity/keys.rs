//! The keys that buyers' tokens are signed with: a shared secret, or a set of public keys that changes.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse},
};
use parking_lot::RwLock;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use tokio::{sync::Notify, time::sleep};

use super::source::{Source, SourceError};

/// How soon at the earliest a key set is looked at again, because a token names a key that is not known.
const REFRESH_AGAIN: Duration = Duration::from_secs(10);
/// How much later it is without any such reason: every five minutes.
const REFRESH_LATER: Duration = Duration::from_secs(290);

/// A key that tokens are verified with, by one algorithm: a token does not choose it.
#[derive(Clone)]
pub struct VerifyingKey {
    id: Option<String>,
    /// By what.
    pub algorithm: Algorithm,
    /// The key.
    pub key: DecodingKey,
}

/// The keys of all who may sign.
pub struct KeySet {
    keys: RwLock<Arc<[VerifyingKey]>>,
    source: Option<Source>,
    unknown: Notify,
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

impl KeySet {
    /// The one key `secret`.
    pub fn of_secret(secret: &SecretString) -> Self {
        let key = DecodingKey::from_secret(secret.expose_secret().as_bytes());
        Self::of(vec![VerifyingKey { id: None, algorithm: Algorithm::HS256, key }], None)
    }

    /// The keys that `source` has now. Blocks.
    pub fn load(source: Source) -> Result<Self, SourceError> {
        Ok(Self::of(parse(&source.read()?)?, Some(source)))
    }

    fn of(keys: Vec<VerifyingKey>, source: Option<Source>) -> Self {
        Self { keys: RwLock::new(keys.into()), source, unknown: Notify::new() }
    }

    /// The keys that may have signed a token by `algorithm`, all of them or the one called `id`.
    pub fn candidates(&self, algorithm: Algorithm, id: Option<&str>) -> Vec<VerifyingKey> {
        let keys = Arc::clone(&self.keys.read());
        let mut found = Vec::new();
        for key in &*keys {
            let named = id.is_none() || key.id.is_none() || key.id.as_deref() == id;
            if key.algorithm == algorithm && named {
                found.push(key.clone());
            }
        }
        if found.is_empty() {
            self.unknown.notify_one();
        }
        found
    }

    /// Looks for changed keys as long as the set is in use, every few minutes and when a token names one that
    /// is not known.
    pub fn keep_fresh(set: &Arc<Self>) {
        if set.source.is_none() {
            return;
        }
        let set = Arc::downgrade(set);
        tokio::spawn(async move {
            while wait(&set).await {
                let Some(set) = set.upgrade() else { return };
                let refreshed = tokio::task::spawn_blocking(move || set.refresh()).await;
                if let Err(error) = refreshed.expect("reading keys does not panic") {
                    tracing::warn!(%error, "the keys of buyers' tokens stay as they were");
                }
            }
        });
    }

    /// Takes the keys that the source has now; where it fails, the keys stay. Blocks.
    fn refresh(&self) -> Result<(), SourceError> {
        if let Some(source) = &self.source {
            let keys = parse(&source.read()?)?;
            *self.keys.write() = keys.into();
        }
        Ok(())
    }
}

/// Waits until the keys should be looked at. False: nobody uses them any more.
async fn wait(set: &Weak<KeySet>) -> bool {
    sleep(REFRESH_AGAIN).await;
    let Some(set) = set.upgrade() else { return false };
    tokio::select! {
        () = sleep(REFRESH_LATER) => {}
        () = set.unknown.notified() => {}
    }
    true
}

/// Reads a key set (RFC 7517). Keys of other kinds and for other uses are left out.
fn parse(text: &str) -> Result<Vec<VerifyingKey>, SourceError> {
    let document: Document = serde_json::from_str(text).map_err(|_| SourceError::NotAKeySet)?;
    let keys: Vec<VerifyingKey> = document.keys.into_iter().filter_map(verifying_key).collect();
    if keys.is_empty() { Err(SourceError::NoUsableKey) } else { Ok(keys) }
}

fn verifying_key(json: serde_json::Value) -> Option<VerifyingKey> {
    let jwk: Jwk = serde_json::from_value(json).ok()?;
    let algorithm = match (&jwk.algorithm, jwk.common.key_algorithm) {
        (AlgorithmParameters::RSA(_), None | Some(KeyAlgorithm::RS256)) => Algorithm::RS256,
        (AlgorithmParameters::EllipticCurve(curve), None | Some(KeyAlgorithm::ES256))
            if curve.curve == EllipticCurve::P256 =>
        {
            Algorithm::ES256
        }
        // A secret has no business in a key set, and the rest is not supported.
        _ => return None,
    };
    if !matches!(jwk.common.public_key_use, None | Some(PublicKeyUse::Signature)) {
        return None;
    }
    let key = DecodingKey::from_jwk(&jwk).ok()?;
    Some(VerifyingKey { id: jwk.common.key_id, algorithm, key })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A public key, the one of RFC 7517's example.
    fn key(more: &str) -> String {
        format!(
            r#"{{"kty":"EC","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
               "y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"{more}}}"#
        )
    }

    fn set(keys: &[String]) -> String {
        format!("{{\"keys\":[{}]}}", keys.join(","))
    }

    fn names(set: &KeySet, id: &str) -> usize {
        set.candidates(Algorithm::ES256, Some(id)).len()
    }

    #[test]
    fn a_set_that_changes_is_followed_and_one_that_fails_is_kept() {
        let path = std::env::temp_dir().join(format!("seckill-key-set-{}", uuid::Uuid::new_v4()));
        fs::write(&path, set(&[key(r#","kid":"old""#)])).unwrap();
        let keys = KeySet::load(Source::File(path.clone())).unwrap();
        assert_eq!((names(&keys, "old"), names(&keys, "new")), (1, 0));
        fs::write(&path, set(&[key(r#","kid":"new""#)])).unwrap();
        keys.refresh().unwrap();
        assert_eq!((names(&keys, "old"), names(&keys, "new")), (0, 1));
        for broken in ["", "{", "{}", r#"{"keys":[]}"#] {
            fs::write(&path, broken).unwrap();
            assert!(keys.refresh().is_err(), "{broken}");
            assert_eq!(names(&keys, "new"), 1);
        }
        fs::remove_file(&path).unwrap();
        assert!(matches!(keys.refresh(), Err(SourceError::File(..))));
        assert_eq!(names(&keys, "new"), 1);
    }

    #[test]
    fn p6_only_public_keys_for_our_kinds_of_signatures_are_used() {
        let count = |key: String| parse(&set(&[key])).map_or(0, |keys| keys.len());
        assert_eq!(count(key("")), 1);
        assert_eq!(count(key(r#","alg":"ES256","use":"sig""#)), 1);
        for (what, bad) in [
            ("for encryption", key(r#","use":"enc""#)),
            ("for another algorithm", key(r#","alg":"ES384""#)),
            ("on another curve", key("").replace("P-256", "P-384")),
            ("a secret", r#"{"kty":"oct","k":"c2VjcmV0"}"#.to_owned()),
            ("no key", "1".to_owned()),
        ] {
            assert_eq!(count(bad), 0, "{what}");
        }
    }
}
