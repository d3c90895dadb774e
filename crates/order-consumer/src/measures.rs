//! Counters that are there from the start, at 0. One that first shows when something has happened shows it as 1,
//! and `increase()` in an alert sees nothing of it.

use metrics::counter;
use seckill_core::store::WriteOutcome;

/// Those of the writer and of the units that go back.
pub fn writer_from_zero() {
    for outcome in WriteOutcome::ALL {
        counter!("seckill_consumer_events_total", "outcome" => outcome.name()).increment(0);
    }
    counter!("seckill_consumer_write_failures_total").increment(0);
    counter!("seckill_consumer_dead_letters_total").increment(0);
    counter!("seckill_orders_returned_total").increment(0);
}

/// Those of the keeper.
pub fn keeper_from_zero() {
    counter!("seckill_keeper_failures_total").increment(0);
    counter!("seckill_keeper_relayed_total").increment(0);
    counter!("seckill_keeper_rebuilds_total").increment(0);
}
