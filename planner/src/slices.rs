//! Rows in slices, below operators that make much of each row or take long over it: an operator computes a whole batch
//! before it can be stopped or its memory counted, so such a one gets small batches.
//!
//! Invariant: below an operator that spreads a long text, makes many columns, calls a slow function or unfolds lists, no
//! batch is larger than what the operator can make of it within [`SLICE_BYTES`], or than [`SLOW_ROWS`]. A single row whose lists alone would
//! pass [`ROW_BYTES_MAX`] is refused.

use std::fmt;
use std::sync::Arc;

use arrow::array::{Array, AsArray as _, RecordBatch};
use arrow::datatypes::DataType;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::Literal;
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use datafusion::physical_plan::aggregates::AggregateExec;
use datafusion::physical_plan::coop::cooperative;
use datafusion::physical_plan::filter::FilterExec;
use datafusion::physical_plan::projection::ProjectionExec;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::unnest::UnnestExec;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, PlanProperties};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use crate::functions::is_slow;

/// What an operator may make of one slice, in bytes.
const SLICE_BYTES: u128 = 32 << 20;
/// What the lists of one row may become.
const ROW_BYTES_MAX: u128 = 256 << 20;
/// Rows at a time for a function that may take seconds over a few.
const SLOW_ROWS: usize = 64;
/// A text shorter than this is spread over a batch without a thought.
const LONG_TEXT: usize = 4 << 10;
/// Columns from which on an operator's output is cut by its width.
const MANY_COLUMNS: usize = 512;
/// What a value of a row takes that is no text, and a view of one that is.
const VALUE_BYTES: u128 = 16;

/// `node` with its input in slices, where it needs them.
///
/// # Errors
/// `Internal` when an operator refuses its own input back.
pub(crate) fn sliced(node: Arc<dyn ExecutionPlan>) -> Result<Option<Arc<dyn ExecutionPlan>>> {
    let Some(limit) = limit(node.as_ref()) else {
        return Ok(None);
    };
    let inputs = node.children().into_iter().map(|input| {
        Arc::new(SlicesExec {
            input: Arc::clone(input),
            limit: limit.clone(),
        }) as Arc<dyn ExecutionPlan>
    });
    let inputs = inputs.collect();
    node.with_new_children(inputs).map(Some)
}

/// How large a slice may be.
#[derive(Clone, Debug)]
enum Limit {
    Rows(usize),
    /// By what the lists in these columns become.
    Lists(Vec<usize>),
}

fn limit(node: &dyn ExecutionPlan) -> Option<Limit> {
    if let Some(unnest) = node.downcast_ref::<UnnestExec>() {
        let lists = unnest.list_column_indices().iter();
        return Some(Limit::Lists(
            lists.map(|list| list.index_in_input_schema).collect(),
        ));
    }
    let exprs: Vec<Arc<dyn PhysicalExpr>> = if let Some(projection) = node.downcast_ref::<ProjectionExec>() {
        projection.expr().iter().map(|of| Arc::clone(&of.expr)).collect()
    } else if let Some(filter) = node.downcast_ref::<FilterExec>() {
        vec![Arc::clone(filter.predicate())]
    } else if let Some(aggregate) = node.downcast_ref::<AggregateExec>() {
        let calls = aggregate.aggr_expr().iter().flat_map(|call| call.expressions());
        aggregate
            .group_expr()
            .input_exprs()
            .into_iter()
            .chain(calls)
            .collect()
    } else {
        return None;
    };
    let wide = match exprs.len() {
        columns if columns >= MANY_COLUMNS => Some(within(VALUE_BYTES * columns as u128)),
        _ => None,
    };
    exprs.iter().filter_map(rows).chain(wide).min().map(Limit::Rows)
}

/// Rows of so many bytes in a slice.
fn within(row_bytes: u128) -> usize {
    usize::try_from(SLICE_BYTES / row_bytes).unwrap_or(1).max(1)
}

/// How many rows an expression should see at a time; none if it does not matter.
fn rows(expr: &Arc<dyn PhysicalExpr>) -> Option<usize> {
    let mut least = None;
    let mut at_most = |rows: usize| least = Some(least.map_or(rows, |least: usize| least.min(rows)));
    let walked = expr.apply(|expr| {
        let expr: &dyn PhysicalExpr = expr.as_ref();
        if let Some(literal) = expr.downcast_ref::<Literal>()
            && let Some(bytes) = length(literal.value()).filter(|bytes| *bytes >= LONG_TEXT)
        {
            at_most(within(bytes as u128));
        }
        if let Some(call) = expr.downcast_ref::<ScalarFunctionExpr>()
            && is_slow(call.fun().name())
        {
            at_most(SLOW_ROWS);
        }
        Ok(TreeNodeRecursion::Continue)
    });
    walked.ok().and(least)
}

/// Bytes of a text or a list.
fn length(value: &datafusion::scalar::ScalarValue) -> Option<usize> {
    use datafusion::scalar::ScalarValue::{
        Binary, BinaryView, FixedSizeBinary, LargeBinary, LargeUtf8, List, Utf8, Utf8View,
    };
    match value {
        Utf8(Some(text)) | LargeUtf8(Some(text)) | Utf8View(Some(text)) => Some(text.len()),
        Binary(Some(bytes)) | LargeBinary(Some(bytes)) | BinaryView(Some(bytes)) => Some(bytes.len()),
        FixedSizeBinary(_, Some(bytes)) => Some(bytes.len()),
        List(list) => Some(list.get_array_memory_size()),
        _ => None,
    }
}

/// Passes its input's rows on, a few at a time.
#[derive(Debug)]
struct SlicesExec {
    input: Arc<dyn ExecutionPlan>,
    limit: Limit,
}

impl DisplayAs for SlicesExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.limit {
            Limit::Rows(rows) => write!(f, "SlicesExec: rows={rows}"),
            Limit::Lists(_) => write!(f, "SlicesExec: by lists"),
        }
    }
}

impl ExecutionPlan for SlicesExec {
    fn name(&self) -> &'static str {
        "SlicesExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        self.input.properties()
    }

    fn maintains_input_order(&self) -> Vec<bool> {
        vec![true]
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        vec![&self.input]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            input: children.swap_remove(0),
            limit: self.limit.clone(),
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let limit = self.limit.clone();
        let rows = self.input.execute(partition, context)?;
        let slices = rows
            .map(move |batch| batch.and_then(|batch| cut(&batch, &limit)))
            .map_ok(|slices| stream::iter(slices).map(Ok))
            .try_flatten();
        // Each slice is a turn, so that a deadline is noticed between two.
        let slices = RecordBatchStreamAdapter::new(self.input.schema(), slices.boxed());
        Ok(Box::pin(cooperative(slices)))
    }
}

fn cut(batch: &RecordBatch, limit: &Limit) -> Result<Vec<RecordBatch>> {
    let all = batch.num_rows();
    let mut slices = Vec::new();
    match limit {
        Limit::Rows(rows) => {
            for start in (0..all).step_by(*rows) {
                slices.push(batch.slice(start, (*rows).min(all - start)));
            }
        }
        Limit::Lists(lists) => {
            let (mut start, mut bytes) = (0, 0_u128);
            for (row, weight) in unfolded(batch, lists).into_iter().enumerate() {
                if weight > ROW_BYTES_MAX {
                    return Err(DataFusionError::ResourcesExhausted(format!(
                        "unnest would make more than {} MiB of one row",
                        ROW_BYTES_MAX >> 20
                    )));
                }
                if bytes.saturating_add(weight) > SLICE_BYTES && row > start {
                    slices.push(batch.slice(start, row - start));
                    (start, bytes) = (row, 0);
                }
                bytes = bytes.saturating_add(weight);
            }
            slices.push(batch.slice(start, all - start));
        }
    }
    Ok(slices)
}

/// Bytes that each row becomes when its longest list is unfolded: the other columns are repeated for each element.
fn unfolded(batch: &RecordBatch, lists: &[usize]) -> Vec<u128> {
    let mut widths = vec![VALUE_BYTES * batch.num_columns() as u128; batch.num_rows()];
    let mut longest = vec![1_u128; batch.num_rows()];
    for (place, column) in batch.columns().iter().enumerate() {
        for row in 0..batch.num_rows() {
            match lists.contains(&place) {
                true => longest[row] = longest[row].max(items(column.as_ref(), row)),
                false => widths[row] += text(column.as_ref(), row),
            }
        }
    }
    let pairs = widths.into_iter().zip(longest);
    pairs.map(|(width, items)| width.saturating_mul(items)).collect()
}

fn items(column: &dyn Array, row: usize) -> u128 {
    let count = match column.data_type() {
        DataType::List(_) => usize::try_from(column.as_list::<i32>().value_length(row)).unwrap_or(0),
        DataType::LargeList(_) => usize::try_from(column.as_list::<i64>().value_length(row)).unwrap_or(0),
        DataType::FixedSizeList(_, length) => usize::try_from(*length).unwrap_or(0),
        _ => 1,
    };
    count as u128
}

/// Bytes that are copied with a row; a view is copied without its text.
fn text(column: &dyn Array, row: usize) -> u128 {
    let bytes = match column.data_type() {
        DataType::Utf8 => usize::try_from(column.as_string::<i32>().value_length(row)).unwrap_or(0),
        DataType::LargeUtf8 => usize::try_from(column.as_string::<i64>().value_length(row)).unwrap_or(0),
        DataType::Binary => usize::try_from(column.as_binary::<i32>().value_length(row)).unwrap_or(0),
        DataType::LargeBinary => usize::try_from(column.as_binary::<i64>().value_length(row)).unwrap_or(0),
        DataType::List(_) => items(column, row) as usize * 16,
        _ => 0,
    };
    bytes as u128
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array, ListArray, RecordBatch, StringArray};
    use arrow::datatypes::Int64Type;

    use super::{Limit, cut};

    fn rows(slices: &[RecordBatch]) -> Vec<usize> {
        slices.iter().map(RecordBatch::num_rows).collect()
    }

    #[test]
    fn rows_are_cut_and_none_is_lost() {
        let column: ArrayRef = Arc::new(Int64Array::from_iter_values(0..130));
        let batch = RecordBatch::try_from_iter([("a", column)]).unwrap();
        let slices = cut(&batch, &Limit::Rows(64)).unwrap();
        assert_eq!(rows(&slices), [64, 64, 2]);
        let again = arrow::compute::concat_batches(&batch.schema(), &slices).unwrap();
        assert_eq!(again, batch);
    }

    #[test]
    fn rows_with_long_lists_are_cut_by_what_they_become() {
        let lists = ListArray::from_iter_primitive::<Int64Type, _, _>(
            [10_000, 1, 10_000, 0].map(|items| Some(vec![Some(1); items])),
        );
        let texts = StringArray::from(vec!["x".repeat(3_000), "y".into(), "z".repeat(3_000), "".into()]);
        let batch = RecordBatch::try_from_iter([
            ("l", Arc::new(lists) as ArrayRef),
            ("t", Arc::new(texts) as ArrayRef),
        ])
        .unwrap();
        let slices = cut(&batch, &Limit::Lists(vec![0])).unwrap();
        assert_eq!(rows(&slices), [2, 2]);
        let texts = StringArray::from(vec!["x".repeat(30_000); 4]);
        let columns = vec![Arc::clone(batch.column(0)), Arc::new(texts) as ArrayRef];
        let wide = RecordBatch::try_new(batch.schema(), columns).unwrap();
        assert!(cut(&wide, &Limit::Lists(vec![0])).is_err());
    }
}
