//! P2, P3 and P5: what each buyer was told against what there is.

use std::collections::{HashMap, HashSet};

use seckill_core::order::{OrderId, OrderStatus, Units};

use super::{Finding, Violations, describe, name_of, owned::Owned};
use crate::{
    history::{Answer, Attempt, Call, History},
    witness::{LedgerState, StoreState, StoredOrder},
};

/// P2: orders once answered `accepted` or `confirmed` that are not in MySQL, or were rejected there.
pub fn lost(history: &History, store: &StoreState) -> Finding {
    let mut violations = Violations::of("lost", "P2", "orders answered accepted that are not in MySQL");
    let mut seen = HashSet::new();
    for (attempt, answer) in history.answers() {
        let Some(order) = answer.order.filter(|_| answer.is_promise()) else { continue };
        if !seen.insert(order.id) {
            continue;
        }
        let status = store.orders.get(&order.id).map(|stored| stored.status);
        if !matches!(status, Some(OrderStatus::Confirmed | OrderStatus::Cancelled)) {
            let status = status.map_or("missing", OrderStatus::as_str);
            let said = describe(answer);
            violations
                .add(1, || format!("{} was answered {said}; it is {status} in MySQL", name_of(attempt)));
        }
    }
    violations.finding()
}

/// P3: two ids or two answers for one request, more orders than requests, a limit passed.
pub fn duplicated(history: &History, store: &StoreState) -> Finding {
    let mut violations = Violations::of("duplicated", "P3", "requests with two orders or two answers");
    let mut requests: HashMap<&str, u64> = HashMap::new();
    for ((user, key), attempts) in history.by_request() {
        for answered in answers_to_one(&attempts, key.is_some()) {
            if let Some(contradiction) = contradiction(&answered, key.is_some()) {
                violations.add(1, || format!("{}: {contradiction}", name_of(answered[0])));
            }
        }
        *requests.entry(user).or_default() += requests_in(&attempts, key.is_some());
    }
    let owned = Owned::new(history, store);
    for (user, &asked) in &requests {
        let orders = owned.of_buyer(user);
        violations.add((orders.len() as u64).saturating_sub(asked), || {
            format!("{user} made {asked} requests and has {} orders in MySQL", orders.len())
        });
    }
    if let Some(limit) = store.per_buyer_limit {
        for (user, orders) in owned.buyers() {
            let held: Units = live_units(&orders);
            violations
                .add(u64::from(held > limit), || format!("{user} holds {held} units, the limit is {limit}"));
        }
    }
    violations.finding()
}

/// How many orders these attempts may rightly have made: one for a key; without one, one for each attempt
/// that may have ordered. At least one: an order of a refused buyer is a lie, not a double.
fn requests_in(attempts: &[&Attempt], keyed: bool) -> u64 {
    if keyed {
        return 1;
    }
    attempts.iter().filter(|attempt| attempt.may_have_ordered()).count().max(1) as u64
}

/// The attempts whose answers must agree: all with one key; without a key, those about one order.
fn answers_to_one<'a>(attempts: &[&'a Attempt], keyed: bool) -> Vec<Vec<&'a Attempt>> {
    if keyed {
        return vec![attempts.to_vec()];
    }
    let mut by_order: HashMap<OrderId, Vec<&Attempt>> = HashMap::new();
    for attempt in attempts {
        if let Some(id) = attempt.order() {
            by_order.entry(id).or_default().push(attempt);
        }
    }
    by_order.into_values().collect()
}

/// What two answers to one request say differently, if they do.
fn contradiction(attempts: &[&Attempt], keyed: bool) -> Option<String> {
    let mut promised: Option<&Answer> = None;
    let mut id: Option<OrderId> = None;
    for attempt in attempts {
        let Some(answer) = attempt.answer() else { continue };
        if let Some(order) = answer.order {
            if let Some(other) = id.filter(|&other| other != order.id) {
                return Some(format!("two orders, {other} and {}", order.id));
            }
            id = Some(order.id);
        }
        let Some(first) = promised else {
            promised = answer.is_promise().then_some(answer);
            continue;
        };
        // Once promised, each answer must be the promise again. A busy server says nothing about it, nor does one
        // that could not hear the ledger: `pending`, with nothing that only the ledger knows.
        let same_count = match (first.order, answer.order) {
            (Some(_), Some(now)) if now.status == OrderStatus::Pending && now.remain_count.is_none() => keyed,
            (Some(first), Some(now)) => first.remain_count == now.remain_count,
            _ => keyed && answer.is_try_again(),
        };
        if !same_count || answer.order_status() == Some(OrderStatus::Rejected) {
            return Some(format!("answered {}, then {}", describe(first), describe(answer)));
        }
    }
    None
}

/// P5: open outcomes that never resolved, and "sold out" answered to the owner of an order.
pub fn lied(history: &History, store: &StoreState, ledger: &LedgerState) -> Finding {
    let mut violations =
        Violations::of("lied", "P5", "answers that were not so: pending for ever, false refusals");
    let mut seen = HashSet::new();
    for (attempt, answer) in history.answers() {
        let Some(order) = answer.order.filter(|order| order.status == OrderStatus::Pending) else { continue };
        let is_held = ledger.live.contains_key(&order.id) || ledger.outbox.contains(&order.id);
        if is_held && !store.orders.contains_key(&order.id) && seen.insert(order.id) {
            violations.add(1, || format!("order {} of {} is pending still", order.id, name_of(attempt)));
        }
    }
    for (attempt, id) in denied_looks(history) {
        if store.orders.contains_key(&id) && seen.insert(id) {
            violations
                .add(1, || format!("order {id} of {} was answered 404, it is in MySQL", name_of(attempt)));
        }
    }
    let owned = Owned::new(history, store);
    let may_have_ordered = may_have_ordered(history);
    for (request, attempts) in history.by_request() {
        let never_asked = !may_have_ordered.contains_key(request.0);
        if let Some(refusal) = false_sold_out(&attempts, &owned.of_request(request), never_asked) {
            violations.add(1, || format!("{} was told \"sold out\" and has an order", name_of(refusal)));
        }
    }
    for attempt in false_limits(history, store, &may_have_ordered) {
        violations
            .add(1, || format!("{} was refused for the limit, and nothing of it stood", name_of(attempt)));
    }
    violations.finding()
}

/// The attempts that may have made an order, by their buyers.
fn may_have_ordered(history: &History) -> HashMap<&str, Vec<&Attempt>> {
    let mut by_user: HashMap<_, Vec<_>> = HashMap::new();
    for attempt in history.attempts.iter().filter(|attempt| attempt.may_have_ordered()) {
        by_user.entry(attempt.user.as_str()).or_default().push(attempt);
    }
    by_user
}

/// Refusals for the limit of buyers who cannot have held a unit by then: none of their other requests, sent before they
/// were refused, may have made an order.
fn false_limits<'a>(
    history: &'a History,
    store: &StoreState,
    may_have_ordered: &HashMap<&str, Vec<&Attempt>>,
) -> Vec<&'a Attempt> {
    let asked_too_much =
        |attempt: &Attempt| store.per_buyer_limit.is_some_and(|limit| attempt.quantity > limit);
    let may_hold = |attempt: &Attempt| {
        let others = may_have_ordered.get(attempt.user.as_str()).into_iter().flatten();
        others.filter(|other| other.key != attempt.key).any(|other| other.at_ms <= attempt.known_at_ms())
    };
    let refused = history.answers().filter(|(_, answer)| answer.is_limit_reached());
    refused
        .map(|(attempt, _)| attempt)
        .filter(|attempt| !asked_too_much(attempt) && !may_hold(attempt))
        .collect()
}

/// Looks answered 404.
fn denied_looks(history: &History) -> impl Iterator<Item = (&Attempt, OrderId)> {
    history.answers().filter_map(|(attempt, answer)| match attempt.call {
        Call::Look(id) if answer.status == 404 => Some((attempt, id)),
        Call::Look(_) | Call::Order => None,
    })
}

/// A "sold out" to a request whose order was there before it asked. An order that came while it was being refused (an
/// earlier attempt of the same key, still on its way) is no lie, unless its buyer never sent any.
fn false_sold_out<'a>(
    attempts: &[&'a Attempt],
    orders: &[&StoredOrder],
    never_asked: bool,
) -> Option<&'a Attempt> {
    let is_live = |order: &&&StoredOrder| order.status == OrderStatus::Confirmed;
    let oldest = orders.iter().filter(is_live).map(|order| order.created_ms).min()?;
    attempts.iter().copied().find(|attempt| {
        attempt.answer().is_some_and(Answer::is_sold_out) && (oldest < attempt.at_ms || never_asked)
    })
}

fn live_units(orders: &[&StoredOrder]) -> Units {
    orders.iter().filter(|order| order.status == OrderStatus::Confirmed).map(|order| order.quantity).sum()
}
