//! `stock-admin` as an operator runs it: the real program against the real services.

#[path = "cli/at_work.rs"]
mod at_work;
#[path = "cli/damage.rs"]
mod damage;
#[path = "cli/dead_letters.rs"]
mod dead_letters;
#[path = "cli/failback.rs"]
mod failback;
#[path = "cli/fuzz.rs"]
mod fuzz;
#[path = "cli/import.rs"]
mod import;
#[path = "cli/import_steps.rs"]
mod import_steps;
#[path = "cli/outbox.rs"]
mod outbox;
#[path = "cli/output.rs"]
mod output;
#[path = "cli/own_redis.rs"]
mod own_redis;
#[path = "cli/rebuild.rs"]
mod rebuild;
#[path = "cli/repair.rs"]
mod repair;
#[path = "cli/reset.rs"]
mod reset;
#[path = "cli/runbook.rs"]
mod runbook;
#[path = "cli/sales.rs"]
mod sales;
#[path = "cli/setup.rs"]
mod setup;
#[path = "cli/stock.rs"]
mod stock;
#[path = "cli/support.rs"]
mod support;
#[path = "cli/terminal.rs"]
mod terminal;
#[path = "cli/usage.rs"]
mod usage;
#[path = "cli/watch.rs"]
mod watch;
