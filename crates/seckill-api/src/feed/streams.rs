//! One client's stream: what every stream has in common.

use std::{convert::Infallible, sync::Arc, time::Duration};

use actix_web::{
    HttpResponse,
    http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName},
    web::Bytes,
};
use futures_util::stream;
use seckill_core::shutdown::Shutdown;
use serde::Serialize;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};

use crate::refusal::Refusal;

/// The longest silence. Proxies take a longer one for a dead connection, and a client that has gone is
/// noticed when it is written to.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// A comment, which clients ignore.
const COMMENT: Bytes = Bytes::from_static(b":\n\n");

/// Asks proxies (nginx) not to gather the stream before they pass it on.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// How many streams there may be, and when they must end.
pub struct Streams {
    places: Arc<Semaphore>,
    capacity: usize,
    ending: Shutdown,
}

/// The right to one stream.
pub struct Place {
    _permit: OwnedSemaphorePermit,
}

/// What is told at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// More may follow.
    Open(Bytes),
    /// Nothing follows.
    Last(Bytes),
}

impl Streams {
    /// At most `capacity` streams, which all end with `ending`.
    pub fn new(capacity: usize, ending: Shutdown) -> Self {
        Self { places: Arc::new(Semaphore::new(capacity)), capacity, ending }
    }

    /// A place for one more stream.
    pub fn place(&self) -> Result<Place, Refusal> {
        let permit = Arc::clone(&self.places).try_acquire_owned();
        permit.map(|permit| Place { _permit: permit }).map_err(|_full| Refusal::TooManyStreams)
    }

    /// How many streams are open.
    pub fn open(&self) -> usize {
        self.capacity - self.places.available_permits()
    }

    /// Streams `first`, or else what `source` holds now, then what it holds whenever it changes, until it ends.
    pub fn answer<T: Send + Sync + 'static>(
        &self,
        place: Place,
        first: Option<Bytes>,
        mut source: watch::Receiver<T>,
        event: fn(&T) -> Event,
    ) -> HttpResponse {
        if first.is_none() {
            source.mark_changed();
        }
        let mut heartbeat = interval_at(Instant::now() + HEARTBEAT, HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let ending = self.ending.clone();
        let listener = Listener { first, source, event, heartbeat, ending, ended: false, _place: place };
        let events = stream::unfold(listener, |mut listener| async {
            let bytes = listener.next().await?;
            Some((Ok::<_, Infallible>(bytes), listener))
        });
        head().streaming(events)
    }
}

/// The answer to a request that wants to know of a stream only that it is there.
pub fn head() -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CONTENT_TYPE, "text/event-stream"))
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((ACCEL_BUFFERING, "no"));
    response
}

/// The text of an event called `name`; `id` is what a client that comes back says it has seen.
pub fn encode(name: &str, id: Option<&str>, data: &impl Serialize) -> Bytes {
    let json = serde_json::to_string(data).expect("every event is JSON");
    // JSON has no line breaks of its own, so the data is one line.
    let id = id.map_or_else(String::new, |id| format!("id: {id}\n"));
    format!("{id}event: {name}\ndata: {json}\n\n").into()
}

/// One client.
struct Listener<T> {
    first: Option<Bytes>,
    source: watch::Receiver<T>,
    event: fn(&T) -> Event,
    heartbeat: Interval,
    ending: Shutdown,
    ended: bool,
    _place: Place,
}

impl<T> Listener<T> {
    /// What is to be sent next; none: the stream ends.
    ///
    /// A client that reads slowly misses what was overtaken, and holds up nobody.
    async fn next(&mut self) -> Option<Bytes> {
        if self.ended {
            return None;
        }
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        tokio::select! {
            biased;
            () = self.ending.requested() => None,
            // An error: what was watched is not there any more.
            changed = self.source.changed() => {
                changed.ok()?;
                let event = (self.event)(&self.source.borrow_and_update());
                self.heartbeat.reset();
                Some(match event {
                    Event::Open(bytes) => bytes,
                    Event::Last(bytes) => {
                        self.ended = true;
                        bytes
                    }
                })
            }
            _ = self.heartbeat.tick() => Some(COMMENT),
        }
    }
}
