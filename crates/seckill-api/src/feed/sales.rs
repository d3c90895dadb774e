//! The sales that somebody listens to: one ticker each, however many listen.

use std::{collections::HashMap, sync::Arc, time::Duration};

use actix_web::web::Bytes;
use parking_lot::Mutex;
use seckill_core::sale::{SaleId, SaleView};
use tokio::{
    runtime::Handle,
    sync::watch,
    time::{MissedTickBehavior, interval},
};

use super::streams::{Event, encode};
use crate::{reading::Readings, refusal::Refusal};

/// How often a sale is looked at. With what a listener hears when it comes, that is at most five events a
/// second.
const TICK: Duration = Duration::from_millis(250);

/// Tells of sales. Clones share their tickers.
#[derive(Clone)]
pub struct SaleFeed(Arc<Inner>);

struct Inner {
    readings: Readings,
    runtime: Handle,
    tickers: Mutex<HashMap<SaleId, Ticker>>,
}

/// What the listeners of one sale were told.
struct Ticker {
    events: watch::Sender<Bytes>,
    /// What the last event says.
    told: Arc<SaleView>,
    /// Whether a newcomer was told something else since: the next tick tells all how the sale stands.
    divided: bool,
}

impl SaleFeed {
    /// Watches sales from the runtime that this is called on.
    pub fn new(readings: Readings) -> Self {
        Self(Arc::new(Inner { readings, runtime: Handle::current(), tickers: Mutex::default() }))
    }

    /// The event that says how `sale` stands now, and those that follow.
    pub async fn watch(&self, sale: &SaleId) -> Result<(Bytes, watch::Receiver<Bytes>), Refusal> {
        let view = self.0.readings.sale_view(sale).await?;
        let now = encode("sale", None, &*view);
        let mut tickers = self.0.tickers.lock();
        if let Some(ticker) = tickers.get_mut(sale) {
            ticker.divided |= !same(&view, &ticker.told);
            return Ok((now, ticker.events.subscribe()));
        }
        let (events, receiver) = watch::channel(now.clone());
        tickers.insert(sale.clone(), Ticker { events, told: view, divided: false });
        self.0.runtime.spawn(self.clone().tick(sale.clone()));
        Ok((now, receiver))
    }

    /// How many sales are being watched.
    pub fn tickers(&self) -> usize {
        self.0.tickers.lock().len()
    }

    /// An event of a sale, for a stream of them.
    pub fn event(bytes: &Bytes) -> Event {
        Event::Open(bytes.clone())
    }

    /// Looks at `sale` until nobody listens any more. While it cannot be looked at, nothing is told.
    async fn tick(self, sale: SaleId) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first one comes at once, and what it would tell was told.
        ticks.tick().await;
        loop {
            ticks.tick().await;
            if self.ends_unheard(&sale) {
                return;
            }
            let Ok(view) = self.0.readings.sale_view(&sale).await else { continue };
            if let Some(ticker) = self.0.tickers.lock().get_mut(&sale)
                && (ticker.divided || !same(&view, &ticker.told))
            {
                ticker.events.send_replace(encode("sale", None, &*view));
                (ticker.told, ticker.divided) = (view, false);
            }
        }
    }

    /// Whether nobody listens to `sale`; its ticker is then no more. Under one lock with
    /// [`Self::watch`], so that nobody listens to a ticker that has ended.
    fn ends_unheard(&self, sale: &SaleId) -> bool {
        let mut tickers = self.0.tickers.lock();
        let heard = tickers.get(sale).is_some_and(|ticker| ticker.events.receiver_count() > 0);
        if !heard {
            tickers.remove(sale);
        }
        !heard
    }
}

/// Whether nothing but the clock has changed.
fn same(view: &SaleView, last: &SaleView) -> bool {
    let SaleView { server_time, .. } = last;
    SaleView { server_time: *server_time, ..view.clone() } == *last
}
