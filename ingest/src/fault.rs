//! Named points at which the kill tests stop the process, as a power cut would.
//!
//! The point is a config key of the service (`fault_point`), empty everywhere but in those tests. The process aborts when it comes there for
//! the given time.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

static ARMED: OnceLock<(String, u64)> = OnceLock::new();
static MET: AtomicU64 = AtomicU64::new(0);

/// Every point, in the order of a record's way.
pub const POINTS: [&str; 12] = [
    "kafka-started",
    "kafka-taken",
    "bronze-files-written",
    "bronze-committed",
    "kafka-shown",
    "silver-judged",
    "rejects-committed",
    "silver-files-written",
    "silver-committed",
    "index-written",
    "gold-files-written",
    "gold-committed",
];

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
