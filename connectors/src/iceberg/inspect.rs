//! Metadata tables: what a table's own metadata says, as tables named `t$snapshots`, `t$files` and so on.
//!
//! Columns have the names and types of PyIceberg's `inspect`, but for two: a column of partition values is left out where
//! no spec has partitions, and strings are never dictionaries.
//!
//! Invariants:
//! - A metadata table is pinned to one metadata file of its table, by the file's name, so that a version always means
//!   the same rows.
//! - Manifests are read when a query asks for rows, not when it asks for columns.

mod files;
mod log;

use super::files::Snapshot;
use super::metadata::MetadataStore;
use crate::{Error, Result};
use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::datasource::{MemTable, TableType};
use datafusion::logical_expr::Expr;
use datafusion::physical_plan::ExecutionPlan;
use std::sync::Arc;

/// A column with its values.
type Column = (Field, ArrayRef);

/// What a metadata table tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// All snapshots that the table keeps.
    Snapshots,
    /// Which snapshot was the newest one when.
    History,
    /// Branches and tags.
    Refs,
    /// The manifests of the newest snapshot.
    Manifests,
    /// The data and delete files of the newest snapshot.
    Files,
    /// The partitions of the newest snapshot.
    Partitions,
    /// The data and delete files of all snapshots.
    AllFiles,
}

/// The name of a table and of one of its metadata tables, from both as one name.
pub(super) fn split(name: &str) -> Option<(&str, Kind)> {
    let (table, kind) = name.rsplit_once('$')?;
    let kind = match kind {
        "snapshots" => Kind::Snapshots,
        "history" => Kind::History,
        "refs" => Kind::Refs,
        "manifests" => Kind::Manifests,
        "files" => Kind::Files,
        "partitions" => Kind::Partitions,
        "all_files" => Kind::AllFiles,
        _ => return None,
    };
    Some((table, kind))
}

/// One metadata table.
#[derive(Debug)]
pub(super) struct MetadataTable {
    kind: Kind,
    of: Snapshot,
    store: MetadataStore,
    schema: SchemaRef,
}

impl MetadataTable {
    /// The metadata table `kind` of a table at its newest snapshot.
    ///
    /// # Errors
    /// Those of metadata that makes no sense.
    pub(super) fn new(kind: Kind, of: Snapshot, store: MetadataStore) -> Result<Self> {
        let empty = match kind {
            Kind::Snapshots => log::snapshots(&[])?,
            Kind::History => log::history(&of.metadata, &[]),
            Kind::Refs => log::references(&Default::default()),
            Kind::Manifests => log::manifests(&of, &[])?,
            Kind::Files | Kind::AllFiles => files::files(&of, &[])?,
            Kind::Partitions => files::partitions(&of, &[])?,
        };
        let fields: Vec<Field> = empty.into_iter().map(|(field, _)| field).collect();
        Ok(Self {
            kind,
            of,
            store,
            schema: Arc::new(Schema::new(fields)),
        })
    }

    async fn read(&self) -> Result<RecordBatch> {
        let metadata = &self.of.metadata;
        let columns = match self.kind {
            Kind::Snapshots => {
                let mut all: Vec<_> = metadata.snapshots().cloned().collect();
                all.sort_by_key(|snapshot| (snapshot.sequence_number(), snapshot.timestamp_ms()));
                log::snapshots(&all)?
            }
            Kind::History => log::history(metadata, metadata.history()),
            Kind::Refs => log::references(&super::pin::references(&self.of.table, metadata)?),
            Kind::Manifests => {
                let lists = self.lists(self.of.snapshot.as_slice()).await?;
                let all: Vec<_> = lists.iter().flat_map(|list| list.entries()).collect();
                log::manifests(&self.of, &all)?
            }
            Kind::Files | Kind::Partitions => {
                let entries = self.entries(self.of.snapshot.as_slice()).await?;
                match self.kind {
                    Kind::Files => files::files(&self.of, &entries)?,
                    _ => files::partitions(&self.of, &entries)?,
                }
            }
            Kind::AllFiles => {
                let all: Vec<_> = metadata.snapshots().cloned().collect();
                files::files(&self.of, &self.entries(&all).await?)?
            }
        };
        let rows = columns.first().map_or(0, |(_, values)| values.len());
        let columns = columns.into_iter().map(|(_, values)| values).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options).map_err(internal)
    }
}

/// A failure to put values into columns, which is nobody's doing but this module's.
fn internal(cause: impl std::error::Error + Send + Sync + 'static) -> Error {
    Error::Internal {
        doing: "telling metadata as rows",
        cause: Box::new(cause),
    }
}

#[async_trait]
impl TableProvider for MetadataTable {
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
        let rows = self.read().await?;
        let table = MemTable::try_new(self.schema(), vec![vec![rows]])?;
        table.scan(state, projection, filters, limit).await
    }
}
