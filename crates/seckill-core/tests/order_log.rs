//! The order log on the real Kafka. `KAFKA_BROKERS` says where it is; without it these tests fail.

#[path = "order_log/fenced.rs"]
mod fenced;
#[path = "order_log/fixture.rs"]
mod fixture;
#[path = "order_log/group.rs"]
mod group;
#[path = "order_log/made_anew.rs"]
mod made_anew;
#[path = "order_log/naming.rs"]
mod naming;
#[path = "order_log/observing.rs"]
mod observing;
#[path = "order_log/outage.rs"]
mod outage;
#[path = "order_log/publishing.rs"]
mod publishing;
#[path = "order_log/unplaced.rs"]
mod unplaced;
#[path = "order_log/unreadable.rs"]
mod unreadable;
