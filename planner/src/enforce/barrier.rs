//! The barrier: a table as one principal may see it.
//!
//! The engine is given this table and no other, and it is a leaf to every rule: what the policy wants is done inside, and
//! nothing of it stands in the plan. Order: the source's rows, the row policy (with leakproof predicates of the user, which
//! may prune), the masks, and only then whatever the user asked.
//!
//! Invariants:
//! * No predicate of a user goes below but a leakproof one (`leakproof.rs`); no limit goes below a row policy; dynamic
//!   filters and statistics never pass.
//! * The row policy is applied here on the rows that come, whatever the source says it has done.
//! * Columns that are hidden do not exist; masked ones may always be NULL.
//! * Its columns, rows and statistics are functions of what the principal may see.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::DFSchema;
use datafusion::error::Result;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::filter::FilterExec;

use super::leakproof::is_leakproof;
use super::policy_scan::{Output, PolicyScan};
use super::view::{Shown, View};

/// A table behind its policy.
#[derive(Debug)]
pub(crate) struct Barrier {
    name: String,
    inner: Arc<dyn TableProvider>,
    view: View,
    fingerprint: String,
}

impl Barrier {
    pub(super) fn new(name: String, inner: Arc<dyn TableProvider>, view: View, fingerprint: &str) -> Self {
        Self {
            name,
            inner,
            view,
            fingerprint: fingerprint.to_owned(),
        }
    }

    /// What the table was secured by; see [`policies::Allowance::fingerprint`].
    pub(crate) fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    fn is_leakproof(&self, predicate: &Expr) -> bool {
        let is_plain = |place: usize| {
            self.view
                .columns
                .get(place)
                .is_some_and(|column| matches!(column.shown, Shown::Plain))
        };
        is_leakproof(predicate, &self.view.schema, &is_plain)
    }

    /// The places of the source's columns that are read: for the policy, and for what is shown.
    fn read(&self, places: &[usize]) -> Vec<usize> {
        let mut wanted: Vec<usize> = self.view.policy_columns.clone();
        for column in places.iter().filter_map(|place| self.view.columns.get(*place)) {
            match &column.shown {
                Shown::Plain | Shown::Changed(_) => wanted.push(column.place),
                Shown::Computed { reads, .. } => wanted.extend(reads),
            }
        }
        wanted.sort_unstable();
        wanted.dedup();
        wanted
    }
}

#[async_trait]
impl TableProvider for Barrier {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.view.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        // Inexact: it may prune below, and is done again above.
        let support = |filter: &&Expr| match self.is_leakproof(filter) {
            true => TableProviderFilterPushDown::Inexact,
            false => TableProviderFilterPushDown::Unsupported,
        };
        Ok(filters.iter().map(support).collect())
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let all: Vec<usize> = (0..self.view.columns.len()).collect();
        let places = projection.unwrap_or(&all);
        let read = self.read(places);
        let mut below: Vec<&Expr> = filters
            .iter()
            .filter(|filter| self.is_leakproof(filter))
            .collect();
        if let Some(policy) = &self.view.policy {
            below.extend(split_conjunction(policy));
        }
        let supported = self.inner.supports_filters_pushdown(&below)?;
        let below: Vec<Expr> = below
            .into_iter()
            .zip(supported)
            .filter(|(_, support)| *support != TableProviderFilterPushDown::Unsupported)
            .map(|(filter, _)| filter.clone())
            .collect();
        // Rows are counted after the policy, never before.
        let limit = limit.filter(|_| self.view.policy.is_none() && filters.is_empty());
        let mut input = self.inner.scan(state, Some(&read), &below, limit).await?;
        let schema = DFSchema::try_from(Schema::clone(&input.schema()))?;
        let physical = |expr: &Expr| -> Result<Arc<dyn PhysicalExpr>> {
            datafusion::physical_expr::create_physical_expr(expr, &schema, state.execution_props())
        };
        if let Some(policy) = &self.view.policy {
            input = Arc::new(FilterExec::try_new(physical(policy)?, input)?);
        }
        let at = |place: usize| read.binary_search(&place).unwrap_or(usize::MAX);
        let mut outputs = Vec::with_capacity(places.len());
        for column in places.iter().filter_map(|place| self.view.columns.get(*place)) {
            outputs.push(match &column.shown {
                Shown::Plain => Output::Plain(at(column.place)),
                Shown::Changed(change) => Output::Changed(at(column.place), change.clone()),
                Shown::Computed { value, .. } => Output::Computed(physical(value)?),
            });
        }
        let schema = Arc::new(self.view.schema.project(places)?);
        Ok(Arc::new(PolicyScan::new(
            self.name.clone(),
            input,
            outputs,
            schema,
        )))
    }
}
