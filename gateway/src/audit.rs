//! The audit trail: who asked for what, what was read for it, and how it ended, on disk before it happens.
//!
//! A request has a `start` record before anything is done for it, a `statement` before a statement is planned, a `read`
//! with tables, columns and policies before the first row leaves, and an `end`, however it ends: refused, cancelled,
//! failed or whole. A start whose process died is found at the next start and closed as lost.
//!
//! Map: [`record`] is what is written, [`chain`] how lines hold together, [`head`] the signed end of the chain,
//! [`journal`] the files, [`writer`] the thread that writes, [`statement`] a statement without its literals, [`verify`]
//! and [`search`] read it all again.
//!
//! Invariants
//! * Nothing is dropped: a caller waits for its records to be written, and is refused when that takes too long. The end
//!   record of a request has its room reserved from the start, so that an end never waits and never fails for want of it.
//! * No record holds a credential, a literal of a statement or a row.

mod chain;
mod head;
mod journal;
mod record;
mod search;
mod statement;
mod verify;
mod writer;

pub(crate) use head::{SigningKey, VerifyingKey};
pub(crate) use record::{Outcome, Read, Start, Who};
pub(crate) use search::{Filter, search};
pub(crate) use verify::{Verified, verify};

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::config::{Statements, Trail};
use crate::error::{Error, Result};
use journal::Journal;
use record::{End, Event};
use writer::{Message, Writer};

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
    wait_max: Duration,
    statements: Statements,
    statement_bytes_max: usize,
}

impl Audit {
    /// A trail that records nothing.
    pub fn off() -> Self {
        Self(None)
    }

    /// Opens the trail, closes what a dead process has left open in it, and begins to write.
    ///
    /// # Errors
    /// `Config` when the folder cannot be used: another process has it, or a line in it was changed.
    pub(crate) fn open(config: &Trail, key: SigningKey) -> Result<Self> {
        let Some(folder) = &config.folder else {
            return Ok(Self::off());
        };
        let journal = Journal::open(folder, config.file_bytes_max.as_u64(), key)?;
        Ok(Self(Some(Arc::new(Shared {
            writer: Writer::start(journal, config.sync)?,
            waiting: Arc::new(Semaphore::new(config.queue_max)),
            open: Arc::new(Semaphore::new(config.requests_max)),
            wait_max: config.wait_max,
            statements: config.statements,
            statement_bytes_max: usize::try_from(config.statement_bytes_max.as_u64()).unwrap_or(usize::MAX),
        }))))
    }

    /// Writes the start of a request. It is on file when this returns.
    ///
    /// # Errors
    /// `Audit` when the trail takes no more for the time that the config allows.
    pub(crate) async fn begin(&self, start: Start) -> Result<Arc<Entry>> {
        let entry = |open: Option<(Arc<Shared>, OwnedSemaphorePermit)>| Entry {
            open: Mutex::new(open),
            seq: Arc::new(AtomicU64::new(0)),
            began: Instant::now(),
            stated: Mutex::new(None),
            outcome: OnceLock::new(),
            is_streaming: AtomicBool::new(false),
            rows: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        };
        let Some(shared) = &self.0 else {
            return Ok(Arc::new(entry(None)));
        };
        let begun = async {
            let place = Arc::clone(&shared.open).acquire_owned().await;
            let place = place.map_err(|_| Error::Stopping)?;
            let entry = Arc::new(entry(Some((Arc::clone(shared), place))));
            shared
                .write(&entry.seq, true, Event::Start(Box::new(start)))
                .await?;
            Ok(entry)
        };
        within(shared.wait_max, begun).await
    }

    /// Waits until everything that was handed over is written.
    pub(crate) async fn flushed(&self) {
        if let Some(shared) = &self.0 {
            let (done, written) = oneshot::channel();
            shared.writer.send(Message::Flush(done));
            // The writer is gone only when it has written everything.
            drop(written.await);
        }
    }
}

impl Shared {
    /// Hands a record over and waits until it is on file.
    async fn write(&self, seq: &Arc<AtomicU64>, is_start: bool, event: Event) -> Result<()> {
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
        written.await.map_err(|_| Error::Audit)
    }
}

async fn within<T>(wait_max: Duration, work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(wait_max, work)
        .await
        .unwrap_or(Err(Error::Audit))
}

/// A request in the trail. Its end is written when the last holder lets it go, with the outcome that was named first, or
/// as cancelled when none was.
#[derive(Debug)]
pub(crate) struct Entry {
    open: Mutex<Option<(Arc<Shared>, OwnedSemaphorePermit)>>,
    /// The number of the start record, once it is written.
    seq: Arc<AtomicU64>,
    began: Instant,
    /// The digest of the statement that was recorded last: one that is described and then run stands there once.
    stated: Mutex<Option<chain::Hash>>,
    outcome: OnceLock<Outcome>,
    is_streaming: AtomicBool,
    rows: AtomicU64,
    bytes: AtomicU64,
}

impl Entry {
    /// A statement is about to be planned.
    ///
    /// # Errors
    /// `Audit` as for the start.
    pub(crate) async fn statement(&self, sql: &str) -> Result<()> {
        let Some(shared) = self.shared() else {
            return Ok(());
        };
        let digest = chain::sha256(sql.as_bytes());
        let before = self
            .stated
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .replace(digest);
        if before == Some(digest) {
            return Ok(());
        }
        let text = match shared.statements {
            Statements::None => String::new(),
            Statements::Text => statement::bounded(sql, shared.statement_bytes_max),
            Statements::Shape => statement::bounded(&statement::shape(sql), shared.statement_bytes_max),
        };
        let event = Event::Statement {
            statement: text,
            digest: chain::hex(&digest),
        };
        within(shared.wait_max, shared.write(&self.seq, false, event)).await
    }

    /// Rows of these tables are about to leave.
    ///
    /// # Errors
    /// `Audit` as for the start.
    pub(crate) async fn read(&self, read: Read) -> Result<()> {
        let Some(shared) = self.shared() else {
            return Ok(());
        };
        within(shared.wait_max, shared.write(&self.seq, false, Event::Read(read))).await
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
        let outcome = self.outcome.take().unwrap_or_else(Outcome::cancelled);
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
