//! What is measured of purchases. The handles are made once: an order only adds to them.

use metrics::{Counter, counter};
use seckill_core::ledger::{LedgerError, ReserveOutcome};

/// How often each outcome came.
pub struct PurchaseMeasures {
    reserved: Counter,
    replayed: Counter,
    sold_out: Counter,
    sold_out_from_memory: Counter,
    limit_reached: Counter,
    shut: Counter,
    conflict: Counter,
    absent: Counter,
    untrusted: Counter,
    unavailable: Counter,
    unknown: Counter,
}

impl PurchaseMeasures {
    /// Makes the handles.
    pub fn new() -> Self {
        let outcome = |outcome: &'static str| counter!("seckill_reservations_total", "outcome" => outcome);
        Self {
            reserved: outcome("reserved"),
            replayed: outcome("replayed"),
            sold_out: outcome("sold_out"),
            sold_out_from_memory: outcome("sold_out_from_memory"),
            limit_reached: outcome("limit_reached"),
            shut: outcome("shut"),
            conflict: outcome("conflict"),
            absent: outcome("absent"),
            untrusted: outcome("untrusted"),
            unavailable: outcome("unavailable"),
            unknown: outcome("unknown"),
        }
    }

    /// Counts an answer of the ledger.
    pub fn decided(&self, outcome: &Result<ReserveOutcome, LedgerError>) {
        let counter = match outcome {
            Ok(ReserveOutcome::Reserved(_)) => &self.reserved,
            Ok(ReserveOutcome::Replayed(_)) => &self.replayed,
            Ok(ReserveOutcome::SoldOut { .. }) => &self.sold_out,
            Ok(ReserveOutcome::LimitReached) => &self.limit_reached,
            Ok(
                ReserveOutcome::NotOpen { .. } | ReserveOutcome::Ended { .. } | ReserveOutcome::Paused { .. },
            ) => &self.shut,
            Ok(ReserveOutcome::Conflict) => &self.conflict,
            Ok(ReserveOutcome::Absent) => &self.absent,
            Ok(ReserveOutcome::Untrusted) => &self.untrusted,
            Err(LedgerError::Unavailable(_)) => &self.unavailable,
            Err(LedgerError::Unknown(_) | LedgerError::Corrupt(_)) => &self.unknown,
        };
        counter.increment(1);
    }

    /// Counts a refusal for which the ledger was not asked.
    pub fn sold_out_from_memory(&self) {
        self.sold_out_from_memory.increment(1);
    }
}
