//! The audit trail: who asked for what, what was read for it, and how it ended, on file before any of it leaves.
//!
//! A request has a `start` record before anything is answered or changed, a `command` or `statement` after it, a `read` with
//! tables, columns and policies before the first row leaves, and an `end`, however it ends: refused, cancelled, failed or
//! whole. A start whose process died is found at the next start and closed as lost.
//!
//! Map: [`record`] is what is written, [`chain`] how lines hold together, [`head`] the signed end of the chain, [`folder`]
//! the files and their bounds, [`recover`] what a dead process left in them, [`journal`] the file that is written, [`writer`]
//! the thread that writes, [`statement`] a statement without its literals, [`verify`] and [`search`] read it all again.
//!
//! Invariants
//! * Nothing is dropped: a caller waits for its records to be written, and is refused when that takes too long. The end
//!   record of a request has its room reserved from the start, so that an end never waits and never fails for want of it.
//! * No record holds a credential or a row. Literals of statements are in it only when the config says so.

mod chain;
mod folder;
mod head;
mod journal;
mod record;
mod recover;
mod search;
mod statement;
mod verify;
mod writer;

pub(crate) use head::{SigningKey, VerifyingKey};
pub(crate) use record::{Outcome, Start, Who, claim};
pub(crate) use search::{Filter, search};
pub(crate) use verify::{Verified, verify};

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use planner::{ErrorKind, Reads};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::{Trail, WhenFull};
use crate::error::{Error, Result};
use journal::Journal;
use record::{End, Event};
use statement::Statement;
use writer::{Counts, Message, Writer};

/// The code of a request that ended in a panic, as `status.rs` gives it.
const PANICKED: &str = "LG2099";

/// The trail of this process.
#[derive(Clone, Debug)]
pub struct Audit(Option<Arc<Shared>>);

#[derive(Debug)]
struct Shared {
    writer: Writer,
    /// Room for records that callers wait for.
    waiting: Arc<Semaphore>,
    /// Room for the ends of requests that are running.
    open: Arc<Semaphore>,
    /// How long a caller waits; none is as long as it likes.
    wait_max: Option<Duration>,
    statements: Statement,
}

impl Audit {
    /// A trail that records nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Opens the trail, closes what a dead process has left open in it, and begins to write.
    ///
    /// # Errors
    /// `Config` when the folder cannot be used: another process has it, a line in it was changed, or lines are missing.
    pub(crate) fn open(config: &Trail, key: SigningKey) -> Result<Self> {
        let Some(folder) = &config.folder else {
            return Ok(Self::off());
        };
        let statements = Statement::new(config, &key);
        let journal = Journal::open(folder, config, key)?;
        Ok(Self(Some(Arc::new(Shared {
            writer: Writer::start(journal, config)?,
            waiting: Arc::new(Semaphore::new(config.queue_max)),
            open: Arc::new(Semaphore::new(config.requests_max)),
            wait_max: (config.when_full == WhenFull::Refuse).then_some(config.wait_max),
            statements,
        }))))
    }

    /// Hands the start of a request over. It is on file when [`Entry::settled`] or [`Entry::read`] returns.
    ///
    /// # Errors
    /// `Audit` when the trail takes no more for the time that the config allows.
    pub(crate) async fn begin(&self, start: Start) -> Result<Arc<Entry>> {
        let Some(shared) = &self.0 else {
            return Ok(Arc::new(Entry::new(None)));
        };
        let begun = async {
            let place = Arc::clone(&shared.open).acquire_owned().await;
            let place = place.map_err(|_| Error::Stopping)?;
            let entry = Arc::new(Entry::new(Some((Arc::clone(shared), place))));
            let written = shared
                .post(&entry.seq, true, Event::Start(Box::new(start)))
                .await?;
            *entry.started.lock().unwrap_or_else(PoisonError::into_inner) = Some(written);
            Ok(entry)
        };
        shared.within(begun).await
    }

    /// Waits until everything that was handed over is written, as long as a caller would wait for a record.
    pub(crate) async fn flushed(&self, wait_max: Duration) {
        if let Some(shared) = &self.0 {
            let (done, written) = oneshot::channel();
            shared.writer.send(Message::Flush(done));
            // What cannot be written by then is told by the writer when it ends.
            drop(tokio::time::timeout(wait_max, written).await);
        }
    }

    /// What the trail has done since the start; none where there is none.
    pub(crate) fn counts(&self) -> Option<&Counts> {
        self.0.as_ref().map(|shared| shared.writer.counts())
    }
}

impl Shared {
    /// Hands a record over; what comes back is told when it is on file.
    async fn post(
        &self,
        seq: &Arc<AtomicU64>,
        is_start: bool,
        event: Event,
    ) -> Result<oneshot::Receiver<()>> {
        let place = Arc::clone(&self.waiting).acquire_owned().await;
        let place = place.map_err(|_| Error::Stopping)?;
        let (done, written) = oneshot::channel();
        self.writer.send(Message::Record {
            event,
            seq: Arc::clone(seq),
            is_start,
            done: Some(done),
            place,
        });
        Ok(written)
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        match self.wait_max {
            Some(wait_max) => tokio::time::timeout(wait_max, work)
                .await
                .unwrap_or(Err(Error::Audit)),
            None => work.await,
        }
    }
}

/// A request in the trail. Its end is written when the last holder lets it go, with the outcome that was named first, or
/// as cancelled when none was.
#[derive(Debug)]
pub(crate) struct Entry {
    open: Mutex<Option<(Arc<Shared>, OwnedSemaphorePermit)>>,
    /// The number of the start record, once it is written.
    seq: Arc<AtomicU64>,
    /// Tells when the start is on file; none once somebody has waited for it.
    started: Mutex<Option<oneshot::Receiver<()>>>,
    began: Instant,
    /// The digest of the statement that was recorded last: one that is described and then run stands there once.
    stated: Mutex<Option<chain::Hash>>,
    outcome: OnceLock<Outcome>,
    is_streaming: AtomicBool,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Entry {
    fn new(open: Option<(Arc<Shared>, OwnedSemaphorePermit)>) -> Self {
        Self {
            open: Mutex::new(open),
            seq: Arc::new(AtomicU64::new(0)),
            started: Mutex::new(None),
            began: Instant::now(),
            stated: Mutex::new(None),
            outcome: OnceLock::new(),
            is_streaming: AtomicBool::new(false),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        }
    }

    /// Waits until the start is on file. Nothing is answered and nothing is changed before.
    ///
    /// # Errors
    /// `Audit` when the trail takes no more for the time that the config allows.
    pub(crate) async fn settled(&self) -> Result<()> {
        match (self.shared(), self.take_started()) {
            (Some(shared), Some(started)) => {
                let settled = async { started.await.map_err(|_| Error::Audit) };
                shared.within(settled).await
            }
            _ => Ok(()),
        }
    }

    /// The call asks for this, by one of a bounded set of names.
    ///
    /// # Errors
    /// `Audit` as for the start.
    pub(crate) async fn command(&self, name: &str) -> Result<()> {
        let command = name.to_owned();
        self.post(|_| Some(Event::Command { command })).await
    }

    /// A statement is about to be planned. Its record is on file before any that comes after it.
    ///
    /// # Errors
    /// `Audit` as for the start.
    pub(crate) async fn statement(&self, sql: &str) -> Result<()> {
        self.post(|shared| {
            let digest = shared.statements.digest(sql);
            let mut stated = self.stated.lock().unwrap_or_else(PoisonError::into_inner);
            let before = stated.replace(digest);
            (before != Some(digest)).then(|| shared.statements.event(sql, &digest))
        })
        .await
    }

    /// A statement was planned, and would read this.
    ///
    /// # Errors
    /// `Audit` as for the start.
    pub(crate) async fn planned(&self, reads: Option<&Reads>) -> Result<()> {
        match reads {
            Some(reads) => self.post(|_| Some(Event::Read(Box::new(reads.clone())))).await,
            None => Ok(()),
        }
    }

    /// Rows of these tables are about to leave. This is on file when it returns, and so is everything before it.
    ///
    /// # Errors
    /// `Audit` as for the start.
    pub(crate) async fn read(&self, reads: &Reads) -> Result<()> {
        let Some(shared) = self.shared() else {
            return Ok(());
        };
        let event = Event::Read(Box::new(reads.clone()));
        let written = async {
            let written = shared.post(&self.seq, false, event).await?;
            written.await.map_err(|_| Error::Audit)
        };
        let read = shared.within(written).await;
        // The start is on file with it, or nobody waits for it a second time.
        drop(self.take_started());
        read
    }

    async fn post(&self, event: impl FnOnce(&Shared) -> Option<Event>) -> Result<()> {
        let Some(shared) = self.shared() else {
            return Ok(());
        };
        match event(&shared) {
            Some(event) => shared
                .within(shared.post(&self.seq, false, event))
                .await
                .map(drop),
            None => Ok(()),
        }
    }

    /// The answer goes on after its head: its outcome is known at its last byte.
    pub(crate) fn streams(&self) {
        self.is_streaming.store(true, Ordering::Relaxed);
    }

    /// Whether the answer goes on after its head.
    pub(crate) fn is_streaming(&self) -> bool {
        self.is_streaming.load(Ordering::Relaxed)
    }

    /// Rows went out.
    pub(crate) fn sent(&self, rows: usize, bytes: usize) {
        self.rows.fetch_add(rows as u64, Ordering::Relaxed);
        self.bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// How the request ended; only the first time counts.
    pub(crate) fn conclude(&self, outcome: Outcome) {
        // A second outcome is that of a layer further out, which saw the answer of the first.
        drop(self.outcome.set(outcome));
    }

    fn take_started(&self) -> Option<oneshot::Receiver<()>> {
        let mut started = self.started.lock().unwrap_or_else(PoisonError::into_inner);
        started.take()
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.as_ref().map(|(shared, _)| Arc::clone(shared))
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let open = self.open.get_mut().unwrap_or_else(PoisonError::into_inner);
        let Some((shared, place)) = open.take() else {
            return;
        };
        let unsaid = || match std::thread::panicking() {
            true => Outcome::failed(ErrorKind::Internal, PANICKED),
            false => Outcome::cancelled(),
        };
        let outcome = self.outcome.take().unwrap_or_else(unsaid);
        shared.writer.send(Message::Record {
            event: Event::End(End {
                outcome: outcome.name,
                code: outcome.code,
                rows: self.rows.load(Ordering::Relaxed),
                bytes: self.bytes.load(Ordering::Relaxed),
                micros: u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX),
            }),
            seq: Arc::clone(&self.seq),
            is_start: false,
            done: None,
            place,
        });
    }
}

#[cfg(test)]
mod tests;
