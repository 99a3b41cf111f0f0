//! The whole house in one place: every room is built here, in order, and nowhere else.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use planner::Engine;
use policies::{Identity, PolicyStore, Secrets};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::admission::{Admission, RateLimit};
use crate::app::App;
use crate::audit::Audit;
use crate::config::{Config, Environment, Fault};
use crate::error::{Error, Result};
use crate::listen::{self, Listener, TlsDoor};
use crate::metrics::Metrics;
use crate::policy_source::PolicySource;
use crate::reload::{self, Documents};
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
    documents: Documents,
    audit: Audit,
    /// How long the end waits for the trail.
    audit_wait: Duration,
    stop: CancellationToken,
    /// The listeners, and whatever else ends with them.
    tasks: JoinSet<()>,
}

impl Running {
    /// Asks the gateway to stop: no new connections, running answers may end.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Reads users and policies again at every SIGHUP from now on, until the gateway stops.
    ///
    /// # Errors
    /// `Internal` when the system does not let us hear the signal.
    pub fn reload_on_hangup(&mut self) -> Result<()> {
        let hangups = signal(SignalKind::hangup()).map_err(|error| Error::Internal {
            message: format!("SIGHUP cannot be heard: {error}"),
        })?;
        self.tasks.spawn(reload::at_each(
            hangups,
            self.documents.clone(),
            self.stop.clone(),
        ));
        Ok(())
    }

    /// Waits until the gateway has stopped.
    pub async fn stopped(mut self) {
        while self.tasks.join_next().await.is_some() {}
        self.audit.flushed(self.audit_wait).await;
    }
}

/// Builds the rooms that answer calls, without listeners.
///
/// # Errors
/// `Config` with the key at fault, or whatever cannot be opened: users, policies, sources.
pub async fn build(config: Config, environment: &Environment) -> Result<Arc<App>> {
    let seal = Arc::new(config.seal.open(environment)?);
    let secrets = Secrets {
        seal: Arc::clone(&seal),
        pepper: config.seal.pepper(environment)?,
    };
    let identity = Arc::new(Identity::open(&config.identity, secrets)?);
    let source = Arc::new(PolicySource::open(&config, environment).await?);
    let policies: Arc<dyn PolicyStore> = Arc::<PolicySource>::clone(&source);
    let planner = config.planner_with_secrets(environment)?;
    let fleet = config.fleet.cache(environment, &seal)?;
    let engine = Engine::open_in_fleet(&planner, Arc::clone(&policies), fleet).await?;
    let metrics = Metrics::new()?;
    let audit = match &config.audit.folder {
        Some(_) => Audit::open(&config.audit, config.audit.signing_key(environment)?)?,
        None => {
            tracing::warn!("no audit trail is kept, since audit.folder is not set");
            Audit::off()
        }
    };
    Ok(Arc::new(App {
        engine,
        documents: Documents::new(Arc::clone(&identity), source, metrics.clone()),
        identity,
        seal,
        policies,
        audit,
        rates: RateLimit::new(&config.rates, config.fleet.url(environment)?, metrics.clone())?,
        admission: Admission::new(&config.limits),
        running: RunningQueries::default(),
        metrics,
        config,
    }))
}

/// A socket at the address of the key `listen.{name}`, which is at fault when there is none.
async fn bound(name: &'static str, address: SocketAddr) -> Result<TcpListener> {
    listen::bind(name, address).await.map_err(|error| match error {
        Error::Malformed { problem, .. } => Fault::at(format!("listen.{name}"), problem).into(),
        other => other,
    })
}

/// Starts a gateway; it serves when this returns.
///
/// # Errors
/// `Config` for an address that cannot be bound and for TLS files that do not fit, or whatever [`build`] cannot open.
pub async fn start(config: Config, environment: &Environment) -> Result<Running> {
    telemetry::start(&config.telemetry)?;
    let flight_socket = bound("flight", config.listen.flight).await?;
    let rest_socket = bound("rest", config.listen.rest).await?;
    let admin_socket = bound("admin", config.listen.admin).await?;
    let tls = TlsDoor::open(&config.tls)?;
    let app = build(config, environment).await?;
    let address = |socket: &TcpListener| {
        socket.local_addr().map_err(|error| Error::Internal {
            message: error.to_string(),
        })
    };
    let mut running = Running {
        flight: address(&flight_socket)?,
        rest: address(&rest_socket)?,
        admin: address(&admin_socket)?,
        documents: app.documents.clone().with_tls(tls.clone()),
        audit: app.audit.clone(),
        audit_wait: app.config.audit.wait_max,
        stop: CancellationToken::new(),
        tasks: JoinSet::new(),
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
        running.tasks.spawn(served);
    }
    running.tasks.spawn(reload::at_change(
        running.documents.clone(),
        app.config.identity.reread,
        running.stop.clone(),
    ));
    let identity = Arc::clone(&app.identity);
    // It ends by the timeouts of the issuers.
    running.tasks.spawn(async move { identity.warm().await });
    running.tasks.spawn(reload::watching(
        app.documents.clone(),
        app.config.policies.clone(),
        running.stop.clone(),
    ));
    Ok(running)
}
