//! The ledger on a real Redis: its answers one by one, its whole behaviour against a plain model, and the
//! fence. `REDIS_URL` says where it is (`eval "$(scripts/services env)"`).

mod fence;
mod lost_answers;
mod model;
mod orders_of_events;
mod queue;
mod support;
mod windows;
