//! The thread that writes the trail: it takes what has come, writes it as one batch, signs the end, and tells those who
//! wait. While the disk takes nothing, it tries again, and callers wait as long as the config lets them.
//!
//! Forcing to disk takes milliseconds. Where the config lets records wait for that, a second thread does it, so that no
//! call waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::journal::{Forced, Journal};
use super::record::Event;
use crate::config::Trail;
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

/// What the trail has done since the start.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    records: AtomicU64,
    failures: AtomicU64,
    is_failing: AtomicBool,
    bytes: AtomicU64,
    open: AtomicU64,
}

impl Counts {
    /// Every count by name.
    pub(crate) fn all(&self) -> [(&'static str, u64); 5] {
        [
            ("records", self.records.load(Ordering::Relaxed)),
            ("failures", self.failures.load(Ordering::Relaxed)),
            ("failing", u64::from(self.is_failing())),
            ("bytes", self.bytes.load(Ordering::Relaxed)),
            ("open", self.open.load(Ordering::Relaxed)),
        ]
    }

    /// Whether the last attempt to write failed, and calls wait.
    pub(crate) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    fn failed(&self) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        self.is_failing.store(true, Ordering::Relaxed);
    }
}

/// The thread; when the value goes, it writes what is left and ends.
#[derive(Debug)]
pub(super) struct Writer {
    messages: Option<Sender<Message>>,
    thread: Option<JoinHandle<()>>,
    counts: Arc<Counts>,
    /// Set when nobody will wait any more.
    is_over: Arc<AtomicBool>,
}

impl Writer {
    /// Starts the thread. What is written is forced to disk every `audit.sync`, or with every batch when that is zero.
    pub(super) fn start(journal: Journal, config: &Trail) -> Result<Self> {
        let (messages, inbox) = mpsc::channel();
        let counts = Arc::new(Counts::default());
        let is_over = Arc::new(AtomicBool::new(false));
        let work = Loop {
            journal,
            forcing: match config.sync.is_zero() {
                true => None,
                false => Some(Forcing::start(config.sync, Arc::clone(&counts))?),
            },
            counts: Arc::clone(&counts),
            is_over: Arc::clone(&is_over),
            last_wait: config.wait_max,
        };
        let thread = spawned("audit", move || work.run(&inbox))?;
        Ok(Self {
            messages: Some(messages),
            thread: Some(thread),
            counts,
            is_over,
        })
    }

    pub(super) fn counts(&self) -> &Counts {
        &self.counts
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
        self.is_over.store(true, Ordering::Relaxed);
        self.messages = None;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

struct Loop {
    journal: Journal,
    /// None forces each batch to disk before anybody is told.
    forcing: Option<Forcing>,
    counts: Arc<Counts>,
    is_over: Arc<AtomicBool>,
    /// How long a disk that takes nothing is tried after the end.
    last_wait: Duration,
}

impl Loop {
    fn run(mut self, inbox: &Receiver<Message>) {
        self.tell();
        loop {
            let wait = self.forcing.as_ref().map(Forcing::wait);
            match inbox.recv_timeout(wait.unwrap_or(Duration::from_secs(3600))) {
                Ok(first) => self.batch(first, inbox),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            if let Some(forcing) = &mut self.forcing {
                forcing.again(&self.journal);
            }
        }
        self.add(None, &Event::Close {});
        // From here on each batch is forced before it counts, and there is one.
        self.forcing = None;
        self.insist(Self::write);
    }

    fn batch(&mut self, first: Message, inbox: &Receiver<Message>) {
        let mut waiting = Vec::new();
        let mut flushes = Vec::new();
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
                Message::Flush(done) => flushes.push(done),
            }
        }
        self.insist(Self::write);
        drop(places);
        for done in waiting {
            // Who does not wait any more has been told that it took too long, or did not want to know.
            done.send(()).ok();
        }
        // Nobody waits for the signature: a death between the two leaves lines that are chained.
        self.insist(Self::sign);
        for done in flushes {
            done.send(()).ok();
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

    /// Takes a step of the batch, however often that has to be tried. Only after the end it is given up: what is lost then
    /// are ends of requests, which the next start closes as lost.
    fn insist(&mut self, step: fn(&mut Self) -> std::io::Result<()>) {
        let mut failures = 0_u64;
        let mut last: Option<Instant> = None;
        while let Err(error) = step(self) {
            if failures.is_multiple_of(100) {
                tracing::error!(error = %error, "the audit trail cannot be written; calls wait");
            }
            failures += 1;
            self.counts.failed();
            if self.is_over.load(Ordering::Relaxed) {
                let until = *last.get_or_insert_with(|| Instant::now() + self.last_wait);
                if Instant::now() >= until {
                    tracing::error!(error = %error, "the audit trail ends without its last records");
                    return;
                }
            }
            thread::park_timeout(AGAIN);
        }
        if failures > 0 {
            tracing::warn!(failures, "the audit trail is written again");
        }
        self.tell();
    }

    fn sign(&mut self) -> std::io::Result<()> {
        match self.forcing {
            Some(_) => self.journal.sign(),
            // It was signed before anybody was told.
            None => Ok(()),
        }
    }

    fn write(&mut self) -> std::io::Result<()> {
        self.journal.write()?;
        if self.journal.rotate()? {
            // The line that begins the new file is a batch of its own.
            self.journal.write()?;
        }
        match &mut self.forcing {
            // Nothing goes on over a disk that has failed to keep what it took.
            Some(forcing) if forcing.has_failed() => {
                self.journal.syncable()?.force()?;
                forcing.forget();
                Ok(())
            }
            Some(forcing) => {
                forcing.is_dirty = true;
                Ok(())
            }
            None => {
                self.journal.sign()?;
                self.journal.syncable()?.force()
            }
        }
    }

    fn tell(&self) {
        let counts = &self.counts;
        counts.is_failing.store(false, Ordering::Relaxed);
        counts.records.store(self.journal.records(), Ordering::Relaxed);
        counts.bytes.store(self.journal.bytes(), Ordering::Relaxed);
        counts
            .open
            .store(self.journal.open_requests() as u64, Ordering::Relaxed);
    }
}

/// The thread that forces to disk.
struct Forcing {
    every: Duration,
    asked: Instant,
    is_dirty: bool,
    has_failed: Arc<AtomicBool>,
    /// Its thread ends with this.
    files: SyncSender<Forced>,
}

impl Forcing {
    fn start(every: Duration, counts: Arc<Counts>) -> Result<Self> {
        // One that is at work and one that waits: what comes meanwhile is forced by the one after.
        let (files, inbox) = mpsc::sync_channel::<Forced>(1);
        let has_failed = Arc::new(AtomicBool::new(false));
        let failed = Arc::clone(&has_failed);
        spawned("audit-sync", move || {
            for files in inbox {
                if let Err(error) = files.force() {
                    tracing::error!(error = %error, "the audit trail cannot be forced to disk; calls wait");
                    counts.failed();
                    failed.store(true, Ordering::Relaxed);
                }
            }
        })?;
        Ok(Self {
            every,
            asked: Instant::now(),
            is_dirty: true,
            has_failed,
            files,
        })
    }

    /// How long nothing has to be forced.
    fn wait(&self) -> Duration {
        match self.is_dirty {
            true => self.every.saturating_sub(self.asked.elapsed()),
            false => Duration::from_secs(3600),
        }
    }

    /// Has the files forced, when it is time.
    fn again(&mut self, journal: &Journal) {
        if !self.is_dirty || self.asked.elapsed() < self.every {
            return;
        }
        self.asked = Instant::now();
        match journal.syncable() {
            // A thread that is still busy is asked again after the next interval.
            Ok(files) => self.is_dirty = self.files.try_send(files).is_err(),
            Err(error) => tracing::error!(error = %error, "the audit trail cannot be forced to disk"),
        }
    }

    fn has_failed(&self) -> bool {
        self.has_failed.load(Ordering::Relaxed)
    }

    fn forget(&mut self) {
        self.has_failed.store(false, Ordering::Relaxed);
        self.is_dirty = false;
    }
}

fn spawned(name: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>> {
    let thread = thread::Builder::new().name(name.to_owned()).spawn(work);
    thread.map_err(|error| Error::Internal {
        message: format!("the thread '{name}' does not start: {error}"),
    })
}
