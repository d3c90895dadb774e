//! What the services share: the domain, and the only code that speaks to Redis, Kafka and MySQL.
//!
//! | module | is |
//! |---|---|
//! | [`sale`], [`order`] | the domain: ids, quantities, sales, orders and their states |
//! | [`event`] | what is said on the order log, and its encoding |
//! | [`ledger`] | Redis: the fast decision, every key and script |
//! | [`order_log`] | Kafka: what has been decided, every setting of it |
//! | [`store`] | MySQL: what is true, every statement |
//! | [`upkeep`] | finishing what was cut off between the three |
//! | [`change`] | the use case of changing a sale on both sides |
//! | [`address`] | where a server is, and whom to trust that it is the right one |
//! | [`settings`], [`telemetry`], [`traces`], [`shutdown`] | what every binary needs to start and to stop |

pub mod address;
pub mod change;
pub mod event;
pub mod ledger;
pub mod order;
pub mod order_log;
mod parsed;
pub mod sale;
pub mod settings;
pub mod shutdown;
pub mod store;
mod sync;
pub mod telemetry;
#[cfg(feature = "test-support")]
pub mod testing;
pub mod traces;
pub mod upkeep;
