//! What librdkafka tells beside records: its log, where partitions end, what it complains of.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use rdkafka::TopicPartitionList;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::statistics::Statistics;

use super::position::Shard;

/// What librdkafka tells beside records.
#[derive(Debug)]
pub(crate) struct Ears {
    pipeline: String,
    heard: Mutex<Heard>,
}

/// The last of what was heard.
#[derive(Debug, Default)]
pub(crate) struct Heard {
    /// The last complaint about brokers.
    pub(crate) complaint: Option<String>,
    /// Whether it is that they refuse the service itself.
    pub(crate) refused: bool,
    /// Where each partition ends for this reader, and where librdkafka goes on to fetch with nothing left in its queue.
    pub(crate) ends: BTreeMap<Shard, End>,
}

/// The end of a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// The first offset that cannot be read yet.
    pub(crate) stable: i64,
    /// The offset up to which there is nothing more to be handed over.
    pub(crate) handed: i64,
}

impl Ears {
    pub(super) fn new(pipeline: &str) -> Self {
        Self {
            pipeline: pipeline.to_owned(),
            heard: Mutex::default(),
        }
    }

    pub(crate) fn heard(&self) -> std::sync::MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for Ears {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        let pipeline = &self.pipeline;
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error
            | RDKafkaLogLevel::Warning => tracing::warn!(pipeline, facility, message, "kafka"),
            RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info | RDKafkaLogLevel::Debug => {
                tracing::debug!(pipeline, facility, message, "kafka");
            }
        }
    }

    fn stats(&self, statistics: Statistics) {
        let mut ends = BTreeMap::new();
        for (topic, told) in statistics.topics {
            for (partition, told) in told.partitions {
                let stable = if told.ls_offset >= 0 {
                    told.ls_offset
                } else {
                    told.hi_offset
                };
                // The partition -1 stands for those that are not known.
                if partition < 0 || stable < 0 {
                    continue;
                }
                let handed = if told.fetchq_cnt == 0 {
                    told.next_offset
                } else {
                    told.app_offset
                };
                let shard = Shard {
                    topic: topic.clone(),
                    partition,
                };
                ends.insert(shard, End { stable, handed });
            }
        }
        self.heard().ends = ends;
    }

    fn error(&self, error: KafkaError, reason: &str) {
        let refused = matches!(
            error.rdkafka_error_code(),
            Some(
                RDKafkaErrorCode::Authentication
                    | RDKafkaErrorCode::SaslAuthenticationFailed
                    | RDKafkaErrorCode::SSL
                    | RDKafkaErrorCode::TopicAuthorizationFailed
                    | RDKafkaErrorCode::ClusterAuthorizationFailed
            )
        );
        tracing::debug!(pipeline = self.pipeline, %error, reason, "kafka");
        let mut heard = self.heard();
        // What comes after a refusal is its consequence, and says less.
        if refused || !heard.refused {
            heard.complaint = Some(reason.to_owned());
            heard.refused = refused;
        }
    }
}

impl ConsumerContext for Ears {
    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        // The group is for people who watch; nothing of ours depends on it.
        if let Err(error) = result {
            tracing::warn!(pipeline = self.pipeline, %error, "read offsets are not shown in the group");
        }
    }
}
