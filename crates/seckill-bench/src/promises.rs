//! The promises, checked: what was answered against what MySQL and Redis hold at the end.
//!
//! Each check is a pure function of a [`History`], a [`StoreState`] and a [`LedgerState`], so that the
//! checker itself can be tried on histories in which a promise is broken.

use serde::Serialize;

use crate::{
    history::{Answer, Attempt, History},
    witness::{LedgerState, StoreState},
};

mod answers;
mod log;
mod orders;
mod owned;
mod stock;
#[cfg(test)]
mod tests;

pub use log::{once_pending, promised, unlogged};

/// Most examples that are kept of one finding.
const EXAMPLES: usize = 5;

/// What a check expected and what it found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Finding {
    /// One word for it.
    pub name: &'static str,
    /// The promise that it belongs to, as in `docs/reliability.md`.
    pub promise: &'static str,
    /// What is counted.
    pub what: &'static str,
    /// How many there should be.
    pub expected: u64,
    /// How many there are.
    pub found: u64,
    /// Whether that is as promised.
    pub ok: bool,
    /// A few of the cases, or why another number than the expected one is right.
    pub examples: Vec<String>,
}

/// Counts violations: expects none.
#[derive(Debug)]
struct Violations(Finding);

impl Violations {
    fn of(name: &'static str, promise: &'static str, what: &'static str) -> Self {
        Self(Finding { name, promise, what, expected: 0, found: 0, ok: true, examples: Vec::new() })
    }

    /// Adds `count` violations; none are none.
    fn add(&mut self, count: u64, example: impl FnOnce() -> String) {
        if count == 0 {
            return;
        }
        self.0.found += count;
        self.0.ok = false;
        if self.0.examples.len() < EXAMPLES {
            self.0.examples.push(example());
        }
    }

    fn finding(self) -> Finding {
        self.0
    }
}

/// All checks, in the order of the promises.
pub fn check(history: &History, store: &StoreState, ledger: &LedgerState) -> Vec<Finding> {
    vec![
        stock::sold(history, store, ledger),
        stock::oversold(store, ledger),
        orders::lost(history, store),
        orders::duplicated(history, store),
        stock::stranded(history, store, ledger),
        orders::lied(history, store, ledger),
        answers::unclear(history),
    ]
}

/// Whether all of `findings` are as promised.
pub fn all_hold(findings: &[Finding]) -> bool {
    findings.iter().all(|finding| finding.ok)
}

/// Whether `attempts` of one request ended with a clear refusal and nothing before it left a doubt.
fn was_refused(attempts: &[&Attempt]) -> bool {
    !attempts.iter().any(|attempt| attempt.may_have_ordered())
}

/// Who asked, for an example.
fn name_of(attempt: &Attempt) -> String {
    match &attempt.key {
        Some(key) => format!("{} (key {key})", attempt.user),
        None => attempt.user.clone(),
    }
}

/// What an answer said, in a few words, for an example.
fn describe(answer: &Answer) -> String {
    match (&answer.order, &answer.code) {
        (Some(order), _) => format!("{} {} {}", answer.status, order.status.as_str(), order.id),
        (None, Some(code)) => format!("{} {code}", answer.status),
        (None, None) => format!("{} without a code", answer.status),
    }
}
