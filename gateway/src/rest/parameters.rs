//! The values of a statement's parameters, from JSON.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use serde_json::Value;

use crate::edge::plain_type;
use crate::error::{Error, Result};
use crate::rest::problem::internal;
use crate::rest::value::{is_shortened, natural, typed};

/// Values bound to the positions `$1`, `$2`, ... of a statement that this listener writes.
#[derive(Debug, Default)]
pub(super) struct Bound(Vec<ArrayRef>);

impl Bound {
    /// Binds an array of one value; gives the name of its position.
    ///
    /// # Errors
    /// `TooLarge` past the last position that a statement can name.
    pub(super) fn push(&mut self, value: ArrayRef) -> Result<String> {
        if self.0.len() >= usize::from(u16::MAX) {
            return Err(Error::TooLarge {
                what: "number of values in the filter",
                limit: u16::MAX.to_string(),
            });
        }
        self.0.push(value);
        Ok(format!("${}", self.0.len()))
    }

    /// All of them as the one row that the engine takes; none when there are none.
    ///
    /// # Errors
    /// `Internal` when the values do not make a row, which single values always do.
    pub(super) fn batch(self) -> Result<Option<RecordBatch>> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let fields: Vec<Field> = self
            .0
            .iter()
            .enumerate()
            .map(|(index, array)| Field::new(format!("${}", index + 1), array.data_type().clone(), true))
            .collect();
        let batch =
            RecordBatch::try_new(Arc::new(Schema::new(fields)), self.0).map_err(|error| internal(&error))?;
        Ok(Some(batch))
    }
}

/// The values that a caller gives for the parameters of its own statement. A number that the wanted type cannot hold
/// exactly stays the number that it is: `WHERE id = 1.5` is a good question with an empty answer, and the engine
/// answers it.
///
/// # Errors
/// `Parameter` with the position at fault.
pub(super) fn bind(values: &[Value], wanted: &[FieldRef]) -> Result<Option<RecordBatch>> {
    if let Some(extra) = values.get(wanted.len()..).and_then(<[Value]>::first) {
        let problem = format!(
            "is one too many, the statement has {}: {}",
            wanted.len(),
            super::value::shown(extra)
        );
        return Err(planner::Error::Parameter {
            position: wanted.len() + 1,
            problem,
        }
        .into());
    }
    if values.len() < wanted.len() {
        let problem = "has no value".to_owned();
        return Err(planner::Error::Parameter {
            position: values.len() + 1,
            problem,
        }
        .into());
    }
    let mut bound = Bound::default();
    for (index, (value, field)) in values.iter().zip(wanted).enumerate() {
        let fit = fit(value, &plain_type(field.data_type()));
        let array = fit.map_err(|problem| planner::Error::Parameter {
            position: index + 1,
            problem,
        })?;
        bound.push(array)?;
    }
    bound.batch()
}

fn fit(value: &Value, wanted: &DataType) -> Result<ArrayRef, String> {
    let problem = match typed(value, wanted) {
        Ok(array) => return Ok(array),
        Err(problem) => problem,
    };
    // What a double has kept of a decimal is another number.
    if wanted.is_decimal() && is_shortened(value) {
        return Err(problem);
    }
    // A parameter whose type nothing tells is wanted as text and takes any value.
    let takes_any = matches!(wanted, DataType::Utf8) || (value.is_number() && wanted.is_numeric());
    natural(value).filter(|_| takes_any).ok_or(problem)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wanted(types: &[DataType]) -> Vec<FieldRef> {
        types
            .iter()
            .map(|data_type| Arc::new(Field::new("p", data_type.clone(), true)))
            .collect()
    }

    fn types(values: &Value, wanted_types: &[DataType]) -> Result<Vec<DataType>> {
        let batch = bind(values.as_array().unwrap(), &wanted(wanted_types))?;
        let batch = batch.unwrap();
        assert_eq!(batch.num_rows(), 1);
        Ok(batch
            .columns()
            .iter()
            .map(|column| column.data_type().clone())
            .collect())
    }

    #[test]
    fn values_take_the_types_that_the_statement_wants() {
        let decimal = DataType::Decimal128(15, 2);
        let given = json!([1, "1998-09-02", 0.05, "x", null]);
        let asked = [
            DataType::Int32,
            DataType::Date32,
            decimal,
            DataType::Utf8View,
            DataType::Int64,
        ];
        let expected = [
            DataType::Int32,
            DataType::Date32,
            DataType::Decimal128(15, 2),
            DataType::Utf8,
            DataType::Int64,
        ];
        assert_eq!(types(&given, &asked).unwrap(), expected);
    }

    #[test]
    fn a_number_that_does_not_fit_stays_what_it_is() {
        assert_eq!(
            types(&json!([1.5]), &[DataType::Int32]).unwrap(),
            [DataType::Float64]
        );
        assert_eq!(types(&json!([42]), &[DataType::Utf8]).unwrap(), [DataType::Int64]);
        assert_eq!(
            types(&json!([1_u64 << 40]), &[DataType::Int32]).unwrap(),
            [DataType::Int64]
        );
    }

    #[test]
    fn a_fault_names_its_position() {
        let position = |values: Value, asked: &[DataType]| match types(&values, asked) {
            Err(Error::Planner(planner::Error::Parameter { position, .. })) => position,
            other => panic!("{other:?}"),
        };
        assert_eq!(
            position(json!([1, "soon"]), &[DataType::Int64, DataType::Date32]),
            2
        );
        assert_eq!(position(json!([1]), &[DataType::Int64, DataType::Int64]), 2);
        assert_eq!(position(json!([1, 2]), &[DataType::Int64]), 2);
        assert_eq!(position(json!([[1]]), &[DataType::Utf8]), 1);
        assert!(bind(&[], &[]).unwrap().is_none());
    }
}
