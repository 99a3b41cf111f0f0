//! What was taken becomes a snapshot: rows, the positions behind them, and afterwards the same positions for people.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use arrow::array::RecordBatch;
use rdkafka::consumer::{CommitMode, Consumer as _};

use super::Session;
use crate::bronze::writer::Batch;
use crate::commit::Advance;
use crate::error::{Error, Result};
use crate::fault;
use crate::kafka::position::{Shard, witness};
use crate::kafka::registry::Known;
use crate::kafka::rows::{self, Taken};
use crate::kafka::start::Cursor;
use crate::pipeline::kafka::Encoding;
use crate::source::{Pause, rest};

/// A commit that takes longer is told, and partitions are paused until it is done.
const SLOW: Duration = Duration::from_secs(5);

impl Session<'_> {
    /// Commits what was taken, and goes on trying while the catalog or the registry does not answer. False when the service stops meanwhile.
    pub(super) async fn commit(&mut self) -> Result<bool> {
        self.due = None;
        if self.taken.is_empty() {
            return Ok(true);
        }
        fault::point("kafka-taken");
        let mut paused = false;
        let advances = self.advances();
        let mut pause = Pause::default();
        let schemas = loop {
            match self.schemas().await {
                Ok(schemas) => break schemas,
                Err(error) => {
                    self.hold(&error.chain(), &mut paused);
                    if !rest(self.stop, pause.next()).await {
                        return Ok(false);
                    }
                }
            }
        };
        let (rows, batch) = self.rows(schemas).await?;
        if !self.append(&rows, &batch, &advances, &mut paused).await? {
            return Ok(false);
        }
        for (place, advance) in advances {
            if let Some(cursor) = self.cursors.get_mut(place) {
                cursor.recorded = advance.to;
            }
        }
        self.parts.metrics.source_waiting(self.parts.pipeline.name(), 0);
        self.parts.board.committed();
        self.parts.board.reading(self.cursors.len());
        self.show();
        if paused {
            let list = self.assignment(|cursor| cursor.position.next);
            let resumed = self.client.consumer.resume(&list);
            resumed.map_err(|error| self.client.failed("the partitions", &error))?;
        }
        Ok(true)
    }

    /// Appends to bronze until it is done. False when the service stops meanwhile; what the table says then is what happened, as after a kill.
    async fn append(
        &self,
        rows: &RecordBatch,
        batch: &str,
        advances: &[(usize, Advance)],
        paused: &mut bool,
    ) -> Result<bool> {
        let mut pause = Pause::default();
        loop {
            let appending = self.parts.writer.append(Batch {
                rows: Some(rows.clone()),
                facts: BTreeMap::from([("ingest.batch-id".to_owned(), batch.to_owned())]),
                advances: advances.iter().map(|(_, advance)| advance.clone()).collect(),
            });
            tokio::pin!(appending);
            let outcome = loop {
                tokio::select! {
                    outcome = &mut appending => break outcome,
                    () = tokio::time::sleep(SLOW) => {
                        self.hold("the commit to bronze takes long: the catalog is slow or does not answer", paused);
                    }
                    () = self.stop.cancelled(), if *paused => return Ok(false),
                }
            };
            match outcome {
                Ok(_) => return Ok(true),
                Err(error) if !error.is_retryable() => return Err(error),
                Err(error) => {
                    self.hold(&error.chain(), paused);
                    if !rest(self.stop, pause.next()).await {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// The steps of the partitions that records were taken of.
    fn advances(&mut self) -> Vec<(usize, Advance)> {
        let mut last: BTreeMap<usize, &Taken> = BTreeMap::new();
        for taken in &self.taken {
            last.insert(taken.cursor, taken);
        }
        let mut advances = Vec::new();
        for (place, taken) in last {
            let Some(cursor) = self.cursors.get_mut(place) else {
                continue;
            };
            let value = taken.value.as_ref().map(|value| value.payload.as_ref());
            cursor
                .position
                .witness
                .get_or_insert_with(|| witness(taken.timestamp, taken.key.as_deref(), value));
            let advance = Advance {
                source: cursor.shard.source(),
                from: Some(cursor.recorded.clone()),
                to: cursor.position.to_string(),
            };
            advances.push((place, advance));
        }
        advances
    }

    /// The schemas of what was taken.
    async fn schemas(&mut self) -> Result<BTreeMap<i32, Known>> {
        let mut schemas = BTreeMap::new();
        let Some(registry) = self.registry else {
            return Ok(schemas);
        };
        if self.parts.kafka.format != Encoding::Avro {
            return Ok(schemas);
        }
        let ids: BTreeSet<i32> = self.taken.iter().filter_map(Taken::schema_id).collect();
        for id in ids {
            schemas.insert(id, registry.get(id).await?);
        }
        Ok(schemas)
    }

    /// What was taken as rows, with the name of their batch.
    async fn rows(&mut self, schemas: BTreeMap<i32, Known>) -> Result<(RecordBatch, String)> {
        let taken = std::mem::take(&mut self.taken);
        self.taken_bytes = 0;
        let pipeline = self.parts.pipeline.name().to_owned();
        let generation = |cursor: &Cursor| (cursor.shard.clone(), cursor.position.generation);
        let shards: Vec<(Shard, u32)> = self.cursors.iter().map(generation).collect();
        let format = self.parts.kafka.format;
        let table = self.parts.writer.contract().to_string();
        let batch = uuid::Uuid::now_v7().simple().to_string();
        let name = batch.clone();
        let made = tokio::task::spawn_blocking(move || {
            let of = rows::Batch {
                pipeline: &pipeline,
                batch: &name,
                format,
                shards: &shards,
                schemas: &schemas,
                now: chrono::Utc::now(),
            };
            rows::rows(&of, &taken)
        });
        let made = made.await.map_err(|_| Error::Crashed {
            part: "reader",
            table,
        })?;
        made.map(|rows| (rows, batch))
    }

    /// Pauses the partitions and says why.
    fn hold(&self, reason: &str, paused: &mut bool) {
        self.parts.board.waiting(reason);
        self.parts.metrics.failed(self.parts.pipeline.name(), "bronze");
        if !std::mem::replace(paused, true) {
            let list = self.assignment(|cursor| cursor.position.next);
            if let Err(error) = self.client.consumer.pause(&list) {
                tracing::warn!(%error, "partitions are not paused; their queue is bounded all the same");
            }
        }
    }

    /// Shows the positions in the consumer group, for tools that watch lag.
    fn show(&self) {
        let list = self.assignment(|cursor| cursor.position.next);
        if let Err(error) = self.client.consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "read offsets are not shown in the group");
        }
        fault::point("kafka-shown");
    }
}
