//! The threads of one append: one router, a few lanes, and their end.
//!
//! The router owns the lanes in a scope, so no lane outlives it. It is the only place where an append's files are removed: after a failure
//! and after a cancel, when all lanes have stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{ScopedJoinHandle, scope};

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use iceberg::arrow::schema_to_arrow_schema;
use iceberg::io::FileIO;
use iceberg::spec::{DataFile, PartitionSpecRef, SchemaRef as IcebergSchemaRef};
use iceberg::table::Table;

use parquet::file::properties::WriterProperties;
use tokio::runtime::Handle;
use tokio::sync::mpsc::UnboundedSender;
use tokio::task::JoinHandle;

use super::lane::Lane;
use super::partition::{Piece, Splitter};
use super::{Batches, conform, file};
use crate::config::Config;
use crate::contract::Contract;
use crate::error::{Error, Result};

mod litter;
pub(super) use litter::Litter;

/// Batches whose pieces may wait for a lane.
const QUEUE: usize = 2;

/// Everything that the threads of one append share.
#[derive(Debug)]
pub(super) struct Plan {
    /// `zone.name`, for errors.
    pub(super) table: String,
    /// The schema that files are written with.
    pub(super) schema: IcebergSchemaRef,
    /// The same for Arrow, with field ids.
    pub(super) arrow: SchemaRef,
    /// The table's current partitioning.
    pub(super) spec: PartitionSpecRef,
    /// The table's current sort order, recorded in sorted files.
    pub(super) order_id: Option<i32>,
    /// Sort columns as indices into `arrow`; empty for arrival order.
    pub(super) order: Vec<usize>,
    /// Compression, statistics, Bloom filters.
    pub(super) properties: WriterProperties,
    /// The folder of the table's data files.
    pub(super) folder: String,
    /// The first part of every file name of this append.
    pub(super) attempt: uuid::Uuid,
    /// Where files are made.
    pub(super) io: FileIO,
    /// Runs the storage's futures.
    pub(super) runtime: Handle,
    /// The bounds.
    pub(super) config: Config,
    /// Every file that was begun.
    pub(super) litter: Litter,
    counted: UnboundedSender<u64>,
}

impl Plan {
    /// Plans an append to `table`. Must be called inside a Tokio runtime.
    pub(super) fn new(
        table: &Table,
        contract: &Contract,
        config: Config,
        counted: UnboundedSender<u64>,
    ) -> Result<Self> {
        let name = contract.to_string();
        let metadata = table.metadata();
        let schema = Arc::clone(metadata.current_schema());
        let arrow = Arc::new(schema_to_arrow_schema(&schema).map_err(|error| Error::model(&name, error))?);
        let order = contract
            .order()
            .iter()
            .filter_map(|column| arrow.index_of(column).ok())
            .collect();
        let folder = metadata.properties().get("write.data.path").cloned();
        Ok(Self {
            spec: Arc::clone(metadata.default_partition_spec()),
            order_id: (!contract.order().is_empty())
                .then(|| i32::try_from(metadata.default_sort_order_id()).ok())
                .flatten(),
            order,
            properties: file::properties(contract, &schema, &config)?,
            folder: folder.unwrap_or_else(|| format!("{}/data", metadata.location())),
            attempt: uuid::Uuid::now_v7(),
            io: table.file_io().clone(),
            runtime: Handle::current(),
            litter: Litter::default(),
            table: name,
            schema,
            arrow,
            config,
            counted,
        })
    }
}

/// What an append wrote: closed files, and the rows that were drawn for them.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) files: Vec<DataFile>,
    pub(super) rows: u64,
}

/// A running write. Dropping it stops the threads at their next batch and removes what they wrote.
#[derive(Debug)]
pub(super) struct Writing {
    thread: JoinHandle<Result<Written>>,
    stop: Arc<AtomicBool>,
    table: String,
}

impl Writing {
    /// The end of the write. Cancel safe.
    pub(super) async fn finished(&mut self) -> Result<Written> {
        match (&mut self.thread).await {
            Ok(written) => written,
            Err(_) => Err(Error::Crashed {
                part: "source",
                table: self.table.clone(),
            }),
        }
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

/// Starts the threads.
pub(super) fn start(plan: Plan, batches: Batches) -> Writing {
    let stop = Arc::new(AtomicBool::new(false));
    let table = plan.table.clone();
    let stopped = Arc::clone(&stop);
    let thread = tokio::task::spawn_blocking(move || {
        let mut sweep = litter::Sweep::new(&plan.litter, &plan.io, &plan.runtime);
        let written = run(&plan, batches, &stopped)?;
        if stopped.load(Ordering::Acquire) {
            return Err(Error::Cancelled {
                table: plan.table.clone(),
            });
        }
        sweep.keep();
        Ok(written)
    });
    Writing { thread, stop, table }
}

fn run(plan: &Plan, batches: Batches, stop: &AtomicBool) -> Result<Written> {
    scope(|scope| {
        let mut queues = Vec::new();
        let mut lanes = Vec::new();
        for _ in 0..plan.config.lanes {
            let (queue, pieces) = sync_channel(QUEUE);
            queues.push(queue);
            lanes.push(scope.spawn(move || encode(plan, &pieces, stop)));
        }
        let routed = route(plan, batches, queues, stop);
        if routed.is_err() {
            stop.store(true, Ordering::Release);
        }
        let encoded = join(plan, lanes);
        // A lane that failed closes its queue, which the router sees as a cancel: the lane's own error says why.
        match (routed, encoded) {
            (Ok(rows), Ok(files)) => Ok(Written { files, rows }),
            (Err(Error::Cancelled { .. }), Err(error)) | (Ok(_), Err(error)) => Err(error),
            (Err(error), _) => Err(error),
        }
    })
}

/// Draws, checks and splits batches; gives the number of rows drawn.
fn route(
    plan: &Plan,
    batches: Batches,
    queues: Vec<SyncSender<Vec<Piece>>>,
    stop: &AtomicBool,
) -> Result<u64> {
    let cancelled = || Error::Cancelled {
        table: plan.table.clone(),
    };
    let mut splitter = Splitter::new(plan)?;
    let mut rows = 0_u64;
    for batch in batches {
        if stop.load(Ordering::Acquire) {
            return Err(cancelled());
        }
        let batch: RecordBatch = conform::conform(&plan.table, &plan.arrow, &batch?)?;
        rows += batch.num_rows() as u64;
        let mut shares: Vec<Vec<Piece>> = queues.iter().map(|_| Vec::new()).collect();
        for piece in splitter.split(&batch)? {
            let lane = piece.partition.ordinal % shares.len();
            shares[lane].push(piece);
        }
        for (queue, share) in queues.iter().zip(shares).filter(|(_, share)| !share.is_empty()) {
            queue.send(share).map_err(|_| cancelled())?;
        }
    }
    Ok(rows)
}

/// The life of one lane.
fn encode(plan: &Plan, pieces: &Receiver<Vec<Piece>>, stop: &AtomicBool) -> Result<Vec<DataFile>> {
    let mut lane = Lane::new(plan);
    for piece in pieces.iter().flatten() {
        if stop.load(Ordering::Acquire) {
            return Err(Error::Cancelled {
                table: plan.table.clone(),
            });
        }
        let rows = piece.batch.num_rows() as u64;
        lane.write(piece)?;
        // Nobody may listen any more; the count is for a progress bar only.
        plan.counted.send(rows).unwrap_or_default();
    }
    lane.finish()
}

/// Waits for all lanes; the first failure that is not merely the echo of a stop wins.
fn join(plan: &Plan, lanes: Vec<ScopedJoinHandle<'_, Result<Vec<DataFile>>>>) -> Result<Vec<DataFile>> {
    let mut files = Vec::new();
    let mut failure: Option<Error> = None;
    for lane in lanes {
        let ended = lane.join().unwrap_or_else(|_| {
            Err(Error::Crashed {
                part: "encoder",
                table: plan.table.clone(),
            })
        });
        match ended {
            Ok(more) => files.extend(more),
            Err(error)
                if failure
                    .as_ref()
                    .is_none_or(|first| matches!(first, Error::Cancelled { .. })) =>
            {
                failure = Some(error)
            }
            Err(_) => {}
        }
    }
    failure.map_or(Ok(files), Err)
}
