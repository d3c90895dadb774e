//! P6: every refusal is one that the interface describes.

use super::{Finding, Violations, describe, name_of};
use crate::history::{Answer, Call, History};

/// The documented refusals and their status codes.
const REFUSALS: [(&str, u16); 23] = [
    ("malformed-request", 400),
    ("unauthorized", 401),
    ("forbidden", 403),
    ("sale-not-found", 404),
    ("order-not-found", 404),
    ("not-found", 404),
    ("method-not-allowed", 405),
    ("sold-out", 409),
    ("limit-reached", 409),
    ("sale-not-open", 409),
    ("sale-ended", 409),
    ("sale-paused", 409),
    ("order-final", 409),
    ("payload-too-large", 413),
    ("unsupported-media-type", 415),
    ("validation-failed", 422),
    ("idempotency-conflict", 422),
    ("rate-limited", 429),
    ("overloaded", 503),
    ("ledger-unavailable", 503),
    ("ledger-recovering", 503),
    ("order-log-unavailable", 503),
    ("store-unavailable", 503),
];

/// P6: answers that the interface does not describe.
pub fn unclear(history: &History) -> Finding {
    let mut violations = Violations::of("unclear", "P6", "answers that the interface does not describe");
    for (attempt, answer) in history.answers() {
        if let Some(fault) = fault(attempt.call, answer) {
            violations.add(1, || format!("{} was answered {}: {fault}", name_of(attempt), describe(answer)));
        }
    }
    violations.finding()
}

fn fault(call: Call, answer: &Answer) -> Option<&'static str> {
    let success = if call == Call::Order { 202 } else { 200 };
    if answer.status == success {
        return answer.order.is_none().then_some("no order in it");
    }
    let Some(code) = &answer.code else { return Some("no problem in it") };
    match REFUSALS.iter().find(|(known, _)| known == code) {
        None => Some("an unknown code"),
        Some((_, status)) if *status != answer.status => Some("not this code's status"),
        Some(_) if matches!(answer.status, 429 | 503) && answer.retry_after.is_none() => {
            Some("no Retry-After")
        }
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(status: u16, code: &str, retry_after: Option<u32>) -> Answer {
        Answer { status, code: Some(code.into()), retry_after, ..Answer::default() }
    }

    #[test]
    fn p6_a_refusal_has_its_code_its_status_and_retry_after() {
        assert_eq!(fault(Call::Order, &refusal(409, "sold-out", None)), None);
        assert_eq!(fault(Call::Order, &refusal(503, "overloaded", Some(1))), None);
        for unclear in [
            refusal(503, "overloaded", None),
            refusal(500, "sold-out", None),
            refusal(409, "no-idea", None),
            Answer { status: 502, ..Answer::default() },
            Answer { status: 202, ..Answer::default() },
        ] {
            assert!(fault(Call::Order, &unclear).is_some(), "{unclear:?}");
        }
    }
}
