//! Telling when acknowledgements have stopped coming.

use std::time::{Duration, Instant};

use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How long something may be on its way without any acknowledgement before the log counts as stalled; and how
/// long it goes on to count as stalled after everything on its way has failed.
const PATIENCE: Duration = Duration::from_secs(1);

/// Watches what is on its way to the log.
///
/// It works as a circuit breaker: once the last thing that became known was a failure, the log is stalled
/// while anything is on its way, and for [`PATIENCE`] after. Then the first to publish tries it anew, and the
/// log is stalled again until that one is acknowledged.
#[derive(Debug)]
pub(super) struct AckWatch {
    began: Instant,
    in_flight: AtomicU64,
    /// Milliseconds since `began` of the last acknowledgement, failure, or publish into a healthy idle log.
    progress: AtomicU64,
    /// Whether the last outcome was a failure.
    failing: AtomicBool,
}

impl AckWatch {
    pub(super) fn new() -> Self {
        Self {
            began: Instant::now(),
            in_flight: AtomicU64::new(0),
            progress: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        }
    }

    /// What was about to be sent was not taken, for a reason of its own.
    pub(super) fn not_sent(&self) {
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
    }

    /// What had been sent was acknowledged, or else has failed.
    pub(super) fn finished(&self, acknowledged: bool) {
        self.finished_at(self.now(), acknowledged);
    }

    /// Whether acknowledgements have stopped coming.
    pub(super) fn is_stalled(&self) -> bool {
        self.is_stalled_at(self.now())
    }

    /// How many are on their way.
    pub(super) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// This moment, in milliseconds since it began to watch.
    pub(super) fn now(&self) -> u64 {
        millis(self.began.elapsed())
    }

    /// Something is about to be sent.
    pub(super) fn sending_at(&self, now: u64) {
        // Before the count goes up, so that nobody sees something on its way since long ago.
        if self.in_flight.load(Ordering::Relaxed) == 0 && !self.failing.load(Ordering::Relaxed) {
            self.progress_at(now);
        }
        self.in_flight.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn finished_at(&self, now: u64, acknowledged: bool) {
        self.failing.store(!acknowledged, Ordering::Relaxed);
        self.progress_at(now);
        self.in_flight.fetch_sub(1, Ordering::AcqRel);
    }

    /// Never back: whoever was held up after it looked at the clock must not undo what has come since.
    fn progress_at(&self, now: u64) {
        self.progress.fetch_max(now, Ordering::Relaxed);
    }

    pub(super) fn is_stalled_at(&self, now: u64) -> bool {
        let something_on_its_way = self.in_flight.load(Ordering::Acquire) > 0;
        let patience_is_over = now.saturating_sub(self.progress.load(Ordering::Relaxed)) >= millis(PATIENCE);
        if self.failing.load(Ordering::Relaxed) {
            something_on_its_way || !patience_is_over
        } else {
            something_on_its_way && patience_is_over
        }
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idle_log_is_not_stalled() {
        let watch = AckWatch::new();
        assert!(!watch.is_stalled_at(0));
        assert!(!watch.is_stalled_at(1_000_000));
    }

    #[test]
    fn silence_is_a_stall_only_while_something_is_on_its_way() {
        let watch = AckWatch::new();
        watch.sending_at(50_000);
        assert!(!watch.is_stalled_at(50_999));
        assert!(watch.is_stalled_at(51_000));
        watch.finished_at(51_500, true);
        assert!(!watch.is_stalled_at(51_500));
        assert!(!watch.is_stalled_at(90_000));
    }

    #[test]
    fn any_acknowledgement_is_progress() {
        let watch = AckWatch::new();
        watch.sending_at(0);
        watch.sending_at(900);
        watch.finished_at(950, true);
        assert!(!watch.is_stalled_at(1_900));
        assert!(watch.is_stalled_at(1_950));
    }

    #[test]
    fn more_of_the_same_is_not_progress() {
        let watch = AckWatch::new();
        watch.sending_at(0);
        watch.sending_at(999);
        assert!(watch.is_stalled_at(1_000));
    }

    #[test]
    fn after_failures_one_may_try_and_an_acknowledgement_heals() {
        let watch = AckWatch::new();
        watch.sending_at(0);
        watch.finished_at(10_000, false);
        assert!(watch.is_stalled_at(10_500), "it has just failed");
        assert!(!watch.is_stalled_at(11_000), "somebody has to try");
        watch.sending_at(11_100);
        assert!(watch.is_stalled_at(11_100), "somebody is trying");
        watch.finished_at(11_200, true);
        watch.sending_at(11_300);
        assert!(!watch.is_stalled_at(11_400));
    }

    #[test]
    fn what_was_not_taken_is_not_on_its_way() {
        let watch = AckWatch::new();
        watch.sending_at(0);
        watch.not_sent();
        assert!(!watch.is_stalled_at(5_000));
        assert_eq!(watch.in_flight(), 0);
    }
}
