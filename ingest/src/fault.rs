//! Named points at which the kill tests stop the process, as a power cut would.
//!
//! The point is a config key of the service (`fault_point`), empty everywhere but in those tests. The process aborts when it comes there for
//! the given time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static ARMED: OnceLock<(String, u64)> = OnceLock::new();
static MET: AtomicU64 = AtomicU64::new(0);

/// Every point, in the order of a record's way.
pub const POINTS: [&str; 17] = [
    "kafka-started",
    "kafka-taken",
    "postgres-slot-made",
    "postgres-started",
    "postgres-copied",
    "postgres-taken",
    "bronze-files-written",
    "bronze-committed",
    "kafka-shown",
    "postgres-confirmed",
    "silver-judged",
    "rejects-committed",
    "silver-files-written",
    "silver-committed",
    "index-written",
    "gold-files-written",
    "gold-committed",
];

/// The points that a record of one kind of source passes: `upload`, `kafka` or `postgres`.
pub fn points_of(source: &str) -> impl Iterator<Item = &'static str> {
    let strange = ["kafka", "postgres"].into_iter().filter(move |other| *other != source);
    let strange: Vec<&str> = strange.collect();
    POINTS
        .into_iter()
        .filter(move |point| !strange.iter().any(|other| point.starts_with(other)))
}

/// Arms a point for its `time`-th passing, counted from 1. Once a process.
pub(crate) fn arm(point: &str, time: u64) {
    // A second call changes nothing: the first one stands.
    drop(ARMED.set((point.to_owned(), time)));
}

/// Passes a point, or ends here.
pub(crate) fn point(name: &str) {
    if let Some((armed, time)) = ARMED.get()
        && armed == name
        && MET.fetch_add(1, Ordering::AcqRel) + 1 == *time
    {
        std::process::abort();
    }
}
