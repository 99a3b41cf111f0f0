//! Running a plan. Operators are polled on the CPU runtime and hand batches through a short queue to whoever serves the
//! client; when the reader goes away or the deadline passes, the work stops.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::{ExecutionPlan, execute_stream};
use futures::stream::BoxStream;
use futures::{Stream, StreamExt};
use tokio::sync::mpsc;

use crate::cache::Recording;
use crate::enforce::Fence;
use crate::error::{Error, Result};
use crate::optimize::Notes;
use crate::reads::Reads;
use crate::report::{CacheReport, Outcome, Report, Reporter};
use crate::request::Origin;
use crate::runtime::{CpuRuntime, StopOnDrop};

/// A running query: its columns, and its rows as they come. Dropping it stops the query and its sources.
#[derive(Debug)]
pub struct Running {
    /// Columns of every batch.
    pub schema: SchemaRef,
    /// Origin of each column, where it is one column of one table.
    pub origins: Vec<Option<Origin>>,
    /// What it reads.
    pub reads: Reads,
    reporter: Arc<Reporter>,
    batches: mpsc::Receiver<Sent>,
    /// Whether the end has been said, by the work or by us.
    is_over: bool,
    fence: Fence,
    _task: StopOnDrop<()>,
    _runtime: CpuRuntime,
}

impl Running {
    /// What the cache had of the rows.
    pub fn cached(&self) -> Option<&CacheReport> {
        self.reporter.cache()
    }

    /// What the sources were asked and what came so far; after the end, of all of it.
    pub fn report(&self) -> Report {
        self.reporter.report()
    }
}

impl Stream for Running {
    type Item = Result<RecordBatch>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let sent = std::task::ready!(self.batches.poll_recv(cx));
        self.is_over = !matches!(sent, Some(Sent::Rows(_)));
        // Asked here and not where rows are made: what waits in the queue must not leave either.
        if let (Some(Sent::Rows(_)), Err(error)) = (&sent, self.fence.check()) {
            self.is_over = true;
            return Poll::Ready(Some(Err(error)));
        }
        Poll::Ready(match sent {
            Some(Sent::Rows(batch)) => Some(Ok(batch)),
            Some(Sent::Failure(error)) => Some(Err(error)),
            Some(Sent::End) => None,
            // The work ended in a panic: rows are missing, and nobody must take what came for all of them.
            None => Some(Err(Error::Internal {
                message: "the query broke off".to_owned(),
            })),
        })
    }
}

/// What the work tells its reader. Rows without an end are not all rows.
#[derive(Debug)]
enum Sent {
    Rows(RecordBatch),
    Failure(Error),
    End,
}

/// Counts the queries that run now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Gauge(Arc<AtomicUsize>);

impl Gauge {
    pub(crate) fn value(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    fn enter(&self) -> Entered {
        self.0.fetch_add(1, Ordering::Relaxed);
        Entered(self.clone())
    }
}

struct Entered(Gauge);

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// One run of a plan.
pub(crate) struct Run {
    pub(crate) plan: Arc<dyn ExecutionPlan>,
    pub(crate) notes: Arc<Notes>,
    pub(crate) task: Arc<TaskContext>,
    /// One partition alone, or all of them in one stream.
    pub(crate) partition: Option<usize>,
}

impl Run {
    fn start(self) -> Result<SendableRecordBatchStream> {
        Ok(match self.partition {
            Some(index) => self.plan.execute(index, self.task)?,
            None => execute_stream(self.plan, self.task)?,
        })
    }
}

/// Where rows come from.
pub(crate) enum Rows {
    /// They are made by runs, one after the other, and taken down where somebody may ask again.
    Made {
        runs: BoxStream<'static, Result<Run>>,
        recording: Option<Box<Recording>>,
    },
    /// They are there.
    Whole(Vec<RecordBatch>),
}

impl Rows {
    /// Rows that nobody takes down.
    pub(crate) fn of(runs: BoxStream<'static, Result<Run>>) -> Self {
        Self::Made {
            runs,
            recording: None,
        }
    }
}

/// Bounds of a stream.
pub(crate) struct Bounds {
    pub(crate) deadline: Instant,
    pub(crate) batches_max: usize,
    /// What may end the stream half-way.
    pub(crate) fence: Fence,
}

/// Gives `rows` as one stream of `schema`. `change` sees every batch that is made last.
pub(crate) fn start(
    runtime: &CpuRuntime,
    gauge: &Gauge,
    (schema, origins, reads): (SchemaRef, Vec<Option<Origin>>, Reads),
    reporter: Reporter,
    rows: Rows,
    bounds: Bounds,
    change: fn(&RecordBatch) -> Result<RecordBatch>,
) -> Running {
    let Bounds {
        deadline,
        batches_max,
        fence,
    } = bounds;
    let (sender, batches) = mpsc::channel(batches_max.max(1));
    let entered = gauge.enter();
    let expected = Arc::clone(&schema);
    let reporter = Arc::new(reporter);
    let ending = Ending(Arc::clone(&reporter));
    let threads = runtime.clone();
    let work = async move {
        let _entered = entered;
        let deadline = tokio::time::Instant::from_std(deadline);
        let work = async {
            match rows {
                Rows::Made { runs, recording } => {
                    drive(runs, recording, expected, change, &ending.0, &sender).await
                }
                Rows::Whole(batches) => give(batches, &expected, &ending.0, &sender).await,
            }
        };
        let outcome = tokio::time::timeout_at(deadline, work).await;
        let last = match outcome {
            Ok(Ok(true)) => Sent::End,
            // The reader has gone away: nobody hears how it ends, and the log is told by what drops here.
            Ok(Ok(false)) => return,
            Ok(Err(error)) => Sent::Failure(error),
            Err(_) => Sent::Failure(Error::Timeout),
        };
        if let (Sent::End, Some(after)) = (&last, ending.0.after()) {
            threads.start_apart(after);
        }
        ending.0.end(match &last {
            Sent::Failure(error) => Outcome::Failed(error.code()),
            Sent::Rows(_) | Sent::End => Outcome::Done,
        });
        // A reader that has gone away needs no end.
        sender.send(last).await.ok();
    };
    Running {
        schema,
        origins,
        reads,
        reporter,
        batches,
        is_over: false,
        fence,
        _task: runtime.start_task(work),
        _runtime: runtime.clone(),
    }
}

/// Has the log hear of a call whose work is dropped.
struct Ending(Arc<Reporter>);

impl Drop for Ending {
    fn drop(&mut self) {
        self.0.end(Outcome::Cancelled);
    }
}

/// Sends rows that are there; false when the reader has gone away.
async fn give(
    batches: Vec<RecordBatch>,
    schema: &SchemaRef,
    reporter: &Reporter,
    sender: &mpsc::Sender<Sent>,
) -> Result<bool> {
    for batch in batches {
        let batch = conform(batch, schema)?;
        reporter.gave(&batch);
        if sender.send(Sent::Rows(batch)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Makes all rows and sends them; false when the reader has gone away.
async fn drive(
    runs: impl Stream<Item = Result<Run>> + Send,
    mut recording: Option<Box<Recording>>,
    schema: SchemaRef,
    change: fn(&RecordBatch) -> Result<RecordBatch>,
    reporter: &Reporter,
    sender: &mpsc::Sender<Sent>,
) -> Result<bool> {
    let mut runs = std::pin::pin!(runs);
    while let Some(run) = runs.next().await {
        let run = run?;
        reporter.begin(&run.plan, &run.notes);
        let mut stream = run.start()?;
        while let Some(batch) = stream.next().await {
            let batch = change(&batch?)?;
            if batch.num_rows() == 0 {
                continue;
            }
            let batch = conform(batch, &schema)?;
            reporter.gave(&batch);
            if let Some(recording) = &mut recording {
                recording.take(&batch)?;
            }
            if sender.send(Sent::Rows(batch)).await.is_err() {
                return Ok(false);
            }
        }
    }
    // Before the end is said, so that whoever has read it and asks again finds them.
    if let Some(recording) = recording {
        recording.finish();
    }
    Ok(true)
}

/// The rows under the advertised columns: operators may drop metadata, and a client compares.
pub(crate) fn conform(batch: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch);
    }
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| match column.data_type() == field.data_type() {
            true => Ok(Arc::clone(column)),
            false => arrow::compute::cast(column, field.data_type()),
        })
        .collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// No change.
pub(crate) fn unchanged(batch: &RecordBatch) -> Result<RecordBatch> {
    Ok(batch.clone())
}

#[cfg(test)]
mod tests;
