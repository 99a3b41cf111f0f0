//! Users and policies read again while the gateway runs: both at SIGHUP, and the policies whenever their file has become
//! another, which is looked at every `policies.poll`.
//!
//! Invariants: each document is taken by itself, whole or not at all; one that is bad stays in force as it was, its fault is
//! logged with the file and the reason and counted, and does not hold up the other. Whoever has left the users file is
//! refused from the next call on, also with a token or a ticket of before.

use std::sync::Arc;
use std::time::Duration;

use policies::Identity;
use policies::store::{FileStore, PolicyStore as _, Seen};
use tokio::signal::unix::Signal;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// The files that say who may come in and what they may see.
#[derive(Clone, Debug)]
pub struct Documents {
    identity: Arc<Identity>,
    policies: Arc<FileStore>,
    metrics: Metrics,
}

impl Documents {
    pub(crate) fn new(identity: Arc<Identity>, policies: Arc<FileStore>, metrics: Metrics) -> Self {
        Self {
            identity,
            policies,
            metrics,
        }
    }

    /// Reads both again. Waits for the disk, so it belongs on a thread that may.
    fn reload(&self) {
        self.note("users", self.identity.reload());
        self.note("policies", self.policies.reload());
        tracing::info!(epoch = self.policies.current().epoch(), "policies in force");
    }

    /// Looks whether the policies have become others. Waits for the disk.
    fn look(&self, staleness_max: Duration) {
        match self.policies.look(staleness_max) {
            Ok(Seen::Same) => {}
            Ok(Seen::Changed(outcome)) => {
                self.note("policies", outcome);
                tracing::info!(epoch = self.policies.current().epoch(), "policies in force");
            }
            Err(error) => tracing::error!(error = %error, "the policies are out of reach"),
        }
    }

    fn note(&self, document: &'static str, outcome: policies::Result<()>) {
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

/// Reads the documents again at each signal, until `stop`.
pub(crate) async fn at_each(mut hangups: Signal, documents: Documents, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            heard = hangups.recv() => if heard.is_none() { return },
        }
        let documents = documents.clone();
        if let Err(error) = tokio::task::spawn_blocking(move || documents.reload()).await {
            tracing::error!(error = %error, "the documents were not read again");
        }
    }
}

/// Looks at the policies every so often, until `stop`.
pub(crate) async fn watching(documents: Documents, config: policies::Config, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(config.poll) => {}
        }
        let documents = documents.clone();
        let look = move || documents.look(config.staleness_max);
        if let Err(error) = tokio::task::spawn_blocking(look).await {
            tracing::error!(error = %error, "the policies were not looked at");
        }
    }
}
