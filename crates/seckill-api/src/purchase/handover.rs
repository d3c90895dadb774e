//! From the ledger's task and Kafka's thread to the threads that serve HTTP, many ends at once.
//!
//! To wake a task of another thread is a system call, and a batch that is acknowledged ends a hundred orders at one
//! moment. So their ends go through a channel to a task on the thread where the requests wait: it is woken once, and
//! wakes them from there.

use std::cell::RefCell;

use tokio::sync::{
    mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
    oneshot,
};

use super::Resolution;

/// Where a request on this thread is told its end.
pub struct Handover {
    request: oneshot::Sender<Resolution>,
    thread: UnboundedSender<Ended>,
}

/// A request that waits, and its end.
type Ended = (oneshot::Sender<Resolution>, Resolution);

thread_local! {
    static THIS_THREAD: RefCell<Option<UnboundedSender<Ended>>> = const { RefCell::new(None) };
}

impl Handover {
    /// For a request that waits on this thread, in a runtime of its own.
    pub fn here() -> (Self, oneshot::Receiver<Resolution>) {
        let (request, end) = oneshot::channel();
        let thread = THIS_THREAD.with_borrow_mut(|known| match known {
            // Its task has ended if its runtime has.
            Some(thread) if !thread.is_closed() => thread.clone(),
            _ => {
                let (thread, ends) = unbounded_channel();
                tokio::spawn(hand_over(ends));
                known.insert(thread).clone()
            }
        });
        (Self { request, thread }, end)
    }

    /// Tells the end, from whatever thread. The client may have hung up, and then nobody hears it.
    pub fn tell(self, end: Resolution) {
        let _ = self.thread.send((self.request, end));
    }
}

async fn hand_over(mut ends: UnboundedReceiver<Ended>) {
    while let Some((request, end)) = ends.recv().await {
        let _ = request.send(end);
    }
}
