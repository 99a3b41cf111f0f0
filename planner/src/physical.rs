//! Guarded plan to operators, and whether a result can be cut into parts.
//!
//! A result is cut only when each part can be computed alone at the cost of its own rows: one scan with filters and
//! projections above it. Everything else (joins, sorts, aggregates, limits) is one part.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode};
use datafusion::datasource::DefaultTableSource;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{Expr, LogicalPlan, TableScan, Volatility};
use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties};
use datafusion::physical_planner::{DefaultPhysicalPlanner, PhysicalPlanner as _};

use crate::arithmetic::checked;
use crate::config::Config;
use crate::enforce::audit::audit;
use crate::enforce::guard::GuardedPlan;
use crate::enforce::{Scanned, scanned};
use crate::error::{Error, Result};
use crate::functions::measured;
use crate::optimize::{FILTER, Notes, RemotePlanner, Withheld, binding, bound, federated};
use crate::request::Partition;

/// A plan of operators, with what was found on the way to it.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub(crate) operators: Arc<dyn ExecutionPlan>,
    pub(crate) notes: Arc<Notes>,
}

/// Optimises the plan, checks its guards again, hands down what a source can do whole, and chooses operators.
pub(crate) async fn plan(guard: &GuardedPlan, state: &SessionState, withheld: &Withheld) -> Result<Planned> {
    let optimized = match withheld.is_empty() {
        true => state.optimize(guard.plan())?,
        false => state.optimize(&without_filters(guard.plan().clone(), withheld)?)?,
    };
    // Once more after the engine's rules: they write arithmetic and calls of their own.
    let optimized = measured(checked(optimized)?, true)?;
    audit(&optimized, guard)?;
    let (federated, notes) = federated(optimized, withheld)?;
    let planner = DefaultPhysicalPlanner::with_extension_planners(vec![Arc::new(RemotePlanner)]);
    let operators = match notes.has_statements && !withheld.is_all() {
        true => bound(planner.create_physical_plan(&federated, &binding(state)).await?)?,
        false => planner.create_physical_plan(&federated, state).await?,
    };
    Ok(Planned {
        operators,
        notes: Arc::new(notes),
    })
}

/// How many partitions to ask for when the rows that `plan` reads are worth cutting; none when it is one part.
pub(crate) fn wanted_partitions(plan: &Arc<dyn ExecutionPlan>, config: &Config) -> Option<usize> {
    let rows = u64::try_from(rows_read(plan)?).ok()?;
    let parts = rows.div_ceil(config.endpoint_rows.max(1));
    let parts = usize::try_from(parts)
        .unwrap_or(usize::MAX)
        .min(config.endpoints_max);
    (parts > 1).then_some(parts)
}

/// Rows that the leaf of a chain of operators reads, after files were pruned.
fn rows_read(plan: &Arc<dyn ExecutionPlan>) -> Option<usize> {
    match plan.children().as_slice() {
        [] => plan
            .partition_statistics(None)
            .ok()?
            .num_rows
            .get_value()
            .copied(),
        [input] => rows_read(input),
        _ => None,
    }
}

/// The parts of a plan that was made for `target` partitions.
pub(crate) fn partitions(plan: &Arc<dyn ExecutionPlan>, target: usize) -> Vec<Partition> {
    let count = plan.output_partitioning().partition_count();
    (0..count)
        .map(|index| Partition { index, count, target })
        .collect()
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
    Err(Error::VersionGone {
        table: "the result".to_owned(),
        version: format!("part {}", partition.index),
    })
}

/// Whether each part of the plan's rows can be computed alone: one scan of a source's table under filters and
/// projections whose expressions give the same value wherever they run.
pub(crate) fn can_be_cut(plan: &LogicalPlan) -> bool {
    if plan.expressions().iter().any(is_shared_or_volatile) {
        return false;
    }
    match plan {
        LogicalPlan::Projection(node) => can_be_cut(&node.input),
        LogicalPlan::Filter(node) => can_be_cut(&node.input),
        LogicalPlan::SubqueryAlias(node) => can_be_cut(&node.input),
        LogicalPlan::TableScan(scan) => {
            scan.fetch.is_none() && matches!(scanned(scan), Scanned::Table(table) if !table.is_listing)
        }
        _ => false,
    }
}

/// A plan that can be cut, over tables without views. Its rows leave as they are read, and clients are given plain
/// strings: a view would be made only to be unmade. It must come before types are coerced, which is the optimiser's work.
pub(crate) fn without_views(plan: LogicalPlan) -> Result<LogicalPlan> {
    let swapped = plan.transform_up(|node| match node {
        LogicalPlan::TableScan(scan) => {
            let plain = match scanned(&scan) {
                Scanned::Table(table) => table.without_views(),
                _ => None,
            };
            let Some(plain) = plain else {
                return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
            };
            let source = Arc::new(DefaultTableSource::new(Arc::new(plain)));
            let scan =
                TableScan::try_new(scan.table_name, source, scan.projection, scan.filters, scan.fetch)?;
            Ok(Transformed::yes(LogicalPlan::TableScan(scan)))
        }
        other => Ok(Transformed::yes(other.recompute_schema()?)),
    })?;
    Ok(swapped.data)
}

/// A plan over tables that take no filters, where their source is not handed any.
fn without_filters(plan: LogicalPlan, withheld: &Withheld) -> Result<LogicalPlan> {
    let swapped = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::TableScan(scan) = node else {
            return Ok(Transformed::no(node));
        };
        let kept = match scanned(&scan) {
            Scanned::Table(table) if withheld.has(&table.name.catalog, FILTER) => table.without_filters(),
            _ => None,
        };
        let Some(kept) = kept else {
            return Ok(Transformed::no(LogicalPlan::TableScan(scan)));
        };
        let source = Arc::new(DefaultTableSource::new(Arc::new(kept)));
        Ok(Transformed::yes(LogicalPlan::TableScan(TableScan {
            source,
            ..scan
        })))
    })?;
    Ok(swapped.data)
}

/// Whether a plan that can be cut gives the same operators whenever it is planned: nothing in it asks for the time.
pub(crate) fn is_pure(plan: &LogicalPlan) -> bool {
    let asks = |expr: &Expr| {
        Ok(
            matches!(expr, Expr::ScalarFunction(call) if call.func.signature().volatility != Volatility::Immutable),
        )
    };
    let is_own = plan
        .expressions()
        .iter()
        .all(|expr| !expr.exists(asks).unwrap_or(true));
    is_own && plan.inputs().into_iter().all(is_pure)
}

fn is_shared_or_volatile(expr: &Expr) -> bool {
    let stays = |expr: &Expr| {
        let is_subquery = matches!(
            expr,
            Expr::ScalarSubquery(_)
                | Expr::InSubquery(_)
                | Expr::Exists(_)
                | Expr::SetComparison(_)
                | Expr::Unnest(_)
        );
        Ok(is_subquery || expr.is_volatile_node())
    };
    expr.exists(stays).unwrap_or(true)
}
