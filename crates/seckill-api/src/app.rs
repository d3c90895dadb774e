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

use actix_http::{HttpService, KeepAlive, Protocol};
use actix_service::{IntoServiceFactory, ServiceFactoryExt, map_config};
use actix_web::{
    App,
    dev::{AppConfig, Server, ServerHandle, fn_service},
    rt::net::TcpStream,
    web::Data,
};
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use seckill_core::{
    order_log::OrderPublisher,
    shutdown::{self, ShutdownSwitch},
};
use tokio::task::JoinHandle;

pub use crate::services::Parts;
use crate::{
    connection::Bounded, door::Door, measures::HttpMeasures, routes, services::Services,
    settings::LimitSettings,
};

/// How long the head of a connection's first request may take. Later than that,
/// and also where a head is not HTTP (400) or too large (431, over 96 headers or 128 KiB), the connection is
/// answered by the HTTP machinery itself, with the bare status, and closed.
const HEAD_WITHIN: Duration = Duration::from_secs(5);
/// How long nothing may be answered on a connection. Nothing that is asked takes as long, and an event stream that has
/// nothing to tell says so more often: it is at rest, or has half a request.
const SILENT_AT_MOST: Duration = Duration::from_secs(80);
const DISCONNECT_WITHIN: Duration = Duration::from_secs(1);
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
        let address = listener.local_addr()?;
        let server = Server::build()
            .workers(workers)
            .max_concurrent_connections(limits.max_connections.get())
            .shutdown_timeout(FINISH_REQUESTS_WITHIN.as_secs())
            .disable_signals();
        let ending = server.graceful_shutdown_signal();
        // What `HttpServer` does, for streams of our own.
        let server = server.listen("http", listener, move || {
            let app = App::new()
                .app_data(services.admin.clone())
                .app_data(services.clone())
                .configure(|config| routes::configure(config, &measures));
            let ending = ending.clone();
            let http = HttpService::build()
                .client_request_timeout(HEAD_WITHIN)
                .client_disconnect_timeout(DISCONNECT_WITHIN)
                // What is at rest is closed by `Bounded`, which has a timer for each connection, not for each request.
                .keep_alive(KeepAlive::Os)
                .local_addr(address)
                .graceful_shutdown_signal(move || {
                    let ending = ending.clone();
                    // A connection asks with each request. A set asks only what has woken it; the signal would take
                    // a lock of all connections each time.
                    let ended = FuturesUnordered::from_iter([async move { ending.notified().await }]);
                    ended.into_future().map(drop)
                })
                .finish(map_config(app.into_factory(), |()| AppConfig::default()));
            fn_service(async |stream: TcpStream| {
                let peer = stream.peer_addr().ok();
                Ok((Bounded::new(stream, SILENT_AT_MOST), Protocol::Http1, peer))
            })
            .and_then(http)
        })?;
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
