//! The service's HTTP door: uploads, the state of pipelines, metrics and probes.
//!
//! Invariants:
//! 1. Nobody writes who has not been proven and has no role of `writers.roles`; a pipeline is looked up after that.
//! 2. The bytes of all uploads that wait for their commit are bounded; at the bound an upload is answered 429 before its body is read.
//! 3. Success means a committed snapshot.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Extension, Router};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use policies::{Identity, Secrets};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::error::{Error, Result};
use crate::service::Service;
use crate::settings::Settings;

mod caller;
mod problem;
mod state;
mod upload;

/// How long running answers may take after the order to stop.
const DRAIN: Duration = Duration::from_secs(30);
/// How long the head of a request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);

/// What the routes share.
#[derive(Debug)]
pub(crate) struct Door {
    service: Service,
    identity: Arc<Identity>,
    settings: Settings,
    /// Kibibytes of uploads that may still come.
    room: Arc<Semaphore>,
    landing: String,
}

/// Where a caller is.
#[derive(Debug, Clone, Copy)]
struct Peer(IpAddr);

/// A door that is open.
#[derive(Debug)]
pub struct Open {
    /// Where it is.
    pub address: SocketAddr,
    task: tokio::task::JoinHandle<()>,
}

impl Open {
    /// Waits until everything that was accepted is answered and committed, after the order to stop.
    pub async fn closed(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the door did not close well");
        }
    }
}

/// Opens the door to a service that runs.
///
/// # Errors
/// The address cannot be listened on, or users and keys cannot be read.
pub async fn open(settings: Settings, service: Service, stop: CancellationToken) -> Result<Open> {
    let address = settings.listen.http;
    let failed = |source| Error::Listen { address, source };
    let socket = TcpListener::bind(address).await.map_err(failed)?;
    let address = socket.local_addr().map_err(failed)?;
    let secrets = Secrets {
        seal: Arc::new(settings.seal.open()?),
        pepper: settings.seal.pepper()?,
    };
    let identity = Arc::new(Identity::open(&settings.identity, secrets).map_err(Error::Identity)?);
    tokio::spawn(reread(
        Arc::clone(&identity),
        settings.identity.reread,
        stop.clone(),
    ));
    let connections_max = settings.listen.connections_max;
    let door = Arc::new(Door {
        room: Arc::new(Semaphore::new(settings.waiting_bytes_max.div_ceil(1024))),
        landing: format!("{}/bronze", settings.lake.warehouse.display()),
        service,
        identity,
        settings,
    });
    let task = tokio::spawn(async move {
        serve(socket, router(Arc::clone(&door)), connections_max, stop).await;
        // The last holder of the door gives the service back, so that its tasks see their queues closed.
        match Arc::try_unwrap(door) {
            Ok(door) => door.service.stopped().await,
            Err(_) => tracing::warn!("an answer was broken off; its batch may be committed all the same"),
        }
    });
    Ok(Open { address, task })
}

/// Reads users, keys and revocations again when they have changed, so that who was taken out writes no more. Ends at `stop`.
async fn reread(identity: Arc<Identity>, every: Duration, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(every) => {}
        }
        let identity = Arc::clone(&identity);
        let read = tokio::task::spawn_blocking(move || match identity.has_changed() {
            true => identity.reload(),
            false => Ok(()),
        });
        match read.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "users and keys stay as they were"),
            Err(error) => tracing::error!(%error, "users and keys could not be read again"),
        }
    }
}

fn router(door: Arc<Door>) -> Router {
    Router::new()
        .route("/v1/ingest/{dataset}", post(upload::post))
        .route("/v1/pipelines", get(state::pipelines))
        .route("/metrics", get(state::metrics))
        .route("/livez", get(|| async { "live\n" }))
        .route("/readyz", get(state::ready))
        .fallback(|| async { problem::Problem::no_route().into_response() })
        .layer(DefaultBodyLimit::disable())
        .with_state(door)
}

async fn serve(socket: TcpListener, router: Router, connections_max: usize, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(connections_max.min(Semaphore::MAX_PERMITS)));
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .http2()
        .timer(TokioTimer::new());
    let builder = Arc::new(builder);
    let graceful = GracefulShutdown::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = socket.accept() => accepted,
        };
        let (Ok(place), Ok((stream, peer))) = (place, accepted) else {
            // Out of descriptors, mostly: wait for one instead of spinning.
            tokio::time::sleep(Duration::from_millis(20)).await;
            continue;
        };
        let (builder, router, watcher) = (Arc::clone(&builder), router.clone(), graceful.watcher());
        // One task a connection; it ends with the connection or the process.
        tokio::spawn(async move {
            let _held = place;
            let service = TowerToHyperService::new(router.layer(Extension(Peer(peer.ip()))));
            let connection = builder
                .serve_connection(TokioIo::new(stream), service)
                .into_owned();
            if let Err(error) = watcher.watch(connection).await {
                tracing::debug!(%peer, error, "a connection ended");
            }
        });
    }
    drop(socket);
    drop(router);
    tokio::select! {
        () = graceful.shutdown() => {}
        () = tokio::time::sleep(DRAIN) => tracing::warn!("answers were broken off"),
    }
}
