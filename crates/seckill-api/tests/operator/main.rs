//! The operator's HTTP routes, rate limits and buyers' tokens, on real Redis, Kafka and MySQL
//! (`eval "$(scripts/services env)"`): each test with its own database, topic, sale and servers.

#[path = "../http/answer.rs"]
mod answer;
#[path = "../http/world.rs"]
#[allow(dead_code, reason = "the buyers' tests use the rest of it")]
mod world;

mod access;
mod deleting;
mod identity;
mod key_sets;
mod office;
mod orders;
mod paging;
mod rate_limits;
mod reset;
