//! Parameters: what a statement wants, and values made fit for it.
//!
//! A value is turned into the type that the statement wants only when nothing is lost by it; otherwise it stays as it
//! came and the engine compares it as it would compare a literal. `WHERE id = 1.5` on an integer must find nothing, not
//! the row of 1.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, RecordBatch};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::scalar::ScalarValue;

use crate::error::{Error, Result};

/// The parameters of a plan in order of position. One whose type cannot be told is text.
///
/// # Errors
/// `Parameter` when one parameter is wanted with two types, or a position is missing.
pub(crate) fn wanted(plan: &LogicalPlan) -> Result<Vec<FieldRef>> {
    let found = found(plan)?;
    let mut fields = Vec::with_capacity(found.len());
    for position in 1..=found.len() {
        let name = format!("${position}");
        let Some(data_type) = found.get(&name) else {
            return Err(Error::Parameter {
                position,
                problem: "is missing in the statement".to_owned(),
            });
        };
        let data_type = data_type.as_ref().map_or(DataType::Utf8, plain);
        fields.push(Arc::new(Field::new(name, data_type, true)));
    }
    Ok(fields)
}

/// The type that each parameter is wanted with. The engine's own walk would refuse a parameter that stands once beside
/// a column and once beside a number, because the column's type carries metadata and the number's does not.
fn found(plan: &LogicalPlan) -> Result<HashMap<String, Option<DataType>>> {
    let mut found: HashMap<String, Option<DataType>> = HashMap::new();
    let mut clash = None;
    plan.apply_with_subqueries(|node| {
        // A number of rows; the engine tells no type for it.
        let rows = matches!(node, LogicalPlan::Limit(_)).then_some(&DataType::Int64);
        node.apply_expressions(|expr| {
            expr.apply(|expr| {
                let (expr, cast) = match expr {
                    Expr::Cast(cast) => (cast.expr.as_ref(), Some(cast.field.data_type())),
                    Expr::TryCast(cast) => (cast.expr.as_ref(), Some(cast.field.data_type())),
                    other => (other, rows),
                };
                if let Expr::Placeholder(placeholder) = expr {
                    // The engine tells no type for `CAST(? AS BIGINT)`; what it is cast to is what is wanted.
                    let inferred = placeholder.field.as_ref().map(|field| field.data_type());
                    let wanted = inferred.or(cast).cloned();
                    let known = found.entry(placeholder.id.clone()).or_default();
                    match (known.as_ref(), wanted) {
                        (Some(first), Some(second)) if plain(first) != plain(&second) => {
                            clash.get_or_insert_with(|| (placeholder.id.clone(), name(first), name(&second)));
                        }
                        (None, Some(wanted)) => *known = Some(wanted),
                        _ => {}
                    }
                }
                Ok(TreeNodeRecursion::Continue)
            })
        })
    })?;
    match clash {
        None => Ok(found),
        Some((id, first, second)) => Err(Error::Parameter {
            position: id.trim_start_matches('$').parse().unwrap_or(0),
            problem: format!("is wanted as {first} and as {second}; cast it to one of them"),
        }),
    }
}

/// Views are the engine's own affair; a client declares plain text and bytes.
fn plain(data_type: &DataType) -> DataType {
    match data_type {
        DataType::Utf8View | DataType::LargeUtf8 | DataType::Null => DataType::Utf8,
        DataType::BinaryView | DataType::LargeBinary => DataType::Binary,
        other => other.clone(),
    }
}

/// The values of one row, fit for `wanted`.
///
/// # Errors
/// `Parameter` with the position for a missing or superfluous value, or one that cannot be read as what is wanted.
pub(crate) fn values(batch: &RecordBatch, row: usize, wanted: &[FieldRef]) -> Result<Vec<ScalarValue>> {
    if batch.num_columns() < wanted.len() {
        return Err(Error::Parameter {
            position: batch.num_columns() + 1,
            problem: "has no value".to_owned(),
        });
    }
    if batch.num_columns() > wanted.len() {
        let problem = format!("is one too many, the statement has {}", wanted.len());
        return Err(Error::Parameter {
            position: wanted.len() + 1,
            problem,
        });
    }
    let columns = batch.columns().iter().zip(wanted).enumerate();
    columns
        .map(|(index, (column, field))| value(column, row, field, index + 1))
        .collect()
}

fn value(column: &dyn Array, row: usize, wanted: &Field, position: usize) -> Result<ScalarValue> {
    let column = column.slice(row, 1);
    let given = ScalarValue::try_from_array(&column, 0).map_err(|_| Error::Parameter {
        position,
        problem: format!("cannot be of type {}", column.data_type()),
    })?;
    if given.is_null() {
        return Ok(ScalarValue::try_from(wanted.data_type()).unwrap_or(ScalarValue::Null));
    }
    let (from, to) = (column.data_type(), wanted.data_type());
    if from == to || is_text(to) {
        return Ok(given);
    }
    let strict = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    match cast_with_options(&column, to, &strict) {
        Ok(fit) => {
            let lossless = is_text(from)
                || cast_with_options(&fit, from, &strict)
                    .is_ok_and(|back| back.to_data() == column.to_data());
            if lossless {
                Ok(ScalarValue::try_from_array(&fit, 0)?)
            } else {
                Ok(given)
            }
        }
        Err(_) if is_text(from) || !(is_number(from) && is_number(to)) => {
            let problem = format!("{} cannot be read as {}", name(from), name(to));
            Err(Error::Parameter { position, problem })
        }
        Err(_) => Ok(given),
    }
}

fn name(data_type: &DataType) -> String {
    crate::type_name(data_type)
}

fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Float64Array, Int64Array, StringArray};

    fn one(array: ArrayRef, wanted: DataType) -> Result<ScalarValue> {
        value(&array, 0, &Field::new("$1", wanted, true), 1)
    }

    #[test]
    fn a_value_changes_type_only_when_nothing_is_lost() {
        let long: ArrayRef = Arc::new(Int64Array::from(vec![7]));
        assert_eq!(one(long, DataType::Int32).unwrap(), ScalarValue::Int32(Some(7)));
        let fraction: ArrayRef = Arc::new(Float64Array::from(vec![1.5]));
        assert_eq!(
            one(fraction, DataType::Int32).unwrap(),
            ScalarValue::Float64(Some(1.5))
        );
        let large: ArrayRef = Arc::new(Int64Array::from(vec![1 << 40]));
        assert_eq!(
            one(large, DataType::Int32).unwrap(),
            ScalarValue::Int64(Some(1 << 40))
        );
        let date: ArrayRef = Arc::new(StringArray::from(vec!["1998-09-02"]));
        assert_eq!(
            one(date, DataType::Date32).unwrap(),
            ScalarValue::Date32(Some(10_471))
        );
        let null: ArrayRef = Arc::new(StringArray::from(vec![None::<&str>]));
        assert_eq!(one(null, DataType::Int64).unwrap(), ScalarValue::Int64(None));
    }

    #[test]
    fn a_value_that_cannot_be_read_is_named_by_position() {
        let word: ArrayRef = Arc::new(StringArray::from(vec!["abc"]));
        assert!(matches!(
            one(word, DataType::Int64),
            Err(Error::Parameter { position: 1, .. })
        ));
    }
}
