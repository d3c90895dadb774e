//! A consumer: the log comes into the store, and units come back.

use std::{sync::Arc, thread};

use order_consumer::{consume::Consumer, returns};
use seckill_core::{
    order_log::{OrderPublisher, OrderSubscriber},
    settings::GroupSettings,
    shutdown::{self, ShutdownSwitch},
    testing::patient_ledger,
};
use tokio::{runtime::Builder, sync::Notify};

use crate::world::World;

/// A consumer at work until it is stopped.
///
/// On a runtime of its own: that of a test that fails ends while the consumer still waits for it.
pub struct Writer {
    stop: ShutdownSwitch,
    work: thread::JoinHandle<()>,
}

impl Writer {
    pub fn start(world: &World) -> Self {
        let (stop, shutdown) = shutdown::channel();
        let group = GroupSettings { consumer_group: world.sale.to_string() };
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (store, ledger) = {
            let _entered = runtime.enter();
            (world.database.store(), patient_ledger())
        };
        let owed = Arc::new(Notify::new());
        let consumer = Consumer::new(
            OrderSubscriber::new(&world.kafka, &group).unwrap(),
            world.database.store(),
            Arc::new(OrderPublisher::new(&world.kafka).unwrap()),
            Arc::clone(&owed),
            shutdown.clone(),
        )
        .unwrap();
        let work = thread::spawn(move || {
            let returning = runtime.spawn(returns::run(store, ledger, owed, shutdown));
            consumer.run().unwrap();
            runtime.block_on(returning).unwrap();
        });
        Self { stop, work }
    }

    /// Stops it in good order.
    pub async fn stop(self) {
        self.stop.request();
        let work = self.work;
        tokio::task::spawn_blocking(|| work.join().unwrap()).await.unwrap();
    }
}
