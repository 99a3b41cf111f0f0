//! The `[source]` of kind `kafka` as written, and what must hold of it before a broker is asked.

use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use regex::{Regex, RegexBuilder};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{between, within};
use crate::secret::Reference;

/// Most topics named one by one.
const TOPICS_MAX: usize = 1_000;
/// Bytes of a compiled pattern.
const PATTERN_BYTES_MAX: usize = 1 << 20;

/// Records of Kafka topics. Where they have been read up to is in the bronze table alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Kafka {
    /// The brokers to ask first, each `HOST:PORT`; they name the others.
    pub brokers: Vec<String>,
    /// The topics, 1,000 at most. Either these or `pattern`.
    #[serde(default)]
    pub topics: Vec<String>,
    /// A regular expression that the whole name of a topic matches; topics that come later are read from their beginning. Names that begin
    /// with `__` are the brokers' own and are left out.
    pub pattern: Option<String>,
    /// The consumer group under which read offsets are shown to tools that watch lag; `lakegate-NAME` when it is not given. Nothing is read
    /// from it, and no other consumer should use it.
    pub group: Option<String>,
    /// What the value of a record is.
    #[serde(default)]
    pub format: Encoding,
    /// Where a new table begins: `earliest`, `latest`, or an instant in RFC 3339. Partitions that come later begin at their beginning.
    #[serde(default, with = "start")]
    #[schemars(with = "String")]
    pub start: Start,
    /// Which records of transactions are read.
    #[serde(default)]
    pub isolation: Isolation,
    /// Bytes of records that are held at a time, from 4 MiB to 16 GiB: half of them on their way from the brokers, half on their way to a
    /// snapshot. At the bound, fetching pauses. One fetch of a broker may overshoot it.
    #[serde(default = "memory_bytes")]
    pub memory_bytes: usize,
    /// How often new topics and partitions are looked for, from 1 second to 1 day.
    #[serde(default = "discover", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub discover: Duration,
    /// How long a broker may take to answer a question, from 100 milliseconds to 5 minutes.
    #[serde(default = "timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// The schema registry, for `avro`.
    pub registry: Option<Registry>,
    /// Encrypted connections.
    pub tls: Option<Tls>,
    /// Who the service is to the brokers.
    pub sasl: Option<Sasl>,
}

fn memory_bytes() -> usize {
    64 << 20
}

fn discover() -> Duration {
    Duration::from_secs(30)
}

fn timeout() -> Duration {
    Duration::from_secs(10)
}

/// What the value of a Kafka record is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Encoding {
    /// One JSON object.
    #[default]
    Json,
    /// Avro behind the prefix of Confluent's registry: a zero byte and the schema's id in four bytes.
    Avro,
    /// Any bytes. The columns `key`, `value`, `topic`, `partition`, `offset` and `timestamp` may be in the contract; a value that is no UTF-8
    /// is in `value_base64`.
    Raw,
}

impl Encoding {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Encoding::Json => "json",
            Encoding::Avro => "avro",
            Encoding::Raw => "raw",
        }
    }
}

/// Where a new table begins.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Start {
    /// The first record that is there.
    #[default]
    Earliest,
    /// What comes after the first look.
    Latest,
    /// The first record of this instant or later.
    At(DateTime<Utc>),
}

mod start {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::{DateTime, Start, Utc};

    pub(super) fn serialize<S: Serializer>(start: &Start, to: S) -> Result<S::Ok, S::Error> {
        match start {
            Start::Earliest => to.serialize_str("earliest"),
            Start::Latest => to.serialize_str("latest"),
            Start::At(at) => to.serialize_str(&at.to_rfc3339()),
        }
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Start, D::Error> {
        let text = String::deserialize(from)?;
        match text.as_str() {
            "earliest" => Ok(Start::Earliest),
            "latest" => Ok(Start::Latest),
            instant => DateTime::parse_from_rfc3339(instant)
                .map(|at| Start::At(at.with_timezone(&Utc)))
                .map_err(|_| de::Error::custom("start is `earliest`, `latest` or an instant in RFC 3339")),
        }
    }
}

/// Which records of transactions are read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// Those of committed transactions, once they are committed.
    #[default]
    ReadCommitted,
    /// All, also of transactions that are aborted later.
    ReadUncommitted,
}

impl Isolation {
    /// Its name, as brokers and librdkafka spell it.
    pub fn name(self) -> &'static str {
        match self {
            Isolation::ReadCommitted => "read_committed",
            Isolation::ReadUncommitted => "read_uncommitted",
        }
    }
}

/// A registry that speaks the REST of Confluent's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// Its address, `http://` or `https://`, without user and password.
    pub url: String,
    /// The user of Basic authentication.
    pub username: Option<String>,
    /// A reference to the password, `file:PATH` or `env:NAME`.
    #[schemars(with = "Option<String>")]
    pub password: Option<Reference>,
    /// How long an answer may take, from 100 milliseconds to 5 minutes. While the registry does not answer, records wait.
    #[serde(default = "registry_timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// Schemas that are remembered, 1 to 100,000.
    #[serde(default = "schemas_max")]
    pub schemas_max: usize,
}

fn registry_timeout() -> Duration {
    Duration::from_secs(5)
}

fn schemas_max() -> usize {
    1_000
}

/// Encrypted connections to brokers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Tls {
    /// The file of the authorities that are believed, in PEM; the system's when it is not given.
    pub ca: Option<String>,
    /// The file of the client's certificate, in PEM; with `key`.
    pub certificate: Option<String>,
    /// The file of its key, in PEM.
    pub key: Option<String>,
}

/// Who the service is to the brokers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Sasl {
    /// How it is proven.
    #[serde(default)]
    pub mechanism: Mechanism,
    /// The user.
    pub username: String,
    /// A reference to the password, `file:PATH` or `env:NAME`.
    #[schemars(with = "String")]
    pub password: Reference,
}

/// A mechanism of SASL.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// The password itself.
    #[default]
    #[serde(rename = "PLAIN")]
    Plain,
    /// A proof of it by SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// A proof of it by SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

impl Mechanism {
    /// Its name in SASL.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
        }
    }
}

impl Kafka {
    /// Whether a topic is read.
    pub fn wants(&self, topic: &str, pattern: Option<&Regex>) -> bool {
        match pattern {
            Some(pattern) => !topic.starts_with("__") && pattern.is_match(topic),
            None => self.topics.iter().any(|wanted| wanted == topic),
        }
    }

    /// The pattern, compiled.
    pub fn regex(&self) -> Result<Option<Regex>, String> {
        let Some(pattern) = &self.pattern else {
            return Ok(None);
        };
        RegexBuilder::new(&format!("^(?:{pattern})$"))
            .size_limit(PATTERN_BYTES_MAX)
            .build()
            .map(Some)
            .map_err(|error| format!("source.pattern: {error}"))
    }

    /// The first key that cannot work, with the reason.
    pub(super) fn check(&self) -> Result<(), String> {
        if self.brokers.is_empty() {
            return Err("source.brokers: at least one HOST:PORT is needed".to_owned());
        }
        if let Some(broker) = self.brokers.iter().find(|broker| !is_address(broker)) {
            return Err(format!("source.brokers: {broker:?} is no HOST:PORT"));
        }
        self.check_topics()?;
        between("memory_bytes", self.memory_bytes, 4 << 20, 16 << 30)?;
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
        within("discover", self.discover, second, day)?;
        within("timeout", self.timeout, second / 10, second * 300)?;
        if self
            .group
            .as_deref()
            .is_some_and(|group| group.is_empty() || group.len() > 249)
        {
            return Err("source.group: must have 1 to 249 bytes".to_owned());
        }
        match (&self.registry, self.format) {
            (None, Encoding::Avro) => {
                return Err("source.registry: avro needs one, [source.registry] with url".to_owned());
            }
            (Some(_), Encoding::Json | Encoding::Raw) => {
                return Err(format!(
                    "source.registry: {} does not ask one",
                    self.format.name()
                ));
            }
            (Some(registry), Encoding::Avro) => registry.check()?,
            (None, _) => {}
        }
        match &self.tls {
            Some(tls) if tls.certificate.is_some() != tls.key.is_some() => {
                Err("source.tls: certificate and key go together".to_owned())
            }
            _ => Ok(()),
        }
    }

    fn check_topics(&self) -> Result<(), String> {
        if self.topics.is_empty() == self.pattern.is_none() {
            return Err("source.topics: either topics or pattern is needed, not both".to_owned());
        }
        if self.topics.len() > TOPICS_MAX {
            return Err(format!("source.topics: more than {TOPICS_MAX}"));
        }
        let mut seen = BTreeSet::new();
        for topic in &self.topics {
            let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            let named = (1..=249).contains(&topic.len()) && topic.chars().all(legal);
            if !named || topic == "." || topic == ".." || !seen.insert(topic) {
                return Err(format!(
                    "source.topics: {topic:?} is no name of a topic, or stands twice"
                ));
            }
        }
        self.regex().map(|_| ())
    }
}

impl Registry {
    fn check(&self) -> Result<(), String> {
        let url = reqwest::Url::parse(&self.url).map_err(|error| format!("source.registry.url: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || url.cannot_be_a_base() {
            return Err("source.registry.url: must begin with http:// or https://".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("source.registry.url: user and password have keys of their own".to_owned());
        }
        if self.username.is_some() != self.password.is_some() {
            return Err("source.registry: username and password go together".to_owned());
        }
        between("registry.schemas_max", self.schemas_max, 1, 100_000)?;
        let second = Duration::from_secs(1);
        within("registry.timeout", self.timeout, second / 10, second * 300)
    }
}

fn is_address(broker: &str) -> bool {
    let Some((host, port)) = broker.rsplit_once(':') else {
        return false;
    };
    let host = !host.is_empty() && !host.contains([',', '/', ' ']);
    host && port.parse::<u16>().is_ok_and(|port| port > 0)
}
