//! A source's table under its full name. The wrapper is what enforcement recognises: a scan of anything else is
//! refused, so a table can be read only by the name that the policy was asked about.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use async_trait::async_trait;
use connectors::SourceTable;
use connectors::postgres::PostgresTable;
use datafusion::catalog::{ScanArgs, ScanResult, Session, TableProvider};
use datafusion::common::Statistics;
use datafusion::error::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use policies::TableName;

use crate::enforce::Barrier;

/// One table at one version.
#[derive(Debug)]
pub(crate) struct ResolvedTable {
    pub(crate) name: TableName,
    /// Whether the rows are computed for this principal alone and need no decision of their own.
    pub(crate) is_listing: bool,
    inner: Arc<dyn TableProvider>,
    without_views: Option<Arc<dyn TableProvider>>,
    /// Whether the source is handed predicates.
    takes_filters: bool,
}

impl ResolvedTable {
    pub(crate) fn new(name: TableName, inner: Arc<dyn TableProvider>, is_listing: bool) -> Self {
        Self {
            name,
            is_listing,
            inner,
            without_views: None,
            takes_filters: true,
        }
    }

    /// A table of a source.
    pub(crate) fn of_source(name: TableName, table: &SourceTable) -> Self {
        Self {
            without_views: table.without_views.clone(),
            ..Self::new(name, Arc::clone(&table.provider), false)
        }
    }

    /// The table as its source gives it.
    pub(crate) fn source(&self) -> &dyn TableProvider {
        self.inner.as_ref()
    }

    /// The same table, of whose source no predicate is asked; none for one whose source runs no statements.
    pub(crate) fn without_filters(&self) -> Option<Self> {
        let source = self.source() as &dyn std::any::Any;
        source.is::<PostgresTable>().then(|| Self {
            takes_filters: false,
            ..Self::new(self.name.clone(), Arc::clone(&self.inner), self.is_listing)
        })
    }

    /// By what the table was secured; none for one that shows all of itself. See [`Barrier::fingerprint`].
    pub(crate) fn fingerprint(&self) -> Option<&str> {
        let inner = self.inner.as_ref() as &dyn std::any::Any;
        inner.downcast_ref::<Barrier>().map(Barrier::fingerprint)
    }

    /// The same table with plain strings; none when it has no views.
    pub(crate) fn without_views(&self) -> Option<Self> {
        let plain = self.without_views.clone()?;
        Some(Self::new(self.name.clone(), plain, self.is_listing))
    }
}

#[async_trait]
impl TableProvider for ResolvedTable {
    fn schema(&self) -> SchemaRef {
        self.inner.schema()
    }

    // No constraints on purpose: the planner would rely on keys that a lake does not enforce.

    fn table_type(&self) -> TableType {
        self.inner.table_type()
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        self.inner.scan(state, projection, filters, limit).await
    }

    async fn scan_with_args<'a>(&self, state: &dyn Session, args: ScanArgs<'a>) -> Result<ScanResult> {
        self.inner.scan_with_args(state, args).await
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        match self.takes_filters {
            true => self.inner.supports_filters_pushdown(filters),
            false => Ok(vec![TableProviderFilterPushDown::Unsupported; filters.len()]),
        }
    }

    fn statistics(&self) -> Option<Statistics> {
        self.inner.statistics()
    }
}
