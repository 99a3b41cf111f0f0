//! `lakegate.max_rows_from_source`: at most so many rows of one source come into a query.
//!
//! What the estimates tell is refused before the run (`rules.rs`); this counts what really comes, and ends the query at
//! the first row too many. It stands directly above each leaf, so that what it counts is what left the source.

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use datafusion::common::Statistics;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::StreamExt;

use crate::error::Error;
use crate::report::leaf_source;
use crate::rules::TooManyRows;

/// `plan` with a count above each leaf; all leaves of a source share one. `too_many` makes the refusal for a source.
pub(crate) fn counted(
    plan: Arc<dyn ExecutionPlan>,
    limit: u64,
    too_many: impl Fn(&str) -> TooManyRows,
) -> Result<Arc<dyn ExecutionPlan>> {
    let mut counts: HashMap<String, Arc<Count>> = HashMap::new();
    let counted = plan.transform_up(|node| {
        let Some(source) = leaf_source(&node) else {
            return Ok(Transformed::no(node));
        };
        let count = counts.entry(source.clone()).or_insert_with(|| {
            Arc::new(Count {
                rows: AtomicU64::new(0),
                limit,
                refusal: too_many(&source),
            })
        });
        let bound = RowsBound {
            input: node,
            count: Arc::clone(count),
        };
        Ok(Transformed::yes(Arc::new(bound) as Arc<dyn ExecutionPlan>))
    })?;
    Ok(counted.data)
}

/// The rows of one source in one run.
#[derive(Debug)]
struct Count {
    rows: AtomicU64,
    limit: u64,
    refusal: TooManyRows,
}

/// The rows of a leaf, counted.
#[derive(Debug)]
struct RowsBound {
    input: Arc<dyn ExecutionPlan>,
    count: Arc<Count>,
}

impl DisplayAs for RowsBound {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RowsBound: limit={}", self.count.limit)
    }
}

impl ExecutionPlan for RowsBound {
    fn name(&self) -> &str {
        "RowsBound"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match (children.pop(), children.is_empty()) {
            (Some(input), true) => Ok(Arc::new(Self {
                input,
                count: Arc::clone(&self.count),
            })),
            _ => Err(DataFusionError::Internal("a count has one input".to_owned())),
        }
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let rows = self.input.execute(partition, context)?;
        let count = Arc::clone(&self.count);
        let counted = rows.map(move |batch| {
            let batch = batch?;
            let rows = batch.num_rows() as u64;
            let all = count.rows.fetch_add(rows, Ordering::Relaxed).saturating_add(rows);
            match all > count.limit {
                true => Err(DataFusionError::External(Box::new(Error::TooManyRows(
                    count.refusal.clone(),
                )))),
                false => Ok(batch),
            }
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            self.input.schema(),
            counted,
        )))
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        self.input.partition_statistics(partition)
    }
}
