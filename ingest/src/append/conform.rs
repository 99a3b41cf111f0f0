//! Brings a batch into exactly the table's Arrow schema, or says which column does not fit.
//!
//! Conversions are exact: they change how a value is laid out, never the value. Nothing is dropped and nothing is made up, except that an
//! optional column which the batch lacks is null.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Field, SchemaRef};

use crate::error::{ColumnProblem, Error, Result};

/// The batch with the columns of `schema`, in its order and types.
pub(super) fn conform(table: &str, schema: &SchemaRef, batch: &RecordBatch) -> Result<RecordBatch> {
    let wrong = |column: &str, problem| Error::Column {
        table: table.to_owned(),
        column: column.to_owned(),
        problem,
    };
    for field in batch.schema_ref().fields() {
        if schema.index_of(field.name()).is_err() {
            return Err(wrong(field.name(), ColumnProblem::Unknown));
        }
    }
    let mut columns = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let column = match batch.column_by_name(field.name()) {
            Some(column) => fit(table, field, column)?,
            None if field.is_nullable() => new_null_array(field.data_type(), batch.num_rows()),
            None => return Err(wrong(field.name(), ColumnProblem::Missing)),
        };
        if !field.is_nullable() && column.logical_null_count() > 0 {
            return Err(wrong(
                field.name(),
                ColumnProblem::Null {
                    nulls: column.logical_null_count(),
                },
            ));
        }
        columns.push(column);
    }
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
        .map_err(|error| Error::arrow(table, error))
}

fn fit(table: &str, field: &Field, column: &ArrayRef) -> Result<ArrayRef> {
    let (found, expected) = (column.data_type(), field.data_type());
    if found == expected {
        return Ok(Arc::clone(column));
    }
    if !exact(found, expected) {
        let problem = ColumnProblem::Type {
            found: found.clone(),
            expected: expected.clone(),
        };
        return Err(Error::Column {
            table: table.to_owned(),
            column: field.name().clone(),
            problem,
        });
    }
    cast(column, expected).map_err(|error| Error::arrow(table, error))
}

/// Whether every value of `from` is a value of `to`.
fn exact(from: &DataType, to: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Dictionary, Float32, Float64, Int8, Int16, Int32, Int64, LargeBinary, LargeUtf8,
        UInt8, UInt16, UInt32, Utf8, Utf8View,
    };
    match (from, to) {
        (Dictionary(_, values), _) => values.as_ref() == to || exact(values, to),
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | LargeUtf8) => true,
        (Binary | LargeBinary | BinaryView, Binary | LargeBinary) => true,
        (Int8 | Int16 | UInt8 | UInt16, Int32 | Int64) => true,
        (Int32 | UInt32, Int64) => true,
        (Float32, Float64) => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, Int32Array, Int64Array, StringArray, StringViewArray};
    use arrow::datatypes::Schema;

    fn schema() -> SchemaRef {
        Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
        ]))
    }

    fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
        RecordBatch::try_from_iter(columns).unwrap()
    }

    #[test]
    fn columns_are_matched_by_name_and_laid_out_anew() {
        let name: ArrayRef = Arc::new(StringViewArray::from(vec!["a", "b"]));
        let id: ArrayRef = Arc::new(Int32Array::from(vec![1, 2]));
        let fitted = conform(
            "t",
            &schema(),
            &batch(vec![("name", name), ("id", Arc::clone(&id))]),
        )
        .unwrap();
        assert_eq!(
            fitted.column(0).as_ref(),
            &Int64Array::from(vec![1, 2]) as &dyn Array
        );
        assert_eq!(
            fitted.column(1).as_ref(),
            &StringArray::from(vec!["a", "b"]) as &dyn Array
        );
        let short = conform("t", &schema(), &batch(vec![("id", id)])).unwrap();
        assert_eq!(short.column(1).null_count(), 2);
    }

    #[test]
    fn a_column_that_does_not_fit_is_named() {
        let id: ArrayRef = Arc::new(Int64Array::from(vec![Some(1), None]));
        let text: ArrayRef = Arc::new(StringArray::from(vec!["1", "2"]));
        let cases = [
            (
                batch(vec![("id", Arc::clone(&id))]),
                "column id of t is required and holds 1 nulls",
            ),
            (
                batch(vec![("id", Arc::clone(&text))]),
                "column id of t has the type Utf8, expected Int64",
            ),
            (
                batch(vec![("name", Arc::clone(&text))]),
                "column id of t is missing in the batch",
            ),
            (
                batch(vec![("id", id), ("extra", text)]),
                "column extra of t is not known to the table",
            ),
        ];
        for (batch, message) in cases {
            assert_eq!(conform("t", &schema(), &batch).unwrap_err().to_string(), message);
        }
    }
}
