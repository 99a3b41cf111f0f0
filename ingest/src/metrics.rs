//! What is counted, with every name in one place; `/metrics` prints it in Prometheus' text form.

use std::time::Duration;

use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::error::{Error, Result};
use crate::silver::Cycle;

mod source;
use source::Source;

/// The counters of one process. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    records: IntCounterVec,
    pending: IntGaugeVec,
    score: GaugeVec,
    failures: IntCounterVec,
    commits: HistogramVec,
    waiting: IntGaugeVec,
    source: Source,
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// [`Error::Crashed`] when two metrics share a name, a defect.
    pub fn new() -> Result<Self> {
        let made = Self::made();
        made.map_err(|_| Error::Crashed {
            part: "metrics",
            table: "the process".to_owned(),
        })
    }

    fn made() -> prometheus::Result<Self> {
        let counter =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        let metrics = Self {
            registry: Registry::new(),
            requests: counter(
                "lakegate_ingest_requests_total",
                "Uploads answered, by status.",
                &["pipeline", "status"],
            )?,
            records: counter(
                "lakegate_ingest_records_total",
                "Records by what became of them: in = published + rejected + duplicate + pending.",
                &["pipeline", "outcome"],
            )?,
            pending: gauge(
                "lakegate_ingest_pending_records",
                "Records in bronze that silver has not read.",
                &["pipeline"],
            )?,
            score: GaugeVec::new(
                Opts::new("lakegate_ingest_score", "The score of the last batch of silver."),
                &["pipeline"],
            )?,
            failures: counter(
                "lakegate_ingest_failures_total",
                "Cycles that failed, by zone.",
                &["pipeline", "zone"],
            )?,
            commits: HistogramVec::new(
                HistogramOpts::new("lakegate_ingest_commit_seconds", "Time of a commit.")
                    .buckets(vec![0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0]),
                &["table"],
            )?,
            waiting: gauge(
                "lakegate_ingest_waiting_bytes",
                "Bytes of uploads that are not committed yet.",
                &[],
            )?,
            source: Source::new()?,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.pending.clone()))?;
        registry.register(Box::new(metrics.score.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.commits.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        metrics.source.register(registry)?;
        Ok(metrics)
    }

    /// Everything in Prometheus' text form.
    pub fn page(&self) -> String {
        let mut page = Vec::new();
        match TextEncoder::new().encode(&self.registry.gather(), &mut page) {
            Ok(()) => String::from_utf8(page).unwrap_or_default(),
            Err(error) => format!("# {error}\n"),
        }
    }

    pub(crate) fn answered(&self, pipeline: &str, status: u16) {
        self.requests
            .with_label_values(&[pipeline, &status.to_string()])
            .inc();
    }

    pub(crate) fn received(&self, pipeline: &str, records: u64) {
        self.records.with_label_values(&[pipeline, "in"]).inc_by(records);
        self.pending.with_label_values(&[pipeline]).add(signed(records));
    }

    /// Sets what is pending, when a pipeline begins.
    pub(crate) fn pending(&self, pipeline: &str, records: u64) {
        self.pending.with_label_values(&[pipeline]).set(signed(records));
    }

    pub(crate) fn refined(&self, pipeline: &str, cycle: &Cycle) {
        for (outcome, records) in [
            ("published", cycle.published),
            ("rejected", cycle.rejected),
            ("duplicate", cycle.duplicates),
        ] {
            self.records
                .with_label_values(&[pipeline, outcome])
                .inc_by(records);
        }
        self.pending
            .with_label_values(&[pipeline])
            .sub(signed(cycle.records));
        self.score.with_label_values(&[pipeline]).set(cycle.score);
    }

    pub(crate) fn failed(&self, pipeline: &str, zone: &str) {
        self.failures.with_label_values(&[pipeline, zone]).inc();
    }

    pub(crate) fn committed(&self, table: &str, took: Duration) {
        self.commits
            .with_label_values(&[table])
            .observe(took.as_secs_f64());
    }

    pub(crate) fn waiting(&self, bytes: usize) {
        self.waiting
            .with_label_values::<&str>(&[])
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
