//! Queries that run in this process, by the name that their tickets carry, so that CancelFlightInfo can stop them. A
//! query of another process is stopped by dropping its stream; clients do that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

type Key = (String, String);

/// The running queries.
#[derive(Clone, Debug, Default)]
pub struct RunningQueries {
    queries: Arc<Mutex<HashMap<Key, (CancellationToken, usize)>>>,
}

/// One stream of a query; forgotten when dropped.
#[derive(Debug)]
pub struct Registered {
    queries: RunningQueries,
    key: Key,
    /// Fires when somebody cancels the query.
    pub cancelled: CancellationToken,
}

impl RunningQueries {
    /// Registers a stream of the query `id` of `subject`; streams of one query share its fate.
    pub fn register(&self, subject: &str, id: &str) -> Registered {
        let key = (subject.to_owned(), id.to_owned());
        let mut queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        let (token, count) = queries.entry(key.clone()).or_default();
        *count += 1;
        let cancelled = token.clone();
        drop(queries);
        Registered {
            queries: self.clone(),
            key,
            cancelled,
        }
    }

    /// Cancels the query `id` of `subject`; false when it does not run here.
    pub fn cancel(&self, subject: &str, id: &str) -> bool {
        let queries = self.queries.lock().unwrap_or_else(PoisonError::into_inner);
        match queries.get(&(subject.to_owned(), id.to_owned())) {
            Some((token, _)) => {
                token.cancel();
                true
            }
            None => false,
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        let mut queries = self
            .queries
            .queries
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = queries.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                queries.remove(&self.key);
            }
        }
    }
}
