//! A value that many ask for and one fetches, good for a moment.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::sync::RwLock;

/// How long a value stands whatever changes: changes may come faster than values.
const STANDS_FOR: Duration = Duration::from_millis(2);

/// What times are counted from where they must fit into an atomic number.
static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// The last value fetched. While one caller fetches, the others wait for it: a crowd costs one fetch.
pub struct Remembered<V> {
    value: RwLock<Option<Kept<V>>>,
    flight: tokio::sync::Mutex<()>,
    /// Nanoseconds from [`START`] to the last change that is known of.
    changed: AtomicU64,
}

struct Kept<V> {
    value: V,
    asked: Instant,
    until: Instant,
}

impl<V> Default for Remembered<V> {
    fn default() -> Self {
        Self { value: RwLock::new(None), flight: tokio::sync::Mutex::new(()), changed: AtomicU64::new(0) }
    }
}

impl<V> Remembered<V> {
    /// Notes that what was asked for until now may have changed: it is fetched anew, at most every [`STANDS_FOR`].
    pub fn note_change(&self) {
        let since = START.elapsed().as_nanos();
        self.changed.fetch_max(u64::try_from(since).unwrap_or(u64::MAX), Ordering::Relaxed);
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
        let asked = Instant::now();
        let (value, good_for) = fetch.await;
        *self.value.write() = Some(Kept { value: value.clone(), asked, until: Instant::now() + good_for });
        value
    }

    fn fresh(&self) -> Option<V> {
        let (kept, now) = (self.value.read(), Instant::now());
        let changed = *START + Duration::from_nanos(self.changed.load(Ordering::Relaxed));
        let is_fresh =
            |kept: &&Kept<V>| now < kept.until && (kept.asked > changed || now < kept.asked + STANDS_FOR);
        kept.as_ref().filter(is_fresh).map(|kept| kept.value.clone())
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

    /// [`Remembered::note_change`] of the value of `key`, if there is one.
    pub fn note_change(&self, key: &K) {
        if let Some(entry) = self.entries.read().get(key) {
            entry.note_change();
        }
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
    async fn what_was_asked_for_before_a_change_is_not_good_after_it() {
        let remembered = Remembered::default();
        let fetch = async |value: u32| remembered.get(async { (value, Duration::from_secs(60)) }).await;
        assert_eq!(fetch(1).await, 1);
        tokio::time::sleep(STANDS_FOR).await;
        assert_eq!(fetch(2).await, 1, "nothing has changed");
        remembered.note_change();
        assert_eq!(fetch(3).await, 3);
        let asked_before = remembered.get(async {
            remembered.note_change();
            (4, Duration::from_secs(60))
        });
        remembered.note_change();
        tokio::time::sleep(STANDS_FOR).await;
        assert_eq!(asked_before.await, 4);
        tokio::time::sleep(STANDS_FOR).await;
        assert_eq!(fetch(5).await, 5, "it was on its way when it changed");
        assert_eq!(fetch(6).await, 5);
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
