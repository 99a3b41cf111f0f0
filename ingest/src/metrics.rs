//! What is counted, with every name in one place; `/metrics` prints it in Prometheus' text form.

use std::time::Duration;

use prometheus::{
    Encoder, GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::error::{Error, Result};
use crate::silver::Cycle;

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
    source_reading: IntGaugeVec,
    source_lag: IntGaugeVec,
    source_waiting: IntGaugeVec,
    source_skipped: IntCounterVec,
    source_restarts: IntCounterVec,
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
            source_reading: gauge(
                "lakegate_ingest_source_reading",
                "1 while a source is read, 0 while it waits or has stopped.",
                &["pipeline"],
            )?,
            source_lag: gauge(
                "lakegate_ingest_source_lag",
                "Offsets that a partition has and bronze has not.",
                &["pipeline", "shard"],
            )?,
            source_waiting: gauge(
                "lakegate_ingest_source_waiting_bytes",
                "Bytes of records that were taken from a source and are on their way to a snapshot.",
                &["pipeline"],
            )?,
            source_skipped: counter(
                "lakegate_ingest_source_skipped_total",
                "Offsets without a record: gap by compaction or transactions, expired before they were read.",
                &["pipeline", "cause"],
            )?,
            source_restarts: counter(
                "lakegate_ingest_source_restarts_total",
                "Partitions that are read from their beginning, since their topic was made again.",
                &["pipeline"],
            )?,
        };
        let registry = &metrics.registry;
        registry.register(Box::new(metrics.requests.clone()))?;
        registry.register(Box::new(metrics.records.clone()))?;
        registry.register(Box::new(metrics.pending.clone()))?;
        registry.register(Box::new(metrics.score.clone()))?;
        registry.register(Box::new(metrics.failures.clone()))?;
        registry.register(Box::new(metrics.commits.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.source_reading.clone()))?;
        registry.register(Box::new(metrics.source_lag.clone()))?;
        registry.register(Box::new(metrics.source_waiting.clone()))?;
        registry.register(Box::new(metrics.source_skipped.clone()))?;
        registry.register(Box::new(metrics.source_restarts.clone()))?;
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

impl Metrics {
    pub(crate) fn source_reading(&self, pipeline: &str, reading: bool) {
        self.source_reading
            .with_label_values(&[pipeline])
            .set(i64::from(reading));
    }

    pub(crate) fn source_lag(&self, pipeline: &str, shard: &str, lag: i64) {
        self.source_lag.with_label_values(&[pipeline, shard]).set(lag);
    }

    pub(crate) fn source_waiting(&self, pipeline: &str, bytes: usize) {
        self.source_waiting
            .with_label_values(&[pipeline])
            .set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn source_skipped(&self, pipeline: &str, cause: &str, offsets: i64) {
        self.source_skipped
            .with_label_values(&[pipeline, cause])
            .inc_by(u64::try_from(offsets).unwrap_or_default());
    }

    pub(crate) fn source_restarted(&self, pipeline: &str) {
        self.source_restarts.with_label_values(&[pipeline]).inc();
    }
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
