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
use rdkafka::consumer::Consumer as _;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::Parts;
use super::client::Client;
use super::position::{Shard, witness};
use super::registry::Registry;
use super::rows::Taken;
use super::start::{self, Cursor};
use crate::error::{Error, Result};
use crate::source::Ended;

mod commit;

/// How often lag is told.
const TELLING: Duration = Duration::from_secs(1);
/// Messages that are taken without looking for anything else.
const BURST: usize = 1_024;
/// How soon brokers that did not answer are asked again.
const ASKING: Duration = Duration::from_secs(2);

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
