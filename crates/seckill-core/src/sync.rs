//! What threads share is made of these. `seckill-api/tests/interleavings.rs` puts loom's in their place.

pub(crate) use std::sync::atomic;
