//! The HTTP interface as buyers see it, on real Redis, Kafka and MySQL (`eval "$(scripts/services env)"`):
//! each test with its own database, topic, sale and server.

mod answer;
mod bodies;
mod legacy;
mod operation;
mod orders;
mod outages;
mod raw;
mod refusals;
mod sales;
mod stopping;
mod wire;
mod world;
