//! System tables: what the ingest service wrote into its snapshots, told as the tables `system.commits`, `system.quality`, `system.lineage` and
//! `system.pipelines` of the same catalog. The fifth, `system.rejects`, is a table like any other, and its presence says that ingest works here:
//! without it the others do not exist.
//!
//! Invariants:
//! - Everything comes from table metadata, nothing from a running process. Whoever may read a system table sees all tables of the catalog in it.
//! - A version is an instant in milliseconds: it stands for the snapshots that were committed up to then, of the main branches.

mod rows;

use super::Iceberg;
use crate::{Error, Result, SourceTable, TableEntry, TableKind, Version};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::{MemTable, TableType};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use iceberg::spec::{SnapshotRef, TableMetadata};
use std::collections::HashSet;
use std::sync::Arc;

/// The schema of the system tables.
const SCHEMA: &str = "system";
/// The table whose presence says that ingest works on the catalog.
const REJECTS: &str = "rejects";
/// Tables whose metadata one system table may be made from.
const TABLES_MAX: usize = 5_000;

/// A column with its values.
type Column = (Field, ArrayRef);

/// What a system table tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// The snapshots that ingest made.
    Commits,
    /// What each rule found in each of them.
    Quality,
    /// Which snapshot each of them was made from.
    Lineage,
    /// The pipelines and how far they are.
    Pipelines,
}

impl Kind {
    const ALL: [Kind; 4] = [Kind::Commits, Kind::Lineage, Kind::Pipelines, Kind::Quality];

    fn name(self) -> &'static str {
        match self {
            Kind::Commits => "commits",
            Kind::Quality => "quality",
            Kind::Lineage => "lineage",
            Kind::Pipelines => "pipelines",
        }
    }

    fn comment(self) -> &'static str {
        match self {
            Kind::Commits => "The snapshots that ingest made, with batch, positions and counts",
            Kind::Quality => "What each rule found in each batch",
            Kind::Lineage => "Which snapshot each snapshot was made from",
            Kind::Pipelines => "The pipelines: received, published, rejected, duplicate, pending",
        }
    }
}

/// One table of the catalog with its metadata.
#[derive(Clone, Debug)]
struct Known {
    name: String,
    metadata: Arc<TableMetadata>,
}

impl Known {
    /// The snapshots of ingest on the main branch up to an instant, newest first.
    fn snapshots(&self, until_ms: i64) -> impl Iterator<Item = &SnapshotRef> {
        let mut seen = HashSet::new();
        let parent = |snapshot: &&SnapshotRef| {
            snapshot
                .parent_snapshot_id()
                .and_then(|id| self.metadata.snapshot_by_id(id))
        };
        std::iter::successors(self.metadata.current_snapshot(), parent)
            // A parent seen before ends a loop that only damaged metadata has.
            .take_while(move |snapshot| seen.insert(snapshot.snapshot_id()))
            .filter(move |snapshot| snapshot.timestamp_ms() <= until_ms && rows::is_ours(snapshot))
    }
}

impl Iceberg {
    /// The system table of a name, where ingest works on the catalog and no table of the catalog has the name.
    pub(super) fn system_kind(schema: &str, name: &str) -> Option<Kind> {
        (schema == SCHEMA)
            .then(|| Kind::ALL.into_iter().find(|kind| kind.name() == name))
            .flatten()
    }

    /// Adds the system tables to a listing that shows that ingest works here.
    pub(super) fn with_system(entries: &mut Vec<TableEntry>) {
        let entry = |name: &str| TableEntry {
            schema: SCHEMA.to_owned(),
            name: name.to_owned(),
            kind: TableKind::View,
        };
        let has = |name: &str| {
            entries
                .iter()
                .any(|found| found.schema == SCHEMA && found.name == name)
        };
        if !has(REJECTS) {
            return;
        }
        let missing: Vec<_> = Kind::ALL
            .into_iter()
            .filter(|kind| !has(kind.name()))
            .map(|kind| entry(kind.name()))
            .collect();
        entries.extend(missing);
        entries.sort();
    }

    /// A system table, at an instant or now; none where ingest does not work.
    pub(super) async fn system(&self, kind: Kind, at: Option<&Version>) -> Result<Option<SourceTable>> {
        if self.catalog.pointer(SCHEMA, REJECTS).await?.is_none() {
            return Ok(None);
        }
        let all = self.catalog.tables().await?;
        if all.len() > TABLES_MAX {
            return Err(Error::Unsupported {
                table: format!("{SCHEMA}.{}", kind.name()),
                feature: format!("a catalog of more than {TABLES_MAX} tables"),
            });
        }
        let mut tables = Vec::new();
        for (schema, name) in all {
            // A table that was dropped a moment ago is nowhere any more.
            let Some(pointer) = self.catalog.pointer(&schema, &name).await? else {
                continue;
            };
            let name = format!("{schema}.{name}");
            let metadata = self.opened(&name, pointer).await?.metadata;
            tables.push(Known { name, metadata });
        }
        let newest = || {
            tables
                .iter()
                .map(|table| table.metadata.last_updated_ms())
                .max()
                .unwrap_or(0)
        };
        let until_ms = match at {
            None => newest(),
            Some(version) => version.as_str().parse().map_err(|_| Error::VersionGone {
                table: format!("{SCHEMA}.{}", kind.name()),
                version: version.clone(),
            })?,
        };
        let provider = Arc::new(SystemTable::new(kind, tables, until_ms)?);
        Ok(Some(SourceTable {
            without_views: None,
            schema: provider.schema(),
            provider,
            version: Version::new(until_ms.to_string()),
            comment: Some(kind.comment().to_owned()),
            primary_key: Vec::new(),
            object_stores: Vec::new(),
        }))
    }
}

/// One system table.
#[derive(Debug)]
struct SystemTable {
    kind: Kind,
    tables: Vec<Known>,
    until_ms: i64,
    schema: SchemaRef,
}

impl SystemTable {
    fn new(kind: Kind, tables: Vec<Known>, until_ms: i64) -> Result<Self> {
        let empty = rows::columns(kind, &[], until_ms)?;
        let fields: Vec<Field> = empty.into_iter().map(|(field, _)| field).collect();
        Ok(Self {
            kind,
            tables,
            until_ms,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    fn read(&self) -> Result<RecordBatch> {
        let columns = rows::columns(self.kind, &self.tables, self.until_ms)?;
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        let columns = columns.into_iter().map(|(_, values)| values).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(|cause| {
            Error::Internal {
                doing: "telling snapshots as rows",
                cause: Box::new(cause),
            }
        })
    }
}

#[async_trait]
impl TableProvider for SystemTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> datafusion::error::Result<Arc<dyn ExecutionPlan>> {
        let rows = self.read()?;
        let table = MemTable::try_new(self.schema(), vec![vec![rows]])?;
        table.scan(state, projection, filters, limit).await
    }
}
