//! One Iceberg table at one snapshot, as the engine scans it.
//!
//! Invariants:
//! - A scan reads the files of its snapshot and no others, whatever has been committed since.
//! - Filters make it read less and are evaluated again above it: it may give more rows than a filter keeps, never fewer.
//! - The partitions depend on the snapshot, the filters, the limit and `target_partitions` alone.

use super::adapter::FieldIdAdapterFactory;
use super::blooms::{Asked, Blooms, Wanted};
use super::deletes::cache::DeleteCache;
use super::deletes::reader::DeleteReader;
use super::files::{PlannedFile, Pruned, Snapshot, plan};
use super::metadata::MetadataStore;
use super::named::NamedSource;
use super::naming::Naming;
use super::nested::Defaults;
use super::partitions::group;
use super::pruning::Pruner;
use super::reader::{Footers, ReaderFactory};
use super::schema::field_id;
use super::source::IcebergSource;
use super::warehouse::Warehouse;
use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::common::config::TableParquetOptions;
use datafusion::datasource::TableType;
use datafusion::datasource::memory::DataSourceExec;
use datafusion::datasource::physical_plan::{FileScanConfigBuilder, FileSource, ParquetSource};
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A table pinned to a snapshot.
#[derive(Debug)]
pub(super) struct IcebergTable {
    pub(super) snapshot: Snapshot,
    pub(super) store: MetadataStore,
    pub(super) warehouse: Warehouse,
    pub(super) footers: Footers,
    pub(super) blooms: Blooms,
    pub(super) deletes: DeleteCache,
    pub(super) naming: Naming,
    pub(super) defaults: Arc<Defaults>,
}

#[async_trait]
impl TableProvider for IcebergTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.snapshot.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(vec![TableProviderFilterPushDown::Inexact; filters.len()])
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (mut files, pruned) = self.files(state, filters).await?;
        if let (Some(limit), true) = (limit, filters.is_empty()) {
            keep_first_rows(&mut files, limit);
        }
        tracing::debug!(
            table = %self.snapshot.table,
            files = files.len(),
            files_pruned = pruned.files,
            manifests_pruned = pruned.manifests,
            "planned a scan"
        );
        if files.is_empty() {
            let schema = match projection {
                Some(columns) => Arc::new(self.snapshot.schema.project(columns)?),
                None => self.schema(),
            };
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        self.source(state, &files, projection, limit, pruned.is_by_key)
    }
}

impl IcebergTable {
    /// The files that may hold rows which meet `filters`.
    pub(super) async fn files(
        &self,
        state: &dyn Session,
        filters: &[Expr],
    ) -> Result<(Vec<PlannedFile>, Pruned)> {
        let named = DFSchema::try_from(Arc::clone(&self.snapshot.schema))?;
        let conjuncts: Vec<_> = filters
            .iter()
            // A filter that has no physical form here is evaluated above only.
            .filter_map(|filter| state.create_physical_expr(filter.clone(), &named).ok())
            .collect();
        let pruner = Pruner::new(&self.snapshot.schema, &conjuncts);
        let (mut files, mut pruned) = plan(&self.snapshot, &self.store, &self.warehouse, &pruner).await?;
        let before = files.len();
        let asked = Asked {
            readers: &self.readers(),
            blooms: &self.blooms,
        };
        let wanted = Wanted::of(&self.snapshot.schema, &conjuncts);
        pruned.is_by_key = asked.retain(&mut files, &wanted).await;
        pruned.files += before - files.len();
        Ok((files, pruned))
    }

    fn readers(&self) -> ReaderFactory {
        let table = Arc::clone(&self.snapshot.table);
        ReaderFactory::new(
            table,
            self.warehouse.clone(),
            self.footers.clone(),
            self.naming.clone(),
        )
    }

    fn source(
        &self,
        state: &dyn Session,
        files: &[PlannedFile],
        projection: Option<&Vec<usize>>,
        limit: Option<usize>,
        is_by_key: bool,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (groups, statistics) = group(&self.snapshot, files, state.config().target_partitions())?;
        let options = TableParquetOptions {
            global: state.config_options().execution.parquet.clone(),
            ..Default::default()
        };
        let readers = self.readers();
        let adapters = FieldIdAdapterFactory {
            table: Arc::clone(&self.snapshot.table),
            may_hold_nan: Arc::new(self.may_hold_nan(files)),
            defaults: Arc::clone(&self.defaults),
        };
        let plain = ParquetSource::new(self.schema())
            .with_table_parquet_options(options)
            // Where few rows pass, the other columns are decoded for those alone. Where many do, that costs more than it
            // saves, so it is no general setting.
            .with_pushdown_filters(is_by_key)
            .with_parquet_file_reader_factory(Arc::new(readers.clone()));
        let table = Arc::clone(&self.snapshot.table);
        let mut source: Arc<dyn FileSource> = Arc::new(NamedSource::new(Arc::new(plain), table, is_by_key));
        let deletes = files.iter().any(|file| file.deletes.is_some());
        let nested = |field: &arrow::datatypes::FieldRef| field.data_type().is_nested();
        if deletes || self.snapshot.schema.fields().iter().any(nested) {
            let deletes = deletes.then(|| DeleteReader {
                metadata: Arc::clone(&self.snapshot.metadata),
                warehouse: self.warehouse.clone(),
                readers,
                adapters: adapters.clone(),
                cache: self.deletes.clone(),
            });
            source = Arc::new(IcebergSource::new(source, deletes));
        }
        let config = FileScanConfigBuilder::new(self.warehouse.url().clone(), source)
            .with_file_groups(groups)
            .with_statistics(statistics)
            .with_projection_indices(projection.cloned())?
            .with_limit(limit)
            .with_expr_adapter(Some(Arc::new(adapters)))
            .build();
        Ok(DataSourceExec::from_data_source(config))
    }

    /// The float columns of which not every file says that it holds no NaN.
    fn may_hold_nan(&self, files: &[PlannedFile]) -> BTreeSet<i32> {
        let floats = self
            .snapshot
            .schema
            .fields()
            .iter()
            .filter(|field| field.data_type().is_floating());
        floats
            .filter_map(|field| field_id(field))
            .filter(|id| {
                files
                    .iter()
                    .any(|file| file.data().nan_value_counts().get(id) != Some(&0))
            })
            .collect()
    }
}

/// Leaves out the files that a limit without a filter never comes to.
fn keep_first_rows(files: &mut Vec<PlannedFile>, limit: usize) {
    let mut rows = 0_u64;
    let limit = u64::try_from(limit).unwrap_or(u64::MAX);
    files.retain(|file| {
        let wanted = rows < limit;
        // Of a file with deletes nobody knows how many rows are left.
        if file.deletes.is_none() {
            rows = rows.saturating_add(file.data().record_count());
        }
        wanted
    });
}
