//! The checker, tried on a sale in which nothing is wrong, and on that sale with one thing wrong.

use seckill_core::order::{OrderId, OrderStatus, Units};

use super::{Finding, all_hold, check};
use crate::{
    history::{Answer, AnsweredOrder, Attempt, Call, History, Outcome},
    witness::{LedgerState, StoreState, StoredOrder},
};

/// A sale of ten units, and what its buyers were told.
struct World {
    history: History,
    store: StoreState,
    ledger: LedgerState,
    clock: u64,
}

impl World {
    fn new() -> Self {
        let store = StoreState { stock: 10, ..StoreState::default() };
        let ledger = LedgerState { trusted: true, stock: 10, remaining: 10, ..LedgerState::default() };
        Self { history: History::default(), store, ledger, clock: 0 }
    }

    /// Ten buyers buy one each, every second one with a key; two more are told "sold out".
    fn sold_out() -> Self {
        let mut world = Self::new();
        for number in 0..10 {
            world.buy(&format!("buyer-{number}"));
        }
        world.tell("late-1", answer(409, Some("sold-out")));
        world.tell("late-2", answer(409, Some("sold-out")));
        world
    }

    /// `user` buys one unit: it is answered accepted, and is in both places.
    fn buy(&mut self, user: &str) -> OrderId {
        let id = OrderId::fresh();
        self.take(id);
        let remaining = self.ledger.remaining;
        self.tell(user, accepted(id, remaining));
        self.store_order(user, id, OrderStatus::Confirmed);
        id
    }

    fn take(&mut self, id: OrderId) {
        self.ledger.remaining = self.ledger.remaining.saturating_sub(1);
        self.ledger.live.insert(id, 1);
    }

    fn store_order(&mut self, user: &str, id: OrderId, status: OrderStatus) {
        let created_ms = i64::try_from(self.clock).unwrap();
        let order = StoredOrder { user: user.into(), quantity: 1, status, created_ms };
        self.store.orders.insert(id, order);
        self.store.sold += u64::from(status == OrderStatus::Confirmed);
    }

    fn tell(&mut self, user: &str, outcome: Outcome) {
        self.tell_of(Call::Order, user, outcome);
    }

    /// What `user` was told of an order with another key than its usual one.
    fn tell_again(&mut self, user: &str, outcome: Outcome) {
        self.tell(user, outcome);
        self.history.attempts.last_mut().unwrap().key = Some(format!("second key of {user}"));
    }

    /// `user` buys another unit, with another key.
    fn buy_again(&mut self, user: &str) -> OrderId {
        let id = self.buy(user);
        let told = self.history.attempts.pop().unwrap();
        self.tell_again(user, told.outcome);
        id
    }

    fn tell_of(&mut self, call: Call, user: &str, outcome: Outcome) {
        self.clock += 10;
        let earlier = self.history.attempts.iter().filter(|attempt| attempt.user == user).count();
        self.history.attempts.push(Attempt {
            call,
            user: user.into(),
            key: user.ends_with(['1', '3', '5', '7', '9']).then(|| format!("key of {user}")),
            quantity: 1,
            turn: u32::try_from(earlier).unwrap() + 1,
            start_us: self.clock * 1000,
            late_us: 0,
            end_us: self.clock * 1000 + 500,
            at_ms: i64::try_from(self.clock).unwrap(),
            outcome,
        });
    }

    fn check(&self) -> Vec<Finding> {
        check(&self.history, &self.store, &self.ledger)
    }

    /// The checks that fail, with what they expected and found.
    fn broken(&self) -> Vec<(&'static str, u64, u64)> {
        let findings = self.check();
        findings.iter().filter(|f| !f.ok).map(|f| (f.name, f.expected, f.found)).collect()
    }
}

fn answer(status: u16, code: Option<&str>) -> Outcome {
    let retry_after = matches!(status, 429 | 503).then_some(1);
    Outcome::Answered(Answer { status, code: code.map(Into::into), retry_after, ..Answer::default() })
}

fn ordered(id: OrderId, status: OrderStatus, remain_count: Option<Units>) -> Outcome {
    let order = Some(AnsweredOrder { id, status, remain_count });
    Outcome::Answered(Answer { status: 202, order, ..Answer::default() })
}

fn accepted(id: OrderId, remaining: Units) -> Outcome {
    ordered(id, OrderStatus::Accepted, Some(remaining))
}

fn pending(id: OrderId) -> Outcome {
    ordered(id, OrderStatus::Pending, None)
}

fn first(world: &World) -> OrderId {
    world.history.attempts[0].answer().unwrap().order.unwrap().id
}

#[test]
fn a_clean_sale_passes() {
    let world = World::sold_out();
    let findings = world.check();
    assert!(all_hold(&findings), "{findings:?}");
    assert_eq!((findings[0].name, findings[0].expected, findings[0].found), ("sold", 10, 10));
}

#[test]
fn a_sale_that_is_not_sold_out_passes() {
    let mut world = World::new();
    world.buy("a");
    world.buy("b");
    assert_eq!(world.broken(), []);
}

#[test]
fn what_faults_may_do_passes() {
    let mut world = World::new();
    // No answer, then accepted at the second attempt; a busy moment; an order that died with Redis.
    world.tell("a1", Outcome::Unknown("reset".into()));
    world.buy("a1");
    world.tell("b", answer(503, Some("ledger-recovering")));
    world.buy("b");
    let gone = OrderId::fresh();
    world.tell("c", pending(gone));
    world.tell_of(Call::Look(gone), "c", answer(404, Some("order-not-found")));
    // A winner asks again, and a pending order is confirmed.
    let id = world.buy("d1");
    let remaining = world.ledger.remaining;
    world.tell("d1", ordered(id, OrderStatus::Confirmed, Some(remaining)));
    // Asked while the ledger's answers are lost, an API knows the order's id and nothing more.
    world.tell("d1", pending(id));
    let slow = OrderId::fresh();
    world.tell("e1", pending(slow));
    world.take(slow);
    world.store_order("e1", slow, OrderStatus::Confirmed);
    assert_eq!(world.broken(), []);
}

#[test]
fn a_unit_that_came_back_after_sold_out_passes() {
    let mut world = World::new();
    for number in 0..9 {
        world.buy(&format!("buyer-{number}"));
    }
    let lost_with_redis = OrderId::fresh();
    world.tell("open", pending(lost_with_redis));
    world.tell("late", answer(409, Some("sold-out")));
    world.tell_of(Call::Look(lost_with_redis), "open", answer(404, Some("order-not-found")));
    assert_eq!(world.ledger.remaining, 1);
    assert_eq!(world.broken(), []);
}

#[test]
fn p1_one_unit_oversold_is_found() {
    let mut world = World::sold_out();
    let id = OrderId::fresh();
    world.tell("one-too-many", accepted(id, 0));
    world.store_order("one-too-many", id, OrderStatus::Confirmed);
    world.ledger.live.insert(id, 1);
    let broken = world.broken();
    assert!(broken.contains(&("oversold", 0, 1)), "{broken:?}");
    assert!(broken.contains(&("sold", 10, 11)), "{broken:?}");
}

#[test]
fn p1_one_unit_that_could_be_sold_twice_is_found() {
    let mut world = World::new();
    world.buy("a");
    world.ledger.remaining += 1;
    assert_eq!(world.broken(), [("oversold", 0, 1)]);
}

#[test]
fn p1_a_miscounted_row_is_found() {
    let mut world = World::sold_out();
    world.store.sold = 9;
    assert_eq!(world.broken(), [("oversold", 0, 1)]);
}

#[test]
fn p2_one_lost_order_is_found() {
    let mut world = World::new();
    world.buy("a");
    let id = world.buy("b");
    // The consumer skipped it, and somebody gave its unit back.
    world.store.orders.remove(&id);
    world.store.sold -= 1;
    world.ledger.live.remove(&id);
    world.ledger.remaining += 1;
    assert_eq!(world.broken(), [("sold", 2, 1), ("lost", 0, 1)]);
}

#[test]
fn p2_one_rejected_promise_is_found() {
    let mut world = World::new();
    let id = OrderId::fresh();
    world.tell("a", accepted(id, 9));
    world.store_order("a", id, OrderStatus::Rejected);
    assert!(world.broken().contains(&("lost", 0, 1)));
}

#[test]
fn p3_one_doubled_order_is_found() {
    let mut world = World::new();
    world.buy("a1");
    let twin = OrderId::fresh();
    world.take(twin);
    world.store_order("a1", twin, OrderStatus::Confirmed);
    assert!(world.broken().contains(&("duplicated", 0, 1)), "{:?}", world.broken());
}

#[test]
fn p3_two_ids_for_one_key_are_found() {
    let mut world = World::new();
    world.buy("a1");
    world.buy("a1");
    // Two answers that differ, and two orders of one request.
    assert!(world.broken().contains(&("duplicated", 0, 2)), "{:?}", world.broken());
}

#[test]
fn p3_another_answer_to_the_same_key_is_found() {
    for second in [accepted(OrderId::fresh(), 9), answer(409, Some("sold-out"))] {
        let mut world = World::new();
        world.buy("a1");
        world.tell("a1", second);
        assert!(world.broken().iter().any(|broken| broken.0 == "duplicated"));
    }
    let mut world = World::new();
    let id = world.buy("a1");
    world.tell("a1", accepted(id, 3));
    assert_eq!(world.broken(), [("duplicated", 0, 1)]);
}

#[test]
fn p3_a_passed_limit_is_found() {
    let mut world = World::new();
    world.store.per_buyer_limit = Some(1);
    world.buy("a");
    assert_eq!(world.broken(), []);
    world.buy("a");
    assert_eq!(world.broken(), [("duplicated", 0, 1)]);
}

#[test]
fn p3_who_asks_for_more_than_the_limit_is_refused_whatever_became_of_the_first_order() {
    let mut world = World::new();
    world.store.per_buyer_limit = Some(1);
    // Refused after the first; accepted, for Redis lost the first; refused by an order that nobody was told of.
    world.buy("a1");
    world.tell_again("a1", answer(409, Some("limit-reached")));
    world.tell("b1", pending(OrderId::fresh()));
    let second = world.buy_again("b1");
    world.tell("b1", answer(409, Some("limit-reached")));
    world.tell("c1", Outcome::Unknown("no answer".into()));
    world.tell_again("c1", answer(409, Some("limit-reached")));
    assert_eq!(world.broken(), []);
    // Both accepted, each with its key.
    let id = world.buy_again("b1");
    assert!(world.broken().contains(&("duplicated", 0, 2)), "{id} beside {second}: {:?}", world.broken());
}

#[test]
fn p5_a_limit_told_to_a_buyer_without_an_order_is_found() {
    let mut world = World::new();
    world.store.per_buyer_limit = Some(1);
    world.tell_again("a1", answer(409, Some("limit-reached")));
    // What came afterwards is no reason.
    world.clock += 1_000;
    world.buy("a1");
    assert_eq!(world.broken(), [("lied", 0, 1)]);
}

#[test]
fn p5_sold_out_told_to_a_second_order_of_a_buyer_is_no_lie() {
    let mut world = World::new();
    world.store.per_buyer_limit = Some(2);
    for user in ["a", "b", "c", "d", "e", "f", "g", "h", "i", "k1"] {
        world.buy(user);
    }
    world.tell_again("k1", answer(409, Some("sold-out")));
    assert_eq!(world.broken(), []);
}

#[test]
fn p4_one_stranded_unit_is_found() {
    let mut world = World::new();
    world.buy("a");
    world.ledger.remaining -= 1;
    assert_eq!(world.broken(), [("stranded", 0, 1)]);
}

#[test]
fn p4_a_ledger_that_disagrees_with_the_store_is_found() {
    let mut world = World::sold_out();
    let id = first(&world);
    world.ledger.live.remove(&id);
    assert_eq!(world.broken(), [("stranded", 0, 1)]);

    let mut world = World::sold_out();
    world.ledger.outbox.insert(first(&world));
    assert_eq!(world.broken(), [("stranded", 0, 1)]);

    let mut world = World::sold_out();
    world.store.returns = 2;
    assert_eq!(world.broken(), [("stranded", 0, 2)]);

    let mut world = World::new();
    world.ledger.trusted = false;
    assert_eq!(world.broken(), [("stranded", 0, 10)]);
}

#[test]
fn p4_sold_out_with_a_unit_for_sale_is_found() {
    let mut world = World::new();
    for number in 0..9 {
        world.buy(&format!("buyer-{number}"));
    }
    world.tell("turned-away", answer(409, Some("sold-out")));
    assert!(world.broken().contains(&("stranded", 0, 1)), "{:?}", world.broken());
    world.buy("luckier");
    assert_eq!(world.broken(), [("stranded", 0, 1)]);
}

#[test]
fn p5_a_pending_that_never_resolves_is_found() {
    let mut world = World::new();
    let id = OrderId::fresh();
    world.tell("a1", pending(id));
    world.take(id);
    let broken = world.broken();
    assert!(broken.contains(&("lied", 0, 1)), "{broken:?}");
}

#[test]
fn p5_sold_out_to_the_owner_of_an_order_is_found() {
    let mut world = World::sold_out();
    let owner = world.history.attempts[0].user.clone();
    // All that it was told of its order is forgotten, and it is told "sold out" instead.
    world.history.attempts.remove(0);
    world.tell(&owner, answer(409, Some("sold-out")));
    assert_eq!(world.broken(), [("lied", 0, 1)]);
}

#[test]
fn p5_an_order_denied_is_found() {
    let mut world = World::new();
    let id = OrderId::fresh();
    world.tell("a", pending(id));
    world.take(id);
    world.store_order("a", id, OrderStatus::Confirmed);
    world.tell_of(Call::Look(id), "a", answer(404, Some("order-not-found")));
    assert_eq!(world.broken(), [("lied", 0, 1)]);
}

#[test]
fn p5_an_order_that_came_while_its_buyer_was_refused_is_no_lie() {
    let mut world = World::new();
    world.tell("a1", Outcome::Unknown("no answer".into()));
    world.tell("a1", answer(409, Some("sold-out")));
    // The first attempt was still on its way, and took a unit that came back just then.
    let id = OrderId::fresh();
    world.take(id);
    world.store_order("a1", id, OrderStatus::Confirmed);
    let findings = world.check();
    assert!(findings.iter().find(|finding| finding.name == "lied").unwrap().ok, "{findings:?}");
}

#[test]
fn p6_an_unclear_answer_is_found() {
    let mut world = World::new();
    world.buy("a");
    world.tell("b", answer(500, None));
    assert_eq!(world.broken(), [("unclear", 0, 1)]);
}
