//! Guarded plan to operators, and whether a result can be cut into parts.
//!
//! A result is cut only when each part can be computed alone at the cost of its own rows: one scan with filters and
//! projections above it. Everything else (joins, sorts, aggregates, limits) is one part.

use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};

use crate::config::Config;
use crate::enforce::audit::audit;
use crate::enforce::guard::GuardedPlan;
use crate::enforce::{Scanned, scanned};
use crate::error::{Error, Result};
use crate::request::Partition;

/// Optimises the plan, checks its guards again, and chooses operators.
pub(crate) async fn plan(guard: &GuardedPlan, state: &SessionState) -> Result<Arc<dyn ExecutionPlan>> {
    let optimized = state.optimize(guard.plan())?;
    audit(&optimized, guard)?;
    Ok(state.query_planner().create_physical_plan(&optimized, state).await?)
}

/// How many partitions to ask for when the result is worth cutting; none when it is one part.
pub(crate) fn wanted_partitions(guard: &GuardedPlan, config: &Config) -> Option<usize> {
    let rows = scan_rows(guard.plan())?;
    let parts = rows.div_ceil(config.endpoint_rows.max(1));
    let parts = usize::try_from(parts).unwrap_or(usize::MAX).min(config.endpoints_max);
    (parts > 1).then_some(parts)
}

/// The parts of a plan that was made for `target` partitions.
pub(crate) fn partitions(plan: &Arc<dyn ExecutionPlan>, target: usize) -> Vec<Partition> {
    let count = plan.output_partitioning().partition_count();
    (0..count).map(|index| Partition { index, count, target }).collect()
}

/// Whether `plan` is cut as `partition` says.
///
/// # Errors
/// `VersionGone` when this gateway cuts otherwise, which can only be when the data behind a pin has changed.
pub(crate) fn check_partition(plan: &Arc<dyn ExecutionPlan>, partition: Partition) -> Result<()> {
    let count = plan.output_partitioning().partition_count();
    if count == partition.count && partition.index < count {
        return Ok(());
    }
    Err(Error::VersionGone { table: "the result".to_owned(), version: format!("part {}", partition.index) })
}

/// Rows of the only scan of a plan that can be cut, when they are known.
fn scan_rows(plan: &LogicalPlan) -> Option<u64> {
    let has_subquery = plan.expressions().iter().any(contains_subquery);
    if has_subquery {
        return None;
    }
    match plan {
        LogicalPlan::Projection(node) => scan_rows(&node.input),
        LogicalPlan::Filter(node) => scan_rows(&node.input),
        LogicalPlan::SubqueryAlias(node) => scan_rows(&node.input),
        LogicalPlan::TableScan(scan) if scan.fetch.is_none() => match scanned(scan) {
            Scanned::Table(table) if !table.is_listing => {
                use datafusion::catalog::TableProvider;
                let rows = *table.statistics()?.num_rows.get_value()?;
                u64::try_from(rows).ok()
            }
            _ => None,
        },
        _ => None,
    }
}

fn contains_subquery(expr: &Expr) -> bool {
    use datafusion::common::tree_node::TreeNode;
    let is_subquery = |expr: &Expr| {
        Ok(matches!(
            expr,
            Expr::ScalarSubquery(_) | Expr::InSubquery(_) | Expr::Exists(_) | Expr::SetComparison(_) | Expr::Unnest(_)
        ) || expr.is_volatile_node())
    };
    expr.exists(is_subquery).unwrap_or(true)
}
