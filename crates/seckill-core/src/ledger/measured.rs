//! For micro-benchmarks only (feature `test-support`): the parts of a call to the ledger, without a Redis.

use std::fmt;

use deadpool_redis::redis::{ScriptInvocation, Value};

use super::{
    LedgerError, Reservation, ReserveOutcome,
    batch::{self, Batch, of_sales},
    reserve,
};

/// A call of `reserve.lua` that is ready to be sent.
pub struct LedgerCall {
    batches: Vec<Batch<()>>,
    call: ScriptInvocation<'static>,
}

impl LedgerCall {
    /// Makes the call that decides `orders` as the batching task does.
    pub fn assemble(orders: Vec<Reservation>) -> Self {
        let batches = batch::by_sale(orders.into_iter().map(|order| (order, ())));
        let call = reserve::call(&of_sales(&batches));
        Self { batches, call }
    }

    /// What Redis says if there are units for all of them.
    pub fn reply_of_all_reserved(&self) -> Vec<Value> {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let of_sale = |batch: &Batch<()>| {
            let mut reply =
                vec![text("decided"), text("3"), text("1763942701123"), Value::Int(100), text("")];
            reply.extend((100..).take(batch.reservations.len()).map(Value::Int));
            Value::Array(reply)
        };
        self.batches.iter().map(of_sale).collect()
    }

    /// The orders' outcomes, by that reply.
    pub fn outcomes(&self, reply: Vec<Value>) -> Result<Vec<ReserveOutcome>, LedgerError> {
        let decided: Result<Vec<_>, _> =
            reserve::decode(&of_sales(&self.batches), reply)?.into_iter().collect();
        Ok(decided?.into_iter().flatten().collect())
    }
}

impl fmt::Debug for LedgerCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.call.fmt(f)
    }
}
