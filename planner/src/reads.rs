//! What a statement reads, for whoever keeps records of it: each table with its columns, its version and the rules that
//! let it be read.
//!
//! Told is what the statement asks for, of the tables as the principal sees them. What a policy itself looks at to do its
//! work is told by the rule's name and not as a column.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use datafusion::optimizer::decorrelate_lateral_join::DecorrelateLateralJoin;
use datafusion::optimizer::decorrelate_predicate_subquery::DecorrelatePredicateSubquery;
use datafusion::optimizer::optimize_projections::OptimizeProjections;
use datafusion::optimizer::scalar_subquery_to_join::ScalarSubqueryToJoin;
use datafusion::optimizer::{Optimizer, OptimizerContext};
use policies::{PolicySet, Principal, TableName};
use serde::Serialize;

use crate::enforce::guard::GuardedPlan;
use crate::enforce::{Scanned, scanned};
use crate::request::Pins;

/// What one statement reads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Reads {
    /// The epoch of the policies that decided.
    pub epoch: String,
    /// The tables, by name.
    pub tables: Vec<TableRead>,
}

/// One table that a statement reads.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct TableRead {
    /// `catalog.schema.table`
    pub table: String,
    /// The columns that are looked at, sorted. None where only rows are counted.
    pub columns: Vec<String>,
    /// The version that is read, of a table that has versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The names of the rules that allow it, and of those that filter and mask, in the order of the document.
    pub rules: Vec<String>,
    /// Identifies what is shown of the table (see [`policies::Allowance::fingerprint`]); none where all of it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
}

/// The columns of each table that a plan looks at.
pub(crate) type Columns = BTreeMap<TableName, BTreeSet<String>>;

impl Reads {
    /// What a guarded plan reads for `principal`, under the document that has guarded it.
    pub(crate) fn of(
        guard: &GuardedPlan,
        columns: &Columns,
        pins: &Pins,
        principal: &Principal,
        policies: &PolicySet,
    ) -> Self {
        let tables = guard.tables().iter().map(|(name, fingerprint)| {
            let table = name.to_string();
            let decision = policies.decide(principal, name);
            TableRead {
                columns: columns.get(name).into_iter().flatten().cloned().collect(),
                version: pins.0.get(&table).cloned(),
                rules: decision
                    .allowance()
                    .map_or_else(Vec::new, |allowance| allowance.rules().to_vec()),
                guard: fingerprint.clone(),
                table,
            }
        });
        Self {
            epoch: policies.epoch().to_owned(),
            tables: tables.collect(),
        }
    }
}

/// The columns that a plan looks at, before any rule of the optimiser has touched it. Subqueries become joins and columns
/// that nobody asks for fall away, on a copy; where that cannot be done, all columns of a table count as looked at.
pub(crate) fn columns(plan: &LogicalPlan) -> Columns {
    let optimizer = Optimizer::with_rules(vec![
        Arc::new(ScalarSubqueryToJoin::new()),
        Arc::new(DecorrelatePredicateSubquery::new()),
        Arc::new(DecorrelateLateralJoin::new()),
        Arc::new(OptimizeProjections::new()),
    ]);
    let context = OptimizerContext::new()
        .with_max_passes(1)
        .with_skip_failing_rules(true);
    match optimizer.optimize(plan.clone(), &context, |_, _| {}) {
        Ok(pruned) => scans(&pruned),
        Err(error) => {
            tracing::debug!(error = %error, "the columns of a statement cannot be told, so all of its tables' count");
            scans(plan)
        }
    }
}

fn scans(plan: &LogicalPlan) -> Columns {
    let mut found = Columns::new();
    let walked = plan.apply_with_subqueries(|node| {
        if let LogicalPlan::TableScan(scan) = node
            && let Scanned::Table(table) = scanned(scan)
        {
            found
                .entry(table.name.clone())
                .or_default()
                .extend(looked_at(scan));
        }
        Ok(TreeNodeRecursion::Continue)
    });
    // The walk fails when its step does, and ours does not.
    debug_assert!(walked.is_ok(), "a walk has failed");
    found
}

fn looked_at(scan: &TableScan) -> Vec<String> {
    let projected = scan.projected_schema.fields().iter();
    let filtered = scan.filters.iter().flat_map(|filter| filter.column_refs());
    let filtered: Vec<String> = filtered.map(|column| column.name.clone()).collect();
    projected
        .map(|field| field.name().clone())
        .chain(filtered)
        .collect()
}
