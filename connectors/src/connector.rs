//! The seam between the planner and the outside systems: one system as schemas and tables.
//!
//! Invariants:
//! - A connector is asked for tables, never for permission.
//! - [`SourceTable`] is pinned to one [`Version`]; asking again with that version gives the same rows, or, where
//!   [`Capabilities::versions`] says no, the same columns over the rows of that moment.

use crate::{Capabilities, Result};
use async_trait::async_trait;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::execution::object_store::ObjectStoreUrl;
use object_store::ObjectStore;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;

/// One outside system as tables.
#[async_trait]
pub trait Connector: fmt::Debug + Send + Sync {
    /// What the planner may hand down to this source.
    fn capabilities(&self) -> &Capabilities;

    /// The names of all schemas, empty ones too, sorted.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when the source does not answer.
    async fn schemas(&self) -> Result<Vec<String>>;

    /// All tables, sorted by schema and name. Cheap: reads no table's metadata.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when the source does not answer.
    async fn tables(&self) -> Result<Vec<TableEntry>>;

    /// One table, at `at` or else as it is now; `None` when there is no such table.
    ///
    /// # Errors
    /// [`crate::Error::VersionGone`] when `at` is no longer kept, [`crate::Error::Unsupported`] when the table uses
    /// what this connector cannot read, [`crate::Error::Corrupt`] when its metadata cannot be understood.
    async fn table(&self, schema: &str, name: &str, at: Option<&Version>) -> Result<Option<SourceTable>>;

    /// The version that a table had at an earlier state, for [`Connector::table`]; `None` when there is no such table.
    ///
    /// # Errors
    /// [`crate::Error::VersionGone`] when the table keeps no such state, [`crate::Error::Unsupported`] from a source that
    /// keeps none at all, which is the default.
    async fn version_as_of(&self, schema: &str, name: &str, at: &AsOf) -> Result<Option<Version>> {
        let _ = at;
        Err(crate::Error::Unsupported {
            table: format!("{schema}.{name}"),
            feature: "a source without earlier states".to_owned(),
        })
    }

    /// When a version that [`Connector::table`] gave was committed, in microseconds since 1970 UTC. `None` where the
    /// version says nothing of its rows, which are then those of the moment: the default.
    ///
    /// # Errors
    /// As [`Connector::table`].
    async fn committed(&self, schema: &str, name: &str, version: &Version) -> Result<Option<i64>> {
        let _ = (schema, name, version);
        Ok(None)
    }

    /// The foreign keys that the source's tables declare, sorted by table and name. None where a source knows none.
    ///
    /// # Errors
    /// [`crate::Error::Unavailable`] when the source does not answer.
    async fn foreign_keys(&self) -> Result<Vec<ForeignKey>> {
        Ok(Vec::new())
    }

    /// What the source has done since it was opened, by name, for the metrics. Nothing where there is nothing to count.
    fn counts(&self) -> Vec<(&'static str, u64)> {
        Vec::new()
    }

    /// Whether the source answers now, for readiness.
    ///
    /// # Errors
    /// The reason why it does not.
    async fn check(&self) -> Result<()>;
}

/// The state of a table that a query reads, as the source names it. Opaque and printable; travels in tickets.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(String);

/// An earlier state of a table, as a query asks for it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum AsOf {
    /// `FOR VERSION AS OF`: the name of a branch or a tag, else the number of a snapshot.
    Version(String),
    /// `FOR TIMESTAMP AS OF`: the state at an instant, in microseconds since 1970 UTC.
    Timestamp(i64),
}

impl fmt::Display for AsOf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Version(name) => f.write_str(name),
            Self::Timestamp(micros) => write!(f, "{micros} microseconds after 1970"),
        }
    }
}

impl Version {
    /// A version from its printed form.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The printed form, which [`Version::new`] takes back.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Version({})", self.0)
    }
}

/// What a name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TableKind {
    /// Rows that the source keeps.
    Table,
    /// A query that the source runs.
    View,
}

/// A table in a listing.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TableEntry {
    /// The schema, as [`Connector::schemas`] names it.
    pub schema: String,
    /// The name within the schema.
    pub name: String,
    /// What it is.
    pub kind: TableKind,
}

/// A foreign key between two tables of one source.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ForeignKey {
    /// Schema and name of the table that refers.
    pub table: (String, String),
    /// The constraint's name.
    pub name: String,
    /// The columns that refer, in the order of the key.
    pub columns: Vec<String>,
    /// Schema and name of the table referred to.
    pub referenced: (String, String),
    /// The columns referred to, in the order of `columns`.
    pub referenced_columns: Vec<String>,
    /// What happens to the rows that refer when the row referred to changes its key.
    pub on_update: KeyRule,
    /// What happens to the rows that refer when the row referred to goes.
    pub on_delete: KeyRule,
}

/// What a source does to the rows that refer to a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyRule {
    /// They change or go with it.
    Cascade,
    /// The change is refused.
    Restrict,
    /// They refer to nothing from then on.
    SetNull,
    /// The change is refused at the end of the statement or transaction.
    NoAction,
    /// They get their columns' default values.
    SetDefault,
}

/// A table ready to be planned and read, pinned to `version`.
#[derive(Clone, Debug)]
pub struct SourceTable {
    /// Scans the table. The same version and the same `target_partitions` give the same partitions in every process,
    /// where [`Capabilities::partitions`] says so; elsewhere partitions belong together and to one run.
    pub provider: Arc<dyn TableProvider>,
    /// The same rows with plain strings and binaries where `provider` gives views, for results that are copied out as
    /// they are read. `None` when there are no views.
    pub without_views: Option<Arc<dyn TableProvider>>,
    /// What `provider` reads.
    pub version: Version,
    /// What the owner says about the table.
    pub comment: Option<String>,
    /// The names of the columns that identify a row, in schema order; empty when unknown.
    pub primary_key: Vec<String>,
    /// The columns. Field metadata keys: see [`crate::iceberg::COMMENT_KEY`] and [`crate::iceberg::FIELD_ID_KEY`].
    pub schema: SchemaRef,
    /// The stores that the plan's scans name. The planner registers them in the runtime environment of the one query;
    /// nothing a user writes may reach them.
    pub object_stores: Vec<(ObjectStoreUrl, Arc<dyn ObjectStore>)>,
}
