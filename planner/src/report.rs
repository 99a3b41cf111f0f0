//! The report of a query: what each source was asked, what stayed here and why, how old the data is, and, after the run,
//! what came over. The same report goes to the caller of every protocol and into the query log.
//!
//! `gather` makes it of a plan, `rows` shows it as rows of `EXPLAIN (FEDERATION)`, `reporter` follows a run and writes the
//! log, `redact` decides who sees which text.
//!
//! Invariants:
//! - No value of a statement, a policy or a row is in it: predicates are shown with `?`, statements with `$n`.
//! - It is a description and no authority: nothing reads it to decide anything.

mod gather;
mod redact;
mod reporter;
mod rows;

use std::time::Duration;

use serde::Serialize;

pub(crate) use gather::{Surroundings, gather, leaf_source};
pub(crate) use redact::sees_statements;
pub(crate) use reporter::{After, Outcome, Reporter};
pub(crate) use rows::{batch, schema};

use crate::request::PushdownRule;

/// What a query asks of its sources, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Names the request.
    pub request: String,
    /// What the session asked of the pushdown.
    pub pushdown: PushdownRule,
    /// What the cache had of the rows; none before the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cache: Option<CacheReport>,
    /// The sources, by name.
    pub sources: Vec<SourceReport>,
}

/// What the cache had of the rows of a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CacheReport {
    /// What became of the lookup.
    pub status: CacheStatus,
    /// How old the rows are, in seconds; none for those made now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub age: Option<f64>,
    /// Why nothing was looked up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// What became of a lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CacheStatus {
    /// The rows were there.
    Hit,
    /// They were not.
    Miss,
    /// The caller wanted new ones.
    Refresh,
    /// Such rows are not kept, or not wanted.
    Bypass,
}

impl CacheReport {
    pub(crate) fn hit(age: Duration) -> Self {
        Self {
            status: CacheStatus::Hit,
            age: Some(age.as_secs_f64()),
            reason: None,
        }
    }

    pub(crate) fn missed() -> Self {
        Self::without_rows(CacheStatus::Miss, None)
    }

    pub(crate) fn refreshed() -> Self {
        Self::without_rows(CacheStatus::Refresh, None)
    }

    pub(crate) fn bypassed(reason: &'static str) -> Self {
        Self::without_rows(CacheStatus::Bypass, Some(reason))
    }

    fn without_rows(status: CacheStatus, reason: Option<&'static str>) -> Self {
        Self {
            status,
            age: None,
            reason,
        }
    }

    /// The value of the field `Cache-Status` (RFC 9211).
    pub fn field(&self) -> &'static str {
        match self.status {
            CacheStatus::Hit => "lakegate; hit",
            CacheStatus::Miss => "lakegate; fwd=miss",
            CacheStatus::Refresh => "lakegate; fwd=request",
            CacheStatus::Bypass => "lakegate; fwd=bypass",
        }
    }
}

/// One source of a query.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SourceReport {
    /// Its name, which is that of its catalog.
    pub source: String,
    /// Its kind, as in the config.
    pub kind: &'static str,
    /// What is read from it. Empty when the query has not been planned to its operators.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<Read>,
    /// Operators over its rows that run here.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub residual: Vec<Residual>,
    /// How old its data is.
    pub freshness: Vec<Freshness>,
    /// Rows that came from it so far; none before the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Bytes that came from it so far: of values over a wire, of files from a store.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// The time that was spent reading from it so far, in seconds, added up over its connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// One statement at a source, or one scan of its files.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Read {
    /// The tables, as `schema.table`.
    pub tables: String,
    /// Whether a policy shows the table in part. Then nothing more is told of reading it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub secured: bool,
    /// The remote text with `$n` for values; none for a scan, or where the caller may not see it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// How many connections or files are read at once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub partitions: Option<usize>,
    /// What the source does beyond reading, without values.
    pub pushed: Vec<String>,
    /// Whether the keys of a join narrow it while the query runs.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub takes_keys: bool,
    /// How many keys did; none before the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keys: Option<u64>,
    /// The rows that are expected; none when nothing tells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub estimated_rows: Option<u64>,
    /// The rows of the newest run; none before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rows: Option<u64>,
    /// Its bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// Its time of reading, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

/// An operator that runs here.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Residual {
    /// The operator, without values.
    pub operator: String,
    /// Why the source does not do it.
    pub reason: String,
}

/// The state of a source that a query reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Freshness {
    /// The table, as `schema.table`; none where the state is that of the whole source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<String>,
    /// The state as the source names it: a snapshot's id; none when it is that of the run, which has not been yet.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// When that state was new, RFC 3339; none when the source cannot tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub as_of: Option<String>,
}
