//! One session: from a client that knows where to begin until something changes. Records are taken, gathered, and committed to bronze with the
//! positions behind them.
//!
//! Invariants:
//! 1. *The table knows*: a session begins at the positions of the table, and each commit moves them by exactly the records that it holds.
//! 2. *Nothing is stepped over*: any failure of a record on its way ends the session; the next one begins where the table ends.
//! 3. *Bounded*: what was taken and not committed is bounded in bytes. While nothing can be committed, partitions are paused.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::client::Client;
use super::position::{Shard, witness};
use super::registry::{Known, Registry};
use super::rows::{self, Taken};
use super::start::{self, Cursor};
use super::{Parts, Pause};
use crate::bronze::writer::Batch;
use crate::commit::Advance;
use crate::error::{Error, Result};
use crate::fault;
use crate::pipeline::kafka::Encoding;

/// How often lag is told.
const TELLING: Duration = Duration::from_secs(1);
/// Messages that are taken without looking for anything else.
const BURST: usize = 1_024;
/// How soon brokers that did not answer are asked again.
const ASKING: Duration = Duration::from_secs(2);

/// Why a session ended well.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// The service stops.
    Stopped,
    /// There are other partitions, or other positions.
    Changed,
}

/// What has to be done after a message.
enum Next {
    Go,
    /// The topic of this cursor was made again.
    Again(usize),
}

pub(super) struct Session<'a> {
    parts: &'a Parts,
    client: &'a Client,
    registry: &'a mut Option<Registry>,
    stop: &'a CancellationToken,
    cursors: Vec<Cursor>,
    index: BTreeMap<String, BTreeMap<i32, usize>>,
    /// Cursors whose gaps were told.
    gaps: BTreeSet<usize>,
    taken: Vec<Taken>,
    taken_bytes: usize,
    due: Option<Instant>,
}

impl<'a> Session<'a> {
    /// Reads until something changes or fails.
    ///
    /// # Errors
    /// What does not answer, or why this writer must end.
    pub(super) async fn run(
        parts: &'a Parts,
        client: &'a Client,
        registry: &'a mut Option<Registry>,
        stop: &'a CancellationToken,
    ) -> Result<Ended> {
        let pipeline = parts.pipeline.name();
        let found = tokio::select! {
            found = client.find(&parts.kafka) => found?,
            () = stop.cancelled() => return Ok(Ended::Stopped),
        };
        for (topic, said) in &found.missing {
            tracing::warn!(pipeline, topic, said, "a topic cannot be read");
        }
        if found.shards.is_empty() {
            let missing = found.missing.iter().next();
            return Err(Error::SourceDown {
                pipeline: pipeline.to_owned(),
                part: missing.map_or("every topic".to_owned(), |(topic, _)| {
                    format!("the topic {topic}")
                }),
                problem: missing.map_or("no topic matches".to_owned(), |(_, said)| said.clone()),
            });
        }
        let cursors = start::begin(
            pipeline,
            &parts.kafka,
            client,
            &parts.writer,
            &parts.metrics,
            &found.shards,
        )
        .await?;
        let mut session = Self {
            index: start::index(&cursors),
            parts,
            client,
            registry,
            stop,
            cursors,
            gaps: BTreeSet::new(),
            taken: Vec::new(),
            taken_bytes: 0,
            due: None,
        };
        let assigned = client.consumer.assign(&session.assignment(Cursor::first));
        assigned.map_err(|error| client.failed("the partitions", &error))?;
        parts.board.reading(session.cursors.len());
        session.read().await
    }

    fn assignment(&self, offset: impl Fn(&Cursor) -> i64) -> TopicPartitionList {
        let mut list = TopicPartitionList::new();
        for cursor in &self.cursors {
            let Shard { topic, partition } = &cursor.shard;
            // Fails only for an offset below zero, which no cursor has.
            let added = list.add_partition_offset(topic, *partition, Offset::Offset(offset(cursor)));
            if let Err(error) = added {
                tracing::error!(shard = %cursor.shard, %error, "a partition is not read");
            }
        }
        list
    }

    async fn read(&mut self) -> Result<Ended> {
        let client = self.client;
        let mut messages = client.consumer.stream();
        let mut telling = tokio::time::interval(TELLING);
        telling.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut looking = Instant::now() + self.parts.kafka.discover;
        loop {
            let due = self.due;
            let committing = async {
                match due {
                    Some(due) => tokio::time::sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = self.stop.cancelled() => return Ok(Ended::Stopped),
                () = committing => {
                    if !self.commit().await? {
                        return Ok(Ended::Stopped);
                    }
                }
                _ = telling.tick() => self.tell(),
                () = tokio::time::sleep_until(looking) => {
                    match self.look().await? {
                        Some(pause) => looking = Instant::now() + pause,
                        None => {
                            self.commit().await?;
                            return Ok(Ended::Changed);
                        }
                    }
                }
                message = messages.next() => {
                    let mut message = message;
                    // What is there already is taken without asking the clock for each.
                    for _ in 0..BURST {
                        let Some(came) = message else { break };
                        if matches!(came, Err(KafkaError::MessageConsumption(_))) {
                            looking = looking.min(Instant::now() + ASKING);
                        }
                        if let Some(ended) = self.came(came).await? {
                            return Ok(ended);
                        }
                        message = messages.next().now_or_never().flatten();
                    }
                    if let Some(came) = message && let Some(ended) = self.came(came).await? {
                        return Ok(ended);
                    }
                }
            }
        }
    }

    /// What has come from the client.
    async fn came(&mut self, came: KafkaResult<BorrowedMessage<'_>>) -> Result<Option<Ended>> {
        match came {
            Ok(message) => {
                if let Next::Again(place) = self.take(&message) {
                    return self.made_again(place).await.map(Some);
                }
                if self.taken_bytes >= self.parts.kafka.memory_bytes / 4 && !self.commit().await? {
                    return Ok(Some(Ended::Stopped));
                }
                Ok(None)
            }
            Err(KafkaError::PartitionEOF(_)) => Ok(None),
            Err(error) if self.passes(&error) => Ok(None),
            Err(error) => {
                self.commit().await?;
                Err(self.client.failed("the partitions", &error))
            }
        }
    }

    /// Whether the client mends a failure by itself: it loses no record and goes on where it was.
    fn passes(&self, error: &KafkaError) -> bool {
        let passes = matches!(
            error,
            KafkaError::MessageConsumption(
                RDKafkaErrorCode::AllBrokersDown
                    | RDKafkaErrorCode::BrokerTransportFailure
                    | RDKafkaErrorCode::Resolve
                    | RDKafkaErrorCode::OperationTimedOut
                    | RDKafkaErrorCode::RequestTimedOut
                    | RDKafkaErrorCode::NodeUpdate
                    | RDKafkaErrorCode::NotLeaderForPartition
                    | RDKafkaErrorCode::LeaderNotAvailable
            )
        );
        if passes {
            self.parts
                .board
                .waiting(&self.client.failed("the partitions", error).to_string());
        }
        passes
    }

    /// Takes a message, unless it was read before.
    fn take(&mut self, message: &BorrowedMessage<'_>) -> Next {
        let place = self
            .index
            .get(message.topic())
            .and_then(|topic| topic.get(&message.partition()));
        let Some(&place) = place else { return Next::Go };
        let Some(cursor) = self.cursors.get_mut(place) else {
            return Next::Go;
        };
        let next = cursor.position.next;
        if std::mem::take(&mut cursor.proves) && message.offset() == next - 1 {
            let found = witness(message.timestamp().to_millis(), message.key(), message.payload());
            return match cursor.position.witness.as_deref() == Some(found.as_str()) {
                true => Next::Go,
                false => Next::Again(place),
            };
        }
        if message.offset() < next {
            return Next::Go;
        }
        let gap = message.offset() - next;
        if gap > 0 {
            let pipeline = self.parts.pipeline.name();
            self.parts.metrics.source_skipped(pipeline, "gap", gap);
            if self.gaps.insert(place) {
                tracing::info!(
                    pipeline,
                    shard = %cursor.shard,
                    gap,
                    from = next,
                    "offsets without records, by compaction, transactions or expiry; further ones of this partition are only counted"
                );
            }
        }
        let taken = Taken::of(message, place, &self.parts.bounds);
        cursor.position.next = message.offset() + 1;
        // Of what is kept of a large record no witness can be made later.
        let large = taken.value.as_ref().is_some_and(|value| value.problem.is_some());
        cursor.position.witness = large.then(|| witness(taken.timestamp, message.key(), message.payload()));
        self.taken_bytes += taken.bytes();
        self.taken.push(taken);
        self.due
            .get_or_insert_with(|| Instant::now() + self.parts.pipeline.interval());
        self.parts
            .metrics
            .source_waiting(self.parts.pipeline.name(), self.taken_bytes);
        Next::Go
    }

    /// Commits what was taken, and goes on trying while the catalog or the registry does not answer. False when the service stops meanwhile.
    async fn commit(&mut self) -> Result<bool> {
        self.due = None;
        if self.taken.is_empty() {
            return Ok(true);
        }
        fault::point("kafka-taken");
        let mut pause = Pause::default();
        let mut paused = false;
        let advances = self.advances();
        let schemas = loop {
            match self.schemas().await {
                Ok(schemas) => break schemas,
                Err(error) => {
                    if !self.wait(&error, &mut pause, &mut paused).await {
                        return Ok(false);
                    }
                }
            }
        };
        let rows = self.rows(schemas).await?;
        let (rows, batch) = rows;
        pause = Pause::default();
        loop {
            let appended = self.parts.writer.append(Batch {
                rows: Some(rows.clone()),
                facts: BTreeMap::from([("ingest.batch-id".to_owned(), batch.clone())]),
                advances: advances.iter().map(|(_, advance)| advance.clone()).collect(),
            });
            match appended.await {
                Ok(_) => break,
                Err(error) if !error.is_retryable() => return Err(error),
                Err(error) => {
                    if !self.wait(&error, &mut pause, &mut paused).await {
                        return Ok(false);
                    }
                }
            }
        }
        for (place, advance) in advances {
            if let Some(cursor) = self.cursors.get_mut(place) {
                cursor.recorded = advance.to;
            }
        }
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
    async fn rows(&mut self, schemas: BTreeMap<i32, Known>) -> Result<(arrow::array::RecordBatch, String)> {
        let taken = std::mem::take(&mut self.taken);
        self.taken_bytes = 0;
        let pipeline = self.parts.pipeline.name().to_owned();
        self.parts.metrics.source_waiting(&pipeline, 0);
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

    /// Waits after a failure, with the partitions paused. False when the service stops meanwhile.
    async fn wait(&self, error: &Error, pause: &mut Pause, paused: &mut bool) -> bool {
        self.parts.board.waiting(&error.chain());
        self.parts.metrics.failed(self.parts.pipeline.name(), "bronze");
        if !std::mem::replace(paused, true) {
            let list = self.assignment(|cursor| cursor.position.next);
            if let Err(error) = self.client.consumer.pause(&list) {
                tracing::warn!(%error, "partitions are not paused; their queue is bounded all the same");
            }
        }
        tokio::select! {
            () = self.stop.cancelled() => false,
            () = tokio::time::sleep(pause.next()) => true,
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

    async fn made_again(&mut self, place: usize) -> Result<Ended> {
        // Taken before by another partition; it is whole.
        if !self.commit().await? {
            return Ok(Ended::Stopped);
        }
        if let Some(cursor) = self.cursors.get(place) {
            let Parts {
                pipeline,
                writer,
                metrics,
                ..
            } = self.parts;
            start::again(pipeline.name(), self.client, writer, metrics, cursor).await?;
        }
        Ok(Ended::Changed)
    }

    /// Looks for other partitions: none when there are some, else when to look again.
    async fn look(&self) -> Result<Option<Duration>> {
        match self.client.find(&self.parts.kafka).await {
            Ok(found) => {
                let known: BTreeSet<&Shard> = self.cursors.iter().map(|cursor| &cursor.shard).collect();
                let there: BTreeSet<&Shard> = found.shards.iter().collect();
                if known != there {
                    return Ok(None);
                }
                let mut heard = self.client.ears().heard();
                heard.complaint = None;
                heard.refused = false;
                drop(heard);
                self.parts.board.reading(self.cursors.len());
                Ok(Some(self.parts.kafka.discover))
            }
            Err(error) if error.is_retryable() => {
                self.parts.board.waiting(&error.chain());
                Ok(Some(ASKING))
            }
            Err(error) => Err(error),
        }
    }

    /// Tells how far behind the table is.
    fn tell(&self) {
        let pipeline = self.parts.pipeline.name();
        let heard = self.client.ears().heard();
        let pending: BTreeSet<usize> = self.taken.iter().map(|taken| taken.cursor).collect();
        let mut total = 0;
        for (place, cursor) in self.cursors.iter().enumerate() {
            let Some(end) = heard.ends.get(&cursor.shard) else {
                continue;
            };
            let committed = match pending.contains(&place) {
                // Behind the last record there may be offsets without one.
                false => cursor.position.next.max(end.handed),
                true => cursor
                    .recorded
                    .parse()
                    .map_or(cursor.position.next, |recorded: super::position::Position| {
                        recorded.next
                    }),
            };
            let lag = (end.stable - committed).max(0);
            total += lag;
            self.parts
                .metrics
                .source_lag(pipeline, &cursor.shard.to_string(), lag);
        }
        if !heard.ends.is_empty() {
            self.parts.board.lag(total);
        }
    }
}
