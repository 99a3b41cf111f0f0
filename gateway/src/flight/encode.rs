//! Batches to Flight messages.
//!
//! A message carries about a mebibyte: clients refuse above 4 or 16 MiB, and most of them copy a body, which is cheapest
//! while it fits the cache. While an operator is silent (a large sort), an empty batch goes out at every
//! heartbeat, because proxies and load balancers close a connection on which nothing moves.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{FlightData, SchemaAsIpc};
use futures::{StreamExt, stream};
use planner::Running;
use policies::Fence;
use tokio::time::Instant;
use tonic::Status;

use super::frames::{Frames, Messages};
use crate::admission::Place;
use crate::app::App;
use crate::audit::{Entry, Outcome};
use crate::edge::plain_batch;
use crate::error::{Error, Result};
use crate::ipc;
use crate::running::Registered;
use crate::status::{Answer, outcome};

/// How often a silent answer asks whether it may go on.
const FENCE_ASKED: Duration = Duration::from_millis(500);

/// Bytes of rows that a message aims at.
const MESSAGE_BYTES: usize = 1 << 20;

/// An answer on its way out. It holds the query's place and its name until the last byte or the client's departure.
pub(super) struct Stream {
    pub(super) app: Arc<App>,
    pub(super) schema: SchemaRef,
    pub(super) request: String,
    pub(super) fence: Arc<dyn Fence>,
    pub(super) entry: Arc<Entry>,
    pub(super) registered: Registered,
    pub(super) _place: Place,
}

struct State {
    stream: Stream,
    running: Running,
    is_over: bool,
}

impl Stream {
    /// The schema message, then the rows as they come.
    pub(super) fn encode(self, running: Running) -> Messages {
        let schema = Frames::schema(&self.schema);
        let state = State {
            stream: self,
            running,
            is_over: false,
        };
        let rows = stream::unfold(state, |mut state| async move {
            if state.is_over {
                return None;
            }
            let messages = state.next().await?;
            Some((stream::iter(messages), state))
        });
        stream::once(async move { Ok(schema) })
            .chain(rows.flatten())
            .boxed()
    }
}

impl State {
    /// The next batch, or an empty one when the operators are silent for a heartbeat; none at the end.
    async fn step(&mut self) -> Option<Result<RecordBatch>> {
        let heartbeat = Instant::now() + self.stream.app.config.limits.heartbeat;
        loop {
            let outcome = tokio::select! {
                () = self.stream.registered.cancelled.cancelled() => Some(Err(planner::Error::Cancelled)),
                batch = self.running.next() => batch,
                () = tokio::time::sleep_until(heartbeat.min(Instant::now() + FENCE_ASKED)) => {
                    Some(Ok(RecordBatch::new_empty(Arc::clone(&self.running.schema))))
                }
            };
            // Asked after the wait: what the engine made before the fence fell does not leave after it.
            if let Err(error) = self.stream.fence.check() {
                return Some(Err(error.into()));
            }
            match outcome {
                Some(Ok(batch)) if batch.num_rows() == 0 && Instant::now() < heartbeat => {}
                outcome => return outcome.map(|batch| batch.map_err(Error::from)),
            }
        }
    }

    /// The next messages; none at the end.
    async fn next(&mut self) -> Option<Vec<Result<Frames, Status>>> {
        let Some(step) = self.step().await else {
            self.stream.entry.conclude(Outcome::ok());
            return None;
        };
        let encoded = match step {
            Ok(batch) => self.stream.messages(&batch),
            Err(error) => Err(error),
        };
        Some(match encoded {
            Ok(messages) => messages.into_iter().map(Ok).collect(),
            Err(error) => {
                self.is_over = true;
                self.stream.entry.conclude(outcome(&error));
                vec![Err(Answer::of(&error, &self.stream.request).status())]
            }
        })
    }
}

impl Stream {
    fn messages(&self, batch: &RecordBatch) -> Result<Vec<Frames>> {
        let plain = plain_batch(batch, &self.schema)?;
        let (messages, bytes) = batch_messages(&plain)?;
        self.app.metrics.sent("flight", plain.num_rows(), bytes);
        self.entry.sent(plain.num_rows(), bytes);
        Ok(messages)
    }
}

/// The message that starts every stream.
pub(super) fn schema_message(schema: &Schema) -> FlightData {
    let options = IpcWriteOptions::default();
    SchemaAsIpc::new(schema, &options).into()
}

/// A whole small result, and the bytes of its bodies.
///
/// # Errors
/// `Internal` when a batch cannot be encoded.
pub(super) fn all(batch: &RecordBatch) -> Result<(Vec<Frames>, usize)> {
    let mut messages = vec![Frames::schema(batch.schema_ref())];
    let (rows, bytes) = batch_messages(batch)?;
    messages.extend(rows);
    Ok((messages, bytes))
}

/// The messages of a batch, all of about one size, and the bytes of their bodies.
fn batch_messages(batch: &RecordBatch) -> Result<(Vec<Frames>, usize)> {
    let parts = ipc::body_bytes(batch)?.div_ceil(MESSAGE_BYTES).max(1);
    let rows = batch.num_rows().div_ceil(parts).max(1);
    let mut messages = Vec::with_capacity(parts);
    let mut bytes = 0;
    for from in (0..batch.num_rows().max(1)).step_by(rows) {
        let part = batch.slice(from, rows.min(batch.num_rows() - from));
        let (message, length) = Frames::rows(&part)?;
        messages.push(message);
        bytes += length;
    }
    Ok((messages, bytes))
}
