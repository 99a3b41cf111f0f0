//! Where each partition is read from: what the table has recorded, held against what the brokers have.
//!
//! | recorded | brokers | read from |
//! |---|---|---|
//! | nothing at all | | `start` of the pipeline |
//! | nothing of this partition | | its first record: it came later |
//! | within what is there | | the record before, to see that it is the one that was read ([`super::position`]) |
//! | before the first | expired | the first; what lies between is lost and told |
//! | behind the last | made again, or cut back by the brokers | the first, under the next generation |

use std::collections::BTreeMap;

use futures::{FutureExt, StreamExt, TryStreamExt};

use super::client::Client;
use super::position::{Position, Shard, recorded};
use crate::bronze::writer::{Batch, Writer};
use crate::commit::{Advance, facts};
use crate::error::{Error, Result};
use crate::fault;
use crate::metrics::Metrics;
use crate::pipeline::kafka::{Kafka, Start};

/// Partitions whose bounds are asked at a time.
const ASKED: usize = 8;

/// One partition while it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cursor {
    pub(crate) shard: Shard,
    /// The position as the table has it.
    pub(crate) recorded: String,
    /// Up to where records were taken.
    pub(crate) position: Position,
    /// The first record that comes is the one before, and must be the one that was read.
    pub(crate) proves: bool,
}

impl Cursor {
    /// The offset to fetch first.
    pub(crate) fn first(&self) -> i64 {
        self.position.next - i64::from(self.proves)
    }
}

/// What a partition needs before it is read.
enum Step {
    Go(Cursor),
    /// The position that must be recorded first.
    Record(Cursor, Option<String>),
}

/// Finds where to begin and records it where it is not recorded yet, so that whatever happens next, no record is between.
///
/// # Errors
/// Brokers or catalog do not answer; [`Error::Source`] for a recorded position that is not understood.
pub(crate) async fn begin(
    pipeline: &str,
    kafka: &Kafka,
    client: &Client,
    writer: &Writer,
    metrics: &Metrics,
    shards: &[Shard],
) -> Result<Vec<Cursor>> {
    let table = writer.load().await?;
    let known = recorded(&facts::positions(table.metadata())).map_err(|source| Error::Source {
        pipeline: pipeline.to_owned(),
        key: "ingest.positions",
        problem: format!(
            "{} has a position of {source} that is not understood",
            writer.contract()
        ),
    })?;
    let start = if known.is_empty() {
        kafka.start
    } else {
        Start::Earliest
    };
    let step = async |shard: Shard| {
        let (low, high) = client.bounds(&shard).await?;
        match known.get(&shard) {
            None => new(client, &shard, start, low, high).await,
            Some((position, text)) => Ok(old(
                pipeline,
                metrics,
                &shard,
                position.clone(),
                text.clone(),
                low,
                high,
            )),
        }
    };
    let asked = futures::stream::iter(shards.to_vec()).map(|shard| step(shard).boxed());
    let steps: Vec<Step> = asked.buffered(ASKED).try_collect().await?;
    let mut cursors = Vec::with_capacity(steps.len());
    let mut advances = Vec::new();
    for step in steps {
        let cursor = match step {
            Step::Go(cursor) => cursor,
            Step::Record(cursor, from) => {
                advances.push(Advance {
                    source: cursor.shard.source(),
                    from,
                    to: cursor.recorded.clone(),
                });
                cursor
            }
        };
        cursors.push(cursor);
    }
    if !advances.is_empty() {
        record(writer, advances).await?;
    }
    Ok(cursors)
}

/// Records positions without rows.
async fn record(writer: &Writer, advances: Vec<Advance>) -> Result<()> {
    let batch = Batch {
        advances,
        ..Batch::default()
    };
    writer.append(batch).await?;
    fault::point("kafka-started");
    Ok(())
}

async fn new(client: &Client, shard: &Shard, start: Start, low: i64, high: i64) -> Result<Step> {
    let next = match start {
        Start::Earliest => low,
        Start::Latest => high,
        Start::At(at) => client
            .offset_at(shard, at.timestamp_millis())
            .await?
            .unwrap_or(high),
    };
    Ok(Step::Record(at(shard, Position::first(next)), None))
}

fn at(shard: &Shard, position: Position) -> Cursor {
    Cursor {
        shard: shard.clone(),
        recorded: position.to_string(),
        position,
        proves: false,
    }
}

fn old(
    pipeline: &str,
    metrics: &Metrics,
    shard: &Shard,
    position: Position,
    text: String,
    low: i64,
    high: i64,
) -> Step {
    if position.next > high {
        metrics.source_restarted(pipeline);
        tracing::error!(
            pipeline,
            shard = %shard,
            read = position.next,
            end = high,
            "the partition ends before what was read: its topic was made again, or its brokers have lost records; it is read from its beginning"
        );
        return Step::Record(at(shard, position.again(low)), Some(text));
    }
    if position.next < low {
        let lost = low - position.next;
        metrics.source_skipped(pipeline, "expired", lost);
        tracing::error!(
            pipeline,
            shard = %shard,
            lost,
            from = position.next,
            "records expired before they were read; set a longer retention on the topic"
        );
    }
    let proves = position.witness.is_some() && position.next > low;
    let next = position.next.max(low);
    let witness = position.witness.filter(|_| proves);
    let position = Position {
        generation: position.generation,
        next,
        witness,
    };
    Step::Go(Cursor {
        shard: shard.clone(),
        recorded: text,
        position,
        proves,
    })
}

/// Records that the topic of a cursor was made again: it is read from its first record, under the next generation.
///
/// # Errors
/// Brokers or catalog do not answer.
pub(crate) async fn again(
    pipeline: &str,
    client: &Client,
    writer: &Writer,
    metrics: &Metrics,
    cursor: &Cursor,
) -> Result<()> {
    let (low, _) = client.bounds(&cursor.shard).await?;
    metrics.source_restarted(pipeline);
    tracing::error!(
        pipeline,
        shard = %cursor.shard,
        read = cursor.position.next,
        "the record before is not the one that was read: the topic was made again; it is read from its beginning"
    );
    let advance = Advance {
        source: cursor.shard.source(),
        from: Some(cursor.recorded.clone()),
        to: cursor.position.again(low).to_string(),
    };
    record(writer, vec![advance]).await
}

/// The cursors by topic and partition, for messages.
pub(crate) fn index(cursors: &[Cursor]) -> BTreeMap<String, BTreeMap<i32, usize>> {
    let mut index: BTreeMap<String, BTreeMap<i32, usize>> = BTreeMap::new();
    for (place, cursor) in cursors.iter().enumerate() {
        let topic = index.entry(cursor.shard.topic.clone()).or_default();
        topic.insert(cursor.shard.partition, place);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_position_is_held_against_what_is_there() {
        let metrics = Metrics::new().unwrap();
        let shard = Shard {
            topic: "t".to_owned(),
            partition: 0,
        };
        let go = |text: &str, low, high| {
            let position: Position = text.parse().unwrap();
            match old("p", &metrics, &shard, position, text.to_owned(), low, high) {
                Step::Go(cursor) => (cursor.first(), cursor.proves, cursor.position.to_string(), None),
                Step::Record(cursor, from) => (cursor.first(), cursor.proves, cursor.recorded, from),
            }
        };
        let is = |text: &str| text.to_owned();
        // In the midst, at the end, at the beginning.
        assert_eq!(go("1:5:w", 0, 9), (4, true, is("1:5:w"), None));
        assert_eq!(go("1:9:w", 0, 9), (8, true, is("1:9:w"), None));
        assert_eq!(go("1:5:w", 5, 9), (5, false, is("1:5"), None));
        assert_eq!(go("1:0", 0, 0), (0, false, is("1:0"), None));
        // Without a witness there is nothing to prove.
        assert_eq!(go("1:5", 0, 9), (5, false, is("1:5"), None));
        // Expired.
        assert_eq!(go("2:5:w", 7, 9), (7, false, is("2:7"), None));
        // Shorter than what was read.
        assert_eq!(go("2:5:w", 1, 4), (1, false, is("3:1"), Some(is("2:5:w"))));
    }
}
