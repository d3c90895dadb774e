//! The consumer and the keeper on real Redis, Kafka and MySQL (`eval "$(scripts/services env)"`): each test
//! with its own database, topic, group and sale.

mod changing;
mod keeping;
mod rebuilding;
mod world;
mod writing;
