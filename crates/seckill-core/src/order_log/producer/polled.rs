//! A producer with a thread that tells what became of its messages, and one that has them sent in time.
//!
//! Librdkafka waits for whole milliseconds, and both threads are for that:
//!
//! - rdkafka has one that tells, `ThreadedProducer`, which asks for a tenth of a second at a time. Its last millisecond it
//!   spends asking without a pause: one hundredth of a core in every process, idle or not.
//! - A message that has lingered for its [`LINGER`] is sent when the next one comes, or after a millisecond. That would be
//!   half of the time until it is acknowledged, so the client is woken when it is due.

use std::{
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use rdkafka::producer::{Producer as _, PurgeConfig};

use super::Client;
use crate::order_log::config::LINGER;

/// How long the thread asks at a time. What comes it tells at once; as long it may take until it has ended.
const ASK_FOR: Duration = Duration::from_millis(500);

/// How often it is asked whether the producer is of any use still.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A producer. Dropping it gives up what is on its way, which its thread still tells, and waits for both threads: it must
/// not be dropped on them.
pub(super) struct Polled {
    producer: Arc<Client>,
    dropped: Arc<AtomicBool>,
    telling: Option<JoinHandle<()>>,
    hurrying: Option<JoinHandle<()>>,
}

impl Polled {
    pub(super) fn start(producer: Client) -> Self {
        let (producer, dropped) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let spawn = |work: fn(&Client, &AtomicBool)| {
            let (producer, dropped) = (Arc::clone(&producer), Arc::clone(&dropped));
            Some(thread::spawn(move || work(&producer, &dropped)))
        };
        let (telling, hurrying) = (spawn(tell), spawn(hurry));
        Self { producer, dropped, telling, hurrying }
    }

    /// Has what was sent until now leave as soon as it has lingered.
    pub(super) fn hurry(&self) {
        if let Some(hurrying) = &self.hurrying {
            hurrying.thread().unpark();
        }
    }
}

fn tell(producer: &Client, dropped: &AtomicBool) {
    let mut looked = Instant::now();
    while !dropped.load(Ordering::Relaxed) {
        producer.poll(ASK_FOR);
        if looked.elapsed() >= LOOK_EVERY {
            producer.context().look(producer);
            looked = Instant::now();
        }
    }
}

fn hurry(producer: &Client, dropped: &AtomicBool) {
    loop {
        thread::park();
        if dropped.load(Ordering::Relaxed) {
            return;
        }
        thread::sleep(LINGER);
        // Wakes the client's threads, and waits for nothing.
        let _ = producer.flush(Duration::ZERO);
    }
}

impl Deref for Polled {
    type Target = Client;

    fn deref(&self) -> &Self::Target {
        &self.producer
    }
}

impl Drop for Polled {
    fn drop(&mut self) {
        self.dropped.store(true, Ordering::Relaxed);
        self.producer.purge(PurgeConfig::default().queue().inflight());
        self.hurry();
        for thread in [&mut self.hurrying, &mut self.telling] {
            // One that has panicked has nothing more to do.
            let _ = thread.take().map(JoinHandle::join);
        }
    }
}
