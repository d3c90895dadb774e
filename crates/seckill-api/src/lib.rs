//! The HTTP server of the flash sale: takes orders, has the ledger decide them, and makes them durable.
//!
//! | module | is |
//! |---|---|
//! | [`app`] | building, running and stopping the server |
//! | [`purchase`] | the use case: reserve → publish → settle → answer |
//! | [`reading`], [`remembered`] | reading sales and orders, at a bounded price |
//! | [`routes`] | which path leads where |
//! | [`body`], [`order_body`] | requests, parsed into types that cannot hold a bad value |
//! | [`unread`] | bodies that nobody reads to their end |
//! | [`refusal`], [`problem`] | every way not to do what was asked, and its HTTP |
//! | [`readiness`], [`measures`] | what operators ask |
//! | [`settings`] | what can be set |

pub mod app;
pub mod body;
pub mod measures;
pub mod order_body;
pub mod problem;
pub mod purchase;
pub mod readiness;
pub mod reading;
pub mod refusal;
pub mod remembered;
pub mod routes;
pub mod settings;
pub mod unread;
