//! What all sources that are read have in common: how they are, for people and probes, and how they go on after a failure.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::error::{Error, ErrorKind, Result};
use crate::metrics::Metrics;

/// The first and the longest pause after failures in a row.
const PAUSES: (Duration, Duration) = (Duration::from_millis(250), Duration::from_secs(15));

/// Pauses that double.
#[derive(Debug, Default)]
pub(crate) struct Pause(Option<Duration>);

impl Pause {
    pub(crate) fn next(&mut self) -> Duration {
        let (first, longest) = PAUSES;
        let pause = self.0.map_or(first, |last| (last * 2).min(longest));
        self.0 = Some(pause);
        pause
    }
}

/// Why a session with a source ended well.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The service stops.
    Stopped,
    /// The source is another one than it was; a new session begins at once.
    Changed,
}

/// What is done after a session has ended in `outcome`: how long to wait before the next one, or none when there is none.
pub(crate) fn after(board: &Board, pause: &mut Pause, outcome: Result<Ended>) -> Option<Duration> {
    match outcome {
        Ok(Ended::Stopped) => None,
        Ok(Ended::Changed) => {
            *pause = Pause::default();
            Some(Duration::ZERO)
        }
        Err(error) if error.kind() == ErrorKind::Conflict => {
            board.stopped(&error.chain());
            None
        }
        Err(error) => {
            board.failed(&error);
            Some(pause.next())
        }
    }
}

/// Waits. False when the service stops meanwhile.
pub(crate) async fn rest(stop: &CancellationToken, pause: Duration) -> bool {
    tokio::select! {
        () = stop.cancelled() => false,
        () = tokio::time::sleep(pause) => true,
    }
}

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
    /// The partitions that it reads, or tables.
    pub partitions: usize,
    /// Offsets that are there and not committed to bronze, or bytes of the log of changes; none before it is known.
    pub lag: Option<i64>,
    /// When bronze was committed last by this process, in milliseconds since 1970.
    pub committed_at_ms: Option<i64>,
}

/// The state of one source, shared with who shows it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Board {
    kind: &'static str,
    pipeline: String,
    metrics: Metrics,
    state: Arc<Mutex<State>>,
}

impl Board {
    /// The board of a pipeline's source of this kind.
    pub(crate) fn new(kind: &'static str, pipeline: &str, metrics: Metrics) -> Self {
        Self {
            kind,
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
                tracing::info!(pipeline = self.pipeline, partitions, "{} is read", self.kind);
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
                tracing::warn!(pipeline = self.pipeline, reason, "{} waits", self.kind);
            }
            state.doing = Doing::Waiting;
            state.reason = Some(reason.to_owned());
        });
    }

    /// Says and counts a failure after which the source is tried again.
    pub(crate) fn failed(&self, error: &Error) {
        self.metrics.failed(&self.pipeline, "bronze");
        self.waiting(&error.chain());
    }

    pub(crate) fn stopped(&self, reason: &str) {
        tracing::error!(
            pipeline = self.pipeline,
            reason,
            "{} is read no more by this process",
            self.kind
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
