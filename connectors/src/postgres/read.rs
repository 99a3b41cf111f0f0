//! One statement at the server as a stream of batches.
//!
//! Invariants:
//! - Before the first row the server has said which types it will send, inside the transaction that reads: a table that
//!   was changed since it was planned fails, and its columns are never taken for others.
//! - A batch is closed after the session's number of rows or the config's bytes, whichever is first.
//! - Dropping the stream cancels the statement; an end of the stream without the server's word for it is an error.
//! - The work at the server begins with the first poll.

use super::bind::Binding;
use super::config::Unrepresentable;
use super::copy::{BadStream, CopyReader, Field};
use super::decode::{Bad, Column};
use super::failure::{Subject, changed};
use super::pool::{Pool, Task};
use super::snapshot::{QuerySnapshot, Reader};
use super::sql::Sql;
use crate::{Error, QueryScope, Result, Version};
use arrow::datatypes::SchemaRef;
use arrow::record_batch::{RecordBatch, RecordBatchOptions};
use datafusion::error::Result as EngineResult;
use datafusion::execution::memory_pool::MemoryReservation;
use datafusion::physical_plan::metrics::{BaselineMetrics, Count, Time};
use futures::{Stream, StreamExt, TryStreamExt};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;
use tokio_postgres::types::{FromSql, Type};
use tokio_postgres::{CopyOutStream, Row, RowStream};

/// Memory is asked for in steps of so many bytes.
const RESERVATION_STEP: usize = 1 << 20;

/// How the rows come over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transfer {
    /// `COPY` in binary form, the fastest; values are written as literals.
    Copy,
    /// The extended protocol with bound values, for few rows.
    Bound,
}

/// A statement that gives the rows of `schema`.
#[derive(Clone, Debug)]
pub struct RemoteQuery {
    /// A SELECT.
    pub sql: Sql,
    /// The columns, by place. Each type must be one that the server sends for its column; see
    /// `deploy/postgres-types.md`.
    pub schema: SchemaRef,
    /// How the rows come over.
    pub transfer: Transfer,
    /// What is read, for messages.
    pub table: Arc<str>,
    /// The version of the table that it was planned with, when it reads one table.
    pub version: Option<Version>,
}

impl RemoteQuery {
    fn subject(&self) -> Subject {
        Subject {
            table: Arc::clone(&self.table),
            version: self.version.clone(),
        }
    }
}

/// What one stream needs of its surroundings.
pub(super) struct Surroundings {
    pub(super) pool: Pool,
    pub(super) snapshot: Arc<QuerySnapshot>,
    pub(super) deadline: Option<Instant>,
    pub(super) rows_max: usize,
    pub(super) memory: MemoryReservation,
    pub(super) metrics: BaselineMetrics,
    pub(super) bytes_read: Count,
    /// The time that the server was waited for.
    pub(super) waited: Time,
    /// How many keys of joins were sent.
    pub(super) keys: Count,
    /// The keys that may come into the statement.
    pub(super) binding: Option<Binding>,
    /// Where the snapshot is noted.
    pub(super) scope: Option<Arc<QueryScope>>,
}

/// The rows of `query`.
pub(super) fn stream(
    query: Arc<RemoteQuery>,
    surroundings: Surroundings,
) -> impl Stream<Item = EngineResult<RecordBatch>> + Send {
    let first = State::New(query, Box::new(surroundings));
    futures::stream::try_unfold(first, |state| async move {
        let (reading, batch) = match state {
            State::New(query, around) => match begin(query, around).await? {
                Some(begun) => begun,
                None => return Ok(None),
            },
            State::Reading(mut reading) => {
                let batch = reading.next().await?;
                (reading, batch)
            }
            State::Done => return Ok(None),
        };
        let is_over = reading.reader.is_none();
        if is_over {
            reading.around.pool.retries().earn();
        }
        Ok(batch.map(|batch| match is_over {
            true => (batch, State::Done),
            false => (batch, State::Reading(reading)),
        }))
    })
}

/// A statement that has begun, with its first batch; none when it gives no row.
type Begun = (Box<Reading>, Option<RecordBatch>);

/// Sends the statement and reads its first batch; none when there is nothing to ask. What fails here because the server
/// went away is tried once more: no row has been given yet.
async fn begin(query: Arc<RemoteQuery>, mut around: Box<Surroundings>) -> EngineResult<Option<Begun>> {
    let asked = match &around.binding {
        Some(binding) => binding.query(query).await,
        None => Some((query, 0)),
    };
    let Some((query, keys)) = asked else {
        return Ok(None);
    };
    around.keys.add(keys);
    let mut is_second = false;
    loop {
        let failure = match started(&query, &around).await {
            Ok(started) => {
                let mut reading = Box::new(Reading::new(&query, started, around));
                match reading.next().await {
                    Ok(batch) => return Ok(Some((reading, batch))),
                    Err(error) => {
                        around = reading.around;
                        error
                    }
                }
            }
            Err(error) => error.into(),
        };
        let is_gone = matches!(Error::find(&failure), Some(Error::Unavailable { .. }));
        if is_second || !is_gone || !around.snapshot.begins_again() || !around.pool.retries().pay() {
            return Err(failure);
        }
        tracing::debug!(source = %around.pool.origin().source, "a statement is sent a second time");
        around.memory.free();
        around.pool.forget();
        is_second = true;
    }
}

enum State {
    New(Arc<RemoteQuery>, Box<Surroundings>),
    Reading(Box<Reading>),
    Done,
}

enum Rows {
    Copy(Pin<Box<CopyOutStream>>, CopyReader),
    Bound(Pin<Box<RowStream>>),
}

/// A stream in the middle of its rows.
struct Reading {
    rows: Rows,
    batch: Batch,
    /// Taken when the statement is over.
    reader: Option<Reader>,
    around: Box<Surroundings>,
}

/// What the runtime of the sockets made ready.
struct Started {
    rows: Rows,
    columns: Vec<Column>,
    reader: Reader,
}

/// A statement on its way, on the runtime of the sockets.
async fn started(query: &Arc<RemoteQuery>, around: &Surroundings) -> Result<Started> {
    let task: Task<Started> = around.pool.spawn({
        let (pool, query) = (around.pool.clone(), Arc::clone(query));
        let (snapshot, scope) = (Arc::clone(&around.snapshot), around.scope.clone());
        let deadline = around.deadline;
        async move {
            let reader = snapshot.reader(&pool, deadline).await?;
            if let (Some(scope), Some(observed)) = (scope, snapshot.observed()) {
                scope.observe(&pool.origin().source, observed)?;
            }
            let sent = send(&pool, &query, reader).await;
            if matches!(sent, Err(Error::VersionGone { .. } | Error::NotFound { .. })) {
                pool.note_change();
            }
            sent
        }
    });
    let began = Instant::now();
    let started = task.done().await;
    around.waited.add_elapsed(began);
    started
}

impl Reading {
    fn new(query: &Arc<RemoteQuery>, started: Started, around: Box<Surroundings>) -> Self {
        Self {
            rows: started.rows,
            batch: Batch {
                schema: Arc::clone(&query.schema),
                columns: started.columns,
                subject: query.subject(),
                rows: 0,
                bytes: 0,
                rows_max: around.rows_max,
                bytes_max: around.pool.config().batch_bytes_max,
            },
            reader: Some(started.reader),
            around,
        }
    }

    /// The next batch; the reader is given back with the last one.
    async fn next(&mut self) -> EngineResult<Option<RecordBatch>> {
        let began = Instant::now();
        while !self.batch.is_full() {
            let before = self.batch.bytes;
            if !self.step().await? {
                if let Some(reader) = self.reader.take() {
                    reader.finish();
                }
                break;
            }
            self.around.bytes_read.add(self.batch.bytes - before);
            let memory = &mut self.around.memory;
            if self.batch.bytes > memory.size() {
                memory.try_grow(RESERVATION_STEP.max(self.batch.bytes - memory.size()))?;
            }
        }
        self.around.waited.add_elapsed(began);
        let batch = self.batch.finish()?;
        self.around.memory.free();
        if let Some(batch) = &batch {
            self.around.metrics.record_output(batch.num_rows());
        }
        Ok(batch)
    }

    /// Takes what the server sends next; false at its end.
    async fn step(&mut self) -> Result<bool> {
        let width = self.batch.columns.len();
        match &mut self.rows {
            Rows::Copy(stream, reader) => {
                let piece = stream.next().await.transpose();
                let piece =
                    piece.map_err(|error| self.around.pool.origin().failure(&self.batch.subject, error))?;
                let Some(piece) = piece else {
                    return match reader.is_whole() {
                        true => Ok(false),
                        false => Err(self
                            .batch
                            .damaged(Broken::Stream(BadStream("the end is missing")))),
                    };
                };
                let batch = &mut self.batch;
                let fed = reader.feed(&piece, width, |bytes, fields| batch.push(bytes, fields));
                fed.map_err(|broken| self.batch.damaged(broken))?;
                Ok(true)
            }
            Rows::Bound(stream) => {
                let row = stream.try_next().await;
                let row =
                    row.map_err(|error| self.around.pool.origin().failure(&self.batch.subject, error))?;
                let Some(row) = row else { return Ok(false) };
                let pushed = self.batch.push_row(&row);
                pushed.map_err(|broken| self.batch.damaged(broken))?;
                Ok(true)
            }
        }
    }
}

/// Sends the statement and waits until its rows begin.
async fn send(pool: &Pool, query: &RemoteQuery, reader: Reader) -> Result<Started> {
    let failed = |error| pool.origin().failure(&query.subject(), error);
    let client = reader.lease().client()?;
    let (text, values) = match query.transfer {
        Transfer::Copy => (query.sql.inlined(), Vec::new()),
        Transfer::Bound => query.sql.bound(),
    };
    // From here on the transaction holds a lock under which no column can change.
    let statement = client.prepare(&text).await.map_err(failed)?;
    let columns = columns(query, statement.columns(), pool.config().unrepresentable)?;
    let rows = match query.transfer {
        Transfer::Copy => {
            let copy = format!("COPY ({text}) TO STDOUT (FORMAT binary)");
            let stream = client.copy_out(&copy).await.map_err(failed)?;
            Rows::Copy(Box::pin(stream), CopyReader::default())
        }
        Transfer::Bound => {
            let stream = client.query_raw(&statement, &values).await.map_err(failed)?;
            Rows::Bound(Box::pin(stream))
        }
    };
    tracing::debug!(source = %pool.origin().source, sql = %query.sql, "sent a remote statement");
    Ok(Started {
        rows,
        columns,
        reader,
    })
}

fn columns(
    query: &RemoteQuery,
    sent: &[tokio_postgres::Column],
    policy: Unrepresentable,
) -> Result<Vec<Column>> {
    let gone = || changed(&query.subject());
    if sent.len() != query.schema.fields().len() {
        return Err(gone());
    }
    let pairs = query.schema.fields().iter().zip(sent);
    let made = pairs.map(|(field, sent)| Column::new(field.data_type(), sent.type_(), policy));
    made.collect::<Result<_, _>>().map_err(|mismatch| {
        tracing::debug!(
            table = %query.table,
            planned = %mismatch.arrow,
            sent = mismatch.server,
            "a column has another type than when it was planned"
        );
        gone()
    })
}

/// A batch under construction.
struct Batch {
    schema: SchemaRef,
    columns: Vec<Column>,
    subject: Subject,
    rows: usize,
    bytes: usize,
    rows_max: usize,
    bytes_max: usize,
}

/// What is wrong with what was sent.
enum Broken {
    Stream(BadStream),
    Field(usize, Bad),
}

impl From<BadStream> for Broken {
    fn from(bad: BadStream) -> Self {
        Self::Stream(bad)
    }
}

/// The bytes of a field of a row.
struct Raw<'a>(Option<&'a [u8]>);

impl<'a> FromSql<'a> for Raw<'a> {
    fn from_sql(_: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(Some(raw)))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn std::error::Error + Sync + Send>> {
        Ok(Self(None))
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}

impl Batch {
    fn is_full(&self) -> bool {
        self.rows >= self.rows_max || self.bytes >= self.bytes_max
    }

    fn push(&mut self, bytes: &[u8], fields: &[Field]) -> Result<(), Broken> {
        for (number, (column, field)) in self.columns.iter_mut().zip(fields).enumerate() {
            let raw = field.clone().and_then(|range| bytes.get(range));
            self.bytes += raw.map_or(0, <[u8]>::len);
            column.push(raw).map_err(|bad| Broken::Field(number, bad))?;
        }
        self.rows += 1;
        Ok(())
    }

    fn push_row(&mut self, row: &Row) -> Result<(), Broken> {
        for (number, column) in self.columns.iter_mut().enumerate() {
            let Ok(Raw(raw)) = row.try_get(number) else {
                return Err(Broken::Stream(BadStream("a row with too few fields")));
            };
            self.bytes += raw.map_or(0, <[u8]>::len);
            column.push(raw).map_err(|bad| Broken::Field(number, bad))?;
        }
        self.rows += 1;
        Ok(())
    }

    /// The rows so far; none when there are none.
    fn finish(&mut self) -> EngineResult<Option<RecordBatch>> {
        if self.rows == 0 {
            return Ok(None);
        }
        let arrays = self.columns.iter_mut().map(Column::finish).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(self.rows));
        (self.rows, self.bytes) = (0, 0);
        Ok(Some(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            arrays,
            &options,
        )?))
    }

    fn damaged(&self, broken: Broken) -> Error {
        let table = self.subject.table.to_string();
        match broken {
            Broken::Stream(bad) => Error::Corrupt {
                table,
                path: "the stream of rows".to_owned(),
                cause: Box::new(bad),
            },
            Broken::Field(number, bad) => {
                let name = self.schema.fields().get(number).map_or("", |field| field.name());
                match bad {
                    Bad::Value(what) => Error::Unsupported {
                        table,
                        feature: format!("{what} in column {name}"),
                    },
                    Bad::Shape(_) => Error::Corrupt {
                        table,
                        path: format!("column {name}"),
                        cause: Box::new(bad),
                    },
                }
            }
        }
    }
}
