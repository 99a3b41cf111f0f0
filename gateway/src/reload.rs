//! Users, keys, certificates and policies read again while the gateway runs: all of them at SIGHUP, and those that say
//! who may come in also when their files change.
//!
//! Invariants: each document is taken by itself, whole or not at all; one that is bad stays in force as it was, its fault is
//! logged with the file and the reason and counted, and does not hold up the other. Whoever has left the users file is
//! refused from the next call on, also with a token or a ticket of before.

use std::sync::Arc;
use std::time::Duration;

use policies::Identity;
use policies::store::Seen;
use tokio::signal::unix::Signal;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

use crate::listen::TlsDoor;
use crate::metrics::Metrics;
use crate::policy_source::PolicySource;

/// What says who may come in and what they may see.
#[derive(Clone, Debug)]
pub struct Documents {
    identity: Arc<Identity>,
    policies: Arc<PolicySource>,
    tls: Option<Arc<TlsDoor>>,
    metrics: Metrics,
}

impl Documents {
    pub(crate) fn new(identity: Arc<Identity>, policies: Arc<PolicySource>, metrics: Metrics) -> Self {
        Self {
            identity,
            policies,
            tls: None,
            metrics,
        }
    }

    pub(crate) fn with_tls(mut self, tls: Option<Arc<TlsDoor>>) -> Self {
        self.tls = tls;
        self
    }

    /// Reads all of them again.
    async fn reload(&self) {
        let documents = self.clone();
        let read = move || {
            documents.note("users", documents.identity.reload());
            if let Some(tls) = &documents.tls {
                documents.note("tls", tls.reload());
            }
        };
        if let Err(error) = tokio::task::spawn_blocking(read).await {
            tracing::error!(error = %error, "the documents were not read again");
        }
        self.note("policies", self.policies.reload().await);
        tracing::info!(policies = self.policies.told(), "policies in force");
    }

    /// Reads again what has changed of that which says who may come in. Waits for the disk, so it belongs on a thread that
    /// may.
    fn reload_changed(&self) {
        if self.identity.has_changed() {
            self.note("users", self.identity.reload());
        }
        if let Some(tls) = self.tls.as_ref().filter(|tls| tls.has_changed()) {
            self.note("tls", tls.reload());
        }
    }

    /// Looks whether the policies have become others.
    async fn look(&self, staleness_max: Duration) {
        match self.policies.look(staleness_max).await {
            Ok(Seen::Same) => {}
            Ok(Seen::Changed(outcome)) => {
                self.note("policies", outcome);
                tracing::info!(policies = self.policies.told(), "policies in force");
            }
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(error = %error, cause, "the policies are out of reach");
            }
        }
    }

    fn note(&self, document: &'static str, outcome: Result<(), impl std::error::Error>) {
        self.metrics.reloaded(document, outcome.is_ok());
        match outcome {
            Ok(()) => tracing::info!(document, "read again"),
            Err(error) => {
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(document, error = %error, cause, "not read again; the old one stays in force");
            }
        }
    }
}

/// Reads again what has changed, until `stop`. A file that is replaced is in force after `period` at the latest.
pub(crate) async fn at_change(documents: Documents, period: Duration, stop: CancellationToken) {
    let mut ticks = tokio::time::interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let documents = documents.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || documents.reload_changed()).await {
            tracing::error!(error = %error, "changed documents were not read again");
        }
    }
}

/// Reads the documents again at each signal, until `stop`.
pub(crate) async fn at_each(mut hangups: Signal, documents: Documents, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            heard = hangups.recv() => if heard.is_none() { return },
        }
        documents.reload().await;
    }
}

/// Looks at the policies every so often, until `stop`.
pub(crate) async fn watching(documents: Documents, config: policies::Config, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(config.poll) => {}
        }
        documents.look(config.staleness_max).await;
    }
}
