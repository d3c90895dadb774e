//! The orders that somebody waits for: one task looks at all of them, by one statement each time.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use parking_lot::Mutex;
use seckill_core::order::{Order, OrderId, OrderStatus};
use tokio::{runtime::Handle, sync::watch};

use super::streams::{Event, encode};
use crate::{reading::Readings, refusal::Refusal};

/// How often the store is asked how far the orders have come.
const TICK: Duration = Duration::from_millis(100);
/// How many ticks apart pending orders are looked up one by one: the store does not have them, and the ledger
/// has no answer for many at once.
const LOOK_UP_PENDING: u32 = 10;
/// How long to leave the store alone after it has failed.
const PAUSE: Duration = Duration::from_secs(1);
/// Most orders that are read at once.
const READS_AT_ONCE: usize = 16;

/// Tells of orders. Clones share their task.
#[derive(Clone)]
pub struct OrderFeed(Arc<Inner>);

struct Inner {
    readings: Readings,
    runtime: Handle,
    watched: Mutex<Watched>,
}

#[derive(Default)]
struct Watched {
    orders: HashMap<OrderId, watch::Sender<Order>>,
    task_runs: bool,
}

impl OrderFeed {
    /// Watches orders from the runtime that this is called on.
    pub fn new(readings: Readings) -> Self {
        Self(Arc::new(Inner { readings, runtime: Handle::current(), watched: Mutex::default() }))
    }

    /// `order`, and what becomes of it. Ends if it turns out not to be there any more.
    pub fn watch(&self, order: Order) -> watch::Receiver<Order> {
        let mut watched = self.0.watched.lock();
        if !watched.task_runs {
            watched.task_runs = true;
            self.0.runtime.spawn(self.clone().run());
        }
        let known = watched.orders.entry(order.id).or_insert_with(|| watch::Sender::new(order.clone()));
        // Who comes later may have read it later.
        known.send_if_modified(|known| {
            let is_news = order.status != known.status && order.update_date > known.update_date;
            if is_news {
                *known = order;
            }
            is_news
        });
        known.subscribe()
    }

    /// How many orders are being watched.
    pub fn watched(&self) -> usize {
        self.0.watched.lock().orders.len()
    }

    /// The event that says how far `order` has come, for a stream of them. Its id is the status: a client that
    /// comes back with one that is final has heard all.
    pub fn event(order: &Order) -> Event {
        let bytes = encode("order", Some(order.status.as_str()), order);
        if order.status.is_final() { Event::Last(bytes) } else { Event::Open(bytes) }
    }

    /// Looks at all watched orders until there are none.
    async fn run(self) {
        for tick in 1_u32.. {
            tokio::time::sleep(TICK).await;
            let Some(orders) = self.heard() else { return };
            let ids: Vec<_> = orders.iter().map(|order| order.id).collect();
            let Ok(statuses) = self.0.readings.order_statuses(ids).await else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let moved = orders.into_iter().filter(|order| match statuses.get(&order.id) {
                Some(status) => *status != order.status,
                None => order.status == OrderStatus::Pending && tick % LOOK_UP_PENDING == 0,
            });
            stream::iter(moved).for_each_concurrent(READS_AT_ONCE, |order| self.look_up(order)).await;
        }
    }

    /// The orders that somebody still waits for; none: the task ends. Under one lock with [`Self::watch`], so
    /// that nobody waits for a task that has ended.
    fn heard(&self) -> Option<Vec<Order>> {
        let mut watched = self.0.watched.lock();
        watched.orders.retain(|_, sender| sender.receiver_count() > 0);
        if watched.orders.is_empty() {
            watched.task_runs = false;
            return None;
        }
        Some(watched.orders.values().map(|sender| sender.borrow().clone()).collect())
    }

    async fn look_up(&self, known: Order) {
        match self.0.readings.order(&known.sale, known.id).await {
            Ok(order) if order.status != known.status => {
                if let Some(sender) = self.0.watched.lock().orders.get(&known.id) {
                    sender.send_replace(order);
                }
            }
            // A pending order that died with the ledger: its listeners hear of the end.
            Err(Refusal::OrderNotFound) => {
                self.0.watched.lock().orders.remove(&known.id);
            }
            Ok(_) | Err(_) => {}
        }
    }
}
