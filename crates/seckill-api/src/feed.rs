//! What changes, told while it changes: event streams (Server-Sent Events).
//!
//! However many listen, the work behind a stream is the same: one task watches all orders that somebody
//! listens to, and one each sale. Both end with their last listener.

mod orders;
mod sales;
mod streams;

pub use self::{
    orders::OrderFeed,
    sales::SaleFeed,
    streams::{Event, Place, Streams, head},
};
