//! What the scans of one query share.
//!
//! The planner makes one for each run and puts it, as an extension, into the session config of the run's task context.
//! A source keeps there what has to be the same for all its scans of that query, such as one snapshot.
//!
//! Invariants:
//! - A scope serves one run of one query and is dropped with it; what it holds of a source is given back then.
//! - A query that runs without a scope is right as well, only each scan stands for itself.

use std::any::Any;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::{Error, Result};

type Shared = Arc<dyn Any + Send + Sync>;

/// The state of a source that the scans of a query saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observed {
    /// The state, as the source names it.
    pub state: String,
    /// When that state was the source's newest, in microseconds since 1970 UTC by the source's clock; none when the
    /// source cannot tell.
    pub as_of: Option<i64>,
}

/// The states of the sources that a query has read, by source. It may outlive the query's scope.
#[derive(Clone, Debug, Default)]
pub struct Observations(Arc<Mutex<BTreeMap<String, Observed>>>);

impl Observations {
    /// What was observed so far.
    #[must_use]
    pub fn all(&self) -> BTreeMap<String, Observed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, source: &str, observed: Observed) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert(source.to_owned(), observed);
    }
}

/// The shared state of one run of one query.
#[derive(Default)]
pub struct QueryScope {
    deadline: Option<Instant>,
    shared: Mutex<HashMap<u64, Shared>>,
    observations: Observations,
    staleness_max: Option<Duration>,
}

impl QueryScope {
    /// A scope of a query that must be done at `deadline`; sources tell their servers.
    #[must_use]
    pub fn new(deadline: Option<Instant>) -> Self {
        Self {
            deadline,
            shared: Mutex::default(),
            observations: Observations::default(),
            staleness_max: None,
        }
    }

    /// When the query must be done.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// The same scope for a query that must not read a state older than this.
    #[must_use]
    pub fn with_staleness_max(mut self, most: Option<Duration>) -> Self {
        self.staleness_max = most;
        self
    }

    /// Notes the state of a source that the query reads.
    ///
    /// # Errors
    /// [`Error::Stale`] when it is older than the query may read.
    pub(crate) fn observe(&self, source: &str, observed: Observed) -> Result<()> {
        let age = observed.as_of.map(age);
        if let (Some(most), Some(age)) = (self.staleness_max, age)
            && age > most
        {
            return Err(Error::Stale {
                source_name: source.to_owned(),
                age_s: age.as_secs(),
                limit_s: most.as_secs(),
            });
        }
        self.observations.note(source, observed);
        Ok(())
    }

    /// The states of the sources that are read, as they come to be known.
    #[must_use]
    pub fn observations(&self) -> &Observations {
        &self.observations
    }

    /// What the source `id` shares among its scans, made at the first call. None when the same id was used for
    /// something of another type.
    pub(crate) fn share<T: Any + Send + Sync>(&self, id: u64, make: impl FnOnce() -> T) -> Option<Arc<T>> {
        let mut shared = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        let known = shared.entry(id).or_insert_with(|| Arc::new(make()));
        Arc::clone(known).downcast().ok()
    }
}

/// How long ago an instant in microseconds since 1970 UTC was by this machine's clock; nothing for one to come.
fn age(as_of: i64) -> Duration {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let then = Duration::from_micros(u64::try_from(as_of).unwrap_or_default());
    now.saturating_sub(then)
}

impl fmt::Debug for QueryScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueryScope")
            .field("deadline", &self.deadline)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(seconds_ago: u64) -> Observed {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let then = now - Duration::from_secs(seconds_ago);
        Observed {
            state: "1:1:".to_owned(),
            as_of: Some(i64::try_from(then.as_micros()).unwrap()),
        }
    }

    #[test]
    fn a_state_that_is_too_old_is_refused_and_others_are_noted() {
        let scope = QueryScope::new(None).with_staleness_max(Some(Duration::from_secs(60)));
        let refused = scope.observe("standby", seen(3_600)).unwrap_err();
        assert!(
            matches!(
                refused,
                Error::Stale {
                    age_s: 3_600..,
                    limit_s: 60,
                    ..
                }
            ),
            "{refused}"
        );
        scope.observe("pg", seen(1)).unwrap();
        let unknown = Observed {
            as_of: None,
            ..seen(0)
        };
        scope.observe("other", unknown).unwrap();
        let all = scope.observations().all();
        assert_eq!(all.keys().collect::<Vec<_>>(), ["other", "pg"]);
        // Without a bound an old state is as good as any.
        QueryScope::new(None).observe("standby", seen(3_600)).unwrap();
    }
}
