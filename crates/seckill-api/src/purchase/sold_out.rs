//! The memory of sold-out sales: the commonest answer of all, given without asking the ledger.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use seckill_core::{order::Units, sale::SaleId};

use crate::sync::RwLock;

/// How long the ledger's word is good for: a unit that comes back is for sale within that time, and sold to whoever asks
/// next.
const GOOD_FOR: Duration = Duration::from_millis(50);
/// And how long after the ledger was asked at most: its answer may have been long on its way.
const GOOD_FOR_AT_MOST: Duration = Duration::from_millis(100);

/// Most sales remembered at once. One more makes room by forgetting what is no longer good.
const MAX_SALES: usize = 1024;

/// How many units each sale had left when the ledger last refused one for want of them.
#[derive(Default)]
pub struct SoldOutMemory {
    sales: RwLock<HashMap<SaleId, Remembered>>,
}

struct Remembered {
    remaining: Units,
    until: Instant,
}

impl SoldOutMemory {
    /// Whether the ledger said just now that `sale` has fewer than `units` left.
    pub fn knows(&self, sale: &SaleId, units: Units) -> bool {
        let sales = self.sales.read();
        sales.get(sale).is_some_and(|known| units > known.remaining && Instant::now() < known.until)
    }

    /// Forgets what it knows of `sale`.
    pub fn forget(&self, sale: &SaleId) {
        self.sales.write().remove(sale);
    }

    /// Remembers that the ledger, asked `took` before `now`, said of `sale` that `remaining` are left.
    pub fn remember(&self, sale: &SaleId, remaining: Units, now: Instant, took: Duration) {
        let known =
            Remembered { remaining, until: now + GOOD_FOR.min(GOOD_FOR_AT_MOST.saturating_sub(took)) };
        let mut sales = self.sales.write();
        if sales.len() >= MAX_SALES && !sales.contains_key(sale) {
            sales.retain(|_, known| now < known.until);
            if sales.len() >= MAX_SALES {
                return;
            }
        }
        sales.insert(sale.clone(), known);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sale(name: &str) -> SaleId {
        SaleId::parse(name).unwrap()
    }

    #[test]
    fn only_what_is_more_than_was_left_is_sold_out() {
        let memory = SoldOutMemory::default();
        memory.remember(&sale("a"), 2, Instant::now(), Duration::ZERO);
        assert!(memory.knows(&sale("a"), 3));
        assert!(!memory.knows(&sale("a"), 2));
        assert!(!memory.knows(&sale("b"), 3));
    }

    #[test]
    fn p4_the_memory_is_short() {
        let memory = SoldOutMemory::default();
        memory.remember(&sale("a"), 0, Instant::now().checked_sub(GOOD_FOR).unwrap(), Duration::ZERO);
        assert!(!memory.knows(&sale("a"), 1));
        memory.remember(&sale("a"), 0, Instant::now(), GOOD_FOR_AT_MOST);
        assert!(!memory.knows(&sale("a"), 1), "the answer is old already");
        memory.remember(&sale("a"), 0, Instant::now(), GOOD_FOR_AT_MOST / 2);
        assert!(memory.knows(&sale("a"), 1));
    }

    #[test]
    fn p4_what_is_forgotten_is_for_sale() {
        let memory = SoldOutMemory::default();
        for name in ["a", "b"] {
            memory.remember(&sale(name), 0, Instant::now(), Duration::ZERO);
        }
        memory.forget(&sale("a"));
        assert!(!memory.knows(&sale("a"), 1) && memory.knows(&sale("b"), 1));
    }

    #[test]
    fn the_memory_is_bounded() {
        let (memory, now) = (SoldOutMemory::default(), Instant::now());
        for number in 0..MAX_SALES + 10 {
            memory.remember(&sale(&format!("s{number}")), 0, now, Duration::ZERO);
        }
        assert_eq!(memory.sales.read().len(), MAX_SALES);
        memory.remember(&sale("later"), 0, now + GOOD_FOR, Duration::ZERO);
        assert!(memory.sales.read().contains_key(&sale("later")));
    }
}
