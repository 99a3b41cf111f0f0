//! Joins across sources without dragging a table over: the keys of the smaller side reach the other side's statement.
//!
//! The engine makes a filter of the keys while it runs (a hash join's dynamic filter) and the source's scan takes it in;
//! here the plan is made such that the filter is one that a statement can hold, and scans are told which filters to wait
//! for. The side that is built is chosen by the sources' estimates, which is the engine's own doing.

use std::sync::Arc;

use connectors::postgres::RemoteExec;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::joins::HashJoinExec;

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

/// `plan` with its remote scans told which of their filters are joins'.
pub(crate) fn bound(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let mut joins: Vec<Arc<DynamicFilterPhysicalExpr>> = Vec::new();
    plan.apply(|node| {
        if let Some(join) = node.downcast_ref::<HashJoinExec>() {
            joins.extend(join.dynamic_filter_expr().cloned());
        }
        Ok(TreeNodeRecursion::Continue)
    })?;
    if joins.is_empty() {
        return Ok(plan);
    }
    let changed = plan.transform_up(|node| match node.downcast_ref::<RemoteExec>() {
        Some(scan) if scan.has_filters() => {
            let told: Arc<dyn ExecutionPlan> = Arc::new(scan.awaiting(&joins));
            Ok(Transformed::yes(told))
        }
        _ => Ok(Transformed::no(node)),
    })?;
    Ok(changed.data)
}
