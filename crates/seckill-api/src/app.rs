//! Building the server, running it, and stopping it without losing what was answered.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use actix_web::{
    App, HttpServer,
    dev::{Server, ServerHandle},
    web::Data,
};
use seckill_core::{
    order_log::OrderPublisher,
    shutdown::{self, ShutdownSwitch},
};
use tokio::task::JoinHandle;

pub use crate::services::Parts;
use crate::{door::Door, measures::HttpMeasures, routes, services::Services, settings::LimitSettings};

/// How long the head of a request may take, from the first byte or the connection's start. Later than that,
/// and also where a head is not HTTP (400) or too large (431, over 96 headers or 128 KiB), the connection is
/// answered by the HTTP machinery itself, with the bare status, and closed.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
const KEEP_ALIVE: Duration = Duration::from_secs(75);
const BACKLOG: u32 = 4096;

/// At a stop: how long requests under way may take. An order takes at most `ACCEPT_WITHIN`.
const FINISH_REQUESTS_WITHIN: Duration = Duration::from_secs(10);
/// At a stop: how long what was decided may take to be acknowledged and settled.
const DRAIN_WITHIN: Duration = Duration::from_secs(5);
/// At a stop: how long what is on its way to the order log after that may take. With the longest lame duck, all of it
/// is less than the thirty seconds of a stop.
const FLUSH_WITHIN: Duration = Duration::from_secs(3);

/// A server that is bound and not running yet.
pub struct Api {
    server: Server,
    address: SocketAddr,
    door: Door,
    stopping: Arc<AtomicBool>,
    streams: ShutdownSwitch,
    lame_duck: Duration,
    publisher: Arc<OrderPublisher>,
    purchases: JoinHandle<()>,
}

impl Api {
    /// Binds `listen` (port 0: any free one) and makes everything ready to run.
    pub fn build(listen: SocketAddr, limits: &LimitSettings, parts: Parts) -> io::Result<Self> {
        let stopping = Arc::new(AtomicBool::new(false));
        let publisher = Arc::clone(&parts.publisher);
        let (streams, streams_ending) = shutdown::channel();
        let (services, purchases) = Services::start(parts, limits, &stopping, streams_ending);
        let (services, measures) = (Data::new(services), HttpMeasures::default());
        let workers = match limits.workers {
            Some(workers) => workers.get(),
            None => std::thread::available_parallelism()?.get(),
        };
        let (door, listener) = Door::open(listen, BACKLOG)?;
        let server = HttpServer::new(move || {
            App::new()
                .app_data(services.admin.clone())
                .app_data(services.clone())
                .configure(|config| routes::configure(config, &measures))
        })
        .workers(workers)
        .max_connections(limits.max_connections.get())
        .client_request_timeout(HEAD_WITHIN)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(FINISH_REQUESTS_WITHIN.as_secs())
        .disable_signals()
        .listen(listener)?;
        let address = server.addrs()[0];
        let lame_duck = limits.lame_duck();
        Ok(Self { server: server.run(), address, door, stopping, streams, lame_duck, publisher, purchases })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `shutdown`, then stops: unready at once; after a moment no new connections; requests that came
    /// in are finished; what was decided is published, acknowledged and settled.
    pub async fn run(self, shutdown: impl Future<Output = ()>) -> io::Result<()> {
        let handle: ServerHandle = self.server.handle();
        let server = tokio::spawn(self.server);
        let mut server = std::pin::pin!(server);
        tokio::select! {
            ended = &mut server => return ended.map_err(io::Error::other)?,
            () = shutdown => {}
        }
        self.stopping.store(true, Ordering::Release);
        tokio::time::sleep(self.lame_duck).await;
        // They have no end of their own to wait for.
        self.streams.request();
        self.door.shut().await;
        handle.stop(true).await;
        server.await.map_err(io::Error::other)??;
        // The queue's task ends when all that was submitted is decided and all that was published is settled.
        shutdown::drain("orders on their way", DRAIN_WITHIN, self.purchases).await;
        if let Err(error) = self.publisher.flush(FLUSH_WITHIN).await {
            tracing::error!(%error, "some events were not acknowledged; the relay publishes them again");
        }
        Ok(())
    }
}
