//! The policy step: a resolved plan in, a [`GuardedPlan`] out, or a refusal. It runs on the plan and not on the text,
//! so every form of statement meets it, subqueries included, and it runs before any optimiser rule.
//!
//! What a decision wants stands in the table itself: `view.rs` lays the allowance over the columns, `barrier.rs` is the
//! table that the engine gets, `policy_scan.rs` its operator, `leakproof.rs` what may pass below, `masks.rs` and
//! `conditions.rs` the policies' own expressions. This step sees to it that each scan of the plan stands behind the
//! barrier that the decision wants; `audit.rs` sees to it again after the optimiser, and `fence.rs` while rows leave.
//!
//! Invariants:
//! * A node or table that is not known here is refused. New kinds of either must be let in by name.
//! * A scan passes only with the fingerprint of the decision in force.

pub mod audit;
mod barrier;
mod conditions;
mod fence;
pub mod guard;
mod leakproof;
mod masks;
mod policy_scan;
mod view;

pub(crate) use barrier::Barrier;
pub(crate) use conditions::Unfit;
pub(crate) use fence::Fence;
pub(crate) use policy_scan::NAME as POLICY_SCAN;
pub(crate) use view::secured;
#[cfg(test)]
pub(crate) use view::tests::reader;

use std::any::Any;

use datafusion::catalog::cte_worktable::CteWorkTable;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::DefaultTableSource;
use datafusion::error::DataFusionError;
use datafusion::logical_expr::{LogicalPlan, TableScan};
use policies::{Decision, PolicySet, Principal};

use crate::error::{Error, Result};
use crate::resolved::ResolvedTable;
use guard::{GuardedPlan, Guards};

/// Decides every scan of `plan` for `principal` under `policies`.
///
/// # Errors
/// `UnknownTable` for a table that the principal may not read (absent and denied look the same), `Unsupported` for a
/// node that reads nothing or writes something.
pub(crate) fn enforce(plan: LogicalPlan, principal: &Principal, policies: &PolicySet) -> Result<GuardedPlan> {
    let mut tables = Guards::new();
    plan.apply_with_subqueries(|node| match node {
        LogicalPlan::TableScan(scan) => {
            decide(scan, principal, policies, &mut tables)
                .map_err(|error| DataFusionError::External(Box::new(error)))?;
            Ok(TreeNodeRecursion::Continue)
        }
        other if is_read_only(other) => Ok(TreeNodeRecursion::Continue),
        other => Err(DataFusionError::External(Box::new(Error::Unsupported {
            what: other.display().to_string(),
        }))),
    })?;
    Ok(GuardedPlan::new(plan, tables))
}

fn decide(scan: &TableScan, principal: &Principal, policies: &PolicySet, tables: &mut Guards) -> Result<()> {
    match scanned(scan) {
        Scanned::Table(table) if table.is_listing => {
            tables.insert(table.name.clone(), None);
            Ok(())
        }
        Scanned::Table(table) => match policies.decide(principal, &table.name) {
            Decision::Allow(allowance) => {
                let wanted = (!allowance.is_plain()).then(|| allowance.fingerprint());
                // The table was opened under another document.
                if wanted != table.fingerprint() {
                    return Err(Error::PolicyChanged);
                }
                tables.insert(table.name.clone(), wanted.map(str::to_owned));
                Ok(())
            }
            Decision::Deny => Err(Error::UnknownTable {
                name: table.name.to_string(),
                nearest: None,
            }),
        },
        Scanned::WorkTable => Ok(()),
        Scanned::Function => Ok(()),
        Scanned::Unknown => Err(Error::Unsupported {
            what: format!("reading '{}'", scan.table_name),
        }),
    }
}

/// What a scan reads.
pub(crate) enum Scanned<'a> {
    /// A table of a source, or of the information schema.
    Table(&'a ResolvedTable),
    /// The rows of the step before, in a recursive query.
    WorkTable,
    /// Rows that a table function of the engine makes from its arguments alone.
    Function,
    /// Anything else.
    Unknown,
}

pub(crate) fn scanned(scan: &TableScan) -> Scanned<'_> {
    let Some(source) = (scan.source.as_ref() as &dyn Any).downcast_ref::<DefaultTableSource>() else {
        return Scanned::Unknown;
    };
    let provider = source.table_provider.as_ref() as &dyn Any;
    if let Some(table) = provider.downcast_ref::<ResolvedTable>() {
        return Scanned::Table(table);
    }
    if provider.is::<CteWorkTable>() {
        return Scanned::WorkTable;
    }
    if provider.is::<datafusion::functions_table::generate_series::GenerateSeriesTable>() {
        return Scanned::Function;
    }
    Scanned::Unknown
}

fn is_read_only(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(_)
        | LogicalPlan::Filter(_)
        | LogicalPlan::Window(_)
        | LogicalPlan::Aggregate(_)
        | LogicalPlan::Sort(_)
        | LogicalPlan::Join(_)
        | LogicalPlan::Repartition(_)
        | LogicalPlan::Union(_)
        | LogicalPlan::TableScan(_)
        | LogicalPlan::EmptyRelation(_)
        | LogicalPlan::Subquery(_)
        | LogicalPlan::SubqueryAlias(_)
        | LogicalPlan::Limit(_)
        | LogicalPlan::Values(_)
        | LogicalPlan::Explain(_)
        | LogicalPlan::Analyze(_)
        | LogicalPlan::Distinct(_)
        | LogicalPlan::Unnest(_)
        | LogicalPlan::RecursiveQuery(_) => true,
        LogicalPlan::Statement(_)
        | LogicalPlan::Extension(_)
        | LogicalPlan::Dml(_)
        | LogicalPlan::Ddl(_)
        | LogicalPlan::Copy(_)
        | LogicalPlan::DescribeTable(_) => false,
    }
}
