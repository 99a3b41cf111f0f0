//! What one request brings, and what describing it gives back. All of it can travel in a ticket except the
//! principal, who is proven anew by every call.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, SchemaRef};
use policies::Principal;
use serde::{Deserialize, Serialize};

use crate::parse::StatementKind;

/// Who asks, in which session, until when.
#[derive(Clone, Debug)]
pub struct Request {
    /// Names the request in logs and error answers.
    pub id: String,
    /// Who asks.
    pub principal: Arc<Principal>,
    /// Names and settings that the statement is read with.
    pub session: Session,
    /// When the query is stopped; none means the configured limit alone.
    pub deadline: Option<Instant>,
}

/// The settings of a session. A session lives with the client (in its token or ticket), never in this process.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Session {
    /// Catalog of names with fewer than three parts.
    pub catalog: String,
    /// Schema of names with one part.
    pub schema: String,
    /// Time zone of naive timestamps and of `now()`; an IANA name or an offset such as `+02:00`.
    pub time_zone: String,
}

impl Session {
    /// Every setting as key and value, in the order a person reads them.
    pub fn settings(&self) -> [(&'static str, &str); 3] {
        [
            ("catalog", &self.catalog),
            ("schema", &self.schema),
            ("timezone", &self.time_zone),
        ]
    }
}

/// One statement with what it needs to run the same way on any gateway.
#[derive(Clone, Debug, Default)]
pub struct Query {
    /// The text as the client sent it.
    pub sql: String,
    /// Values of the parameters, a column each; every row is one run.
    pub parameters: Option<RecordBatch>,
    /// Versions of the tables to read; tables that are not named are read at their newest version.
    pub pins: Pins,
    /// Only one part of the result.
    pub partition: Option<Partition>,
    /// At most so many rows.
    pub rows_max: Option<u64>,
    /// The time that `now()` gives, in microseconds since 1970 UTC; none means that of the run. All parts of a result
    /// have the same.
    pub at: Option<i64>,
}

impl Query {
    /// A query of a text alone.
    pub fn new(sql: impl Into<String>) -> Self {
        Self {
            sql: sql.into(),
            ..Self::default()
        }
    }
}

/// The version of each table that a query reads, by full name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pins(pub BTreeMap<String, String>);

/// One part of a result that is split for parallel fetching. The split is a function of the statement, the pins and
/// `target`, so that any gateway cuts the same parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Which part, from zero.
    pub index: usize,
    /// How many parts there are.
    pub count: usize,
    /// The number of partitions the planner was asked for.
    pub target: usize,
}

/// What a statement is, before it runs.
#[derive(Clone, Debug)]
pub struct Described {
    /// What kind of statement.
    pub kind: StatementKind,
    /// Columns of the result.
    pub schema: SchemaRef,
    /// Parameters in order of position; a parameter whose type cannot be told is text.
    pub parameters: Vec<FieldRef>,
    /// Versions of the tables it would read now.
    pub pins: Pins,
    /// The time that `now()` gives in every part, in microseconds since 1970 UTC.
    pub at: i64,
    /// Parts in which the result can be fetched, each alone; empty when it is one piece.
    pub partitions: Vec<Partition>,
    /// Origin of each result column, where it is one column of one table.
    pub origins: Vec<Option<Origin>>,
}

impl Described {
    /// A statement that gives no rows.
    pub(crate) fn without_rows(kind: StatementKind) -> Self {
        Self {
            kind,
            schema: Arc::new(arrow::datatypes::Schema::empty()),
            parameters: Vec::new(),
            pins: Pins::default(),
            at: chrono::Utc::now().timestamp_micros(),
            partitions: Vec::new(),
            origins: Vec::new(),
        }
    }
}

/// The table and column that a result column comes from unchanged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Catalog of the table.
    pub catalog: String,
    /// Schema of the table.
    pub schema: String,
    /// Name of the table.
    pub table: String,
    /// Name of the column.
    pub column: String,
}
