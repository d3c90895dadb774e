//! Telling a client that has lost its brokers from a Kafka that is away.
//!
//! librdkafka forgets every broker that an answer of Kafka does not name. A Kafka whose brokers are all fenced, as they
//! are for a moment after a pause that outlasts their session with the controller, names none; the client then has
//! nobody left to ask, and does nothing any more, for ever and without a word (librdkafka's issue 5301, open in 2.12 and
//! 2.13). Only a new client helps.

use std::time::{Duration, Instant};

use metrics::{Counter, counter};
use parking_lot::Mutex;
use rdkafka::{ClientContext, client::Client};

use super::topic_id::TopicIds;

/// How long Kafka must have answered here and not there. A client that finds its way back by itself does so within a
/// second or two.
const LOST_AFTER: Duration = Duration::from_secs(5);

/// How long an answer is waited for.
pub(super) const LOOK_WITHIN: Duration = Duration::from_millis(500);

/// Watches over one client, and over the one that replaces it.
pub(super) struct Reach {
    ids: TopicIds,
    topic: String,
    /// When Kafka was first seen to answer `ids`, and not the client.
    cut_off: Mutex<Option<Instant>>,
    losses: Counter,
}

impl Reach {
    /// Over a client whose brokers are asked for `topic`, here by `ids`.
    pub(super) fn new(ids: TopicIds, topic: &str) -> Self {
        let losses = counter!("seckill_order_log_clients_lost_total");
        Self { ids, topic: topic.to_owned(), cut_off: Mutex::default(), losses }
    }

    /// Whether `client` has lost its brokers, and must be replaced: it is not answered, and Kafka answers at the
    /// addresses of the settings, again and again. Neither is asked where it is known that the client was `answered`.
    pub(super) fn is_lost<C: ClientContext>(&self, client: &Client<C>, answered: bool) -> bool {
        let cut_off = !answered
            && client.fetch_metadata(Some(&self.topic), LOOK_WITHIN).is_err()
            && self.ids.names_brokers(&self.topic, LOOK_WITHIN);
        let mut since = self.cut_off.lock();
        let lost = cut_off && since.get_or_insert_with(Instant::now).elapsed() >= LOST_AFTER;
        if lost {
            self.losses.increment(1);
            tracing::warn!("a client of the order log has lost its brokers: making a new one");
        }
        if lost || !cut_off {
            *since = None;
        }
        lost
    }
}
