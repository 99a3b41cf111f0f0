//! The whole house in one place: every room is built here, in order, and nowhere else.

use std::net::SocketAddr;
use std::sync::Arc;

use planner::Engine;
use policies::store::FileStore;
use policies::{Identity, PolicyStore};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admission::Admission;
use crate::app::App;
use crate::config::{Config, Environment};
use crate::error::{Error, Result};
use crate::listen::{self, Listener};
use crate::metrics::Metrics;
use crate::running::RunningQueries;
use crate::{admin, flight, rest, telemetry};

/// A gateway that serves.
#[derive(Debug)]
pub struct Running {
    /// Where Flight SQL is served.
    pub flight: SocketAddr,
    /// Where REST is served.
    pub rest: SocketAddr,
    /// Where metrics and probes are served.
    pub admin: SocketAddr,
    stop: CancellationToken,
    listeners: JoinSet<()>,
}

impl Running {
    /// Asks the gateway to stop: no new connections, running answers may end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// A token that stops the gateway when it is cancelled.
    pub fn stopper(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Waits until the gateway has stopped.
    pub async fn stopped(mut self) {
        while self.listeners.join_next().await.is_some() {}
    }
}

/// Builds the rooms that answer calls, without listeners.
///
/// # Errors
/// Whatever cannot be opened: users, policies, keys, sources.
pub async fn build(config: Config, environment: &Environment) -> Result<Arc<App>> {
    let malformed = |fault: crate::config::Fault| Error::Malformed {
        what: "configuration",
        problem: fault.to_string(),
    };
    let seal = config.seal.open(environment).map_err(malformed)?;
    let seal = Arc::new(seal);
    let identity = Arc::new(Identity::open(&config.identity, Arc::clone(&seal))?);
    let policies: Arc<dyn PolicyStore> = Arc::new(FileStore::open(&config.policies.file)?);
    let planner = config.planner_with_secrets(environment).map_err(malformed)?;
    let engine = Engine::open(&planner, Arc::clone(&policies)).await?;
    Ok(Arc::new(App {
        engine,
        identity,
        seal,
        policies,
        admission: Admission::new(&config.limits),
        running: RunningQueries::default(),
        metrics: Metrics::new()?,
        config,
    }))
}

/// Starts a gateway; it serves when this returns.
///
/// # Errors
/// An address that cannot be bound, or whatever [`build`] cannot open.
pub async fn start(config: Config, environment: &Environment) -> Result<Running> {
    telemetry::start(&config.telemetry)?;
    let flight_socket = listen::bind("flight", config.listen.flight).await?;
    let rest_socket = listen::bind("rest", config.listen.rest).await?;
    let admin_socket = listen::bind("admin", config.listen.admin).await?;
    let tls = listen::tls(&config.tls)?;
    let app = build(config, environment).await?;
    let address = |socket: &tokio::net::TcpListener| {
        socket.local_addr().map_err(|error| Error::Internal {
            message: error.to_string(),
        })
    };
    let mut running = Running {
        flight: address(&flight_socket)?,
        rest: address(&rest_socket)?,
        admin: address(&admin_socket)?,
        stop: CancellationToken::new(),
        listeners: JoinSet::new(),
    };
    let rooms = [
        Listener {
            socket: flight_socket,
            name: "flight",
            router: flight::router(Arc::clone(&app)),
            tls: tls.clone(),
        },
        Listener {
            socket: rest_socket,
            name: "rest",
            router: rest::router(Arc::clone(&app)),
            tls,
        },
        Listener {
            socket: admin_socket,
            name: "admin",
            router: admin::router(Arc::clone(&app)),
            tls: None,
        },
    ];
    for room in rooms {
        let served = listen::serve(
            room,
            app.config.limits.clone(),
            app.metrics.clone(),
            running.stop.clone(),
        );
        running.listeners.spawn(served);
    }
    Ok(running)
}
