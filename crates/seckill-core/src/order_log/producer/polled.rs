//! A producer with a thread that tells what became of its messages.
//!
//! rdkafka has one, `ThreadedProducer`, which asks for a tenth of a second at a time. Its last millisecond it spends
//! asking without a pause, because librdkafka waits for whole milliseconds: one hundredth of a core in every process,
//! idle or not.

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

/// How long the thread asks at a time. What comes it tells at once; as long it may take until it has ended.
const ASK_FOR: Duration = Duration::from_millis(500);

/// How often it is asked whether the producer is of any use still.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// A producer. Dropping it gives up what is on its way, which the thread still tells, and waits for the thread: it must
/// not be dropped there.
pub(super) struct Polled {
    producer: Arc<Client>,
    dropped: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Polled {
    pub(super) fn start(producer: Client) -> Self {
        let (producer, dropped) = (Arc::new(producer), Arc::new(AtomicBool::new(false)));
        let thread = thread::spawn({
            let (producer, dropped) = (Arc::clone(&producer), Arc::clone(&dropped));
            move || {
                let mut looked = Instant::now();
                while !dropped.load(Ordering::Relaxed) {
                    producer.poll(ASK_FOR);
                    if looked.elapsed() >= LOOK_EVERY {
                        producer.context().look(&producer);
                        looked = Instant::now();
                    }
                }
            }
        });
        Self { producer, dropped, thread: Some(thread) }
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
        // A thread that has panicked has nothing more to tell.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
