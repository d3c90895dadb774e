//! The store on a real server: `DATABASE_URL` says which.

#[path = "store/adjustments.rs"]
mod adjustments;
#[path = "store/events.rs"]
mod events;
#[path = "store/failures.rs"]
mod failures;
#[path = "store/migrations.rs"]
mod migrations;
#[path = "store/rebuilds.rs"]
mod rebuilds;
#[path = "store/sales.rs"]
mod sales;
#[path = "store/speed.rs"]
mod speed;
#[path = "store/timelines.rs"]
mod timelines;
#[path = "store/writers.rs"]
mod writers;
#[path = "store/writes.rs"]
mod writes;
