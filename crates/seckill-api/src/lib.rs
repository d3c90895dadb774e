//! The HTTP server of the flash sale: takes orders, has the ledger decide them, and makes them durable.
//!
//! | module | is |
//! |---|---|
//! | [`app`] | building, running and stopping the server |
//! | `door`, `connection` | who comes in, and for how long |
//! | `services` | what it is made of, for its handlers |
//! | [`purchase`] | the use case: reserve → publish → settle → answer |
//! | [`cancellation`] | the use case of taking an order back |
//! | [`reading`], [`remembered`] | reading sales and orders, at a bounded price |
//! | [`admin_access`] | who is an operator |
//! | [`identity`] | who is which buyer, where buyers have tokens |
//! | [`rate_limit`], [`client_address`] | how often one may ask |
//! | [`timeline`] | how an order came along |
//! | [`feed`] | sales and orders told while they change |
//! | [`routes`] | which path leads where |
//! | [`back_office`], [`back_office_body`] | what operators do over HTTP |
//! | [`body`], [`order_body`], [`whole_number`] | requests, parsed into types that cannot hold a bad value |
//! | [`unread`] | bodies that nobody reads to their end |
//! | [`refusal`], [`problem`] | every way not to do what was asked, and its HTTP |
//! | [`description`] | the OpenAPI description, made from the code |
//! | [`readiness`], [`flow`], [`measures`], [`request_trace`] | what operators ask |
//! | [`settings`] | what can be set |

pub mod admin_access;
pub mod app;
pub mod back_office;
pub mod back_office_body;
pub mod body;
pub mod cancellation;
pub mod client_address;
mod connection;
pub mod description;
mod door;
pub mod feed;
pub mod flow;
pub mod identity;
pub mod measures;
pub mod order_body;
pub mod problem;
pub mod purchase;
pub mod rate_limit;
pub mod readiness;
pub mod reading;
pub mod refusal;
pub mod remembered;
pub mod request_trace;
pub mod routes;
mod services;
pub mod settings;
mod sync;
pub mod timeline;
pub mod unread;
pub mod whole_number;
