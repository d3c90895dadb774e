//! Who has the say over an order that waits.

use std::sync::Arc;

use crate::sync::atomic::{AtomicBool, Ordering};

/// Who has the say over an order that waits in the queue: the queue, which sends it to the ledger, or its buyer, who
/// is told that nothing was done. Whoever takes it first; so nobody is told of an order that is taken later.
#[derive(Clone, Default)]
pub struct Claim(Arc<AtomicBool>);

impl Claim {
    /// Takes it, if nobody has.
    pub fn take(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }
}
