//! What threads share, in every order in which their steps can follow each other (loom).
//!
//! The sources are compiled in here once more, with loom's locks and atomics in the place of the real ones: all that
//! they take from `crate::sync`. Not in here: the queue in front of the ledger, which is one task behind one channel
//! (`seckill-core/tests/ledger/queue.rs` goes through the orders in which it can be told things).
//!
//! Without the test harness, so that the sources' own tests, which know nothing of loom, are not run again.

#[path = "../../seckill-core/src/order_log/ack_watch.rs"]
#[allow(dead_code, unused_imports, missing_docs)]
mod ack_watch;
#[path = "../src/purchase/claim.rs"]
mod claim;
#[path = "../src/remembered.rs"]
#[allow(dead_code, unused_imports)]
mod remembered;
#[path = "../src/purchase/sold_out.rs"]
#[allow(dead_code, unused_imports)]
mod sold_out;

/// As `crate::sync` of the two crates, by loom.
mod sync {
    pub use loom::sync::atomic;
    use loom::sync::{RwLockReadGuard, RwLockWriteGuard};

    /// A lock that nothing poisons, like that of `parking_lot`.
    #[derive(Debug, Default)]
    pub struct RwLock<T>(loom::sync::RwLock<T>);

    impl<T> RwLock<T> {
        pub fn new(value: T) -> Self {
            Self(loom::sync::RwLock::new(value))
        }

        pub fn read(&self) -> RwLockReadGuard<'_, T> {
            self.0.read().unwrap()
        }

        pub fn write(&self) -> RwLockWriteGuard<'_, T> {
            self.0.write().unwrap()
        }
    }
}

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use loom::thread;
use seckill_core::sale::SaleId;

use self::{ack_watch::AckWatch, claim::Claim, remembered::RememberedByKey, sold_out::SoldOutMemory};

fn main() {
    for (name, test) in [
        ("p6_a_log_that_acknowledges_is_not_stalled", acknowledged as fn()),
        ("p6_the_first_after_a_long_rest_is_not_late", first_after_a_rest),
        ("p6_what_is_on_its_way_is_counted", counted),
        ("p4_sold_out_is_somebodys_word", sold_out),
        ("p6_a_crowd_shares_one_place", one_place),
        ("p5_either_the_order_is_sent_or_its_buyer_is_told_that_it_was_not", claimed),
    ] {
        loom::model(test);
        println!("test {name} ... ok");
    }
}

/// One publisher is held up between its look at the clock and what it does then; another's event is acknowledged
/// meanwhile. By the clock of that acknowledgement, nothing has stopped.
fn acknowledged() {
    let watch = Arc::new(AckWatch::new());
    let held_up = spawn(&watch, |watch| watch.sending_at(10_000));
    watch.sending_at(11_500);
    watch.finished_at(11_600, true);
    held_up.join().unwrap();
    assert!(!watch.is_stalled_at(11_700), "{watch:?}");
    watch.finished_at(11_700, true);
    assert_eq!(watch.in_flight(), 0);
}

/// The log has had nothing to do for a long time. Whoever sees the first event on its way, or the second, sees also
/// since when.
fn first_after_a_rest() {
    let watch = Arc::new(AckWatch::new());
    let first = spawn(&watch, |watch| watch.sending_at(100_000));
    let second = spawn(&watch, |watch| watch.sending_at(100_001));
    assert!(!watch.is_stalled_at(100_002), "{watch:?}");
    first.join().unwrap();
    second.join().unwrap();
    assert!(watch.is_stalled_at(101_500), "nothing has been acknowledged");
}

/// After a failure, two try at once; one is not even taken. Once the other is acknowledged, all is well.
fn counted() {
    let watch = Arc::new(AckWatch::new());
    watch.sending_at(0);
    watch.finished_at(10, false);
    let refused = spawn(&watch, |watch| {
        watch.sending_at(2_000);
        watch.not_sent();
    });
    watch.sending_at(2_000);
    assert!(watch.is_stalled_at(2_001), "somebody is trying");
    watch.finished_at(2_100, true);
    refused.join().unwrap();
    assert!(!watch.is_stalled_at(2_101), "{watch:?}");
    assert_eq!(watch.in_flight(), 0);
}

/// The ledger says one thing after the other of a sale; who reads gets the word of one of them, whole.
fn sold_out() {
    let (memory, sale) = (Arc::new(SoldOutMemory::default()), SaleId::parse("s").unwrap());
    let told = {
        let (memory, sale) = (Arc::clone(&memory), sale.clone());
        thread::spawn(move || {
            // Too long on its way to be good for anything.
            memory.remember(&sale, 0, Instant::now(), Duration::from_secs(1));
            memory.remember(&sale, 5, Instant::now(), Duration::ZERO);
        })
    };
    // Neither word refuses three; the units of the first until the end of the second would.
    assert!(!memory.knows(&sale, 3));
    told.join().unwrap();
    assert!(!memory.knows(&sale, 5), "the later word stands");
}

/// Two ask for the same thing at once: they get the same place, so that it is fetched once.
fn one_place() {
    let places = Arc::new(RememberedByKey::<u32, u32>::new(2));
    let other = {
        let places = Arc::clone(&places);
        thread::spawn(move || places.entry(&1))
    };
    let (mine, others) = (places.entry(&1), other.join().unwrap());
    assert!(Arc::ptr_eq(&mine, &others));
}

/// The queue comes to an order when its buyer has waited for long enough: one of them has the say, and only one.
fn claimed() {
    let claim = Claim::default();
    let queue = {
        let claim = claim.clone();
        thread::spawn(move || claim.take())
    };
    let told_that_nothing_was_done = claim.take();
    let sent = queue.join().unwrap();
    assert_ne!(sent, told_that_nothing_was_done);
}

fn spawn(watch: &Arc<AckWatch>, work: impl FnOnce(&AckWatch) + 'static) -> thread::JoinHandle<()> {
    let watch = Arc::clone(watch);
    thread::spawn(move || work(&watch))
}
