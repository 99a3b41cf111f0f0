//! What the rows of a query depend on, and which queries have rows that depend on nothing else.

use std::fmt::{self, Write as _};
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use aws_lc_rs::digest::{Context, SHA256};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan, Volatility};

use super::config::CacheConfig;
use crate::error::Result;
use crate::parse::StatementKind;
use crate::request::{CacheMode, Query, Session, SourceRules};
use crate::steps::Ready;

/// Says what the digest is made of, and how rows are written; a change of either is a change of this.
const FORMAT: &str = concat!("lakegate-result/1/", env!("CARGO_PKG_VERSION"));

/// Names the rows of a query: the SHA-256 of all that they depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Digest(pub(super) [u8; 32]);

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A query whose rows may be kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sought {
    pub(super) digest: Digest,
    /// How long they may be given; none where they are those of versions.
    pub(super) ttl: Option<Duration>,
}

/// Why rows are neither looked up nor kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    /// The session or the config says so.
    Off,
    /// It gives a plan or a setting.
    NotAQuery,
    /// It gives one part of a result.
    Part,
    /// It reads no table of a source, or one that lists what a principal may know.
    NoTable,
    /// It reads a table whose source names no versions.
    NoVersion,
    /// The session bounds what its sources do.
    Rules,
    /// It asks the clock, or draws a number.
    Moment,
}

impl Why {
    /// A word for the report.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::NotAQuery => "no query",
            Self::Part => "one part of a result",
            Self::NoTable => "no table of a source",
            Self::NoVersion => "a table without versions",
            Self::Rules => "the session bounds its sources",
            Self::Moment => "a function of the moment",
        }
    }
}

impl Sought {
    /// Names the rows of a query.
    ///
    /// # Errors
    /// Why they are not kept; the failure of reading the parameters is such a reason too, for the run will tell it.
    pub(crate) fn of(
        config: &CacheConfig,
        session: &Session,
        query: &Query,
        ready: &Ready,
    ) -> Result<Self, Why> {
        let resolution = &ready.resolution;
        if !config.is_on() || session.cache == CacheMode::Off {
            return Err(Why::Off);
        }
        if ready.prepared.kind != StatementKind::Query {
            return Err(Why::NotAQuery);
        }
        if query.partition.is_some() {
            return Err(Why::Part);
        }
        if resolution.tables.is_empty() || resolution.is_listing {
            return Err(Why::NoTable);
        }
        if session.rules != SourceRules::default() {
            return Err(Why::Rules);
        }
        let ttl = match resolution.is_versioned {
            true => None,
            false if config.unversioned_ttl.is_zero() => return Err(Why::NoVersion),
            false => Some(config.unversioned_ttl),
        };
        if !is_repeatable(ready.prepared.guard.plan()) {
            return Err(Why::Moment);
        }
        let digest = digest(session, query, ready).ok_or(Why::Moment)?;
        Ok(Self { digest, ttl })
    }
}

/// Each field with its length before it, so that no two lists of fields read the same.
struct Fields(Context);

impl Fields {
    fn put(&mut self, field: &[u8]) {
        self.0.update(&(field.len() as u64).to_le_bytes());
        self.0.update(field);
    }

    fn maybe(&mut self, field: Option<&[u8]>) {
        self.0.update(&[u8::from(field.is_some())]);
        self.put(field.unwrap_or_default());
    }
}

fn digest(session: &Session, query: &Query, ready: &Ready) -> Option<Digest> {
    let mut fields = Fields(Context::new(&SHA256));
    fields.put(FORMAT.as_bytes());
    fields.put(&ready.statement);
    for part in [
        &session.catalog,
        &session.schema,
        &session.time_zone,
        &ready.epoch,
    ] {
        fields.put(part.as_bytes());
    }
    let resolution = &ready.resolution;
    fields.put(&(resolution.pins.0.len() as u64).to_le_bytes());
    for (table, version) in &resolution.pins.0 {
        fields.put(table.as_bytes());
        fields.put(version.as_bytes());
    }
    fields.put(&(resolution.rights.len() as u64).to_le_bytes());
    for (table, fingerprint) in &resolution.rights {
        fields.put(table.as_bytes());
        fields.maybe(fingerprint.as_deref().map(str::as_bytes));
    }
    fields.maybe(
        query
            .rows_max
            .map(u64::to_le_bytes)
            .as_ref()
            .map(<[u8; 8]>::as_slice),
    );
    let values = match &query.parameters {
        Some(batch) => Some(written(batch)?),
        None => None,
    };
    fields.maybe(values.as_deref());
    let made = fields.0.finish();
    Some(Digest(made.as_ref().try_into().ok()?))
}

fn written(batch: &RecordBatch) -> Option<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), batch.schema_ref()).ok()?;
    writer.write(batch).ok()?;
    writer.into_inner().ok()
}

/// The statement as its tokens say it: neither blanks nor remarks are in it. The form for programmers, because the one
/// for people does not double the quotes inside of a text.
pub(crate) fn statement_digest<T: fmt::Debug>(tokens: impl Iterator<Item = T>) -> [u8; 32] {
    let mut fields = Fields(Context::new(&SHA256));
    let mut text = String::new();
    for token in tokens {
        text.clear();
        // Writing to a string does not fail.
        write!(text, "{token:?}").ok();
        fields.put(text.as_bytes());
    }
    let mut digest = [0; 32];
    digest.copy_from_slice(fields.0.finish().as_ref());
    digest
}

/// Whether a plan gives the same rows whenever it runs over the same tables.
fn is_repeatable(plan: &LogicalPlan) -> bool {
    let mut is_so = true;
    let walked = plan.apply_with_subqueries(|node| {
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                is_so &= volatility(expr) == Volatility::Immutable;
                Ok(match is_so {
                    true => TreeNodeRecursion::Continue,
                    false => TreeNodeRecursion::Stop,
                })
            })
        })
    });
    walked.is_ok() && is_so
}

fn volatility(expr: &Expr) -> Volatility {
    match expr {
        Expr::ScalarFunction(call) => call.func.signature().volatility,
        Expr::AggregateFunction(call) => call.func.signature().volatility,
        Expr::WindowFunction(call) => call.fun.signature().volatility,
        // Given by the session, of which the key holds only what it names.
        Expr::ScalarVariable(..) => Volatility::Volatile,
        _ => Volatility::Immutable,
    }
}
