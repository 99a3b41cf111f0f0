//! What the optimiser may know of a file without opening it.
//!
//! Invariants:
//! - Row and null counts of a file without deletes are exact: they answer `COUNT` without reading. Where deletes apply,
//!   nothing is exact: the numbers are those of the rows before them.
//! - A bound is exact, and may answer `MIN` and `MAX`, only where a writer has no reason to widen it: not for strings and
//!   binaries, which are cut short, and not for floats, which leave NaN out.

use super::files::{PlannedFile, Snapshot, metrics_range};
use super::schema::field_id;
use arrow::datatypes::DataType;
use datafusion::common::stats::Precision;
use datafusion::common::{ColumnStatistics, ScalarValue, Statistics};

/// How much larger a column of variable width is in memory than compressed on disk, as a rule of thumb.
const EXPANSION: usize = 3;

/// The statistics of one file.
pub(super) fn of_file(of: &Snapshot, file: &PlannedFile) -> Statistics {
    let rows = count(file.data().record_count());
    let columns: Vec<_> = (0..of.schema.fields().len())
        .map(|column| of_column(of, file, column, &rows))
        .collect();
    let bytes = columns
        .iter()
        .filter_map(|column| column.byte_size.get_value())
        .sum();
    let all = Statistics {
        num_rows: rows,
        total_byte_size: Precision::Inexact(bytes),
        column_statistics: columns,
    };
    if file.deletes.is_some() {
        all.to_inexact()
    } else {
        all
    }
}

fn of_column(of: &Snapshot, file: &PlannedFile, column: usize, rows: &Precision<usize>) -> ColumnStatistics {
    let field = of.schema.field(column);
    let range = metrics_range(of, file.data(), column);
    let certain = tight(field.data_type());
    let width = field.data_type().primitive_width();
    let stored = field_id(field)
        .and_then(|id| file.data().column_sizes().get(&id))
        .and_then(|size| usize::try_from(*size).ok());
    let bytes = match (width, rows.get_value(), stored) {
        (Some(width), Some(rows), _) => Precision::Inexact(rows.saturating_mul(width)),
        (_, _, Some(stored)) => Precision::Inexact(stored.saturating_mul(EXPANSION)),
        _ => Precision::Absent,
    };
    ColumnStatistics {
        null_count: range.nulls.map_or(Precision::Absent, count),
        min_value: precision(range.min, certain),
        max_value: precision(range.max, certain),
        sum_value: Precision::Absent,
        distinct_count: Precision::Absent,
        byte_size: bytes,
    }
}

/// Whether writers keep the bounds of a type as they are.
fn tight(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Boolean
            | DataType::Int32
            | DataType::Int64
            | DataType::Date32
            | DataType::Time64(_)
            | DataType::Timestamp(_, _)
            | DataType::Decimal128(_, _)
    )
}

/// A bound for the engine's estimates. The ends of 64 bits are none: between both the engine counts 2^64 values, which
/// goes round to none, and divides by that.
fn precision(value: Option<ScalarValue>, certain: bool) -> Precision<ScalarValue> {
    let is_end = |value: &ScalarValue| {
        let (ScalarValue::Int64(number)
        | ScalarValue::Time64Microsecond(number)
        | ScalarValue::TimestampMicrosecond(number, _)
        | ScalarValue::TimestampNanosecond(number, _)) = value
        else {
            return false;
        };
        matches!(number, Some(i64::MIN | i64::MAX))
    };
    match value.filter(|value| !is_end(value)) {
        Some(value) if certain => Precision::Exact(value),
        Some(value) => Precision::Inexact(value),
        None => Precision::Absent,
    }
}

fn count(number: u64) -> Precision<usize> {
    usize::try_from(number).map_or(Precision::Absent, Precision::Exact)
}
