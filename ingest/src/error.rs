//! What can go wrong while loading, split by what the caller can do about it.
//!
//! Display is one lower-case line that names the thing at fault; the cause is the `source`, never part of the line.

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use parquet::errors::ParquetError;

/// The result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Every failure of an append, a commit or a load.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The contract contradicts itself; the author of the contract must change it.
    #[error("the contract of {table} is not usable: {problem}")]
    Contract {
        /// The dataset, `zone.name`.
        table: String,
        /// What is contradictory, one lower-case phrase.
        problem: String,
    },
    /// The table in the catalog was made from another contract.
    #[error("the table {table} exists with another {aspect}: {found}, expected {expected}")]
    Differs {
        /// The table, `zone.name`.
        table: String,
        /// Schema, key or partitioning.
        aspect: &'static str,
        /// As the catalog has it.
        found: String,
        /// As the contract has it.
        expected: String,
    },
    /// The table holds data that did not come from this load; it is left alone.
    #[error("the table {table} already holds other data: {found}")]
    Occupied {
        /// The table, `zone.name`.
        table: String,
        /// The token of the newest snapshot, or `no token`.
        found: String,
    },
    /// A batch does not fit the table.
    #[error("column {column} of {table} {problem}")]
    Column {
        /// The table, `zone.name`.
        table: String,
        /// The column at fault.
        column: String,
        /// What is wrong with it.
        problem: ColumnProblem,
    },
    /// A bound of the config cannot work.
    #[error("the key {key} {problem}")]
    Config {
        /// The key of [`crate::Config`].
        key: &'static str,
        /// Why.
        problem: &'static str,
    },
    /// The scale of a sample is outside its bounds.
    #[error("the scale {scale} is not between {min} and {max}")]
    Scale {
        /// As asked.
        scale: f64,
        /// The smallest scale.
        min: f64,
        /// The largest scale.
        max: f64,
    },
    /// The disk or the quota is full. What was half written is removed or replaced by the next run.
    #[error("no space left at {path}{}", Room { needed: *needed, available: *available })]
    DiskFull {
        /// The file or folder that could not grow.
        path: String,
        /// Bytes that this step wanted, where known.
        needed: Option<u64>,
        /// Bytes that the file system still gives, where known.
        available: Option<u64>,
        /// The failing call; none when the room was measured before anything was written.
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// A file or folder could not be written or removed.
    #[error("cannot {action} {path}")]
    Storage {
        /// `create`, `write`, `close` or `remove`.
        action: &'static str,
        /// The file or folder.
        path: String,
        /// The failing call.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Arrow or Parquet refused the rows.
    #[error("cannot encode rows of {table}")]
    Encode {
        /// The table, `zone.name`.
        table: String,
        /// The refusal.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The catalog refused or failed; nothing was published by this call.
    #[error("the catalog could not {action} {subject}")]
    Catalog {
        /// `load`, `create`, `append to`, ...
        action: &'static str,
        /// Table or namespace.
        subject: String,
        /// Its answer.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// The embedded lake could not be opened or made.
    #[error("cannot open the lake at {path}")]
    Lake {
        /// The catalog file.
        path: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// Others committed first, again and again. Retrying with the same token is safe.
    #[error("gave up on {table} after {attempts} commits that others overtook")]
    Conflict {
        /// The table.
        table: String,
        /// How many times it was tried.
        attempts: usize,
    },
    /// The catalog failed while publishing and the snapshot is not seen. It may still appear; retrying with the same token is safe.
    #[error("cannot tell whether the commit {token} to {table} took place")]
    Unknown {
        /// The table.
        table: String,
        /// The commit token.
        token: String,
        /// The catalog's failure.
        #[source]
        source: Box<iceberg::Error>,
    },
    /// Another process has taken the table over. This writer must stop for good.
    #[error("{table} was taken over: its epoch is {recorded}, this writer's is {epoch}")]
    Fenced {
        /// The table.
        table: String,
        /// The epoch of this writer.
        epoch: u64,
        /// The epoch that the table has recorded.
        recorded: u64,
    },
    /// The rows of a commit do not begin where the table ends. Nothing was published; a person must look.
    #[error(
        "{table} has read {origin} up to {}, the rows begin at {}",
        Position(recorded),
        Position(from)
    )]
    Gap {
        /// The table.
        table: String,
        /// The source whose rows they are.
        origin: String,
        /// How far the table has read it.
        recorded: Option<String>,
        /// Where the rows begin.
        from: Option<String>,
    },
    /// A file that was to be replaced is not in the table any more. Nothing was published.
    #[error("{path} is not in {table} any more")]
    Gone {
        /// The table.
        table: String,
        /// The file.
        path: String,
    },
    /// The table uses what this writer does not write.
    #[error("{table} has {feature}, which ingest does not write")]
    Foreign {
        /// The table.
        table: String,
        /// What it uses.
        feature: &'static str,
    },
    /// A pipeline file cannot be used; its author must change it.
    #[error("the pipeline {}: {reason}", path.display())]
    Pipeline {
        /// The file.
        path: std::path::PathBuf,
        /// The key at fault and why.
        reason: String,
    },
    /// The config file cannot be used.
    #[error("{}: {reason}", path.display())]
    Settings {
        /// The file.
        path: std::path::PathBuf,
        /// The key at fault and why.
        reason: String,
    },
    /// The SQL of a pipeline cannot be run.
    #[error("cannot run `{text}`")]
    Sql {
        /// The text, its beginning when it is long.
        text: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The rows of a model are not good enough. The old ones stay.
    #[error("{table} has the score {score:.4}, less than {gate}; its old rows stay")]
    Gate {
        /// The table.
        table: String,
        /// The share of its checks that pass.
        score: f64,
        /// The least share.
        gate: f64,
    },
    /// The index of what was published could not be read or written. It can be deleted.
    #[error("the index of published records cannot be used")]
    Index {
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A secret is not where its reference says.
    #[error("{key}: there is nothing to read at {reference}")]
    Secret {
        /// The key of the config or pipeline.
        key: &'static str,
        /// The reference.
        reference: String,
        /// Why a file cannot be read; none for a variable that is not set.
        #[source]
        source: Option<std::io::Error>,
    },
    /// A key of a source stands in the way: what it names cannot be used, or the other side refuses it. A person must look.
    #[error("{pipeline}: {key}: {problem}")]
    Source {
        /// The pipeline.
        pipeline: String,
        /// The key at fault, such as `source.brokers`.
        key: &'static str,
        /// What is wrong, one lower-case phrase.
        problem: String,
    },
    /// A source does not answer, or not well. It is asked again.
    #[error("{pipeline}: {part} cannot be read: {problem}")]
    SourceDown {
        /// The pipeline.
        pipeline: String,
        /// The brokers, a topic or the registry.
        part: String,
        /// What it said.
        problem: String,
    },
    /// What follows on what was read is not there any more. A person must decide what becomes of the table.
    #[error(
        "{pipeline}: changes are lost between the table and the slot {slot}: {problem}; with source.on_slot_loss = \"copy\" the table is copied again"
    )]
    SlotLost {
        /// The pipeline.
        pipeline: String,
        /// The replication slot.
        slot: String,
        /// What was found, one lower-case phrase.
        problem: String,
    },
    /// A command does not fit what the pipeline reads.
    #[error("{pipeline} takes its records from {source_kind}: {problem}")]
    NotFor {
        /// The pipeline.
        pipeline: String,
        /// Where its records come from.
        source_kind: &'static str,
        /// Why that does not go together.
        problem: &'static str,
    },
    /// Users or policies cannot be opened.
    #[error("who may write cannot be known")]
    Identity(#[source] policies::Error),
    /// A socket cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address.
        address: std::net::SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There is no such pipeline.
    #[error("there is no pipeline {name}")]
    NoPipeline {
        /// As asked.
        name: String,
    },
    /// Rows were lost or doubled on the way. Nothing was published.
    #[error("{table} has {found} rows {place}, expected {expected}")]
    Count {
        /// The table.
        table: String,
        /// Where they were counted.
        place: &'static str,
        /// Rows there.
        found: u64,
        /// Rows that should be there.
        expected: u64,
    },
    /// The caller went away; nothing was published.
    #[error("the append to {table} was cancelled")]
    Cancelled {
        /// The table.
        table: String,
    },
    /// A thread of the append ended in a panic: a defect of this program.
    #[error("the {part} of {table} crashed")]
    Crashed {
        /// Which thread.
        part: &'static str,
        /// The table.
        table: String,
    },
}

/// What a column of a batch may do wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnProblem {
    /// The table requires it and the batch lacks it.
    #[error("is missing in the batch")]
    Missing,
    /// The batch has it and the table does not know it.
    #[error("is not known to the table")]
    Unknown,
    /// The types differ and no exact conversion exists.
    #[error("has the type {found}, expected {expected}")]
    Type {
        /// In the batch.
        found: DataType,
        /// In the table.
        expected: DataType,
    },
    /// A required column holds a null.
    #[error("is required and holds {nulls} nulls")]
    Null {
        /// How many in this batch.
        nulls: usize,
    },
}

/// What a caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorKind {
    /// Change the input.
    Invalid,
    /// Look at what is there already.
    Conflict,
    /// Make room.
    Full,
    /// Try again with the same token.
    Unavailable,
    /// The caller stopped it.
    Cancelled,
    /// A defect.
    Internal,
}

impl Error {
    /// The kind of this error.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Contract { .. }
            | Error::Column { .. }
            | Error::Config { .. }
            | Error::Scale { .. }
            | Error::Pipeline { .. }
            | Error::Settings { .. }
            | Error::Sql { .. }
            | Error::Gate { .. }
            | Error::Secret { .. }
            | Error::Source { .. }
            | Error::NotFor { .. }
            | Error::Identity(_)
            | Error::Listen { .. }
            | Error::NoPipeline { .. } => ErrorKind::Invalid,
            Error::Differs { .. }
            | Error::Occupied { .. }
            | Error::Fenced { .. }
            | Error::Gap { .. }
            | Error::Gone { .. }
            | Error::SlotLost { .. }
            | Error::Foreign { .. } => ErrorKind::Conflict,
            Error::DiskFull { .. } => ErrorKind::Full,
            Error::Storage { .. }
            | Error::Catalog { .. }
            | Error::Lake { .. }
            | Error::Index { .. }
            | Error::SourceDown { .. }
            | Error::Conflict { .. }
            | Error::Unknown { .. } => ErrorKind::Unavailable,
            Error::Cancelled { .. } => ErrorKind::Cancelled,
            Error::Encode { .. } | Error::Count { .. } | Error::Crashed { .. } => ErrorKind::Internal,
        }
    }

    /// Whether the same call with the same token may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::Full | ErrorKind::Unavailable | ErrorKind::Cancelled => true,
            ErrorKind::Invalid | ErrorKind::Conflict | ErrorKind::Internal => false,
        }
    }

    /// The error with its causes, as one line.
    pub fn chain(&self) -> String {
        let mut line = self.to_string();
        let mut next = std::error::Error::source(self);
        while let Some(cause) = next {
            line.push_str(": ");
            line.push_str(&cause.to_string());
            next = cause.source();
        }
        line
    }

    /// An Arrow kernel refused rows of `table`.
    pub(crate) fn arrow(table: &str, source: ArrowError) -> Self {
        Error::Encode {
            table: table.to_owned(),
            source: Box::new(source),
        }
    }

    /// The Parquet writer refused rows of `table`.
    pub(crate) fn parquet(table: &str, source: ParquetError) -> Self {
        Error::Encode {
            table: table.to_owned(),
            source: Box::new(source),
        }
    }

    /// The SQL engine refused a text of a pipeline.
    pub(crate) fn sql(text: &str, source: datafusion::error::DataFusionError) -> Self {
        Error::Sql {
            text: text.chars().take(200).collect(),
            source: Box::new(source),
        }
    }

    /// Iceberg's model refused rows of `table` (a transform, a literal, a data file).
    pub(crate) fn model(table: &str, source: iceberg::Error) -> Self {
        Error::Encode {
            table: table.to_owned(),
            source: Box::new(source),
        }
    }
}

/// The tail of a disk-full message: only what is known.
struct Room {
    needed: Option<u64>,
    available: Option<u64>,
}

impl std::fmt::Display for Room {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.needed, self.available) {
            (Some(needed), Some(available)) => write!(f, ": {needed} bytes needed, {available} available"),
            (Some(needed), None) => write!(f, ": {needed} bytes needed"),
            (None, Some(available)) => write!(f, ": {available} bytes available"),
            (None, None) => Ok(()),
        }
    }
}

/// A position in a message; a source that was never read has none.
struct Position<'a>(&'a Option<String>);

impl std::fmt::Display for Position<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(position) => f.write_str(position),
            None => f.write_str("its beginning"),
        }
    }
}
