//! Bronze: uploads become snapshots, exactly once, everything kept as received.
//!
//! One task a dataset owns its bronze table. It takes what waits as one group, writes it, commits it as one snapshot and answers each upload;
//! an answer means that the snapshot is durable. Under load groups are an interval apart, so that the table's history stays short; an idle
//! dataset commits at once.
//!
//! Invariants:
//! 1. *No ack before durable*: an upload is answered with success only when the catalog holds the snapshot with its rows.
//! 2. *One key, one batch*: a key that the table remembers is never written again; with another body it is refused.
//! 3. *First things first*: after an unknown outcome nothing else is committed until that outcome is known.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

use crate::append::Appender;
use crate::commit::{Kernel, Receipt};
use crate::error::{Error, Result};
use crate::intake::Record;
use crate::metrics::Metrics;
use crate::pipeline::{Format, Pipeline};

pub mod envelope;
pub mod memory;
pub mod writer;
use memory::Memory;
use writer::{Batch, Writer};

/// Uploads that may wait for the task of a dataset; their bytes are bounded by whoever sends them.
const WAITING: usize = 1_024;
/// Uploads with a key in one snapshot: each takes a hundred bytes of its summary.
const KEYED_MAX: usize = 64;
/// Uploads in one snapshot.
const GROUP_MAX: usize = 512;
/// Bytes of payload in one snapshot, may be overshot by one upload.
const GROUP_BYTES_MAX: usize = 64 << 20;
/// Commits that an idle dataset may make at once before they are an interval apart.
const BURST: u32 = 8;

/// One accepted body.
#[derive(Debug)]
pub struct Upload {
    /// Names the batch for ever: derived from the caller's key, or unique.
    pub batch: String,
    /// The SHA-256 of the body, where the caller gave a key.
    pub keyed: Option<String>,
    /// The format of the body.
    pub format: Format,
    /// Its records.
    pub records: Vec<Record>,
    /// Where the body lies as a file, for formats whose rows are not the bytes that came.
    pub landing: Option<String>,
    /// Who sent it, and what of the request is kept, as a JSON object.
    pub headers: String,
}

impl Upload {
    fn bytes(&self) -> usize {
        self.records.iter().map(|record| record.payload.len()).sum()
    }
}

/// What an upload has become.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The batch.
    pub batch: String,
    /// Its records.
    pub records: u64,
    /// The snapshot of the bronze table that holds them.
    pub snapshot_id: i64,
    /// Whether an earlier request with the same key had brought them.
    pub replayed: bool,
}

/// Why an upload was not stored, in one case for many.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotStored {
    /// The key was used for another body.
    #[error("the key was used for another body")]
    OtherBody,
    /// As many keys are remembered as may be.
    #[error("{0} keys are remembered, which is the bound")]
    TooManyKeys(usize),
    /// The commit failed, or the dataset's task has ended.
    #[error("the batch could not be committed")]
    Failed(#[source] Arc<Error>),
    /// The dataset's task has ended.
    #[error("the dataset takes no more uploads")]
    Closed,
}

type Answer = std::result::Result<Stored, NotStored>;
type Waiting = (Upload, oneshot::Sender<Answer>);

/// The way to a dataset's task.
#[derive(Debug, Clone)]
pub struct Bronze {
    queue: mpsc::Sender<Waiting>,
}

impl Bronze {
    /// Stores an upload; returns when it is durable or was refused. Dropping the future does not take the upload back.
    pub async fn store(&self, upload: Upload) -> Answer {
        let (answer, answered) = oneshot::channel();
        if self.queue.send((upload, answer)).await.is_err() {
            return Err(NotStored::Closed);
        }
        answered.await.unwrap_or(Err(NotStored::Closed))
    }
}

/// What the task of a dataset needs.
#[derive(Debug)]
pub struct Parts {
    /// The pipeline.
    pub pipeline: Pipeline,
    /// The least time between two commits under load.
    pub interval: Duration,
    /// Most keys remembered.
    pub keys_max: usize,
    /// For how long, in milliseconds.
    pub remembered_ms: i64,
    /// Where commits go.
    pub kernel: Kernel,
    /// Who writes files.
    pub appender: Appender,
    /// Who counts.
    pub metrics: Metrics,
    /// Told the snapshot of each commit.
    pub committed: watch::Sender<i64>,
}

/// Takes the dataset's bronze table over and starts its task, which ends when the last [`Bronze`] is gone and the queue is empty.
///
/// # Errors
/// The table cannot be made, is another table, or the claim fails.
pub async fn start(parts: Parts) -> Result<(Bronze, tokio::task::JoinHandle<Result<()>>)> {
    let (writer, table) = Writer::claim(
        &parts.pipeline,
        parts.kernel,
        parts.appender,
        parts.metrics,
        parts.committed,
    )
    .await?;
    let memory = Memory::of(table.metadata(), parts.keys_max, parts.remembered_ms);
    let (queue, waiting) = mpsc::channel(WAITING);
    let task = Task {
        pipeline: parts.pipeline.name().to_owned(),
        interval: parts.interval,
        keys_max: parts.keys_max,
        writer,
        memory,
        waiting,
        carried: None,
        burst: BURST,
        refilled: Instant::now(),
    };
    Ok((Bronze { queue }, tokio::spawn(task.run())))
}

struct Task {
    pipeline: String,
    interval: Duration,
    keys_max: usize,
    writer: Writer,
    memory: Memory,
    waiting: mpsc::Receiver<Waiting>,
    /// The upload that did not fit into the group before.
    carried: Option<Waiting>,
    burst: u32,
    refilled: Instant,
}

impl Task {
    async fn run(mut self) -> Result<()> {
        loop {
            let first = match self.carried.take() {
                Some(carried) => carried,
                None => match self.waiting.recv().await {
                    Some(first) => first,
                    None => return Ok(()),
                },
            };
            self.space().await;
            let group = self.group(first);
            if let Some(fatal) = self.store(group).await {
                tracing::error!(pipeline = self.pipeline, error = %fatal, "bronze takes no more uploads");
                return Err(fatal);
            }
        }
    }

    /// Waits until the next commit may be made: a few at once, then one an interval.
    async fn space(&mut self) {
        let interval = self.interval;
        let earned = self.refilled.elapsed().as_nanos() / interval.as_nanos().max(1);
        if earned > 0 {
            let earned = u32::try_from(earned).unwrap_or(BURST);
            self.burst = self.burst.saturating_add(earned).min(BURST);
            self.refilled = Instant::now();
        }
        if self.burst == 0 {
            tokio::time::sleep_until(self.refilled + interval).await;
            self.refilled = Instant::now();
            self.burst = 1;
        }
        self.burst -= 1;
    }

    /// The first upload and what waits behind it, within the bounds of one snapshot.
    fn group(&mut self, first: Waiting) -> Vec<Waiting> {
        let mut bytes = first.0.bytes();
        let mut keyed = usize::from(first.0.keyed.is_some());
        let mut group = vec![first];
        while group.len() < GROUP_MAX && bytes < GROUP_BYTES_MAX && keyed < KEYED_MAX {
            let Ok(next) = self.waiting.try_recv() else { break };
            bytes += next.0.bytes();
            keyed += usize::from(next.0.keyed.is_some());
            if bytes > GROUP_BYTES_MAX {
                self.carried = Some(next);
                break;
            }
            group.push(next);
        }
        group
    }

    /// Stores a group and answers all of it. Gives an error only when the task must end.
    async fn store(&mut self, group: Vec<Waiting>) -> Option<Error> {
        let mut fresh: Vec<Waiting> = Vec::new();
        let mut again: Vec<Waiting> = Vec::new();
        for (upload, answer) in group {
            match self.memory.look(&upload) {
                memory::Found::Stored(stored) => reply(answer, Ok(stored)),
                memory::Found::OtherBody => reply(answer, Err(NotStored::OtherBody)),
                memory::Found::Full => reply(answer, Err(NotStored::TooManyKeys(self.keys_max))),
                memory::Found::New => {
                    // The same key twice in one group: the second looks at what the first has become.
                    let twin =
                        upload.keyed.is_some() && fresh.iter().any(|(other, _)| other.batch == upload.batch);
                    if twin { &mut again } else { &mut fresh }.push((upload, answer));
                }
            }
        }
        if fresh.is_empty() {
            return None;
        }
        let (uploads, answers): (Vec<_>, Vec<_>) = fresh.into_iter().unzip();
        match self.commit(&uploads).await {
            Ok(receipt) => {
                for (upload, answer) in uploads.iter().zip(answers) {
                    reply(answer, Ok(self.memory.remember(upload, receipt.snapshot_id)));
                }
                for (upload, answer) in again {
                    reply(
                        answer,
                        match self.memory.look(&upload) {
                            memory::Found::Stored(stored) => Ok(stored),
                            _ => Err(NotStored::OtherBody),
                        },
                    );
                }
                None
            }
            Err(error) => {
                let fatal = matches!(error, Error::Fenced { .. } | Error::Differs { .. });
                let error = Arc::new(error);
                for answer in answers
                    .into_iter()
                    .chain(again.into_iter().map(|(_, answer)| answer))
                {
                    reply(answer, Err(NotStored::Failed(Arc::clone(&error))));
                }
                tracing::warn!(pipeline = self.pipeline, error = %error, "a group was not committed");
                fatal.then(|| {
                    Arc::into_inner(error).unwrap_or(Error::Cancelled {
                        table: self.writer.contract().to_string(),
                    })
                })
            }
        }
    }

    async fn commit(&self, uploads: &[Upload]) -> Result<Receipt> {
        let rows = envelope::rows(&self.pipeline, uploads, chrono::Utc::now())?;
        let mut facts = BTreeMap::from([("ingest.batch-id".to_owned(), batches(uploads))]);
        if let Some(keyed) = memory::printed(uploads) {
            facts.insert(memory::KEYED_KEY.to_owned(), keyed);
        }
        self.writer
            .append(Batch {
                rows: Some(rows),
                facts,
                advances: Vec::new(),
            })
            .await
    }
}

/// The batches of a snapshot for its summary; of many the first ones.
fn batches(uploads: &[Upload]) -> String {
    let names: Vec<&str> = uploads
        .iter()
        .take(8)
        .map(|upload| upload.batch.as_str())
        .collect();
    let more = uploads.len().saturating_sub(names.len());
    let names = names.join(",");
    if more > 0 {
        format!("{names},+{more}")
    } else {
        names
    }
}

/// Answers; a caller who has gone away finds out by its key.
fn reply(answer: oneshot::Sender<Answer>, outcome: Answer) {
    drop(answer.send(outcome));
}
