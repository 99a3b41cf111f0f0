//! The memory of one query: its own bound inside the bound of all. The engine's pools are advisory (scans and batches in
//! flight are not counted), so the bounds leave room; admission at the door does the rest.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::{MemoryConsumer, MemoryLimit, MemoryPool, MemoryReservation};

/// A bound of its own over a pool shared by all queries.
#[derive(Debug)]
pub(crate) struct QueryPool {
    all: Arc<dyn MemoryPool>,
    used: AtomicUsize,
    bytes_max: usize,
}

impl QueryPool {
    pub(crate) fn new(all: Arc<dyn MemoryPool>, bytes_max: usize) -> Self {
        Self {
            all,
            used: AtomicUsize::new(0),
            bytes_max,
        }
    }
}

impl std::fmt::Display for QueryPool {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "query({} of {})",
            self.used.load(Ordering::Relaxed),
            self.bytes_max
        )
    }
}

impl MemoryPool for QueryPool {
    fn name(&self) -> &str {
        "query"
    }

    fn register(&self, consumer: &MemoryConsumer) {
        self.all.register(consumer);
    }

    fn unregister(&self, consumer: &MemoryConsumer) {
        self.all.unregister(consumer);
    }

    fn grow(&self, reservation: &MemoryReservation, additional: usize) {
        self.all.grow(reservation, additional);
        self.used.fetch_add(additional, Ordering::Relaxed);
    }

    fn shrink(&self, reservation: &MemoryReservation, shrink: usize) {
        self.all.shrink(reservation, shrink);
        self.used.fetch_sub(shrink, Ordering::Relaxed);
    }

    fn try_grow(&self, reservation: &MemoryReservation, additional: usize) -> Result<()> {
        let used = self.used.fetch_add(additional, Ordering::Relaxed);
        let outcome = match used.checked_add(additional) {
            Some(total) if total <= self.bytes_max => self.all.try_grow(reservation, additional),
            _ => Err(DataFusionError::ResourcesExhausted(format!(
                "{} asked for {additional} bytes with {used} of {} in use",
                reservation.consumer().name(),
                self.bytes_max
            ))),
        };
        if outcome.is_err() {
            self.used.fetch_sub(additional, Ordering::Relaxed);
        }
        outcome
    }

    fn reserved(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    fn memory_limit(&self) -> MemoryLimit {
        MemoryLimit::Finite(self.bytes_max)
    }
}
