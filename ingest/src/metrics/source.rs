//! What is counted of sources that are read.

use prometheus::{IntCounterVec, IntGaugeVec, Opts, Registry};

use super::Metrics;

/// The counters of sources.
#[derive(Clone, Debug)]
pub(super) struct Source {
    reading: IntGaugeVec,
    lag: IntGaugeVec,
    waiting: IntGaugeVec,
    skipped: IntCounterVec,
    restarts: IntCounterVec,
}

impl Source {
    pub(super) fn new() -> prometheus::Result<Self> {
        let counter =
            |name: &str, help: &str, labels: &[&str]| IntCounterVec::new(Opts::new(name, help), labels);
        let gauge = |name: &str, help: &str, labels: &[&str]| IntGaugeVec::new(Opts::new(name, help), labels);
        Ok(Self {
            reading: gauge(
                "lakegate_ingest_source_reading",
                "1 while a source is read, 0 while it waits or has stopped.",
                &["pipeline"],
            )?,
            lag: gauge(
                "lakegate_ingest_source_lag",
                "Offsets that a partition has and bronze has not, as it was when last read.",
                &["pipeline", "shard"],
            )?,
            waiting: gauge(
                "lakegate_ingest_source_waiting_bytes",
                "Bytes of records that were taken from a source and are on their way to a snapshot.",
                &["pipeline"],
            )?,
            skipped: counter(
                "lakegate_ingest_source_skipped_total",
                "Offsets without a record: gap by compaction or transactions, expired before they were read.",
                &["pipeline", "cause"],
            )?,
            restarts: counter(
                "lakegate_ingest_source_restarts_total",
                "Partitions that are read from their beginning, since their topic was made again.",
                &["pipeline"],
            )?,
        })
    }

    pub(super) fn register(&self, registry: &Registry) -> prometheus::Result<()> {
        registry.register(Box::new(self.reading.clone()))?;
        registry.register(Box::new(self.lag.clone()))?;
        registry.register(Box::new(self.waiting.clone()))?;
        registry.register(Box::new(self.skipped.clone()))?;
        registry.register(Box::new(self.restarts.clone()))
    }
}

impl Metrics {
    pub(crate) fn source_reading(&self, pipeline: &str, reading: bool) {
        let gauge = self.source.reading.with_label_values(&[pipeline]);
        gauge.set(i64::from(reading));
    }

    pub(crate) fn source_lag(&self, pipeline: &str, shard: &str, lag: i64) {
        self.source.lag.with_label_values(&[pipeline, shard]).set(lag);
    }

    pub(crate) fn source_waiting(&self, pipeline: &str, bytes: usize) {
        let gauge = self.source.waiting.with_label_values(&[pipeline]);
        gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    pub(crate) fn source_skipped(&self, pipeline: &str, cause: &str, offsets: i64) {
        let counter = self.source.skipped.with_label_values(&[pipeline, cause]);
        counter.inc_by(u64::try_from(offsets).unwrap_or_default());
    }

    pub(crate) fn source_restarted(&self, pipeline: &str) {
        self.source.restarts.with_label_values(&[pipeline]).inc();
    }
}
