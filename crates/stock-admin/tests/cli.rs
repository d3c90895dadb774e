//! `stock-admin` as an operator runs it: the real program against the real services.

#[path = "cli/damage.rs"]
mod damage;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/own_redis.rs"]
mod own_redis;
#[path = "cli/reset.rs"]
mod reset;
#[path = "cli/sales.rs"]
mod sales;
#[path = "cli/setup.rs"]
mod setup;
#[path = "cli/stock.rs"]
mod stock;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/usage.rs"]
mod usage;
