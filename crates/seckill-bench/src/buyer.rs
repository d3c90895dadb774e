//! One buyer at a time: orders, and follows an open outcome until it is known.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use seckill_core::order::{OrderId, OrderStatus};

use crate::{
    confirm::Followed,
    history::{Answer, Attempt, Call, Outcome},
    http::{Connection, Target},
    recorder::Recorder,
    request::{Crowd, Requests},
};

/// A connection unused for longer is looked at before it is used: the server may have closed it.
const FRESH: Duration = Duration::from_millis(500);

/// How long a server that refused a connection is left alone, if there is another.
const LEFT_ALONE: Duration = Duration::from_millis(200);

/// The longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What became of a buyer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Has an order.
    Accepted,
    /// Was told that too few units are left.
    SoldOut,
    /// Was refused for another reason.
    Refused,
    /// Had an order of unknown outcome that is known not to be.
    Gone,
    /// Does not know.
    Unknown,
}

/// How many buyers met which [`Fate`], counted while they buy.
#[derive(Debug, Default)]
pub struct Tally {
    counts: [AtomicU64; 5],
}

impl Tally {
    /// Counts one more.
    pub fn count(&self, fate: Fate) {
        self.counts[fate as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// How many so far.
    pub fn of(&self, fate: Fate) -> u64 {
        self.counts[fate as usize].load(Ordering::Relaxed)
    }
}

/// What all buyers of a run share.
#[derive(Debug)]
pub struct Run {
    /// Who they are.
    pub crowd: Crowd,
    /// How long an answer may take before its outcome counts as unknown.
    pub answer_within: Duration,
    /// How long a buyer follows an open outcome.
    pub retry_for: Duration,
    /// When the run began.
    pub began: Instant,
    /// Where attempts are recorded.
    pub recorder: Recorder,
    /// Whether the recorder writes attempts down, so that they need names.
    pub keeps_history: bool,
    /// Orders to look for in MySQL, where that was asked for.
    pub followed: Option<Followed>,
    /// Where fates are counted.
    pub tally: Tally,
    /// Set to end the run early: nobody starts to buy, nobody tries again.
    pub stop: AtomicBool,
}

impl Run {
    /// Microseconds since the run began.
    pub fn now_us(&self) -> u64 {
        micros(self.began.elapsed())
    }
}

/// The whole microseconds of `span`.
pub fn micros(span: Duration) -> u64 {
    u64::try_from(span.as_micros()).unwrap_or(u64::MAX)
}

/// Milliseconds since the epoch.
fn wall_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// What a buyer does after an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    End(Fate),
    Again,
    Look(OrderId),
}

/// What follows from an order's outcome. Without a key nothing is sent twice that may have been done:
/// a second order would be a second purchase.
fn after_order(outcome: &Outcome, keyed: bool) -> Next {
    let answer = match outcome {
        Outcome::Unsent(_) => return Next::Again,
        Outcome::Unknown(_) => return if keyed { Next::Again } else { Next::End(Fate::Unknown) },
        Outcome::Answered(answer) => answer,
    };
    match answer.order {
        Some(order) if order.status == OrderStatus::Pending && keyed => Next::Again,
        Some(order) if order.status == OrderStatus::Pending => Next::Look(order.id),
        Some(_) if answer.is_promise() => Next::End(Fate::Accepted),
        Some(_) => Next::End(Fate::Refused),
        None if answer.is_sold_out() => Next::End(Fate::SoldOut),
        None if answer.is_try_again() => Next::Again,
        None if answer.status < 500 => Next::End(Fate::Refused),
        None if keyed => Next::Again,
        None => Next::End(Fate::Unknown),
    }
}

/// What follows from looking at order `id`.
fn after_look(outcome: &Outcome, id: OrderId) -> Next {
    let Outcome::Answered(answer) = outcome else { return Next::Look(id) };
    match answer.order_status() {
        Some(OrderStatus::Accepted | OrderStatus::Confirmed) => Next::End(Fate::Accepted),
        Some(OrderStatus::Rejected | OrderStatus::Cancelled) => Next::End(Fate::Refused),
        None if answer.status == 404 => Next::End(Fate::Gone),
        Some(OrderStatus::Pending) | None => Next::Look(id),
    }
}

/// The pause before turn `next`, half of it by chance so that those who failed together come back apart.
fn pause_before(next: u32, outcome: &Outcome) -> Duration {
    let asked = match outcome {
        Outcome::Answered(answer) => answer.retry_after,
        Outcome::Unknown(_) | Outcome::Unsent(_) => None,
    };
    let pause = match asked {
        Some(seconds) => Duration::from_secs(seconds.into()),
        None => Duration::from_millis(12 << next.min(7)),
    };
    pause.min(LONGEST_PAUSE).mul_f64(0.5 + fastrand::f64() / 2.0)
}

/// One server as one client sees it.
#[derive(Debug)]
struct Endpoint {
    target: Target,
    requests: Arc<Requests>,
    connection: Option<Connection>,
    used: Instant,
    left_alone_until: Option<Instant>,
}

/// One connection's worth of buyers, one after the other.
#[derive(Debug)]
pub struct Client {
    run: Arc<Run>,
    endpoints: Vec<Endpoint>,
    home: usize,
    request: Vec<u8>,
}

impl Client {
    /// A client whose buyers turn to `targets[home]` first.
    pub fn new(run: Arc<Run>, targets: &[(Target, Arc<Requests>)], home: usize) -> Self {
        let endpoint = |(target, requests): &(Target, Arc<Requests>)| Endpoint {
            target: target.clone(),
            requests: Arc::clone(requests),
            connection: None,
            used: Instant::now(),
            left_alone_until: None,
        };
        let endpoints = targets.iter().map(endpoint).collect();
        Self { run, endpoints, home: home % targets.len(), request: Vec::with_capacity(512) }
    }

    /// Buyer `number` buys, `late` after it was due.
    pub async fn buy(&mut self, number: u64, late: Duration) -> Fate {
        let run = Arc::clone(&self.run);
        let keyed = run.crowd.is_keyed(number);
        let names = || (run.crowd.user(number), run.crowd.key(number));
        // Names cost more than the rest of an attempt, and only a history has a use for them.
        let (user, key) = if run.keeps_history { names() } else { (String::new(), None) };
        let ends = Instant::now() + run.retry_for;
        let mut asks_again = run.crowd.asks_again(number);
        let mut known = None;
        let mut call = Call::Order;
        let mut turn = 0;
        loop {
            turn += 1;
            let (at_ms, start_us) = (wall_ms(), run.now_us());
            let outcome = self.attempt(call, number, keyed, turn).await;
            let next = match call {
                Call::Order => after_order(&outcome, keyed),
                Call::Look(id) => after_look(&outcome, id),
            };
            let pause = pause_before(turn + 1, &outcome);
            if let (Some(followed), Next::End(Fate::Accepted), None) = (&run.followed, next, known) {
                followed.accepted(number, &outcome, start_us.saturating_sub(micros(late)));
            }
            run.recorder.record(Attempt {
                call,
                user: user.clone(),
                key: key.clone(),
                quantity: run.crowd.quantity,
                turn,
                start_us,
                late_us: if turn == 1 { micros(late) } else { 0 },
                end_us: run.now_us(),
                at_ms,
                outcome,
            });
            match next {
                Next::End(Fate::Accepted) if asks_again => {
                    asks_again = false;
                    known = Some(Fate::Accepted);
                    continue;
                }
                // What a winner is told when it asks again is the checker's business, not its fate.
                Next::End(fate) => return known.unwrap_or(fate),
                Next::Again => {}
                Next::Look(id) => call = Call::Look(id),
            }
            if Instant::now() + pause > ends || run.stop.load(Ordering::Relaxed) {
                return known.unwrap_or(Fate::Unknown);
            }
            tokio::time::sleep(pause).await;
        }
    }

    /// The servers in turn, beginning at home; those that just refused a connection only if all did.
    fn choose(&self, turn: u32) -> usize {
        let count = self.endpoints.len();
        let first = self.home + turn as usize - 1;
        let now = Instant::now();
        let open = |index: &usize| self.endpoints[*index].left_alone_until.is_none_or(|until| until <= now);
        (0..count).map(|step| (first + step) % count).find(open).unwrap_or(first % count)
    }

    async fn attempt(&mut self, call: Call, number: u64, keyed: bool, turn: u32) -> Outcome {
        let chosen = self.choose(turn);
        let name = self.run.crowd.named_after(number);
        let endpoint = &mut self.endpoints[chosen];
        match call {
            Call::Order => endpoint.requests.order(number, name, keyed, &mut self.request),
            Call::Look(id) => endpoint.requests.look(number, id, &mut self.request),
        }
        if let Err(error) = endpoint.connect().await {
            return Outcome::Unsent(error.to_string());
        }
        endpoint.exchange(&self.request, self.run.answer_within).await
    }
}

impl Endpoint {
    async fn connect(&mut self) -> io::Result<()> {
        if let Some(connection) = &self.connection
            && (self.used.elapsed() < FRESH || connection.is_open())
        {
            return Ok(());
        }
        self.connection = None;
        match Connection::open(self.target.address).await {
            Ok(connection) => {
                self.connection = Some(connection);
                self.left_alone_until = None;
                Ok(())
            }
            Err(error) => {
                self.left_alone_until = Some(Instant::now() + LEFT_ALONE);
                Err(error)
            }
        }
    }

    async fn exchange(&mut self, request: &[u8], within: Duration) -> Outcome {
        let Some(connection) = &mut self.connection else { return Outcome::Unsent("not connected".into()) };
        let outcome = match tokio::time::timeout(within, connection.send(request)).await {
            Ok(Ok(response)) => Outcome::Answered(Answer::read(
                response.status,
                response.retry_after,
                response.replayed,
                response.body,
            )),
            Ok(Err(error)) => Outcome::Unknown(error.to_string()),
            Err(_) => Outcome::Unknown(format!("no answer in {within:?}")),
        };
        // A late answer must not be taken for the next request's.
        if !connection.is_reusable() || matches!(outcome, Outcome::Unknown(_)) {
            self.connection = None;
        }
        self.used = Instant::now();
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::AnsweredOrder;

    fn answered(status: u16, code: Option<&str>, order: Option<OrderStatus>) -> Outcome {
        let id = OrderId::fresh();
        let order = order.map(|status| AnsweredOrder { id, status, remain_count: None });
        Outcome::Answered(Answer { status, code: code.map(Into::into), order, ..Answer::default() })
    }

    #[test]
    fn p3_without_a_key_nothing_is_sent_twice_that_may_have_been_done() {
        for open in [Outcome::Unknown("reset".into()), answered(500, None, None)] {
            assert_eq!(after_order(&open, true), Next::Again);
            assert_eq!(after_order(&open, false), Next::End(Fate::Unknown));
        }
        let pending = answered(202, None, Some(OrderStatus::Pending));
        assert_eq!(after_order(&pending, true), Next::Again);
        assert!(matches!(after_order(&pending, false), Next::Look(_)));
    }

    #[test]
    fn what_was_certainly_not_done_is_tried_again() {
        for keyed in [true, false] {
            assert_eq!(after_order(&Outcome::Unsent("refused".into()), keyed), Next::Again);
            assert_eq!(after_order(&answered(503, Some("ledger-recovering"), None), keyed), Next::Again);
            assert_eq!(after_order(&answered(409, Some("sold-out"), None), keyed), Next::End(Fate::SoldOut));
            assert_eq!(
                after_order(&answered(409, Some("sale-ended"), None), keyed),
                Next::End(Fate::Refused)
            );
        }
    }

    #[test]
    fn looking_ends_with_a_known_outcome() {
        let id = OrderId::fresh();
        assert_eq!(
            after_look(&answered(200, None, Some(OrderStatus::Confirmed)), id),
            Next::End(Fate::Accepted)
        );
        assert_eq!(after_look(&answered(404, Some("order-not-found"), None), id), Next::End(Fate::Gone));
        for open in [answered(200, None, Some(OrderStatus::Pending)), answered(503, Some("overloaded"), None)]
        {
            assert_eq!(after_look(&open, id), Next::Look(id));
        }
    }

    #[test]
    fn pauses_grow_to_a_second_and_heed_retry_after() {
        let unsent = Outcome::Unsent(String::new());
        assert!(pause_before(2, &unsent) <= Duration::from_millis(50));
        assert!(pause_before(99, &unsent) >= Duration::from_millis(500));
        let busy = Outcome::Answered(Answer { retry_after: Some(30), ..Answer::default() });
        assert!(pause_before(2, &busy) <= LONGEST_PAUSE);
        assert!(pause_before(2, &busy) >= LONGEST_PAUSE / 2);
    }
}
