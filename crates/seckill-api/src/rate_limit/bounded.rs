//! What is remembered of those who ask: a bounded number of them, each in a few bytes.

use governor::{
    nanos::Nanos,
    state::{
        InMemoryState, NotKeyed, StateStore,
        keyed::{DashMapStateStore, ShrinkableKeyedStateStore},
    },
};

/// The state of at most `capacity` keys. Whoever comes when all places are taken shares one place with all
/// other newcomers: a flood of made-up names neither fills the memory nor gets anybody more than a share.
pub struct BoundedStates {
    known: DashMapStateStore<u64>,
    newcomers: InMemoryState,
    capacity: usize,
}

impl BoundedStates {
    /// Room for `capacity` keys.
    pub fn new(capacity: usize) -> Self {
        Self { known: DashMapStateStore::default(), newcomers: InMemoryState::default(), capacity }
    }
}

impl StateStore for BoundedStates {
    type Key = u64;

    fn measure_and_replace<T, F, E>(&self, key: &u64, measure: F) -> Result<T, E>
    where
        F: Fn(Option<Nanos>) -> Result<(T, Nanos), E>,
    {
        if self.known.len() < self.capacity || self.known.contains_key(key) {
            self.known.measure_and_replace(key, measure)
        } else {
            self.newcomers.measure_and_replace(&NotKeyed::NonKey, measure)
        }
    }
}

impl ShrinkableKeyedStateStore<u64> for BoundedStates {
    fn retain_recent(&self, drop_below: Nanos) {
        ShrinkableKeyedStateStore::retain_recent(&self.known, drop_below);
    }

    fn shrink_to_fit(&self) {
        self.known.shrink_to_fit();
    }

    fn len(&self) -> usize {
        self.known.len()
    }

    fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}
