//! Rows of a TPC-H generator, gathered into Arrow columns.

use std::fmt::{Display, Write};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Date32Array, Decimal128Array, Int32Array, Int64Array, RecordBatch, StringArray, StringBuilder,
};
use iceberg::spec::PrimitiveType;
use tpchgen::dates::TPCHDate;
use tpchgen::decimal::TPCHDecimal;

use crate::append::Batches;
use crate::contract::Column;
use crate::error::{Error, Result};
use crate::zone::Zone;

/// Rows of one batch: enough that a split into 84 months leaves pieces worth a write.
const ROWS: usize = 1 << 16;
/// TPC-H's decimals: 15 digits, 2 of them after the point.
const PRECISION: u8 = 15;
const SCALE: i8 = 2;

/// The columns of one batch, by name in order.
pub(super) type Columns = Vec<(&'static str, ArrayRef)>;

/// Gathers rows into batches as they are drawn.
pub(super) fn batches<R, I>(table: &'static str, mut rows: I, gather: fn(&[R]) -> Result<Columns>) -> Batches
where
    R: Send + 'static,
    I: Iterator<Item = R> + Send + 'static,
{
    Box::new(std::iter::from_fn(move || {
        let chunk: Vec<R> = rows.by_ref().take(ROWS).collect();
        if chunk.is_empty() {
            return None;
        }
        let table = format!("{}.{table}", Zone::Gold);
        Some(gather(&chunk).and_then(|columns| {
            RecordBatch::try_from_iter(columns).map_err(|error| Error::arrow(&table, error))
        }))
    }))
}

/// 64-bit keys.
pub(super) fn longs<R>(rows: &[R], value: impl Fn(&R) -> i64) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(rows.iter().map(value)))
}

/// 32-bit counts.
pub(super) fn ints<R>(rows: &[R], value: impl Fn(&R) -> i32) -> ArrayRef {
    Arc::new(Int32Array::from_iter_values(rows.iter().map(value)))
}

/// Money and rates.
pub(super) fn decimals<R>(rows: &[R], value: impl Fn(&R) -> TPCHDecimal) -> Result<ArrayRef> {
    let hundredths =
        Decimal128Array::from_iter_values(rows.iter().map(|row| i128::from(value(row).into_inner())));
    let typed = hundredths.with_precision_and_scale(PRECISION, SCALE);
    Ok(Arc::new(typed.map_err(|error| Error::arrow("tpch", error))?))
}

/// Days.
pub(super) fn dates<R>(rows: &[R], value: impl Fn(&R) -> TPCHDate) -> ArrayRef {
    Arc::new(Date32Array::from_iter_values(
        rows.iter().map(|row| value(row).to_unix_epoch()),
    ))
}

/// Text that the row holds.
pub(super) fn texts<'r, R>(rows: &'r [R], value: impl Fn(&'r R) -> &'r str) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(rows.iter().map(value)))
}

/// Text that the row prints.
pub(super) fn printed<'r, R, D: Display + 'r>(rows: &'r [R], value: impl Fn(&'r R) -> D) -> ArrayRef {
    let mut builder = StringBuilder::with_capacity(rows.len(), rows.len() * 24);
    for row in rows {
        // Writing into the builder's memory cannot fail; its only error is the formatter's own, and these types have none.
        if write!(builder, "{}", value(row)).is_err() {
            tracing::error!("a TPC-H value refused to print");
        }
        builder.append_value("");
    }
    Arc::new(builder.finish())
}

/// A required 64-bit key column.
pub(super) fn key(name: &str, doc: &str) -> Column {
    Column::required(name, PrimitiveType::Long, doc)
}

/// A required 32-bit column.
pub(super) fn int(name: &str, doc: &str) -> Column {
    Column::required(name, PrimitiveType::Int, doc)
}

/// A required decimal column.
pub(super) fn decimal(name: &str, doc: &str) -> Column {
    Column::required(
        name,
        PrimitiveType::Decimal {
            precision: PRECISION.into(),
            scale: SCALE.unsigned_abs().into(),
        },
        doc,
    )
}

/// A required date column.
pub(super) fn date(name: &str, doc: &str) -> Column {
    Column::required(name, PrimitiveType::Date, doc)
}

/// A required text column.
pub(super) fn text(name: &str, doc: &str) -> Column {
    Column::required(name, PrimitiveType::String, doc)
}
