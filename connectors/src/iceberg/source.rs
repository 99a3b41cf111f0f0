//! The Parquet source with what tables of plain columns without deletes do not need: deleted rows are left out of each
//! file before its rows are read, and filters on nested columns stay above the scan.
//!
//! Invariants:
//! - Everything else is the Parquet source's own doing.
//! - A filter that the source takes over must hold in every file. In DataFusion 54.1 one on a nested column is taken over
//!   by the table's types, and then dropped without a word in a file whose column has to be rebuilt first.
//! - No limit reaches the Parquet source: in DataFusion 54.1 it counts whole row groups towards a limit and then reads
//!   them in full, deleted rows too (apache/datafusion#22941). The stream of files above it keeps the limit.
//! - No order is promised to be read backwards: the default of a file source, which is to refuse.

use super::deletes::FileDeletes;
use super::deletes::reader::DeleteReader;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpenFuture, FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::utils::collect_columns;
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStore;
use std::fmt;
use std::sync::Arc;

/// The Parquet source of a scan with deletes or nested columns.
#[derive(Clone)]
pub(super) struct IcebergSource {
    inner: Arc<dyn FileSource>,
    deletes: Option<Arc<DeleteReader>>,
}

impl IcebergSource {
    /// Wraps a Parquet source; `deletes` where some of its files have deletes.
    pub(super) fn new(inner: Arc<dyn FileSource>, deletes: Option<DeleteReader>) -> Self {
        Self {
            inner,
            deletes: deletes.map(Arc::new),
        }
    }

    fn around(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self {
            inner,
            deletes: self.deletes.clone(),
        })
    }

    /// Whether a filter reads a nested column.
    fn is_nested(&self, filter: &Arc<dyn PhysicalExpr>) -> bool {
        let schema = self.table_schema().table_schema();
        collect_columns(filter).iter().any(|column| {
            let field = schema.fields().get(column.index());
            field.is_none_or(|field| field.data_type().is_nested())
        })
    }
}

impl FileSource for IcebergSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let mut config = base_config.clone();
        if self.deletes.is_some() {
            config.limit = None;
        }
        let files = self.inner.create_morselizer(object_store, &config, partition)?;
        let open = move |file: PartitionedFile| -> Result<FileOpenFuture> {
            let mut planners = vec![files.plan_file(file)?];
            let planned = async move {
                let mut streams = Vec::new();
                while let Some(planner) = planners.pop() {
                    let Some(mut plan) = planner.plan()? else {
                        continue;
                    };
                    let morsels = plan.take_morsels().into_iter();
                    streams.extend(morsels.map(|morsel| morsel.into_stream()));
                    let pending = plan.take_pending_planner();
                    let mut next = plan.take_ready_planners();
                    if let Some(pending) = pending {
                        next.push(pending.await?);
                    }
                    // The last one pushed is the next one taken.
                    planners.extend(next.into_iter().rev());
                }
                Ok(futures::stream::iter(streams).flatten().boxed())
            };
            Ok(planned.boxed())
        };
        Ok(Arc::new(Opener {
            open: Arc::new(open),
            deletes: self.deletes.clone(),
            partition,
            metrics: self.inner.metrics().clone(),
        }))
    }

    fn table_schema(&self) -> &TableSchema {
        self.inner.table_schema()
    }

    fn with_batch_size(&self, batch_size: usize) -> Arc<dyn FileSource> {
        self.around(self.inner.with_batch_size(batch_size))
    }

    fn filter(&self) -> Option<Arc<dyn PhysicalExpr>> {
        self.inner.filter()
    }

    fn projection(&self) -> Option<&ProjectionExprs> {
        self.inner.projection()
    }

    fn metrics(&self) -> &ExecutionPlanMetricsSet {
        self.inner.metrics()
    }

    fn file_type(&self) -> &str {
        self.inner.file_type()
    }

    fn fmt_extra(&self, t: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_extra(t, f)?;
        match self.deletes {
            Some(_) => f.write_str(", deletes=true"),
            None => Ok(()),
        }
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let nested: Vec<bool> = filters.iter().map(|filter| self.is_nested(filter)).collect();
        let flat = filters.into_iter().zip(&nested).filter(|(_, nested)| !**nested);
        let pushed = self
            .inner
            .try_pushdown_filters(flat.map(|(filter, _)| filter).collect(), config)?;
        let mut verdicts = pushed.filters.into_iter();
        let all = nested.into_iter().map(|nested| match nested {
            true => PushedDown::No,
            false => verdicts.next().unwrap_or(PushedDown::No),
        });
        Ok(FilterPushdownPropagation {
            filters: all.collect(),
            updated_node: pushed.updated_node.map(|inner| self.around(inner)),
        })
    }

    fn try_pushdown_projection(&self, projection: &ProjectionExprs) -> Result<Option<Arc<dyn FileSource>>> {
        let pushed = self.inner.try_pushdown_projection(projection)?;
        Ok(pushed.map(|inner| self.around(inner)))
    }

    fn reorder_files(&self, files: Vec<PartitionedFile>) -> Vec<PartitionedFile> {
        self.inner.reorder_files(files)
    }
}

/// Opens the files of one partition.
struct Opener {
    open: Arc<dyn Fn(PartitionedFile) -> Result<FileOpenFuture> + Send + Sync>,
    deletes: Option<Arc<DeleteReader>>,
    partition: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let deletes = file.extension::<Arc<FileDeletes>>().cloned();
        let (Some(deletes), Some(reader)) = (deletes, self.deletes.clone()) else {
            return (self.open)(file);
        };
        let open = Arc::clone(&self.open);
        let (partition, metrics) = (self.partition, self.metrics.clone());
        let opened = async move {
            let plan = reader.access_plan(&file, &deletes, partition, &metrics).await?;
            open(file.with_extension(plan))?.await
        };
        Ok(opened.boxed())
    }
}
