//! What threads share is made of these. `tests/interleavings.rs` puts loom's in their place.

pub(crate) use std::sync::atomic;

pub(crate) use parking_lot::RwLock;
