//! A value that many ask for and one fetches, good for a moment.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use crate::sync::RwLock;

/// The last value fetched. While one caller fetches, the others wait for it: a crowd costs one fetch.
pub struct Remembered<V> {
    value: RwLock<Option<(V, Instant)>>,
    flight: tokio::sync::Mutex<()>,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self { value: RwLock::new(None), flight: tokio::sync::Mutex::new(()) }
    }
}

impl<V: Clone> Remembered<V> {
    /// The value, fetched anew if the last one is no longer good. `fetch` says how long its value is good;
    /// failures should be values, too, or each of a crowd would fail after the other.
    pub async fn get(&self, fetch: impl Future<Output = (V, Duration)>) -> V {
        if let Some(value) = self.fresh() {
            return value;
        }
        let _flight = self.flight.lock().await;
        if let Some(value) = self.fresh() {
            return value;
        }
        let (value, good_for) = fetch.await;
        *self.value.write() = Some((value.clone(), Instant::now() + good_for));
        value
    }

    fn fresh(&self) -> Option<V> {
        let value = self.value.read();
        value.as_ref().filter(|(_, until)| Instant::now() < *until).map(|(value, _)| value.clone())
    }
}

/// A [`Remembered`] for each key, of at most `capacity` keys.
pub struct RememberedByKey<K, V> {
    entries: RwLock<HashMap<K, Arc<Remembered<V>>>>,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V: Clone> RememberedByKey<K, V> {
    /// Room for `capacity` keys.
    pub fn new(capacity: usize) -> Self {
        Self { entries: RwLock::new(HashMap::new()), capacity }
    }

    /// The place of `key`, which may be new and then makes room for itself.
    pub fn entry(&self, key: &K) -> Arc<Remembered<V>> {
        if let Some(entry) = self.entries.read().get(key) {
            return Arc::clone(entry);
        }
        let mut entries = self.entries.write();
        if entries.len() >= self.capacity && !entries.contains_key(key) {
            entries.retain(|_, entry| entry.fresh().is_some());
            if entries.len() >= self.capacity {
                entries.clear();
            }
        }
        Arc::clone(entries.entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_crowd_costs_one_fetch() {
        let (remembered, fetches) = (Remembered::default(), AtomicU32::new(0));
        let ask = || {
            remembered.get(async {
                tokio::time::sleep(Duration::from_millis(20)).await;
                (fetches.fetch_add(1, Ordering::Relaxed), Duration::from_secs(60))
            })
        };
        let answers = futures_util::future::join_all((0..100).map(|_| ask())).await;
        assert!(answers.iter().all(|answer| *answer == 0));
        assert_eq!(fetches.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_value_grows_old() {
        let remembered = Remembered::default();
        assert_eq!(remembered.get(async { (1, Duration::ZERO) }).await, 1);
        assert_eq!(remembered.get(async { (2, Duration::from_secs(60)) }).await, 2);
        assert_eq!(remembered.get(async { (3, Duration::ZERO) }).await, 2);
    }

    #[tokio::test]
    async fn keys_are_bounded() {
        let remembered = RememberedByKey::<u32, u32>::new(4);
        for key in 0..100 {
            remembered.entry(&key).get(async { (key, Duration::from_secs(60)) }).await;
        }
        assert!(remembered.entries.read().len() <= 4);
    }
}
