//! P2, in the log: whatever stands was told there first.

use std::collections::HashSet;

use seckill_core::order::OrderId;

use super::{Finding, Violations, describe, name_of};
use crate::{
    history::{Answer, History},
    witness::StoreState,
};

/// Orders that were answered `accepted`, or are in MySQL, and of which the order log says nothing.
pub fn unlogged(history: &History, store: &StoreState, log: &HashSet<OrderId>) -> Finding {
    let mut violations =
        Violations::of("unlogged", "P2", "orders accepted or in MySQL that are not in Kafka");
    let mut seen = HashSet::new();
    for (attempt, answer) in history.answers() {
        let Some(order) = answer.order.filter(|_| answer.is_promise()) else { continue };
        if !log.contains(&order.id) && seen.insert(order.id) {
            violations.add(1, || format!("{} was answered {}", name_of(attempt), describe(answer)));
        }
    }
    for id in store.orders.keys() {
        if !log.contains(id) && seen.insert(*id) {
            violations.add(1, || format!("order {id} is in MySQL"));
        }
    }
    violations.finding()
}

/// Orders that were answered `pending` at some time.
pub fn once_pending(history: &History) -> HashSet<OrderId> {
    let is_pending = |answer: &Answer| answer.order.filter(|_| !answer.is_promise()).map(|order| order.id);
    history.answers().filter_map(|(_, answer)| is_pending(answer)).collect()
}

/// Orders that were ever promised.
pub fn promised(history: &History) -> HashSet<OrderId> {
    let is_promised = |answer: &Answer| answer.order.filter(|_| answer.is_promise()).map(|order| order.id);
    history.answers().filter_map(|(_, answer)| is_promised(answer)).collect()
}

#[cfg(test)]
mod tests {
    use seckill_core::order::OrderStatus;

    use super::*;
    use crate::{
        history::{AnsweredOrder, Attempt, Outcome},
        witness::StoredOrder,
    };

    fn answered(id: OrderId, status: OrderStatus) -> Attempt {
        let order = Some(AnsweredOrder { id, status, remain_count: Some(1) });
        let outcome = Outcome::Answered(Answer { status: 202, order, ..Answer::default() });
        Attempt { key: Some("k".into()), end_us: 1, ..Attempt::ended(outcome) }
    }

    #[test]
    fn p2_an_order_that_stands_and_is_not_in_the_log_is_found() {
        let [accepted, stored, pending] = [OrderId::fresh(), OrderId::fresh(), OrderId::fresh()];
        let history = History {
            attempts: vec![
                answered(accepted, OrderStatus::Accepted),
                answered(accepted, OrderStatus::Confirmed),
                answered(pending, OrderStatus::Pending),
            ],
        };
        let mut store = StoreState::default();
        let order =
            StoredOrder { user: "u".into(), quantity: 1, status: OrderStatus::Confirmed, created_ms: 0 };
        store.orders.insert(stored, order);
        let all = HashSet::from([accepted, stored]);
        assert!(unlogged(&history, &store, &all).ok);
        for missing in [accepted, stored] {
            let mut log = all.clone();
            log.remove(&missing);
            assert_eq!(unlogged(&history, &store, &log).found, 1);
        }
        assert_eq!(once_pending(&history), HashSet::from([pending]));
        assert_eq!(promised(&history), HashSet::from([accepted]));
    }
}
