//! The history of a run: what was asked, and what was answered, attempt by attempt. JSON Lines.

use std::{
    collections::HashMap,
    fs::File,
    io::{self, BufRead, BufReader},
    path::Path,
};

use seckill_core::order::{OrderId, OrderStatus, Units};
use serde::{Deserialize, Serialize};

/// One request, and what came of it: one line of the history.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// What was asked.
    pub call: Call,
    /// Who asked.
    pub user: String,
    /// With which idempotency key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// For how many units.
    pub quantity: Units,
    /// The how-manieth request of this buyer, from 1.
    pub turn: u32,
    /// When it was sent: microseconds since the run began (monotonic).
    pub start_us: u64,
    /// How long before that it was due, where a rate was asked for and the server kept its buyer waiting.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub late_us: u64,
    /// When its outcome was known, likewise since the run began.
    pub end_us: u64,
    /// When it was sent: milliseconds since the epoch (wall clock), to compare with the store.
    pub at_ms: i64,
    /// What came of it.
    pub outcome: Outcome,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What an attempt asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Call {
    /// `POST …/orders`.
    Order,
    /// `GET …/orders/{id}`: what has become of an order answered `pending` without a key.
    Look(OrderId),
}

/// What came of an attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// The server answered.
    Answered(Answer),
    /// It was sent, at least in part, and no answer came: it may have been done or not.
    Unknown(String),
    /// It was not sent: no connection.
    Unsent(String),
}

/// What the server answered, as far as it matters to the promises.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The `code` of a problem.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// `Retry-After`, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u32>,
    /// The order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<AnsweredOrder>,
    /// `Idempotency-Replayed: true`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub replayed: bool,
}

/// An order as it was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct AnsweredOrder {
    /// Its identity.
    pub id: OrderId,
    /// How far it had come.
    pub status: OrderStatus,
    /// What was left right after it.
    pub remain_count: Option<Units>,
}

impl Answer {
    /// Reads an answer's body: an order of a 2xx, a problem of anything else.
    pub fn read(status: u16, retry_after: Option<u32>, replayed: bool, body: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Problem<'a> {
            #[serde(borrow)]
            code: std::borrow::Cow<'a, str>,
        }
        let mut answer = Self { status, retry_after, replayed, ..Self::default() };
        if (200..300).contains(&status) {
            answer.order = serde_json::from_slice(body).ok();
        } else {
            answer.code =
                serde_json::from_slice(body).ok().map(|problem: Problem<'_>| problem.code.into_owned());
        }
        answer
    }

    /// The order's status, if an order was answered.
    pub fn order_status(&self) -> Option<OrderStatus> {
        self.order.map(|order| order.status)
    }

    /// Whether it said that too few units are left.
    pub fn is_sold_out(&self) -> bool {
        self.code.as_deref() == Some("sold-out")
    }

    /// Whether it said that the buyer would hold more than one buyer may.
    pub fn is_limit_reached(&self) -> bool {
        self.code.as_deref() == Some("limit-reached")
    }

    /// Whether it promised the order: `accepted`, or even `confirmed`.
    pub fn is_promise(&self) -> bool {
        matches!(self.order_status(), Some(OrderStatus::Accepted | OrderStatus::Confirmed))
    }

    /// Whether it said that nothing was done and that a later attempt may succeed.
    pub fn is_try_again(&self) -> bool {
        matches!(self.status, 429 | 503) && self.code.is_some()
    }
}

impl Attempt {
    /// The answer, if there was one.
    pub fn answer(&self) -> Option<&Answer> {
        match &self.outcome {
            Outcome::Answered(answer) => Some(answer),
            Outcome::Unknown(_) | Outcome::Unsent(_) => None,
        }
    }

    /// When its outcome was known: milliseconds since the epoch (wall clock).
    pub fn known_at_ms(&self) -> i64 {
        let took_ms = self.end_us.saturating_sub(self.start_us) / 1_000;
        self.at_ms.saturating_add_unsigned(took_ms)
    }

    /// The order that it is about, as far as it is known: the one looked for, or the one answered.
    pub fn order(&self) -> Option<OrderId> {
        match self.call {
            Call::Look(id) => Some(id),
            Call::Order => self.answer()?.order.map(|order| order.id),
        }
    }

    /// Whether an order may exist because of it, for all that its outcome tells.
    pub fn may_have_ordered(&self) -> bool {
        if self.call != Call::Order {
            return false;
        }
        match &self.outcome {
            Outcome::Unsent(_) => false,
            Outcome::Unknown(_) => true,
            // A 5xx that is not of the documented kind says nothing about what was done.
            Outcome::Answered(answer) => {
                answer.order.is_some() || (answer.status >= 500 && !answer.is_try_again())
            }
        }
    }

    /// Whether its outcome left open if there is an order: no answer, `pending`, or an undocumented error.
    pub fn is_open(&self) -> bool {
        self.may_have_ordered() && !self.answer().is_some_and(Answer::is_promise)
    }
}

/// All attempts of a run, in the order in which their outcomes were known.
#[derive(Clone, Debug, Default)]
pub struct History {
    /// Each of them.
    pub attempts: Vec<Attempt>,
}

/// The attempts of one request: of one buyer with one key, or of one buyer without.
pub type RequestName<'a> = (&'a str, Option<&'a str>);

impl History {
    /// Reads a history file. A last line that was cut off by a kill is left out.
    pub fn read(path: &Path) -> io::Result<Self> {
        let mut attempts = Vec::new();
        let mut cut_off = None;
        for (index, line) in BufReader::new(File::open(path)?).lines().enumerate() {
            if let Some(error) = cut_off {
                return Err(error);
            }
            match serde_json::from_str(&line?) {
                Ok(attempt) => attempts.push(attempt),
                Err(error) => {
                    let at = format!("{}: line {}: {error}", path.display(), index + 1);
                    cut_off = Some(io::Error::new(io::ErrorKind::InvalidData, at));
                }
            }
        }
        Ok(Self { attempts })
    }

    /// The attempts by request, each request's in their order.
    pub fn by_request(&self) -> HashMap<RequestName<'_>, Vec<&Attempt>> {
        let mut requests: HashMap<_, Vec<_>> = HashMap::new();
        for attempt in &self.attempts {
            requests.entry((attempt.user.as_str(), attempt.key.as_deref())).or_default().push(attempt);
        }
        requests
    }

    /// Every answer, with its attempt.
    pub fn answers(&self) -> impl Iterator<Item = (&Attempt, &Answer)> {
        self.attempts.iter().filter_map(|attempt| attempt.answer().map(|answer| (attempt, answer)))
    }
}

/// What tests make up.
#[cfg(test)]
impl Attempt {
    /// A buyer's only attempt to order a unit, and how it ended; sent and known at 0.
    pub fn ended(outcome: Outcome) -> Self {
        Self {
            call: Call::Order,
            user: "u".into(),
            key: None,
            quantity: 1,
            turn: 1,
            start_us: 0,
            late_us: 0,
            end_us: 0,
            at_ms: 0,
            outcome,
        }
    }
}

#[cfg(test)]
impl Outcome {
    /// An order was accepted.
    pub fn accepted() -> Self {
        let order = AnsweredOrder { id: OrderId::fresh(), status: OrderStatus::Accepted, remain_count: None };
        Self::Answered(Answer { status: 202, order: Some(order), ..Answer::default() })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn an_order_and_a_problem_are_told_apart() {
        let id = OrderId::fresh();
        let body = format!(r#"{{"id":"{id}","user":"u","remainCount":7,"status":"accepted","remark":null}}"#);
        let accepted = Answer::read(202, None, true, body.as_bytes());
        let order = AnsweredOrder { id, status: OrderStatus::Accepted, remain_count: Some(7) };
        assert_eq!(
            (accepted.order, accepted.code.as_deref(), accepted.is_promise()),
            (Some(order), None, true)
        );

        let busy =
            Answer::read(503, Some(1), false, br#"{"type":"/problems/overloaded","code":"overloaded"}"#);
        assert!(busy.is_try_again());
        let proxy = Answer::read(503, None, false, b"<html>");
        assert!(!proxy.is_try_again());
        assert_eq!(Answer::read(202, None, false, b"?").order, None);
    }

    #[test]
    fn a_line_cut_off_at_the_end_is_left_out_and_elsewhere_an_error() {
        let path = std::env::temp_dir().join(format!("seckill-history-{}", OrderId::fresh()));
        let attempt = Attempt { end_us: 5, ..Attempt::ended(Outcome::Unknown("reset".into())) };
        let line = serde_json::to_string(&attempt).unwrap();
        let mut file = File::create(&path).unwrap();
        writeln!(file, "{line}\n{}", &line[..20]).unwrap();
        assert_eq!(History::read(&path).unwrap().attempts, [attempt]);
        writeln!(file, "{line}").unwrap();
        assert!(History::read(&path).is_err());
        std::fs::remove_file(path).unwrap();
    }
}
