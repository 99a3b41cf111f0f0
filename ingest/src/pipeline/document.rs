//! The pipeline file as written. Its JSON Schema is `deploy/pipelines/schema.json`.

use std::time::Duration;

use iceberg::spec::{PrimitiveType, Transform};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::kafka::Kafka;
use super::postgres::Postgres;

/// One pipeline.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Document {
    /// The name: of the dataset, and of its tables in bronze and silver. A lower-case letter, then letters, digits or `_`.
    pub name: String,
    /// One sentence for readers of the catalog.
    #[serde(default)]
    pub description: String,
    /// How often bronze is taken to silver and gold; commits of bronze are no closer than this under load.
    #[serde(default = "interval", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub interval: Duration,
    /// Where records come from.
    #[serde(default)]
    pub source: Source,
    /// What a record is.
    pub contract: ContractSection,
    /// What a good batch is.
    #[serde(default)]
    pub quality: Quality,
    /// Which records are the same.
    #[serde(default)]
    pub dedupe: Dedupe,
    /// How silver is stored.
    #[serde(default)]
    pub silver: Silver,
    /// The models over silver, in order; a later one may read an earlier one.
    #[serde(default)]
    pub gold: Vec<Model>,
}

fn interval() -> Duration {
    Duration::from_secs(60)
}

/// Where records come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum Source {
    /// `POST /v1/ingest/{name}`.
    Upload {
        /// The format of a body without a content type that says it.
        #[serde(default)]
        format: Format,
    },
    /// Topics of Kafka.
    Kafka(Box<Kafka>),
    /// A table of Postgres.
    Postgres(Box<Postgres>),
}

impl Source {
    /// The Kafka source, where it is one.
    pub fn kafka(&self) -> Option<&Kafka> {
        match self {
            Source::Kafka(kafka) => Some(kafka),
            Source::Upload { .. } | Source::Postgres(_) => None,
        }
    }

    /// The source of Postgres, where it is one.
    pub fn postgres(&self) -> Option<&Postgres> {
        match self {
            Source::Postgres(postgres) => Some(postgres),
            Source::Upload { .. } | Source::Kafka(_) => None,
        }
    }

    /// Its kind in a sentence.
    pub fn described(&self) -> &'static str {
        match self {
            Source::Upload { .. } => "uploads",
            Source::Kafka(_) => "topics of Kafka",
            Source::Postgres(_) => "a table of Postgres",
        }
    }
}

impl Default for Source {
    fn default() -> Self {
        Source::Upload {
            format: Format::default(),
        }
    }
}

/// How records are written in a body.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// One JSON object, or a list of them.
    Json,
    /// One JSON object a line.
    #[default]
    Ndjson,
    /// Comma separated values, the names in the first line.
    Csv,
    /// A Parquet file.
    Parquet,
    /// An Avro object container file.
    Avro,
}

impl Format {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
            Format::Parquet => "parquet",
            Format::Avro => "avro",
        }
    }
}

/// The columns of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ContractSection {
    /// The columns in the order of the silver table.
    #[serde(rename = "column")]
    pub columns: Vec<ColumnSection>,
    /// What to do with a field that is no column.
    #[serde(default)]
    pub unknown: Unknown,
}

/// What happens to a record's field that the contract does not name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unknown {
    /// It stays in bronze and does not go to silver.
    #[default]
    Bronze,
    /// The record is rejected.
    Reject,
}

/// One column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ColumnSection {
    /// The name of the field and of the column.
    pub name: String,
    /// The type.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// A record without it is rejected.
    #[serde(default)]
    pub required: bool,
    /// One sentence for readers.
    #[serde(default)]
    pub doc: String,
}

/// The type of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Text.
    Text,
    /// 32 bit integer.
    Int,
    /// 64 bit integer.
    Bigint,
    /// 64 bit floating point number; NaN and infinities are rejected.
    Double,
    /// True or false.
    Boolean,
    /// A day, `2026-01-31`.
    Date,
    /// An instant: RFC 3339 with offset, or without one for UTC; or a number of seconds since 1970.
    Timestamp,
    /// A decimal number of 38 digits, 9 of them after the point; one with more is rejected, never rounded.
    Decimal,
    /// Any JSON, as text in canonical form.
    Json,
}

impl Kind {
    /// The Iceberg type of the silver column.
    pub fn iceberg(self) -> PrimitiveType {
        match self {
            Kind::Text | Kind::Json => PrimitiveType::String,
            Kind::Int => PrimitiveType::Int,
            Kind::Bigint => PrimitiveType::Long,
            Kind::Double => PrimitiveType::Double,
            Kind::Boolean => PrimitiveType::Boolean,
            Kind::Date => PrimitiveType::Date,
            Kind::Timestamp => PrimitiveType::Timestamptz,
            Kind::Decimal => PrimitiveType::Decimal {
                precision: 38,
                scale: 9,
            },
        }
    }

    /// Its name in a message.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Int => "int",
            Kind::Bigint => "bigint",
            Kind::Double => "double",
            Kind::Boolean => "boolean",
            Kind::Date => "date",
            Kind::Timestamp => "timestamp",
            Kind::Decimal => "decimal",
            Kind::Json => "json",
        }
    }
}

/// What a good batch is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Quality {
    /// The score from which a batch is published, 0 to 1. Below, all of its records are rejected with that reason.
    pub gate: f64,
    /// Records below which a batch has no score that could stop it: of three records, one bad one says nothing about the other two.
    pub gate_rows_min: u64,
    /// The rules.
    #[serde(rename = "rule")]
    pub rules: Vec<Rule>,
}

impl Default for Quality {
    fn default() -> Self {
        Self {
            gate: 0.90,
            gate_rows_min: 20,
            rules: Vec::new(),
        }
    }
}

/// One rule.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rule {
    /// Its name in verdicts and rejects; unique in the pipeline.
    pub id: String,
    /// How much it counts in the score.
    #[serde(default = "weight")]
    pub weight: f64,
    /// What happens to a record that breaks it.
    #[serde(default)]
    pub severity: Severity,
    /// What it asks.
    #[serde(flatten)]
    pub kind: RuleKind,
}

fn weight() -> f64 {
    1.0
}

/// What happens to a record that breaks a rule.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It goes to the rejects.
    #[default]
    Reject,
    /// It is published; the score tells.
    Warn,
}

/// What a rule asks. Rules of a record come to a verdict for each one, the others for the batch.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum RuleKind {
    /// The column has a value.
    NotNull {
        /// The column.
        column: String,
    },
    /// No record of the window had the same values; the first one wins.
    Unique {
        /// The columns.
        columns: Vec<String>,
        /// How far back, at most 7 days.
        #[serde(default = "window", with = "humantime_serde")]
        #[schemars(with = "String")]
        window: Duration,
    },
    /// The value, where there is one, is one of these.
    InSet {
        /// The column, of type text.
        column: String,
        /// The values.
        values: Vec<String>,
    },
    /// The value, where there is one, is within the bounds.
    Between {
        /// The column, of a number's type.
        column: String,
        /// The least value.
        min: Option<f64>,
        /// The greatest value.
        max: Option<f64>,
    },
    /// The value, where there is one, matches.
    Regex {
        /// The column, of type text.
        column: String,
        /// The whole value must match.
        pattern: String,
    },
    /// An SQL condition on the columns; a record for which it is not false passes.
    Sql {
        /// The condition.
        expr: String,
    },
    /// The mean of the batch's values is within the bounds.
    MeanBetween {
        /// The column, of a number's type.
        column: String,
        /// The least mean.
        min: Option<f64>,
        /// The greatest mean.
        max: Option<f64>,
    },
    /// The number of the batch's records is within the bounds.
    RowCountBetween {
        /// The least number.
        min: Option<u64>,
        /// The greatest number.
        max: Option<u64>,
    },
}

fn window() -> Duration {
    Dedupe::default().window
}

/// Which records are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Dedupe {
    /// Off for streams in which equal readings are legal.
    pub enabled: bool,
    /// The fields of the canonical record that count; all when empty.
    pub fields: Vec<String>,
    /// How far back, at most 7 days.
    #[serde(with = "humantime_serde")]
    #[schemars(with = "String")]
    pub window: Duration,
}

impl Default for Dedupe {
    fn default() -> Self {
        Self {
            enabled: true,
            fields: Vec::new(),
            window: Duration::from_secs(7 * 24 * 60 * 60),
        }
    }
}

/// How silver is stored.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Silver {
    /// By what it is partitioned; by the day of ingestion when nothing is said.
    pub partition: Option<Partition>,
    /// Columns with a Bloom filter.
    pub lookups: Vec<String>,
    /// Of a table of Postgres: the partitions of its state, by the hash of the key; 16 when nothing is said, 10,000 at most. A change rewrites
    /// files of the partition of its key, so one should stay below some 256 MB.
    pub buckets: Option<u32>,
}

/// A partitioning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Partition {
    /// The column.
    pub column: String,
    /// What of it.
    pub by: By,
}

/// What of a column makes the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The value itself.
    Value,
    /// Its day.
    Day,
    /// Its month.
    Month,
}

impl By {
    /// The Iceberg transform.
    pub fn transform(self) -> Transform {
        match self {
            By::Value => Transform::Identity,
            By::Day => Transform::Day,
            By::Month => Transform::Month,
        }
    }
}

/// A model over silver.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its table in gold.
    pub name: String,
    /// One sentence for readers.
    #[serde(default)]
    pub description: String,
    /// One query. It reads `silver.{pipeline}` and the earlier models of the file as `gold.{model}`.
    pub sql: String,
    /// The column of type date by whose values it is computed anew, day by day. It must say the day of the silver partition column in UTC, and
    /// silver must be partitioned by day. Without it the whole table is computed anew.
    pub day: Option<String>,
    /// The share of its checks that must pass.
    #[serde(default = "gold_gate")]
    pub gate: f64,
    /// SQL conditions on its columns that every row must meet.
    #[serde(default)]
    pub checks: Vec<String>,
}

fn gold_gate() -> f64 {
    0.99
}
