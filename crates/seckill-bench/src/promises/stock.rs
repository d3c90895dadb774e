//! P1 and P4: where every unit is.

use std::collections::HashSet;

use seckill_core::order::{OrderStatus, Units};

use super::{Finding, Violations, owned::Owned, was_refused};
use crate::{
    history::{Attempt, Call, History},
    witness::{LedgerState, StoreState, StoredOrder},
};

/// Units that went back for sale, or may have: of cancelled and rejected orders, and of requests whose
/// outcome was open for a while (an order that was `pending` when Redis lost it is not there afterwards).
/// So many units may be for sale after somebody was rightly told "sold out".
fn may_have_come_back(history: &History, store: &StoreState) -> Units {
    let returned: Units = store
        .orders
        .values()
        .filter(|order| matches!(order.status, OrderStatus::Cancelled | OrderStatus::Rejected))
        .map(|order| order.quantity)
        .sum();
    let owned = Owned::new(history, store);
    let is_live = |order: &StoredOrder| order.status == OrderStatus::Confirmed;
    let mut vanished = 0;
    for (request, attempts) in history.by_request() {
        let was_open = attempts.iter().any(|attempt| attempt.is_open());
        if was_open && !owned.of_request(request).into_iter().any(is_live) {
            vanished += attempts[0].quantity;
        }
    }
    returned + vanished
}

/// The smallest number of units that somebody was refused with "sold out".
fn smallest_sold_out(history: &History) -> Option<Units> {
    history.answers().filter(|(_, answer)| answer.is_sold_out()).map(|(attempt, _)| attempt.quantity).min()
}

/// Units in live orders at the end: all that were wanted, or all there are.
pub fn sold(history: &History, store: &StoreState, ledger: &LedgerState) -> Finding {
    let found = store.live_units();
    // Who was refused for another reason than the stock did not want a unit, in the end; nor did who does
    // not know: some of those may have one.
    let mut wanted = 0;
    let mut unsure = 0;
    let mut users = HashSet::new();
    for ((user, _), attempts) in history.by_request() {
        users.insert(user);
        // More than one only of a buyer without keys, each of whose attempts is a request of its own.
        let promised: HashSet<_> = attempts
            .iter()
            .filter(|attempt| attempt.answer().is_some_and(super::Answer::is_promise))
            .filter_map(|attempt| attempt.order())
            .collect();
        let sold_out =
            attempts.iter().any(|attempt| attempt.answer().is_some_and(super::Answer::is_sold_out));
        if !promised.is_empty() || sold_out {
            wanted += attempts[0].quantity * promised.len().max(1) as u64;
        } else if !was_refused(&attempts) {
            unsure += attempts[0].quantity;
        }
    }
    let of_others: Units = store
        .live()
        .filter(|(_, order)| !users.contains(order.user.as_str()))
        .map(|(_, order)| order.quantity)
        .sum();
    let expected = (wanted + of_others).min(store.stock);
    // The last buyers may each have asked for more than was left.
    let left_over =
        smallest_sold_out(history).map_or(0, |asked| asked - 1) + may_have_come_back(history, store);
    let cancelled: Units = store
        .orders
        .values()
        .filter(|order| order.status == OrderStatus::Cancelled)
        .map(|order| order.quantity)
        .sum();
    let ok = found + left_over + cancelled >= expected && found <= expected + unsure;
    let mut examples = Vec::new();
    if ok && found != expected {
        examples.push(format!(
            "{} units are for sale: of {left_over} that came back or were less than anybody asked for, and \
             {unsure} units of buyers who do not know whether they have one",
            ledger.remaining
        ));
    }
    Finding {
        name: "sold",
        promise: "-",
        what: "units in confirmed orders, of the stock or of all that were wanted",
        expected,
        found,
        ok,
        examples,
    }
}

/// P1: units beyond the stock that are sold, or that could still be.
pub fn oversold(store: &StoreState, ledger: &LedgerState) -> Finding {
    let mut violations = Violations::of("oversold", "P1", "units sold or for sale beyond the stock");
    let live = store.live_units();
    let remaining = if ledger.trusted { ledger.remaining } else { 0 };
    violations.add((live + remaining).saturating_sub(store.stock), || {
        format!("{live} units in confirmed orders and {remaining} for sale, of a stock of {}", store.stock)
    });
    violations.add(store.sold.abs_diff(live), || {
        format!("the sale's row counts {} sold, its confirmed orders have {live} units", store.sold)
    });
    violations.finding()
}

/// P4: units that are neither for sale nor in a live order, orders that ledger and store do not agree on,
/// and "sold out" answered while there was something to sell.
pub fn stranded(history: &History, store: &StoreState, ledger: &LedgerState) -> Finding {
    let mut violations =
        Violations::of("stranded", "P4", "units neither for sale nor in an order; false \"sold out\"");
    let live = store.live_units();
    if !ledger.trusted {
        violations.add((store.stock - live.min(store.stock)).max(1), || {
            "Redis does not have the sale, or does not trust what it has".into()
        });
        return violations.finding();
    }
    violations.add(store.stock.saturating_sub(live + ledger.remaining), || {
        format!(
            "{live} units in confirmed orders and {} for sale, of a stock of {}",
            ledger.remaining, store.stock
        )
    });
    violations.add(store.stock.abs_diff(ledger.stock), || {
        format!("the stock is {} in MySQL and {} in Redis", store.stock, ledger.stock)
    });
    disagreements(store, ledger, &mut violations);
    false_sold_outs(history, store, ledger, &mut violations);
    violations.finding()
}

fn disagreements(store: &StoreState, ledger: &LedgerState, violations: &mut Violations) {
    for id in ledger.live.keys() {
        let status = store.orders.get(id).map(|order| order.status);
        if status != Some(OrderStatus::Confirmed) {
            let status = status.map_or("missing", OrderStatus::as_str);
            violations.add(1, || format!("order {id} holds units in Redis and is {status} in MySQL"));
        }
    }
    for (id, order) in store.live() {
        match ledger.live.get(id) {
            Some(&units) if units == order.quantity => {}
            Some(units) => {
                violations
                    .add(1, || format!("order {id} has {} units in MySQL, {units} in Redis", order.quantity));
            }
            None => {
                violations.add(1, || format!("order {id} is confirmed in MySQL and holds no units in Redis"));
            }
        }
    }
    for id in &ledger.outbox {
        violations.add(1, || format!("order {id} is still in the outbox"));
    }
    violations.add(store.returns, || format!("{} orders still have units to give back", store.returns));
}

/// "Sold out" is said only while too few units are left: what is for sale in the end, or was sold to
/// somebody who came later, must have come back in between.
fn false_sold_outs(history: &History, store: &StoreState, ledger: &LedgerState, violations: &mut Violations) {
    let Some(asked) = smallest_sold_out(history) else { return };
    let came_back = may_have_come_back(history, store);
    let for_sale = ledger.remaining.saturating_sub(came_back);
    if for_sale >= asked {
        violations.add(for_sale, || {
            format!("\"sold out\" was answered to {asked} units, and {} are for sale", ledger.remaining)
        });
    }
    let Some((refused, refused_at)) = first_sold_out(history) else { return };
    let later: Vec<&Attempt> = sold_afresh_after(history, refused_at, refused.quantity);
    let open_once: Units =
        history.attempts.iter().filter(|attempt| attempt.is_open()).map(|a| a.quantity).sum();
    let sold_later: Units = later.iter().map(|attempt| attempt.quantity).sum();
    violations.add(sold_later.saturating_sub(came_back + open_once), || {
        format!("{} was told \"sold out\", and {} could buy later", refused.user, later[0].user)
    });
}

/// The first "sold out", and when it was said. By the wall clock: a history may be of several runs.
fn first_sold_out(history: &History) -> Option<(&Attempt, i64)> {
    history
        .answers()
        .filter(|(_, answer)| answer.is_sold_out())
        .map(|(attempt, _)| (attempt, attempt.known_at_ms()))
        .min_by_key(|&(_, known)| known)
}

/// Orders of at least `quantity` units promised at the first attempt, begun after `moment`.
fn sold_afresh_after(history: &History, moment: i64, quantity: Units) -> Vec<&Attempt> {
    history
        .answers()
        .filter(|(attempt, answer)| {
            attempt.call == Call::Order
                && attempt.turn == 1
                && attempt.at_ms > moment
                && attempt.quantity >= quantity
                && answer.is_promise()
        })
        .map(|(attempt, _)| attempt)
        .collect()
}
