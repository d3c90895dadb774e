//! What a consumer does, by the same parts of core: the log comes into the store, and units come back.

use seckill_core::{
    event::OrderEvent,
    ledger::{ReleaseOutcome, StockLedger},
    order_log::OrderSubscriber,
    settings::GroupSettings,
    shutdown::{self, ShutdownSwitch},
    store::{IncomingEvent, OrderStore},
};
use tokio::{
    runtime::{Builder, Runtime},
    task::JoinHandle,
};

use crate::world::{World, variable};

/// Writes until it is stopped.
pub struct Writer {
    stop: ShutdownSwitch,
    work: JoinHandle<()>,
}

impl Writer {
    pub fn start(world: &World) -> Self {
        let (stop, stopping) = shutdown::channel();
        let group = GroupSettings { consumer_group: world.sale.to_string() };
        let mut subscriber = OrderSubscriber::new(&world.kafka, &group).unwrap();
        let (store, ledger) =
            (world.database.store(), StockLedger::new(&variable("REDIS_URL").into(), 2).unwrap());
        let work = tokio::task::spawn_blocking(move || {
            // A runtime of its own: that of a test that fails ends while this is at work.
            let runtime = Builder::new_current_thread().enable_all().build().unwrap();
            while !stopping.is_requested() {
                step(&mut subscriber, &store, &ledger, &runtime);
            }
            subscriber.close().unwrap();
        });
        Self { stop, work }
    }

    pub async fn stop(self) {
        self.stop.request();
        self.work.await.unwrap();
    }
}

fn step(subscriber: &mut OrderSubscriber, store: &OrderStore, ledger: &StockLedger, runtime: &Runtime) {
    let batch = subscriber.poll_batch(500, std::time::Duration::from_millis(20)).unwrap();
    let mut events = Vec::new();
    for message in &batch {
        let event = OrderEvent::decode(message.key.as_deref(), message.value.as_deref()).unwrap();
        events.push(IncomingEvent { event, raw: message.value.clone().unwrap() });
    }
    runtime.block_on(store.write_batch(&events)).unwrap();
    for message in &batch {
        subscriber.store(message.partition, message.offset + 1).unwrap();
    }
    runtime.block_on(async {
        for order in store.returns(1000).await.unwrap() {
            let released = ledger.release(&order.sale, std::slice::from_ref(&order)).await.unwrap();
            assert!(matches!(released, ReleaseOutcome::Released { .. }), "{released:?}");
            store.delete_returns(&[order.id]).await.unwrap();
        }
    });
}
