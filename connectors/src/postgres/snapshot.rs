//! One state of the database for all scans of a query.
//!
//! A scan that is alone leads: it exports the snapshot of its own transaction and then reads in it; a scan of the same
//! query that comes later imports it, or reads in the leader's transaction once that is free. When several scans are
//! known from the start, the snapshot is held on a connection of its own, so that no scan's end takes it away.
//!
//! A query that holds a connection must not wait for another one for ever, or all queries may: when all connections are
//! in use, the one that holds the snapshot reads as well, and a scan that waits takes it when it is free again.
//!
//! Invariants:
//! - All scans of a query see the same rows. A scan that cannot have the snapshot of the others fails.
//! - The transactions end with the query: what is kept here is given back when the query's scope is dropped.

use super::failure::Subject;
use super::pool::{Lease, Pool};
use crate::{Error, Observed, Result};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;
use tokio::sync::Notify;
use tokio_postgres::SimpleQueryMessage;
use tokio_postgres::error::SqlState;

/// The snapshot of one query at one source.
#[derive(Debug, Default)]
pub(super) struct QuerySnapshot {
    /// How many scans the query has started.
    scans: AtomicUsize,
    /// Held while the snapshot is taken, so that it is taken once.
    taking: tokio::sync::Mutex<()>,
    state: Mutex<State>,
    /// Told when the leader's connection comes back.
    freed: Notify,
    /// What the server says of the snapshot.
    observed: Mutex<Option<Observed>>,
}

#[derive(Debug, Default)]
enum State {
    /// Nobody has asked yet.
    #[default]
    New,
    /// A connection of its own keeps it.
    Held { id: String, holder: Lease },
    /// The first scan keeps it; when that is over, its connection waits here.
    Led { id: String, idle: Option<Lease> },
}

/// A connection inside a transaction that sees the query's snapshot.
#[derive(Debug)]
pub(super) struct Reader {
    lease: Lease,
    /// Whom to give the connection to when the scan is over, if the snapshot hangs on it.
    home: Option<Arc<QuerySnapshot>>,
}

impl Reader {
    pub(super) fn lease(&self) -> &Lease {
        &self.lease
    }

    /// The scan has read everything.
    pub(super) fn finish(self) {
        match self.home {
            Some(home) => home.keep(self.lease),
            None => self.lease.release(),
        }
    }
}

impl QuerySnapshot {
    /// The state of the database that the query sees; none before the first scan has begun.
    pub(super) fn observed(&self) -> Option<Observed> {
        let observed = self.observed.lock().unwrap_or_else(PoisonError::into_inner);
        observed.clone()
    }

    /// Whether a scan of which no row has come may begin again: it is alone, and gets another snapshot, or the snapshot is
    /// held where the scan's failure does not reach it.
    pub(super) fn begins_again(&self) -> bool {
        let mut state = self.state();
        match &*state {
            State::New | State::Held { .. } => true,
            State::Led { .. } if self.scans.load(Ordering::Relaxed) <= 1 => {
                *state = State::New;
                true
            }
            State::Led { .. } => false,
        }
    }

    /// A scan is going to read.
    pub(super) fn register(&self) {
        self.scans.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection that sees the snapshot.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when there is no connection, or when the snapshot has gone with the scan that led.
    pub(super) async fn reader(self: &Arc<Self>, pool: &Pool, deadline: Option<Instant>) -> Result<Reader> {
        let taking = self.taking.lock().await;
        if matches!(&*self.state(), State::New) {
            let lease = pool.lease(deadline).await?;
            let (lease, exported) = begin(pool, deadline, lease, None).await?;
            let Exported { id, observed } = exported.ok_or_else(|| {
                pool.origin()
                    .unavailable("the server gave no name to its snapshot")
            })?;
            *self.observed.lock().unwrap_or_else(PoisonError::into_inner) = Some(observed);
            if self.scans.load(Ordering::Relaxed) <= 1 {
                self.set(State::Led { id, idle: None });
                return Ok(self.leader(lease));
            }
            self.set(State::Held { id, holder: lease });
        }
        drop(taking);
        loop {
            let (id, free) = self.known();
            if let Some(lease) = free {
                return Ok(self.leader(lease));
            }
            let lease = match pool.lease_now().await? {
                Some(lease) => lease,
                None => match self.take_holder() {
                    Some(lease) => return Ok(self.leader(lease)),
                    None => tokio::select! {
                        lease = pool.lease(deadline) => lease?,
                        () = self.freed.notified() => continue,
                    },
                },
            };
            let (lease, _) = begin(pool, deadline, lease, Some(&id)).await?;
            return Ok(Reader { lease, home: None });
        }
    }

    fn leader(self: &Arc<Self>, lease: Lease) -> Reader {
        Reader {
            lease,
            home: Some(Arc::clone(self)),
        }
    }

    /// The connection that holds the snapshot, to read on it.
    fn take_holder(&self) -> Option<Lease> {
        let mut state = self.state();
        match std::mem::take(&mut *state) {
            State::Held { id, holder } => {
                *state = State::Led { id, idle: None };
                Some(holder)
            }
            other => {
                *state = other;
                None
            }
        }
    }

    /// The snapshot's name, and the leader's connection if nobody reads on it.
    fn known(&self) -> (String, Option<Lease>) {
        match &mut *self.state() {
            // Not after the first scan has asked, which each scan does first.
            State::New => (String::new(), None),
            State::Held { id, .. } => (id.clone(), None),
            State::Led { id, idle } => (id.clone(), idle.take()),
        }
    }

    fn keep(&self, lease: Lease) {
        match &mut *self.state() {
            State::Led { idle, .. } => {
                *idle = Some(lease);
                self.freed.notify_one();
            }
            State::New | State::Held { .. } => lease.release(),
        }
    }

    fn set(&self, state: State) {
        *self.state() = state;
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for QuerySnapshot {
    fn drop(&mut self) {
        match std::mem::take(&mut *self.state()) {
            State::Held { holder, .. } => holder.release(),
            State::Led {
                idle: Some(lease), ..
            } => lease.release(),
            State::Led { idle: None, .. } | State::New => {}
        }
    }
}

/// A snapshot that others may read in too.
struct Exported {
    id: String,
    observed: Observed,
}

/// Begins a transaction in the snapshot `id`, or in a new one which is then returned.
async fn begin(
    pool: &Pool,
    deadline: Option<Instant>,
    lease: Lease,
    id: Option<&str>,
) -> Result<(Lease, Option<Exported>)> {
    let text = statement(pool, deadline, id)?;
    let failed = |error: tokio_postgres::Error| match (id, error.code().map(SqlState::code)) {
        // The name is no more, or it never was one.
        (Some(_), Some("22023" | "42704")) => pool.origin().unavailable("the snapshot of the query is gone"),
        _ => pool.origin().failure(&Subject::default(), error),
    };
    match lease.client()?.simple_query(&text).await {
        Ok(answers) => {
            pool.answered();
            Ok((lease, exported(&answers)))
        }
        // A connection that was kept may have died since; nothing was read on it, so another one is tried.
        Err(error) if is_gone(&error) => {
            drop(lease);
            pool.forget();
            let lease = pool.lease(deadline).await?;
            let answers = lease.client()?.simple_query(&text).await.map_err(failed)?;
            Ok((lease, exported(&answers)))
        }
        Err(error) => Err(failed(error)),
    }
}

/// The snapshot's name, its transactions (`xmin:xmax:xip,...`), and its time: on a standby that of the last transaction
/// which it has replayed, elsewhere now.
const EXPORT: &str = "; SELECT pg_catalog.pg_export_snapshot(), pg_catalog.txid_current_snapshot()::pg_catalog.text, \
 (extract(epoch FROM CASE WHEN pg_catalog.pg_is_in_recovery() THEN pg_catalog.pg_last_xact_replay_timestamp() \
 ELSE pg_catalog.clock_timestamp() END) * 1000000)::pg_catalog.int8::pg_catalog.text";

/// Whether the connection has ended: without a word, or with the server's word that it was ended.
fn is_gone(error: &tokio_postgres::Error) -> bool {
    error.code().is_none_or(|state| state.code().starts_with("57P"))
}

fn statement(pool: &Pool, deadline: Option<Instant>, id: Option<&str>) -> Result<String> {
    let mut text = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY".to_owned();
    if let Some(deadline) = deadline {
        let left = deadline.saturating_duration_since(Instant::now()).as_millis();
        let left = u64::try_from(left).unwrap_or(u64::MAX);
        if left == 0 {
            return Err(Error::Timeout {
                source_name: pool.origin().source.to_string(),
            });
        }
        let left = left.min(pool.config().statement_timeout_ms);
        text.push_str(&format!("; SET LOCAL statement_timeout = {left}"));
    }
    match id {
        // The server's own names are of these characters; anything else is no name of a snapshot.
        Some(id) if id.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => {
            text.push_str(&format!("; SET TRANSACTION SNAPSHOT '{id}'"));
        }
        Some(_) => {
            return Err(pool
                .origin()
                .unavailable("the server gave an odd name to its snapshot"));
        }
        None => text.push_str(EXPORT),
    }
    Ok(text)
}

fn exported(answers: &[SimpleQueryMessage]) -> Option<Exported> {
    answers.iter().find_map(|answer| {
        let SimpleQueryMessage::Row(row) = answer else {
            return None;
        };
        let field = |place: usize| row.try_get(place).ok().flatten();
        Some(Exported {
            id: field(0)?.to_owned(),
            observed: Observed {
                state: field(1)?.to_owned(),
                as_of: field(2).and_then(|micros| micros.parse().ok()),
            },
        })
    })
}
