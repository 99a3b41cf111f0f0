//! One accept loop for every listener: TCP, TLS where it is configured, a bound on connections, HTTP/1 and HTTP/2, and
//! a drain that lets running answers end.

mod opening;
mod tls;

pub(crate) use tls::TlsDoor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use crate::config::Limits;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::peer::Peer;
use opening::Opening;

/// Window of one HTTP/2 stream. The default of 64 KiB holds a bulk stream below a third of what the machine carries.
const STREAM_WINDOW: u32 = 4 << 20;
/// Window of one HTTP/2 connection.
const CONNECTION_WINDOW: u32 = 8 << 20;
/// Bytes that may wait in a stream's send buffer.
const SEND_BUFFER: usize = 4 << 20;

/// A bound socket that will serve `router`.
pub(crate) struct Listener {
    pub(crate) socket: TcpListener,
    pub(crate) name: &'static str,
    pub(crate) router: Router,
    pub(crate) tls: Option<Arc<TlsDoor>>,
}

/// Binds an address.
///
/// # Errors
/// The system's reason with the address, such as a port in use.
pub(crate) async fn bind(name: &'static str, address: SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::Malformed {
            what: "listen address",
            problem: format!("{name} {address}: {error}"),
        })
}

/// Serves until `stop`, then lets running answers end for `drain_timeout` at most.
pub(crate) async fn serve(listener: Listener, limits: Limits, metrics: Metrics, stop: CancellationToken) {
    let places = Arc::new(Semaphore::new(limits.connections_max.min(Semaphore::MAX_PERMITS)));
    let builder = Arc::new(protocol(&limits));
    let graceful = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.socket.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(pair) => pair,
            Err(error) => {
                // Out of descriptors, mostly: wait for one instead of spinning.
                tracing::warn!(listener = listener.name, error = %error, "a connection was not accepted");
                tokio::time::sleep(Duration::from_millis(20)).await;
                continue;
            }
        };
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
            tracing::warn!(listener = listener.name, %peer, "refused: too many connections");
            continue;
        };
        let connected = metrics.connection(listener.name);
        let (builder, router, tls) = (
            Arc::clone(&builder),
            listener.router.clone(),
            listener.tls.clone(),
        );
        let (watcher, handshake_max) = (graceful.watcher(), limits.header_timeout);
        let work = async move {
            let _held = (place, connected);
            if let Err(problem) =
                connection((stream, peer), tls, handshake_max, builder, router, watcher).await
            {
                tracing::debug!(%peer, problem, "connection ended");
            }
        };
        // One task a connection; it ends with the connection or the process.
        tokio::spawn(work);
    }
    drop(listener.socket);
    if tokio::time::timeout(limits.drain_timeout, graceful.shutdown())
        .await
        .is_err()
    {
        tracing::warn!(listener = listener.name, "stopped with answers still running");
    }
}

async fn connection(
    (stream, address): (TcpStream, SocketAddr),
    tls: Option<Arc<TlsDoor>>,
    handshake_max: Duration,
    builder: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    watcher: Watcher,
) -> Result<(), String> {
    stream.set_nodelay(true).map_err(|error| error.to_string())?;
    let mut peer = Peer {
        address,
        certificate: None,
    };
    match tls {
        None => {
            serve_stream(
                Opening::new(stream, handshake_max),
                peer,
                builder,
                router,
                watcher,
            )
            .await
        }
        Some(tls) => {
            let handshake = tokio::time::timeout(handshake_max, tls.acceptor().accept(stream));
            let stream = handshake
                .await
                .map_err(|_| "TLS handshake too slow")?
                .map_err(|error| error.to_string())?;
            let shown = stream.get_ref().1.peer_certificates();
            // The first is the caller's own, the others lead to an authority.
            let own = shown.and_then(|chain| chain.first());
            peer.certificate = own.map(|certificate| Arc::new(certificate.clone().into_owned()));
            serve_stream(
                Opening::new(stream, handshake_max),
                peer,
                builder,
                router,
                watcher,
            )
            .await
        }
    }
}

async fn serve_stream<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: Peer,
    builder: Arc<auto::Builder<TokioExecutor>>,
    router: Router,
    watcher: Watcher,
) -> Result<(), String> {
    let service =
        TowerToHyperService::new(router.map_request(move |mut request: http::Request<Incoming>| {
            request.extensions_mut().insert(peer.clone());
            request
        }));
    let connection = builder
        .serve_connection(TokioIo::new(stream), service)
        .into_owned();
    watcher.watch(connection).await.map_err(|error| error.to_string())
}

fn protocol(limits: &Limits) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    let header_bytes = usize::try_from(limits.header_bytes_max.as_u64()).unwrap_or(usize::MAX);
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(header_bytes.max(64 << 10))
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(header_bytes).unwrap_or(u32::MAX))
        .max_concurrent_streams(limits.connection_calls_max)
        .keep_alive_interval(Some(limits.keep_alive))
        .keep_alive_timeout(limits.keep_alive)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER);
    builder
}
