//! The HTTP interface as buyers see it, on real Redis, Kafka and MySQL (`eval "$(scripts/services env)"`):
//! each test with its own database, topic, sale and server.

mod answer;
mod bodies;
mod cancelling;
mod legacy;
mod listening;
mod noise;
mod operation;
mod order_events;
mod orders;
mod outages;
mod raw;
mod rebuilding;
mod refusals;
mod sale_events;
mod sales;
mod smuggling;
mod stopping;
mod timeline;
mod wire;
mod world;
mod writer;
