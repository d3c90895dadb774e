//! Random histories of everything that can happen to a sale, on the real ledger and on a plain model of it:
//! same answers, same state, after every step.

use std::collections::{BTreeMap, BTreeSet};

use proptest::{
    prelude::*,
    test_runner::{Config, TestCaseError, TestRunner},
};
use seckill_core::{
    ledger::{
        AdjustOutcome, LedgerOrder, RecordState, ReleaseOutcome, Reservation, ReserveOutcome, SaleLookup,
        StockLedger, load::SwapOutcome,
    },
    order::{BuyerId, Goods, Order, OrderId, OrderRequest, OrderStatus, Quantity, Remark, Units},
    sale::{Sale, SaleSwitch},
};
use uuid::Uuid;

use super::support;

/// One thing that happens to the sale. Ids, buyers and bodies come from small pools, so that they meet.
#[derive(Clone, Debug)]
enum Step {
    Reserve(Vec<Ask>),
    Settle { ids: Vec<u8>, epoch_behind: u64 },
    Release { ids: Vec<u8>, rejected: bool },
    Adjust { number_ahead: i64, stock: Units, switch: SaleSwitch, expect_held: Option<Units> },
    Rebuild,
}

#[derive(Clone, Debug)]
struct Ask {
    id: u8,
    buyer: u8,
    quantity: u64,
    remark: Option<u8>,
}

impl Ask {
    fn reservation(&self, sale: &Sale) -> Reservation {
        let request = OrderRequest {
            buyer: BuyerId::parse(["a", "a ", "A", "买家", "a}{"][usize::from(self.buyer)]).unwrap(),
            goods: Goods::parse("phone").unwrap(),
            quantity: Quantity::new(self.quantity).unwrap(),
            remark: self.remark.map(|n| Remark::parse(["", "P", "'; --"][usize::from(n)]).unwrap()),
        };
        Reservation { sale: sale.id.clone(), id: id(self.id), request }
    }
}

fn id(n: u8) -> OrderId {
    OrderId::from(Uuid::from_u128(u128::from(n)))
}

fn ask() -> impl Strategy<Value = Ask> {
    (0..24_u8, 0..5_u8, 1..5_u64, proptest::option::of(0..3_u8))
        .prop_map(|(id, buyer, quantity, remark)| Ask { id, buyer, quantity, remark })
}

fn step() -> impl Strategy<Value = Step> {
    let ids = || prop::collection::vec(0..24_u8, 1..6);
    let switch = prop_oneof![4 => Just(SaleSwitch::Open), 1 => Just(SaleSwitch::Paused), 1 => Just(SaleSwitch::Closed)];
    prop_oneof![
        8 => prop::collection::vec(ask(), 1..10).prop_map(Step::Reserve),
        3 => (ids(), 0..2_u64).prop_map(|(ids, epoch_behind)| Step::Settle { ids, epoch_behind }),
        3 => (ids(), any::<bool>()).prop_map(|(ids, rejected)| Step::Release { ids, rejected }),
        2 => (-1..3_i64, 0..40_u64, switch, proptest::option::weighted(0.2, 0..10_u64)).prop_map(
            |(number_ahead, stock, switch, expect_held)| Step::Adjust { number_ahead, stock, switch, expect_held }
        ),
        1 => Just(Step::Rebuild),
    ]
}

/// What the ledger is, without Redis.
struct Model {
    sale: Sale,
    adjustment: u64,
    epoch: u64,
    orders: BTreeMap<OrderId, (Order, u64)>,
    outbox: BTreeSet<OrderId>,
}

/// A decision without what only the ledger's clock can say.
#[derive(Debug, PartialEq)]
enum Decision {
    Reserved { left: Units, epoch: u64 },
    Replayed { state: RecordState, in_outbox: bool, remain_count: Option<Units> },
    Other(ReserveOutcome),
}

impl Decision {
    fn of(outcome: ReserveOutcome) -> Self {
        match outcome {
            ReserveOutcome::Reserved(LedgerOrder { order, epoch, .. }) => {
                Self::Reserved { left: order.remain_count.unwrap(), epoch }
            }
            ReserveOutcome::Replayed(LedgerOrder { order, state, in_outbox, .. }) => {
                Self::Replayed { state, in_outbox, remain_count: order.remain_count }
            }
            // What is left is told as of the end of the batch: the state comparison checks it.
            ReserveOutcome::SoldOut { .. } => Self::Other(ReserveOutcome::SoldOut { remaining: 0 }),
            other => Self::Other(other),
        }
    }
}

impl Model {
    fn held(&self) -> Units {
        self.live().map(|(order, _)| order.quantity.units()).sum()
    }

    fn held_by(&self, buyer: &BuyerId) -> Units {
        self.live().filter(|(order, _)| order.buyer == *buyer).map(|(order, _)| order.quantity.units()).sum()
    }

    fn live(&self) -> impl Iterator<Item = &(Order, u64)> {
        self.orders.values().filter(|(order, _)| RecordState::of(order.status) == RecordState::Live)
    }

    fn reserve(&mut self, ask: &Reservation) -> Decision {
        let request = &ask.request;
        if let Some((known, _)) = self.orders.get(&ask.id) {
            let same = known.buyer == request.buyer
                && known.goods == request.goods
                && known.quantity == request.quantity
                && known.remark == request.remark;
            if !same {
                return Decision::Other(ReserveOutcome::Conflict);
            }
            return Decision::Replayed {
                state: RecordState::of(known.status),
                in_outbox: self.outbox.contains(&ask.id),
                remain_count: known.remain_count,
            };
        }
        match self.sale.switch {
            SaleSwitch::Open => {}
            SaleSwitch::Paused => return Decision::Other(ReserveOutcome::Paused { opens_at: None }),
            SaleSwitch::Closed => return Decision::Other(ReserveOutcome::Ended { opens_at: None }),
        }
        let quantity = request.quantity.units();
        if self.sale.per_buyer_limit.is_some_and(|limit| self.held_by(&request.buyer) + quantity > limit) {
            return Decision::Other(ReserveOutcome::LimitReached);
        }
        let remaining = self.sale.stock - self.held();
        if quantity > remaining {
            return Decision::Other(ReserveOutcome::SoldOut { remaining: 0 });
        }
        let left = remaining - quantity;
        let taken = jiff::Timestamp::UNIX_EPOCH;
        let order =
            Order::new(ask.id, ask.sale.clone(), request.clone(), Some(left), taken, OrderStatus::Accepted);
        self.orders.insert(ask.id, (order, self.epoch));
        self.outbox.insert(ask.id);
        Decision::Reserved { left, epoch: self.epoch }
    }

    fn release(&mut self, orders: &[Order]) -> u64 {
        let mut returned = 0;
        for order in orders {
            let known = self.orders.entry(order.id);
            let newly_dead = match known {
                std::collections::btree_map::Entry::Vacant(place) => {
                    place.insert((order.clone(), 0));
                    true
                }
                std::collections::btree_map::Entry::Occupied(mut place) => {
                    let live = RecordState::of(place.get().0.status) == RecordState::Live;
                    if live {
                        place.get_mut().0.status = order.status;
                        returned += 1;
                    }
                    live
                }
            };
            if newly_dead {
                self.outbox.remove(&order.id);
            }
        }
        returned
    }

    fn adjust(
        &mut self,
        number: u64,
        stock: Units,
        switch: SaleSwitch,
        expect: Option<Units>,
    ) -> AdjustOutcome {
        let held = self.held();
        if number <= self.adjustment {
            return AdjustOutcome::Stale { number: self.adjustment };
        }
        if expect.is_some_and(|expected| expected != held) {
            return AdjustOutcome::Moved { held };
        }
        if stock < held {
            return AdjustOutcome::Short { held };
        }
        (self.adjustment, self.sale.stock, self.sale.switch) = (number, stock, switch);
        AdjustOutcome::Applied { remaining: stock - held }
    }
}

/// Orders that the store would have of the ids `ids`, to be released: known ones as they are, others new.
fn to_release(model: &Model, ids: &[u8], rejected: bool) -> Vec<Order> {
    let status = if rejected { OrderStatus::Rejected } else { OrderStatus::Cancelled };
    ids.iter()
        .map(|n| {
            let (order, _) = model.orders.get(&id(*n)).cloned().unwrap_or_else(|| {
                let ask = Ask { id: *n, buyer: 0, quantity: 1, remark: None }.reservation(&model.sale);
                let taken = jiff::Timestamp::UNIX_EPOCH;
                (Order::new(ask.id, ask.sale, ask.request, Some(7), taken, status), 0)
            });
            Order { status, ..order }
        })
        .collect()
}

async fn play(ledger: &StockLedger, model: &mut Model, step: &Step) -> Result<(), TestCaseError> {
    match step {
        Step::Reserve(asks) => {
            let batch: Vec<Reservation> = asks.iter().map(|ask| ask.reservation(&model.sale)).collect();
            let outcomes = ledger.reserve(&model.sale.id, &batch).await.unwrap();
            for (ask, outcome) in batch.iter().zip(outcomes) {
                prop_assert_eq!(Decision::of(outcome), model.reserve(ask));
            }
        }
        Step::Settle { ids, epoch_behind } => {
            let ids: BTreeSet<OrderId> = ids.iter().map(|n| id(*n)).collect();
            let epoch = model.epoch.saturating_sub(*epoch_behind);
            let settled = ids.iter().filter(|id| epoch == model.epoch && model.outbox.remove(id)).count();
            let ids: Vec<OrderId> = ids.into_iter().collect();
            prop_assert_eq!(ledger.settle(&model.sale.id, epoch, &ids).await.unwrap(), settled as u64);
        }
        Step::Release { ids, rejected } => {
            let orders = to_release(model, ids, *rejected);
            let returned = model.release(&orders);
            let outcome = ledger.release(&model.sale.id, &orders).await.unwrap();
            prop_assert_eq!(outcome, ReleaseOutcome::Released { returned });
        }
        Step::Adjust { number_ahead, stock, switch, expect_held } => {
            let number = model.adjustment.saturating_add_signed(*number_ahead);
            let outcome = ledger.adjust(&model.sale.id, number, *stock, *switch, *expect_held).await.unwrap();
            prop_assert_eq!(outcome, model.adjust(number, *stock, *switch, *expect_held));
        }
        Step::Rebuild => {
            model.epoch += 1;
            let orders: Vec<Order> = model.orders.values().map(|(order, _)| order.clone()).collect();
            model.outbox.clear();
            let swapped = support::load(ledger, &model.sale, model.adjustment, model.epoch, &orders).await;
            prop_assert_eq!(swapped, SwapOutcome::Swapped);
        }
    }
    same_state(ledger, model).await
}

async fn same_state(ledger: &StockLedger, model: &Model) -> Result<(), TestCaseError> {
    let SaleLookup::Trusted(found) = ledger.sale(&model.sale.id).await.unwrap() else {
        return Err(TestCaseError::fail("the ledger lost its trust"));
    };
    prop_assert_eq!(&found.sale, &model.sale);
    prop_assert_eq!(found.remaining + model.held(), model.sale.stock, "the law of conservation");
    prop_assert_eq!(found.adjustment, model.adjustment);
    prop_assert_eq!(found.epoch, model.epoch);
    prop_assert_eq!(found.orders, model.orders.len() as u64);
    prop_assert_eq!(found.outbox, model.outbox.len() as u64);
    Ok(())
}

#[test]
fn p1_p3_p4_the_ledger_does_what_the_model_does() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let ledger = support::ledger();
    let cases = std::env::var("LEDGER_MODEL_CASES").map_or(2000, |cases| cases.parse().unwrap());
    let history = (0..30_u64, proptest::option::of(1..8_u64), prop::collection::vec(step(), 1..14));
    let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
    runner
        .run(&history, |(stock, limit, steps)| {
            let sale = Sale { per_buyer_limit: limit, ..support::terms(stock) };
            let mut model =
                Model { sale, adjustment: 1, epoch: 1, orders: BTreeMap::new(), outbox: BTreeSet::new() };
            runtime.block_on(async {
                support::open(&ledger, &model.sale).await;
                let mut result = Ok(());
                for step in &steps {
                    result = play(&ledger, &mut model, step).await;
                    if result.is_err() {
                        break;
                    }
                }
                support::drop_sale(&model.sale.id).await;
                result
            })
        })
        .unwrap();
}
