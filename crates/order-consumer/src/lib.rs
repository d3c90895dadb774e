//! The consumer: writes what the order log says into the store, and keeps ledger, log and store together.
//!
//! [`consume`] is the writer, [`returns`] gives units back to the ledger, [`keeper`] mends what was cut off,
//! [`operation`] answers operators. `main` wires them.

pub mod consume;
pub mod dead_letter;
pub mod keeper;
mod measures;
pub mod operation;
pub mod returns;
mod traced;
