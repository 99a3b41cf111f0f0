//! What the commands ask of a source without reading it: whether it can be read, and how far behind the table is.

use std::collections::BTreeMap;

use iceberg::spec::TableMetadata;

use super::client::{Client, group};
use super::position::recorded;
use super::registry::Registry;
use crate::commit::facts;
use crate::error::{Error, Result};
use crate::pipeline::kafka::{Kafka, Start};

/// Asks brokers and registry everything that reading will ask, and gives one line for people.
///
/// # Errors
/// [`Error::Source`] with the key at fault.
pub(crate) async fn check(pipeline: &str, kafka: &Kafka) -> Result<String> {
    let client = Client::open(pipeline, kafka)?;
    let checked = asked(pipeline, kafka, &client).await;
    client.close().await;
    checked
}

async fn asked(pipeline: &str, kafka: &Kafka, client: &Client) -> Result<String> {
    let fault = |key, problem: String| Error::Source {
        pipeline: pipeline.to_owned(),
        key,
        problem,
    };
    let found = client.find(kafka).await.map_err(|error| match error {
        Error::SourceDown { problem, .. } => fault(
            "source.brokers",
            format!("{} do not answer: {problem}", kafka.brokers.join(", ")),
        ),
        other => other,
    })?;
    if let Some((topic, said)) = found.missing.iter().next() {
        return Err(fault(
            "source.topics",
            format!("the topic {topic} cannot be read: {said}"),
        ));
    }
    if found.shards.is_empty() {
        return Err(fault("source.pattern", "no topic matches".to_owned()));
    }
    if let Some(config) = &kafka.registry {
        let checked = Registry::open(pipeline, config)?.check().await;
        checked.map_err(|error| match error {
            Error::SourceDown { problem, .. } => fault("source.registry.url", problem),
            other => other,
        })?;
    }
    let mut topics: Vec<&str> = found.shards.iter().map(|shard| shard.topic.as_str()).collect();
    topics.dedup();
    Ok(format!(
        "kafka: ok, {} topics, {} partitions, shown as group {}",
        topics.len(),
        found.shards.len(),
        group(pipeline, kafka)
    ))
}

/// Offsets that the brokers have and the table has not read. Some of them may hold no record.
///
/// # Errors
/// The brokers do not answer.
pub(crate) async fn lag(pipeline: &str, kafka: &Kafka, metadata: Option<&TableMetadata>) -> Result<i64> {
    let client = Client::open(pipeline, kafka)?;
    let lag = behind(kafka, &client, metadata).await;
    client.close().await;
    lag
}

async fn behind(kafka: &Kafka, client: &Client, metadata: Option<&TableMetadata>) -> Result<i64> {
    let positions = metadata.map(facts::positions).unwrap_or_default();
    let read = recorded(&positions).unwrap_or_default();
    let mut lag = 0;
    for shard in client.find(kafka).await?.shards {
        let (low, high) = client.bounds(&shard).await?;
        let next = read.get(&shard).map_or(low, |(position, _)| position.next);
        // One that is behind the end will be read from its beginning.
        lag += if next > high {
            high - low
        } else {
            high - next.max(low)
        };
    }
    Ok(lag)
}

/// What serving would do with each topic, a line each. Brokers that do not answer are told in a line of their own: the tables are planned without
/// them.
pub(crate) async fn plan(pipeline: &str, kafka: &Kafka, metadata: Option<&TableMetadata>) -> String {
    let planned = async {
        let client = Client::open(pipeline, kafka)?;
        let found = client.find(kafka).await;
        client.close().await;
        found
    };
    let found = match planned.await {
        Ok(found) => found,
        Err(error) => return format!("? kafka: {}\n", error.chain()),
    };
    let positions = metadata.map(facts::positions).unwrap_or_default();
    let read = recorded(&positions).unwrap_or_default();
    let start = match kafka.start {
        _ if !read.is_empty() => "their beginning".to_owned(),
        Start::Earliest => "earliest".to_owned(),
        Start::Latest => "latest".to_owned(),
        Start::At(at) => at.to_rfc3339(),
    };
    let mut topics: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for shard in &found.shards {
        let (new, known) = topics.entry(&shard.topic).or_default();
        *if read.contains_key(shard) { known } else { new } += 1;
    }
    let mut text = String::new();
    for (topic, (new, known)) in topics {
        if new > 0 {
            text += &format!("+ kafka {topic}: {new} partitions begin at {start}\n");
        }
        if known > 0 {
            text += &format!("= kafka {topic}: {known} partitions go on where the table ends\n");
        }
    }
    for (topic, said) in found.missing {
        text += &format!("? kafka {topic}: {said}\n");
    }
    text
}
