//! Follows the runs of one call, and writes the query log: one line at the end of each, under the target
//! `lakegate::query`.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::array::RecordBatch;
use connectors::Observations;
use datafusion::physical_plan::ExecutionPlan;
use futures::future::BoxFuture;

use super::gather::{Surroundings, gather};
use super::{CacheReport, Report, SourceReport};
use crate::optimize::Notes;
use crate::shadow::Digest;

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// With all of its rows.
    Done,
    /// With a failure, by its code.
    Failed(&'static str),
    /// Its reader went away.
    Cancelled,
}

/// What follows the last row of a call that is compared: made of the digest of its rows and their report.
pub(crate) type After = Box<dyn FnOnce(Digest, Report) -> BoxFuture<'static, ()> + Send>;

/// The runs of one call, as the report of them.
pub(crate) struct Reporter {
    around: Surroundings,
    subject: String,
    observations: Observations,
    began: Instant,
    cache: Option<CacheReport>,
    state: Mutex<State>,
    rows: AtomicU64,
    is_over: AtomicBool,
    /// What follows the end, with the rows so far; none when nothing does, or they have no digest.
    after: Mutex<Option<(Digest, After)>>,
}

impl fmt::Debug for Reporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reporter")
            .field("request", &self.around.request)
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

#[derive(Debug, Default)]
struct State {
    /// The run that was started last.
    current: Option<(Arc<dyn ExecutionPlan>, Arc<Notes>)>,
    /// What the runs before it took from each source.
    before: BTreeMap<String, Totals>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    rows: u64,
    bytes: u64,
    seconds: f64,
}

impl Reporter {
    pub(crate) fn new(around: Surroundings, subject: &str, observations: Observations) -> Self {
        Self {
            around,
            subject: subject.to_owned(),
            observations,
            began: Instant::now(),
            cache: None,
            state: Mutex::default(),
            rows: AtomicU64::new(0),
            is_over: AtomicBool::new(false),
            after: Mutex::default(),
        }
    }

    /// The same with what the cache had.
    pub(crate) fn cached(mut self, cache: CacheReport) -> Self {
        self.cache = Some(cache);
        self
    }

    /// What the cache had.
    pub(crate) fn cache(&self) -> Option<&CacheReport> {
        self.cache.as_ref()
    }

    /// The same for a call whose rows are compared after its end.
    pub(crate) fn followed(mut self, after: After) -> Self {
        self.after = Mutex::new(Some((Digest::default(), after)));
        self
    }

    /// What follows the end of the call.
    pub(crate) fn after(&self) -> Option<BoxFuture<'static, ()>> {
        let after = self.after.lock().unwrap_or_else(PoisonError::into_inner).take();
        after.map(|(digest, after)| after(digest, self.report()))
    }

    /// A run begins. What the one before it has counted is kept as sums: a call may have thousands.
    pub(crate) fn begin(&self, plan: &Arc<dyn ExecutionPlan>, notes: &Arc<Notes>) {
        let mut state = self.lock();
        if let Some((plan, notes)) = state.current.take() {
            let report = gather(&self.around, Some((&plan, &notes)), Some(&BTreeMap::new()));
            for source in &report.sources {
                let before = state.before.entry(source.source.clone()).or_default();
                before.rows += source.rows.unwrap_or_default();
                before.bytes += source.bytes.unwrap_or_default();
                before.seconds += source.seconds.unwrap_or_default();
            }
        }
        state.current = Some((Arc::clone(plan), Arc::clone(notes)));
    }

    /// Rows went out.
    pub(crate) fn gave(&self, batch: &RecordBatch) {
        self.rows.fetch_add(batch.num_rows() as u64, Ordering::Relaxed);
        let mut after = self.after.lock().unwrap_or_else(PoisonError::into_inner);
        let is_lost = match after.as_mut() {
            Some((digest, _)) => digest.take(batch).is_err(),
            None => false,
        };
        if is_lost {
            *after = None;
        }
    }

    /// What has been read so far.
    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        let planned = state.current.as_ref().map(|(plan, notes)| (plan, notes.as_ref()));
        let mut report = gather(&self.around, planned, Some(&self.observations.all()));
        report.cache.clone_from(&self.cache);
        for source in &mut report.sources {
            if let Some(before) = state.before.get(&source.source) {
                add(source, before);
            }
        }
        report
    }

    /// The call is over: one line in the log, the first time.
    pub(crate) fn end(&self, outcome: Outcome) {
        if self.is_over.swap(true, Ordering::Relaxed)
            || !tracing::enabled!(target: "lakegate::query", tracing::Level::INFO)
        {
            return;
        }
        let (outcome, code) = match outcome {
            Outcome::Done => ("done", ""),
            Outcome::Failed(code) => ("failed", code),
            Outcome::Cancelled => ("cancelled", ""),
        };
        let report = serde_json::to_string(&self.report()).unwrap_or_default();
        tracing::info!(
            target: "lakegate::query",
            request = self.around.request,
            subject = self.subject,
            outcome,
            code,
            rows = self.rows.load(Ordering::Relaxed),
            elapsed_ms = u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX),
            report,
            "query"
        );
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn add(source: &mut SourceReport, before: &Totals) {
    source.rows = Some(source.rows.unwrap_or_default() + before.rows);
    source.bytes = Some(source.bytes.unwrap_or_default() + before.bytes);
    source.seconds = Some(source.seconds.unwrap_or_default() + before.seconds);
}
