//! What the scans of one query share.
//!
//! The planner makes one for each run and puts it, as an extension, into the session config of the run's task context.
//! A source keeps there what has to be the same for all its scans of that query, such as one snapshot.
//!
//! Invariants:
//! - A scope serves one run of one query and is dropped with it; what it holds of a source is given back then.
//! - A query that runs without a scope is right as well, only each scan stands for itself.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

type Shared = Arc<dyn Any + Send + Sync>;

/// The shared state of one run of one query.
#[derive(Default)]
pub struct QueryScope {
    deadline: Option<Instant>,
    shared: Mutex<HashMap<u64, Shared>>,
}

impl QueryScope {
    /// A scope of a query that must be done at `deadline`; sources tell their servers.
    #[must_use]
    pub fn new(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            shared: Mutex::default(),
        }
    }

    /// When the query must be done.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// What the source `id` shares among its scans, made at the first call. None when the same id was used for
    /// something of another type.
    pub(crate) fn share<T: Any + Send + Sync>(&self, id: u64, make: impl FnOnce() -> T) -> Option<Arc<T>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shared.entry(id).or_insert_with(|| Arc::new(make()));
        Arc::clone(known).downcast().ok()
    }
}

impl fmt::Debug for QueryScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryScope")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}
