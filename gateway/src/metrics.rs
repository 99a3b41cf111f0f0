//! What is counted, with every name in one place. `/metrics` of the admin listener prints it in Prometheus' text form.

use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::app::App;
use crate::error::{Error, Result};

/// The counters of one gateway.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    requests: IntCounterVec,
    durations: HistogramVec,
    rows: IntCounterVec,
    bytes: IntCounterVec,
    connections: IntGaugeVec,
    queries: IntGaugeVec,
    plans: IntGaugeVec,
    kept_rows: IntGaugeVec,
    kept_rows_held: IntGaugeVec,
    shadow_runs: IntGaugeVec,
    reloads: IntCounterVec,
    sources: IntGaugeVec,
    admission: Admitted,
}

/// What is counted before a call is let in: by its limit, and by the audit trail.
#[derive(Clone, Debug)]
struct Admitted {
    rate_limited: IntCounterVec,
    rates_shared: IntGaugeVec,
    audit: IntGaugeVec,
}

impl Admitted {
    fn new(registry: &Registry) -> Result<Self> {
        let metrics = Self {
            rate_limited: counter(
                "lakegate_rate_limited_total",
                "Calls refused because their caller had made those of the minute, by tier.",
                &["tier"],
            )?,
            rates_shared: gauge(
                "lakegate_rates_shared",
                "1 while the fleet's Redis counts the calls, 0 while each gateway limits by its own share.",
                &[],
            )?,
            audit: gauge(
                "lakegate_audit",
                "The audit trail: records of this process, attempts to write that have failed, 1 while calls wait for it, \
                 bytes of its files, requests open.",
                &["what"],
            )?,
        };
        let all: [Box<dyn prometheus::core::Collector>; 3] = [
            Box::new(metrics.rate_limited.clone()),
            Box::new(metrics.rates_shared.clone()),
            Box::new(metrics.audit.clone()),
        ];
        for collector in all {
            registry.register(collector).map_err(internal)?;
        }
        Ok(metrics)
    }

    /// Brings the gauges to what is so now.
    fn tell(&self, app: &App) {
        if let Some(is_shared) = app.rates.is_shared() {
            let no_labels: [&str; 0] = [];
            let gauge = self.rates_shared.with_label_values(&no_labels);
            gauge.set(i64::from(is_shared));
        }
        let counts = app.audit.counts().map(|counts| counts.all());
        for (what, value) in counts.into_iter().flatten() {
            let gauge = self.audit.with_label_values(&[what]);
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
    }
}

impl Metrics {
    /// Registers every metric.
    ///
    /// # Errors
    /// `Internal` when two metrics share a name.
    pub fn new() -> Result<Self> {
        let registry = Registry::new();
        let metrics = Self {
            requests: counter(
                "lakegate_requests_total",
                "Calls answered.",
                &["protocol", "method", "code"],
            )?,
            durations: histogram(
                "lakegate_request_duration_seconds",
                "Time to the head of an answer.",
                &["protocol", "method"],
            )?,
            rows: counter("lakegate_rows_sent_total", "Rows sent to clients.", &["protocol"])?,
            bytes: counter(
                "lakegate_bytes_sent_total",
                "Bytes of encoded rows sent to clients.",
                &["protocol"],
            )?,
            connections: gauge("lakegate_connections", "Connections open now.", &["protocol"])?,
            queries: gauge("lakegate_queries", "Queries now, by state.", &["state"])?,
            plans: gauge(
                "lakegate_kept_plans",
                "Plans kept now for statements seen before.",
                &[],
            )?,
            kept_rows: gauge(
                "lakegate_result_cache_lookups",
                "Queries since the start, by what the cache had: rows of this gateway (near) or of the fleet (far), nothing, \
                 or no look; and calls of Redis that failed.",
                &["outcome"],
            )?,
            kept_rows_held: gauge(
                "lakegate_result_cache_held",
                "What the cache of this gateway holds now: answers, and their bytes.",
                &["what"],
            )?,
            shadow_runs: gauge(
                "lakegate_shadow_runs",
                "Queries made again without handing anything down since the start, by what the comparison said.",
                &["outcome"],
            )?,
            reloads: counter(
                "lakegate_reloads_total",
                "Documents read again at SIGHUP, by outcome; what failed stayed in force as it was.",
                &["document", "outcome"],
            )?,
            sources: gauge(
                "lakegate_source_counts",
                "What each source has done since the start, by name: requests to its stores, bytes of them, its cache on disk.",
                &["source", "what"],
            )?,
            admission: Admitted::new(&registry)?,
            registry,
        };
        metrics.registered()
    }

    /// Every metric in the registry.
    fn registered(self) -> Result<Self> {
        // Shown from the start, so that an alert on failures needs no first one.
        for document in ["users", "policies", "tls"] {
            for outcome in ["ok", "failed"] {
                self.reloads.with_label_values(&[document, outcome]);
            }
        }
        let all: [Box<dyn prometheus::core::Collector>; 12] = [
            Box::new(self.requests.clone()),
            Box::new(self.durations.clone()),
            Box::new(self.rows.clone()),
            Box::new(self.bytes.clone()),
            Box::new(self.connections.clone()),
            Box::new(self.queries.clone()),
            Box::new(self.plans.clone()),
            Box::new(self.kept_rows.clone()),
            Box::new(self.kept_rows_held.clone()),
            Box::new(self.shadow_runs.clone()),
            Box::new(self.reloads.clone()),
            Box::new(self.sources.clone()),
        ];
        for collector in all {
            self.registry.register(collector).map_err(internal)?;
        }
        Ok(self)
    }

    /// A call was answered.
    pub fn answered(&self, protocol: &str, method: &str, code: &str, seconds: f64) {
        self.requests.with_label_values(&[protocol, method, code]).inc();
        self.durations
            .with_label_values(&[protocol, method])
            .observe(seconds);
    }

    /// Rows went out.
    pub fn sent(&self, protocol: &str, rows: usize, bytes: usize) {
        self.rows.with_label_values(&[protocol]).inc_by(rows as u64);
        self.bytes.with_label_values(&[protocol]).inc_by(bytes as u64);
    }

    /// A document was read again; `is_good` when it came into force.
    pub fn reloaded(&self, document: &str, is_good: bool) {
        let outcome = if is_good { "ok" } else { "failed" };
        self.reloads.with_label_values(&[document, outcome]).inc();
    }

    /// A caller of this tier had made the calls of the minute.
    pub(crate) fn rate_limited(&self, tier: &str) {
        self.admission.rate_limited.with_label_values(&[tier]).inc();
    }

    /// Counts a connection while the answer lives.
    pub fn connection(&self, protocol: &str) -> Connected {
        let gauge = self.connections.with_label_values(&[protocol]);
        gauge.inc();
        Connected(gauge)
    }

    /// Everything as text.
    ///
    /// # Errors
    /// `Internal` when encoding fails.
    pub fn text(&self, app: &App) -> Result<String> {
        let count = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        self.queries
            .with_label_values(&["running"])
            .set(count(app.engine.running()));
        self.queries
            .with_label_values(&["waiting"])
            .set(count(app.admission.waiting()));
        let (same, different) = app.engine.shadow_runs();
        for (outcome, runs) in [("same", same), ("different", different)] {
            self.shadow_runs
                .with_label_values(&[outcome])
                .set(i64::try_from(runs).unwrap_or(i64::MAX));
        }
        let no_labels: [&str; 0] = [];
        self.plans
            .with_label_values(&no_labels)
            .set(i64::try_from(app.engine.kept_plans()).unwrap_or(i64::MAX));
        let kept = app.engine.kept_results();
        let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
        for (outcome, count) in [
            ("near", kept.near),
            ("far", kept.far),
            ("miss", kept.misses),
            ("refresh", kept.refreshes),
            ("bypass", kept.bypassed),
            ("redis_failure", kept.far_failures),
        ] {
            self.kept_rows.with_label_values(&[outcome]).set(number(count));
        }
        for (what, count) in [("answers", kept.entries), ("bytes", kept.bytes)] {
            self.kept_rows_held.with_label_values(&[what]).set(number(count));
        }
        self.admission.tell(app);
        for (source, what, counted) in app.engine.source_counts() {
            let gauge = self.sources.with_label_values(&[source.as_str(), what]);
            gauge.set(i64::try_from(counted).unwrap_or(i64::MAX));
        }
        let mut bytes = Vec::new();
        TextEncoder::new()
            .encode(&self.registry.gather(), &mut bytes)
            .map_err(internal)?;
        String::from_utf8(bytes).map_err(|error| Error::Internal {
            message: error.to_string(),
        })
    }
}

/// An open connection in the count.
#[derive(Debug)]
pub struct Connected(prometheus::IntGauge);

impl Drop for Connected {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn internal(error: prometheus::Error) -> Error {
    Error::Internal {
        message: error.to_string(),
    }
}

fn counter(name: &str, help: &str, labels: &[&str]) -> Result<IntCounterVec> {
    IntCounterVec::new(Opts::new(name, help), labels).map_err(internal)
}

fn gauge(name: &str, help: &str, labels: &[&str]) -> Result<IntGaugeVec> {
    IntGaugeVec::new(Opts::new(name, help), labels).map_err(internal)
}

fn histogram(name: &str, help: &str, labels: &[&str]) -> Result<HistogramVec> {
    let buckets = vec![
        0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0,
    ];
    HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets), labels).map_err(internal)
}
