//! The Parquet source with deletes: leaves deleted rows out of each file before its rows are read.
//!
//! Invariants:
//! - Everything but the opening of a file is the Parquet source's own doing. A scan without deletes does not come here.
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
use datafusion::physical_plan::DisplayFormatType;
use datafusion::physical_plan::filter_pushdown::FilterPushdownPropagation;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use futures::{FutureExt, StreamExt};
use object_store::ObjectStore;
use std::fmt;
use std::sync::Arc;

/// The Parquet source of a scan some of whose files have deletes.
#[derive(Clone)]
pub(super) struct DeletingSource {
    inner: Arc<dyn FileSource>,
    deletes: Arc<DeleteReader>,
}

impl DeletingSource {
    /// Wraps a Parquet source.
    pub(super) fn new(inner: Arc<dyn FileSource>, deletes: Arc<DeleteReader>) -> Self {
        Self { inner, deletes }
    }

    fn around(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self {
            inner,
            deletes: Arc::clone(&self.deletes),
        })
    }
}

impl FileSource for DeletingSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        let mut config = base_config.clone();
        config.limit = None;
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
            deletes: Arc::clone(&self.deletes),
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
        f.write_str(", deletes=true")
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let mut pushed = self.inner.try_pushdown_filters(filters, config)?;
        pushed.updated_node = pushed.updated_node.map(|inner| self.around(inner));
        Ok(pushed)
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
    deletes: Arc<DeleteReader>,
    partition: usize,
    metrics: ExecutionPlanMetricsSet,
}

impl FileOpener for Opener {
    fn open(&self, file: PartitionedFile) -> Result<FileOpenFuture> {
        let Some(deletes) = file.extension::<Arc<FileDeletes>>().cloned() else {
            return (self.open)(file);
        };
        let (open, reader) = (Arc::clone(&self.open), Arc::clone(&self.deletes));
        let (partition, metrics) = (self.partition, self.metrics.clone());
        let opened = async move {
            let plan = reader.access_plan(&file, &deletes, partition, &metrics).await?;
            open(file.with_extension(plan))?.await
        };
        Ok(opened.boxed())
    }
}
