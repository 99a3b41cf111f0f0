//! Operators that give way. A join makes any number of batches from one batch of its inputs, and the engine counts only
//! those of its leaves, so that an aggregate over a large join would run to its end before anybody could stop it.
//!
//! Invariant: between two turns of the scheduler no join gives more batches than a task may take in one turn, so that a
//! deadline and a client that has gone away are noticed.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::coop::CooperativeExec;

use crate::error::Result;
use crate::slices::sliced;

/// `plan` with a place to give way above every operator of several inputs, and above those that multiply the rows of
/// one. Rows, order and partitions stay as they are.
///
/// # Errors
/// `Internal` when an operator refuses its own inputs back.
pub(crate) fn giving_way(plan: Arc<dyn ExecutionPlan>) -> Result<Arc<dyn ExecutionPlan>> {
    let wrapped = plan.transform_up(|node| {
        let node = match sliced(Arc::clone(&node))? {
            Some(sliced) => Transformed::yes(sliced),
            None => Transformed::no(node),
        };
        if node.data.children().len() < 2 && node.data.name() != "UnnestExec" {
            return Ok(node);
        }
        Ok(Transformed::yes(
            Arc::new(CooperativeExec::new(node.data)) as Arc<dyn ExecutionPlan>
        ))
    })?;
    Ok(wrapped.data)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use datafusion::physical_plan::coalesce_partitions::CoalescePartitionsExec;
    use datafusion::physical_plan::joins::CrossJoinExec;
    use datafusion::physical_plan::placeholder_row::PlaceholderRowExec;
    use datafusion::physical_plan::{ExecutionPlan, ExecutionPlanProperties as _};

    use super::giving_way;

    fn row(name: &str) -> Arc<dyn ExecutionPlan> {
        let schema = Schema::new(vec![Field::new(name, DataType::Null, true)]);
        Arc::new(PlaceholderRowExec::new(Arc::new(schema)))
    }

    #[test]
    fn a_join_gives_way_wherever_it_stands_and_a_chain_is_left_alone() {
        let join = Arc::new(CrossJoinExec::new(row("a"), row("b")));
        let plan: Arc<dyn ExecutionPlan> = Arc::new(CoalescePartitionsExec::new(join));
        let polite = giving_way(Arc::clone(&plan)).unwrap();
        assert_eq!(polite.schema(), plan.schema());
        assert_eq!(
            polite.output_partitioning().partition_count(),
            plan.output_partitioning().partition_count()
        );
        let below = Arc::clone(polite.children()[0]);
        assert_eq!(below.name(), "CooperativeExec");
        assert_eq!(below.children()[0].name(), "CrossJoinExec");
        assert_eq!(giving_way(row("a")).unwrap().name(), "PlaceholderRowExec");
    }
}
