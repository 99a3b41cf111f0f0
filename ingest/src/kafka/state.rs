//! How a source is, for people and probes.

use std::sync::{Arc, Mutex, PoisonError};

use crate::metrics::Metrics;

/// What a source does now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Doing {
    /// It looks where to begin.
    #[default]
    Starting,
    /// It takes records.
    Reading,
    /// Something does not answer; it goes on by itself.
    Waiting,
    /// It has ended for good: a person must look.
    Stopped,
}

/// A source as it is now.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub struct State {
    /// What it does.
    pub doing: Doing,
    /// Why it waits or has stopped.
    pub reason: Option<String>,
    /// The partitions that it reads.
    pub partitions: usize,
    /// Offsets that are there and not committed to bronze; none before it is known.
    pub lag: Option<i64>,
    /// When bronze was committed last by this process, in milliseconds since 1970.
    pub committed_at_ms: Option<i64>,
}

/// The state of one source, shared with who shows it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Board {
    pipeline: String,
    metrics: Metrics,
    state: Arc<Mutex<State>>,
}

impl Board {
    pub(crate) fn new(pipeline: &str, metrics: Metrics) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            metrics,
            state: Arc::default(),
        }
    }

    /// The state now.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut state);
        self.metrics
            .source_reading(&self.pipeline, state.doing == Doing::Reading);
    }

    pub(crate) fn reading(&self, partitions: usize) {
        self.change(|state| {
            if state.doing != Doing::Reading {
                tracing::info!(pipeline = self.pipeline, partitions, "kafka is read");
            }
            state.doing = Doing::Reading;
            state.reason = None;
            state.partitions = partitions;
        });
    }

    /// Says why nothing is read; the same reason is logged once.
    pub(crate) fn waiting(&self, reason: &str) {
        self.change(|state| {
            if state.doing != Doing::Waiting || state.reason.as_deref() != Some(reason) {
                tracing::warn!(pipeline = self.pipeline, reason, "kafka waits");
            }
            state.doing = Doing::Waiting;
            state.reason = Some(reason.to_owned());
        });
    }

    pub(crate) fn stopped(&self, reason: &str) {
        tracing::error!(
            pipeline = self.pipeline,
            reason,
            "kafka is read no more by this process"
        );
        self.change(|state| {
            state.doing = Doing::Stopped;
            state.reason = Some(reason.to_owned());
            state.lag = None;
        });
    }

    pub(crate) fn lag(&self, lag: i64) {
        self.change(|state| state.lag = Some(lag));
    }

    pub(crate) fn committed(&self) {
        self.change(|state| state.committed_at_ms = Some(chrono::Utc::now().timestamp_millis()));
    }
}
