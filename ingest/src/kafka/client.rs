//! The client of the brokers: librdkafka, told by the pipeline, asked without blocking a thread of the service.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{Offset, TopicPartitionList};

use super::ears::Ears;
use super::position::Shard;
use crate::error::{Error, Result};
use crate::pipeline::kafka::{Kafka, Mechanism};

/// How often librdkafka says where each partition ends.
const STATISTICS_MS: u64 = 2_000;
/// The least room for one answer of a broker.
const ANSWER_BYTES_MIN: usize = 100_000_000;

/// Things that are heard after a question without an answer.
const HEARD_MAX: usize = 256;
/// The most that librdkafka lets its queue hold, in KiB.
const QUEUE_KIB_MAX: usize = 2_097_151;

/// A consumer that tells what it hears.
pub(crate) type Consumer = StreamConsumer<Ears>;

/// The config of librdkafka for a pipeline.
fn config(pipeline: &str, kafka: &Kafka) -> Result<ClientConfig> {
    let mut config = ClientConfig::new();
    let timeout = kafka.timeout.as_millis();
    let half = kafka.memory_bytes / 2;
    let fetch = (half / 4).clamp(1 << 20, 50 << 20);
    for (key, value) in [
        ("bootstrap.servers", kafka.brokers.join(",")),
        ("client.id", format!("lakegate-ingest/{pipeline}")),
        ("group.id", group(pipeline, kafka)),
        // Positions are the table's. Nothing is committed, reset or stepped over by the library.
        ("enable.auto.commit", "false".to_owned()),
        ("enable.auto.offset.store", "false".to_owned()),
        ("auto.offset.reset", "error".to_owned()),
        ("allow.auto.create.topics", "false".to_owned()),
        ("isolation.level", kafka.isolation.name().to_owned()),
        ("check.crcs", "true".to_owned()),
        (
            "queued.max.messages.kbytes",
            (half / 1024).clamp(1024, QUEUE_KIB_MAX).to_string(),
        ),
        ("fetch.max.bytes", fetch.to_string()),
        ("max.partition.fetch.bytes", fetch.min(8 << 20).to_string()),
        (
            "receive.message.max.bytes",
            (fetch + 1024).max(ANSWER_BYTES_MIN).to_string(),
        ),
        ("message.max.bytes", (1 << 20).to_string()),
        ("topic.metadata.refresh.interval.ms", "30000".to_owned()),
        ("topic.metadata.propagation.max.ms", "5000".to_owned()),
        ("reconnect.backoff.max.ms", "5000".to_owned()),
        ("socket.timeout.ms", timeout.max(1_000).to_string()),
        (
            "socket.connection.setup.timeout.ms",
            timeout.max(1_000).to_string(),
        ),
        ("statistics.interval.ms", STATISTICS_MS.to_string()),
    ] {
        config.set(key, value);
    }
    secure(&mut config, pipeline, kafka)?;
    Ok(config)
}

/// Who the brokers are and who we are to them.
fn secure(config: &mut ClientConfig, pipeline: &str, kafka: &Kafka) -> Result<()> {
    let fault = |key, problem: &str| Error::Source {
        pipeline: pipeline.to_owned(),
        key,
        problem: problem.to_owned(),
    };
    let protocol = match (&kafka.tls, &kafka.sasl) {
        (None, None) => "plaintext",
        (Some(_), None) => "ssl",
        (None, Some(_)) => "sasl_plaintext",
        (Some(_), Some(_)) => "sasl_ssl",
    };
    let native = ClientConfig::new()
        .create_native_config()
        .and_then(|native| native.get("builtin.features"))
        .unwrap_or_default();
    let has = |feature: &str| native.split(',').any(|built| built.trim() == feature);
    if kafka.tls.is_some() && !has("ssl") {
        return Err(fault(
            "source.tls",
            "the Kafka client of this build has no TLS; reach the brokers by a listener without it, or by a tunnel on this machine",
        ));
    }
    config.set("security.protocol", protocol);
    if let Some(tls) = &kafka.tls {
        let files = [
            ("ssl.ca.location", &tls.ca),
            ("ssl.certificate.location", &tls.certificate),
            ("ssl.key.location", &tls.key),
        ];
        for (key, path) in files {
            if let Some(path) = path {
                config.set(key, path);
            }
        }
    }
    if let Some(sasl) = &kafka.sasl {
        if sasl.mechanism != Mechanism::Plain && !has("sasl_scram") {
            return Err(fault(
                "source.sasl.mechanism",
                "the Kafka client of this build has no SCRAM, only PLAIN",
            ));
        }
        config.set("sasl.mechanism", sasl.mechanism.name());
        config.set("sasl.username", &sasl.username);
        config.set(
            "sasl.password",
            sasl.password.read("source.sasl.password")?.expose(),
        );
    }
    Ok(())
}

/// The group under which read offsets are shown.
pub(crate) fn group(pipeline: &str, kafka: &Kafka) -> String {
    kafka
        .group
        .clone()
        .unwrap_or_else(|| format!("lakegate-{pipeline}"))
}

/// A client of the brokers. Cheap to clone; the last one to go closes it.
#[derive(Clone)]
pub(crate) struct Client {
    pub(crate) consumer: Arc<Consumer>,
    pipeline: String,
    timeout: Duration,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client")
            .field("pipeline", &self.pipeline)
            .finish_non_exhaustive()
    }
}

/// The partitions of the topics that are there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// In order.
    pub(crate) shards: Vec<Shard>,
    /// Topics that are asked for by name and are not there, or not for us, each with what the brokers say.
    pub(crate) missing: BTreeMap<String, String>,
}

impl Client {
    /// A client; nothing is connected before it is asked.
    ///
    /// # Errors
    /// The key that librdkafka does not take.
    pub(crate) fn open(pipeline: &str, kafka: &Kafka) -> Result<Self> {
        let consumer = config(pipeline, kafka)?.create_with_context(Ears::new(pipeline));
        let consumer: Consumer = consumer.map_err(|error| Error::Source {
            pipeline: pipeline.to_owned(),
            key: "source",
            problem: error.to_string(),
        })?;
        Ok(Self {
            consumer: Arc::new(consumer),
            pipeline: pipeline.to_owned(),
            timeout: kafka.timeout,
        })
    }

    /// What the brokers were last heard to say.
    pub(crate) fn ears(&self) -> &Ears {
        self.consumer.context()
    }

    /// Asks the brokers on a thread that may block.
    async fn ask<T: Send + 'static>(
        &self,
        part: impl Into<String>,
        question: impl FnOnce(&Consumer, Duration) -> KafkaResult<T> + Send + 'static,
    ) -> Result<T> {
        let (consumer, timeout) = (Arc::clone(&self.consumer), self.timeout);
        let asked = tokio::task::spawn_blocking(move || question(&consumer, timeout)).await;
        let part = part.into();
        match asked {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.listen();
                Err(self.failed(part, &error))
            }
            Err(_) => Err(Error::Crashed {
                part: "kafka client",
                table: self.pipeline.clone(),
            }),
        }
    }

    /// Takes what the client has to say beside records, where nobody takes records: with partitions assigned, whoever takes them hears it.
    fn listen(&self) {
        let idle = self.consumer.assignment().is_ok_and(|list| list.count() == 0);
        if idle {
            // Each turn hears one thing, also where it gives nothing back.
            for _ in 0..HEARD_MAX {
                drop(self.consumer.recv().now_or_never());
            }
        }
    }

    /// A failure of the brokers with the most that is known of it.
    pub(crate) fn failed(&self, part: impl Into<String>, error: &KafkaError) -> Error {
        let heard = self.ears().heard();
        let problem = match &heard.complaint {
            Some(complaint) => complaint.clone(),
            None => match error.rdkafka_error_code() {
                Some(code) => code.to_string(),
                None => error.to_string(),
            },
        };
        if heard.refused {
            return Error::Source {
                pipeline: self.pipeline.clone(),
                key: "source.sasl",
                problem,
            };
        }
        Error::SourceDown {
            pipeline: self.pipeline.clone(),
            part: part.into(),
            problem,
        }
    }

    /// The partitions that a pipeline reads.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub(crate) async fn find(&self, kafka: &Kafka) -> Result<Found> {
        let pattern = kafka.regex().map_err(|problem| Error::Source {
            pipeline: self.pipeline.clone(),
            key: "source.pattern",
            problem,
        })?;
        let names: Vec<Option<String>> = match &pattern {
            Some(_) => vec![None],
            None => kafka.topics.iter().cloned().map(Some).collect(),
        };
        let mut found = Found::default();
        for name in names {
            let part = name
                .clone()
                .map_or("the topics".to_owned(), |name| format!("the topic {name}"));
            let metadata = self
                .ask(part, move |consumer, timeout| {
                    consumer.fetch_metadata(name.as_deref(), timeout)
                })
                .await?;
            for topic in metadata.topics() {
                if !kafka.wants(topic.name(), pattern.as_ref()) {
                    continue;
                }
                if let Some(error) = topic.error() {
                    let said = RDKafkaErrorCode::from(error).to_string();
                    found.missing.insert(topic.name().to_owned(), said);
                    continue;
                }
                found
                    .shards
                    .extend(topic.partitions().iter().map(|partition| Shard {
                        topic: topic.name().to_owned(),
                        partition: partition.id(),
                    }));
            }
        }
        found.shards.sort();
        Ok(found)
    }

    /// The first offset that is there and the one behind the last.
    ///
    /// # Errors
    /// The partition's leader does not answer.
    pub(crate) async fn bounds(&self, shard: &Shard) -> Result<(i64, i64)> {
        let Shard { topic, partition } = shard.clone();
        self.ask(shard.to_string(), move |consumer, timeout| {
            consumer.fetch_watermarks(&topic, partition, timeout)
        })
        .await
    }

    /// The offset of the first record of an instant or later; none where there is no such record.
    ///
    /// # Errors
    /// The partition's leader does not answer.
    pub(crate) async fn offset_at(&self, shard: &Shard, at_ms: i64) -> Result<Option<i64>> {
        let Shard { topic, partition } = shard.clone();
        let found = self
            .ask(shard.to_string(), move |consumer, timeout| {
                let mut asked = TopicPartitionList::new();
                asked.add_partition_offset(&topic, partition, Offset::Offset(at_ms))?;
                let found = consumer.offsets_for_times(asked, timeout)?;
                let found = found.find_partition(&topic, partition);
                found.map_or(Ok(Offset::End), |found| found.error().map(|()| found.offset()))
            })
            .await?;
        Ok(match found {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        })
    }

    /// Closes the client without blocking a thread of the service.
    pub(crate) async fn close(self) {
        // What it says while it closes is in the log.
        drop(tokio::task::spawn_blocking(move || drop(self)).await);
    }
}
