//! The thread that writes the trail: it takes what has come, writes it as one batch, signs the end, and tells those who
//! wait. While the disk takes nothing, it tries again, and callers wait as long as the config lets them.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::journal::Journal;
use super::record::Event;
use crate::error::{Error, Result};

/// Records of one batch.
const BATCH_MAX: usize = 1_024;

/// How long to wait after a failure of the disk.
const AGAIN: Duration = Duration::from_millis(100);

/// What the thread is told.
#[derive(Debug)]
pub(super) enum Message {
    /// A record. Those who send it hold a place, so the queue is bounded by the places there are.
    Record {
        event: Event,
        /// The number of the start record that this one belongs to; set here when it is the start itself.
        seq: Arc<AtomicU64>,
        is_start: bool,
        done: Option<oneshot::Sender<()>>,
        place: OwnedSemaphorePermit,
    },
    /// Tell when everything before this is written.
    Flush(oneshot::Sender<()>),
}

/// The thread; when the value goes, it writes what is left and ends.
#[derive(Debug)]
pub(super) struct Writer {
    messages: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. What is written is forced to disk every `sync`, or with every batch when that is zero.
    pub(super) fn start(journal: Journal, sync: Duration) -> Result<Self> {
        let (messages, inbox) = mpsc::channel();
        let thread = thread::Builder::new()
            .name("audit".to_owned())
            .spawn(move || Loop::new(journal, sync).run(&inbox))
            .map_err(|error| Error::Internal {
                message: format!("the audit thread does not start: {error}"),
            })?;
        Ok(Self {
            messages: Some(messages),
            thread: Some(thread),
        })
    }

    /// Hands a message over. The thread lives as long as this value.
    pub(super) fn send(&self, message: Message) {
        if let Some(messages) = &self.messages {
            // Only a thread that has died takes nothing, and then everybody who waits is told by a closed channel.
            drop(messages.send(message));
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Loop {
    journal: Journal,
    sync: Duration,
    synced: Instant,
    is_dirty: bool,
}

impl Loop {
    fn new(journal: Journal, sync: Duration) -> Self {
        Self {
            journal,
            sync,
            synced: Instant::now(),
            is_dirty: true,
        }
    }

    fn run(mut self, inbox: &Receiver<Message>) {
        loop {
            let wait = match self.is_dirty {
                true => self.sync.saturating_sub(self.synced.elapsed()),
                false => Duration::from_secs(3600),
            };
            match inbox.recv_timeout(wait) {
                Ok(first) => self.batch(first, inbox),
                Err(RecvTimeoutError::Timeout) => self.force(),
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.add(None, &Event::Close {});
        self.commit();
        self.force();
    }

    fn batch(&mut self, first: Message, inbox: &Receiver<Message>) {
        let mut waiting = Vec::new();
        let mut places = Vec::new();
        let more = std::iter::from_fn(|| inbox.try_recv().ok());
        for message in std::iter::once(first).chain(more.take(BATCH_MAX)) {
            match message {
                Message::Record {
                    event,
                    seq,
                    is_start,
                    done,
                    place,
                } => {
                    let of = (!is_start).then(|| seq.load(Ordering::Relaxed));
                    let number = self.add(of, &event);
                    if is_start {
                        seq.store(number, Ordering::Relaxed);
                    }
                    waiting.extend(done);
                    places.push(place);
                }
                Message::Flush(done) => waiting.push(done),
            }
        }
        self.commit();
        if self.sync.is_zero() {
            self.force();
        }
        drop(places);
        for done in waiting {
            // Who does not wait any more has been told that it took too long.
            drop(done.send(()));
        }
    }

    fn add(&mut self, of: Option<u64>, event: &Event) -> u64 {
        match self.journal.put(of, event) {
            Ok(seq) => seq,
            Err(error) => {
                // Strings and numbers only: this cannot fail.
                tracing::error!(error = %error, "a record could not be put into words");
                0
            }
        }
    }

    /// Writes the batch, however often that has to be tried.
    fn commit(&mut self) {
        let mut failures = 0_u64;
        loop {
            match self.journal.commit().and_then(|()| self.journal.rotate()) {
                // The line that begins the new file is a batch of its own.
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    if failures % 100 == 0 {
                        tracing::error!(error = %error, "the audit trail cannot be written; calls wait");
                    }
                    failures += 1;
                    thread::park_timeout(AGAIN);
                }
            }
        }
        if failures > 0 {
            tracing::info!(failures, "the audit trail is written again");
        }
        self.is_dirty = true;
    }

    fn force(&mut self) {
        let forced = self
            .journal
            .syncable()
            .and_then(|files| files.iter().try_for_each(std::fs::File::sync_data));
        match forced {
            Ok(()) => self.is_dirty = false,
            Err(error) => tracing::error!(error = %error, "the audit trail was not forced to disk"),
        }
        self.synced = Instant::now();
    }
}
