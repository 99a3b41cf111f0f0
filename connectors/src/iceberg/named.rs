//! The Parquet source with the file's name in what it says of damage: the decoder knows pages, and no file.
//!
//! Invariants:
//! - What is read, pruned and pushed down is the Parquet source's own doing.
//! - While rows are filtered inside of files, only a filter that cannot fail goes there: the Parquet reader tells the
//!   failure of a filter as it tells damage, and the query would be told of a damaged file.

use super::reader::engine;
use crate::Error;
use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use datafusion::common::Result;
use datafusion::common::config::ConfigOptions;
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::{FileOpener, FileScanConfig, FileSource};
use datafusion::datasource::table_schema::TableSchema;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::projection::ProjectionExprs;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr, PhysicalSortExpr};
use datafusion::physical_plan::filter_pushdown::{FilterPushdownPropagation, PushedDown};
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use datafusion::physical_plan::{DisplayFormatType, SortOrderPushdownResult};
use datafusion_datasource::morsel::{Morsel, MorselPlan, MorselPlanner, Morselizer};
use futures::StreamExt;
use futures::stream::BoxStream;
use object_store::ObjectStore;
use std::fmt;
use std::sync::Arc;

/// The Parquet source of one table.
#[derive(Clone)]
pub(super) struct NamedSource {
    inner: Arc<dyn FileSource>,
    table: Arc<str>,
    /// Whether rows are filtered inside of files.
    filters_rows: bool,
}

impl NamedSource {
    /// Wraps the source of `table`, which is called `schema.table`.
    pub(super) fn new(inner: Arc<dyn FileSource>, table: Arc<str>, filters_rows: bool) -> Self {
        Self {
            inner,
            table,
            filters_rows,
        }
    }

    fn around(&self, inner: Arc<dyn FileSource>) -> Arc<dyn FileSource> {
        Arc::new(Self {
            inner,
            ..self.clone()
        })
    }
}

impl FileSource for NamedSource {
    fn create_file_opener(
        &self,
        object_store: Arc<dyn ObjectStore>,
        base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Arc<dyn FileOpener>> {
        self.inner
            .create_file_opener(object_store, base_config, partition)
    }

    fn create_morselizer(
        &self,
        object_store: Arc<dyn ObjectStore>,
        base_config: &FileScanConfig,
        partition: usize,
    ) -> Result<Box<dyn Morselizer>> {
        Ok(Box::new(Files {
            inner: self
                .inner
                .create_morselizer(object_store, base_config, partition)?,
            table: Arc::clone(&self.table),
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
        self.inner.fmt_extra(t, f)
    }

    fn try_pushdown_filters(
        &self,
        filters: Vec<Arc<dyn PhysicalExpr>>,
        config: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn FileSource>>> {
        let goes: Vec<bool> = filters
            .iter()
            .map(|filter| !self.filters_rows || cannot_fail(filter))
            .collect();
        let going = filters.into_iter().zip(&goes).filter(|(_, goes)| **goes);
        let pushed = self
            .inner
            .try_pushdown_filters(going.map(|(filter, _)| filter).collect(), config)?;
        let mut verdicts = pushed.filters.into_iter();
        let all = goes.into_iter().map(|goes| match goes {
            true => verdicts.next().unwrap_or(PushedDown::No),
            false => PushedDown::No,
        });
        Ok(FilterPushdownPropagation {
            filters: all.collect(),
            updated_node: pushed.updated_node.map(|inner| self.around(inner)),
        })
    }

    fn try_pushdown_sort(
        &self,
        order: &[PhysicalSortExpr],
        properties: &EquivalenceProperties,
    ) -> Result<SortOrderPushdownResult<Arc<dyn FileSource>>> {
        Ok(match self.inner.try_pushdown_sort(order, properties)? {
            SortOrderPushdownResult::Exact { inner } => SortOrderPushdownResult::Exact {
                inner: self.around(inner),
            },
            SortOrderPushdownResult::Inexact { inner } => SortOrderPushdownResult::Inexact {
                inner: self.around(inner),
            },
            SortOrderPushdownResult::Unsupported => SortOrderPushdownResult::Unsupported,
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

/// Whether a filter gives true, false or NULL for whatever values there are. One that changes while the query runs is
/// made of values of a join's other side and of comparisons.
fn cannot_fail(filter: &Arc<dyn PhysicalExpr>) -> bool {
    let filter: &dyn PhysicalExpr = filter.as_ref();
    let is_plain = match filter.downcast_ref::<BinaryExpr>() {
        Some(binary) => matches!(
            binary.op(),
            Operator::And
                | Operator::Or
                | Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq
                | Operator::IsDistinctFrom
                | Operator::IsNotDistinctFrom
        ),
        None => {
            filter.is::<Column>()
                || filter.is::<Literal>()
                || filter.is::<NotExpr>()
                || filter.is::<IsNullExpr>()
                || filter.is::<IsNotNullExpr>()
                || filter.is::<InListExpr>()
                || filter.is::<LikeExpr>()
                || filter.is::<datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr>()
        }
    };
    is_plain && filter.children().into_iter().all(cannot_fail)
}

/// Where something is read.
#[derive(Clone, Debug)]
struct At {
    table: Arc<str>,
    /// Below the warehouse.
    path: Arc<str>,
}

impl At {
    /// The same error with the file in it, if it tells of damage.
    fn named(&self, error: DataFusionError) -> DataFusionError {
        if Error::find(&error).is_some() {
            return error;
        }
        let is_damage = match error.find_root() {
            DataFusionError::ParquetError(_) => true,
            DataFusionError::ArrowError(inner, _) => matches!(inner.as_ref(), ArrowError::ParquetError(_)),
            _ => false,
        };
        match is_damage {
            true => engine(&self.table, &self.path, error).into(),
            false => error,
        }
    }
}

#[derive(Debug)]
struct Files {
    inner: Box<dyn Morselizer>,
    table: Arc<str>,
}

impl Morselizer for Files {
    fn plan_file(&self, file: PartitionedFile) -> Result<Box<dyn MorselPlanner>> {
        let at = At {
            table: Arc::clone(&self.table),
            path: file.object_meta.location.as_ref().into(),
        };
        let planned = self.inner.plan_file(file);
        planned
            .map(|inner| Planner::around(inner, &at))
            .map_err(|error| at.named(error))
    }
}

#[derive(Debug)]
struct Planner {
    inner: Box<dyn MorselPlanner>,
    at: At,
}

impl Planner {
    fn around(inner: Box<dyn MorselPlanner>, at: &At) -> Box<dyn MorselPlanner> {
        Box::new(Self {
            inner,
            at: at.clone(),
        })
    }
}

impl MorselPlanner for Planner {
    fn plan(self: Box<Self>) -> Result<Option<MorselPlan>> {
        let Self { inner, at } = *self;
        let Some(mut plan) = inner.plan().map_err(|error| at.named(error))? else {
            return Ok(None);
        };
        let morsels = plan.take_morsels().into_iter().map(|inner| -> Box<dyn Morsel> {
            Box::new(Piece {
                inner,
                at: at.clone(),
            })
        });
        let mut named = MorselPlan::new().with_morsels(morsels.collect());
        let ready = plan.take_ready_planners().into_iter();
        named = named.with_planners(ready.map(|inner| Planner::around(inner, &at)).collect());
        if let Some(pending) = plan.take_pending_planner() {
            named.set_pending_planner(async move {
                let ready = pending.await;
                ready
                    .map(|inner| Planner::around(inner, &at))
                    .map_err(|error| at.named(error))
            });
        }
        Ok(Some(named))
    }
}

#[derive(Debug)]
struct Piece {
    inner: Box<dyn Morsel>,
    at: At,
}

impl Morsel for Piece {
    fn into_stream(self: Box<Self>) -> BoxStream<'static, Result<RecordBatch>> {
        let Self { inner, at } = *self;
        let rows = inner.into_stream();
        rows.map(move |rows| rows.map_err(|error| at.named(error)))
            .boxed()
    }
}
