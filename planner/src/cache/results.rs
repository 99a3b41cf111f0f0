//! Rows of answers, kept for whoever asks the same and is shown the same. Near are those of this process, far those of
//! the fleet, in Redis.
//!
//! A lookup goes near (`near.rs`), then waits for a query that is making the same rows now (`flights.rs`), then goes far
//! (`far.rs`), and at last lets the query run and records what it gives (`recording.rs`).
//!
//! Invariants:
//! - What is kept is a whole answer: never of a query that failed, was cancelled, gave one part of its result, or more
//!   than `result_bytes_max`.
//! - The key (`key.rs`) holds everything that the rows depend on: the statement and its values, the version of each
//!   table, what the policies show of each, their epoch, and the session. Who asks is no part of it.
//! - What asks the clock or draws a number is not kept, nor what is listed for one principal; rows of a table without a
//!   version only where the config gives a time, and no longer than that.
//! - Redis is never waited for longer than its timeout, and nothing out of it is believed without its seal.

mod config;
mod far;
mod flights;
mod key;
mod near;
mod recording;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;

pub use self::config::{CacheConfig, FleetCache};
pub(crate) use self::key::{Sought, statement_digest};
pub(crate) use self::recording::Recording;

use self::far::{Far, Sight};
use self::flights::{Flights, Place};
use self::key::Digest;
use self::near::Near;
use crate::error::Result;
use crate::request::CacheMode;

/// The rows of one answer.
#[derive(Debug)]
pub(crate) struct Kept {
    /// The rows, each batch in buffers of its own size.
    pub(crate) batches: Vec<RecordBatch>,
    /// Their memory.
    bytes: u64,
    /// When they were made, in microseconds since 1970 UTC.
    made: i64,
    /// Until when they may be given, in microseconds since 1970 UTC; none where they are those of versions.
    until: Option<i64>,
    /// Whose query made them.
    tenant: String,
}

impl Kept {
    /// How old the rows are.
    pub(crate) fn age(&self) -> Duration {
        Duration::from_micros(u64::try_from(now() - self.made).unwrap_or(0))
    }

    fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= now())
    }
}

/// Microseconds since 1970 UTC.
fn now() -> i64 {
    let passed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(passed.as_micros()).unwrap_or(i64::MAX)
}

/// What a lookup found.
pub(crate) enum Found {
    /// The rows.
    Kept(Arc<Kept>),
    /// Nothing: the query runs and is recorded.
    Record(Box<Recording>),
    /// Nothing, and somebody else records: the query runs.
    Run,
}

/// What the cache has done since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ResultCounts {
    /// Answers out of the memory of this process.
    pub near: u64,
    /// Answers out of Redis.
    pub far: u64,
    /// Answers that had to be made.
    pub misses: u64,
    /// Answers that were made anew because their caller asked for that.
    pub refreshes: u64,
    /// Answers that may not be kept, or whose caller wants none that was.
    pub bypassed: u64,
    /// Calls that Redis did not answer, or answered with something that does not open.
    pub far_failures: u64,
    /// Answers in memory now.
    pub entries: u64,
    /// Their bytes.
    pub bytes: u64,
}

#[derive(Debug, Default)]
struct Counts {
    near: AtomicU64,
    far: AtomicU64,
    misses: AtomicU64,
    refreshes: AtomicU64,
    bypassed: AtomicU64,
}

fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Ordering::Relaxed);
}

/// The kept rows of a gateway.
#[derive(Debug)]
pub(crate) struct Results {
    config: CacheConfig,
    near: Near,
    far: Option<Far>,
    flights: Flights,
    counts: Counts,
}

impl Results {
    /// # Errors
    /// `Setting` when the address of Redis cannot be read.
    pub(crate) fn open(config: &CacheConfig, fleet: Option<FleetCache>) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            near: Near::new(config),
            far: fleet.map(|fleet| Far::open(config, fleet)).transpose()?,
            flights: Flights::default(),
            counts: Counts::default(),
            config: config.clone(),
        }))
    }

    /// The settings.
    pub(crate) fn config(&self) -> &CacheConfig {
        &self.config
    }

    pub(crate) fn counts(&self) -> ResultCounts {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (entries, bytes) = self.near.held();
        ResultCounts {
            near: read(&self.counts.near),
            far: read(&self.counts.far),
            misses: read(&self.counts.misses),
            refreshes: read(&self.counts.refreshes),
            bypassed: read(&self.counts.bypassed),
            far_failures: self.far.as_ref().map_or(0, Far::failures),
            entries,
            bytes,
        }
    }

    /// A query that is not looked up.
    pub(crate) fn passed_by(&self) {
        count(&self.counts.bypassed);
    }

    /// Looks for the rows of a query; waits for another one that makes them, but no longer than `wait_max`.
    pub(crate) async fn find(self: &Arc<Self>, sought: Sought, mode: CacheMode, tenant: &str) -> Found {
        let digest = sought.digest;
        if mode == CacheMode::Refresh {
            count(&self.counts.refreshes);
            return Found::Record(self.recording(sought, tenant, None, None));
        }
        let limit = tokio::time::Instant::now() + self.config.wait_max;
        let flight = loop {
            if let Some(kept) = self.near(&digest) {
                return Found::Kept(kept);
            }
            match self.flights.join(digest) {
                Place::First(flight) => break flight,
                Place::Behind(mut landing) => {
                    if tokio::time::timeout_at(limit, landing.wait()).await != Ok(true) {
                        count(&self.counts.misses);
                        return Found::Run;
                    }
                }
            }
        };
        // The one before may have landed after the look and before the joining.
        if let Some(kept) = self.near(&digest) {
            return Found::Kept(kept);
        }
        let claim = match &self.far {
            None => None,
            Some(far) => match far.find(&digest, tenant, limit).await {
                Sight::Nothing(claim) => claim,
                Sight::Kept(kept) => {
                    count(&self.counts.far);
                    let kept = Arc::new(kept);
                    if kept.bytes <= self.near.answer_max() {
                        self.near.put(digest, &kept);
                        flight.land();
                    }
                    return Found::Kept(kept);
                }
            },
        };
        count(&self.counts.misses);
        Found::Record(self.recording(sought, tenant, Some(flight), claim))
    }

    /// The most bytes of an answer that is kept.
    fn answer_max(&self) -> u64 {
        self.config.result_bytes_max.as_u64().min(self.near.answer_max())
    }

    fn near(&self, digest: &Digest) -> Option<Arc<Kept>> {
        let kept = self.near.get(digest)?;
        count(&self.counts.near);
        Some(kept)
    }
}

#[cfg(test)]
mod tests;
