//! How much memory a piece of work takes. The test makes [`PeakAlloc`] its allocator.

pub use peak_alloc::PeakAlloc;

/// What the process may take beside the work itself, bytes.
const NOISE: usize = 64 * 1024;

/// Runs `work`, which must not take more than `bound` bytes of memory. What is measured is the whole process: one
/// at a time.
pub fn within_bounds<T>(memory: &PeakAlloc, bound: usize, work: impl FnOnce() -> T) -> T {
    let before = memory.current_usage();
    memory.reset_peak_usage();
    let result = work();
    let used = memory.peak_usage().saturating_sub(before);
    assert!(used <= bound + NOISE, "{used} bytes of memory, {bound} would be enough");
    result
}
