//! Sorts the rows of one file by the contract's order.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::{SortColumn, SortOptions, concat_batches, lexsort_to_indices, take_record_batch};

use super::write::Plan;
use crate::error::{Error, Result};

/// Rows per batch handed to the encoder: bounds what the encoder copies at once.
const ROWS: usize = 1 << 16;

/// All rows of `batches` in the plan's order, ascending, nulls first. The input is given up while the output is made.
pub(super) fn sorted(plan: &Plan, batches: Vec<RecordBatch>) -> Result<Vec<RecordBatch>> {
    let failed = |error| Error::arrow(&plan.table, error);
    let all = concat_batches(&plan.arrow, &batches).map_err(failed)?;
    drop(batches);
    let options = SortOptions {
        descending: false,
        nulls_first: true,
    };
    let by: Vec<SortColumn> = plan
        .order
        .iter()
        .map(|&index| SortColumn {
            values: Arc::clone(all.column(index)),
            options: Some(options),
        })
        .collect();
    let indices = lexsort_to_indices(&by, None).map_err(failed)?;
    let mut parts = Vec::with_capacity(all.num_rows().div_ceil(ROWS));
    let mut start = 0;
    while start < all.num_rows() {
        let rows = ROWS.min(all.num_rows() - start);
        parts.push(take_record_batch(&all, &indices.slice(start, rows)).map_err(failed)?);
        start += rows;
    }
    Ok(parts)
}
