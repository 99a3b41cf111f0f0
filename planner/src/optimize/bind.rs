//! Joins across sources without dragging a table over: the keys of the smaller side reach the other side's statement.
//!
//! The engine makes a filter of the keys while it runs (a hash join's dynamic filter) and the source's scan takes it in;
//! here the plan is made such that the filter is one that a statement can hold, and scans are told which filters to wait
//! for. The side that is built is chosen by the sources' estimates, which is the engine's own doing.

use std::sync::Arc;

use connectors::postgres::RemoteExec;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::common::{JoinType, NullEquality};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::joins::HashJoinExec;
use datafusion::physical_plan::{ExecutionPlan, with_new_children_if_necessary};

/// Up to so many rows a side of a join is collected in one piece, whose keys are one list.
const COLLECTED_ROWS: usize = 1_000_000;
/// Up to so many bytes.
const COLLECTED_BYTES: usize = 32 << 20;
/// Up to so many keys are a list; a source's own bound may be lower.
const KEYS_MAX: usize = 20_000;
/// Up to so many bytes of keys.
const KEYS_BYTES_MAX: usize = 4 << 20;

/// The session for a plan that reads from a source which runs statements.
pub(crate) fn binding(state: &SessionState) -> SessionState {
    let mut state = state.clone();
    let optimizer = &mut state.config_mut().options_mut().optimizer;
    optimizer.hash_join_single_partition_threshold = COLLECTED_BYTES;
    optimizer.hash_join_single_partition_threshold_rows = COLLECTED_ROWS;
    optimizer.hash_join_inlist_pushdown_max_size = KEYS_BYTES_MAX;
    optimizer.hash_join_inlist_pushdown_max_distinct_values = KEYS_MAX;
    state
}

/// `plan` with its remote scans told which of their filters are joins'. A scan takes in no other filter.
pub(crate) fn bound(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut joins: Vec<Arc<DynamicFilterPhysicalExpr>> = Vec::new();
    plan.apply(|node| {
        if let Some(join) = node.downcast_ref::<HashJoinExec>()
            && drops_what_matches_nothing(join)
        {
            joins.extend(join.dynamic_filter_expr().cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    match joins.is_empty() {
        true => Ok(plan),
        false => told(plan, &joins),
    }
}

/// Whether a join gives the same when rows of its other side that match no key are not there. `NOT IN` does not: it looks
/// for a NULL among them.
fn drops_what_matches_nothing(join: &HashJoinExec) -> bool {
    let is_plain = matches!(
        join.join_type(),
        JoinType::Inner | JoinType::Left | JoinType::LeftSemi | JoinType::RightSemi | JoinType::LeftAnti
    );
    is_plain && !join.null_aware && join.null_equality() == NullEquality::NullEqualsNothing
}

fn told(
    plan: Arc<dyn ExecutionPlan>,
    joins: &[Arc<DynamicFilterPhysicalExpr>],
) -> Result<Arc<dyn ExecutionPlan>> {
    if let Some(scan) = plan.downcast_ref::<RemoteExec>() {
        return Ok(match scan.has_filters() {
            true => Arc::new(scan.awaiting(joins)),
            false => plan,
        });
    }
    // Nobody's keys go below the side in which `NOT IN` looks for a NULL.
    let keeps_right = plan
        .downcast_ref::<HashJoinExec>()
        .is_some_and(|join| join.null_aware);
    let mut children = Vec::new();
    for (place, child) in plan.children().into_iter().enumerate() {
        children.push(match keeps_right && place == 1 {
            true => Arc::clone(child),
            false => told(Arc::clone(child), joins)?,
        });
    }
    with_new_children_if_necessary(plan, children)
}
