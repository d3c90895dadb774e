//! For micro-benchmarks only (feature `test-support`): the parts of a call to the ledger, without a Redis.

use std::fmt;

use deadpool_redis::redis::{ScriptInvocation, Value};

use super::{LedgerError, Reservation, ReserveOutcome, batch, reserve};

/// A call of `reserve.lua` that is ready to be sent.
pub struct LedgerCall {
    orders: Vec<Reservation>,
    call: ScriptInvocation<'static>,
}

impl LedgerCall {
    /// Makes the call that decides `orders`, all of one sale, as the batching task does.
    pub fn assemble(orders: Vec<Reservation>) -> Self {
        let mut batches = batch::by_sale(orders.into_iter().map(|order| (order, ())));
        let orders = batches.pop().expect("orders of one sale").reservations;
        let call = reserve::call(&orders[0].sale, &orders);
        Self { orders, call }
    }

    /// What Redis says if there are units for all of them.
    pub fn reply_of_all_reserved(&self) -> Vec<Value> {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let mut reply = vec![text("decided"), text("3"), text("1763942701123"), Value::Int(100), text("")];
        reply.extend((100..).take(self.orders.len()).map(Value::Int));
        reply
    }

    /// The orders' outcomes, by that reply.
    pub fn outcomes(&self, reply: Vec<Value>) -> Result<Vec<ReserveOutcome>, LedgerError> {
        reserve::decode(&self.orders[0].sale, &self.orders, reply)
    }
}

impl fmt::Debug for LedgerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}
