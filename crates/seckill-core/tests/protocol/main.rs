//! A model of the protocol between API, ledger, order log, consumer, keeper and store, checked exhaustively
//! within small bounds: every order in which the steps of all of them, and the faults, can follow each other.
//!
//! It follows the code, not an ideal: each step names what it stands for, and `docs/reliability.md` maps the
//! steps to the files. Where model and code differ, one of them is wrong.

mod bounds;
mod consumer;
mod documented;
mod faults;
mod holds;
mod import;
mod keeper;
mod ledger;
mod log;
mod model;
mod operator;
mod promises;
mod request;
mod sabotages;
mod state;
mod store;
mod worlds;
