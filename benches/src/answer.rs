//! Small results of different engines, compared cell by cell.
//!
//! Whole numbers, texts and dates must be equal; an engine may give an average or a quotient as a decimal and another as a
//! float, so figures may differ by one unit of the coarser decimal's last place, or by 1e-9 of their size.

use std::cmp::Ordering;

use anyhow::{Context as _, Result};
use arrow::array::{Array as _, AsArray as _, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use arrow::util::display::{ArrayFormatter, FormatOptions};

#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Text(String),
    /// A number and the value of its last place, 0 where it has none.
    Number(f64, f64),
}

/// The rows of a small result, in an order of their own.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    columns: usize,
    rows: Vec<Vec<Cell>>,
}

impl Answer {
    /// The rows of `batches`.
    ///
    /// # Errors
    /// When a column cannot be shown as numbers or as text.
    pub fn of(batches: &[RecordBatch]) -> Result<Self> {
        let columns = batches.first().map_or(0, RecordBatch::num_columns);
        let mut rows = Vec::new();
        for batch in batches {
            let cells = (0..batch.num_columns())
                .map(|at| column(batch, at))
                .collect::<Result<Vec<_>>>()?;
            rows.extend(
                (0..batch.num_rows()).map(|row| cells.iter().map(|cells| cells[row].clone()).collect()),
            );
        }
        rows.sort_by(in_order);
        Ok(Self { columns, rows })
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// What is different in `other`, as one sentence; none when they are equal.
    pub fn difference(&self, other: &Self) -> Option<String> {
        if self.len() != other.len() {
            return Some(format!("{} rows and {}", self.len(), other.len()));
        }
        if self.len() > 0 && self.columns != other.columns {
            return Some(format!("{} columns and {}", self.columns, other.columns));
        }
        let pairs = self.rows.iter().zip(&other.rows);
        let mut cells = pairs.flat_map(|(one, other)| one.iter().zip(other));
        cells
            .find(|(one, other)| !same(one, other))
            .map(|(one, other)| format!("{one:?} and {other:?}"))
    }
}

fn same(one: &Cell, other: &Cell) -> bool {
    match (one, other) {
        (Cell::Number(one, one_unit), Cell::Number(other, other_unit)) => {
            let slack = one_unit.max(*other_unit).max(1e-9 * other.abs());
            // A half more, because the difference of two floats is not exact.
            (one - other).abs() <= 1.5 * slack
        }
        _ => one == other,
    }
}

/// Rows by what engines agree on first, and by figures then.
fn in_order(one: &Vec<Cell>, other: &Vec<Cell>) -> Ordering {
    let texts = |row: &Vec<Cell>| -> Vec<String> {
        row.iter()
            .filter_map(|cell| match cell {
                Cell::Text(text) => Some(text.clone()),
                Cell::Null => Some(String::new()),
                Cell::Number(..) => None,
            })
            .collect()
    };
    let numbers = |row: &Vec<Cell>| -> Vec<f64> {
        let number = |cell: &Cell| {
            if let Cell::Number(value, _) = cell {
                Some(*value)
            } else {
                None
            }
        };
        row.iter().filter_map(number).collect()
    };
    let by_number = || {
        let (one, other) = (numbers(one), numbers(other));
        let mut orders = one.iter().zip(&other).map(|(one, other)| one.total_cmp(other));
        orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    };
    texts(one).cmp(&texts(other)).then_with(by_number)
}

fn column(batch: &RecordBatch, at: usize) -> Result<Vec<Cell>> {
    let column = batch.column(at);
    let unit = match column.data_type() {
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) if *scale > 0 => {
            Some(10_f64.powi(-i32::from(*scale)))
        }
        kind if kind.is_numeric() => Some(0.0),
        _ => None,
    };
    let name = || batch.schema_ref().field(at).name().clone();
    let Some(unit) = unit else {
        let options = FormatOptions::default();
        let shown = ArrayFormatter::try_new(column, &options).with_context(name)?;
        let text = |row| {
            if column.is_null(row) {
                Cell::Null
            } else {
                Cell::Text(shown.value(row).to_string())
            }
        };
        return Ok((0..column.len()).map(text).collect());
    };
    let floats = cast(column, &DataType::Float64).with_context(name)?;
    let floats = floats.as_primitive::<Float64Type>();
    Ok(floats
        .iter()
        .map(|value| value.map_or(Cell::Null, |value| Cell::Number(value, unit)))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{ArrayRef, Decimal128Array, Float64Array, Int64Array, StringArray};
    use std::sync::Arc;

    fn answer(texts: &[&str], figures: ArrayRef) -> Answer {
        let texts = Arc::new(StringArray::from(texts.to_vec())) as ArrayRef;
        Answer::of(&[RecordBatch::try_from_iter([("text", texts), ("figure", figures)]).unwrap()]).unwrap()
    }

    #[test]
    fn an_average_may_be_a_float_or_a_decimal() {
        let decimals = |values: Vec<i128>| {
            Arc::new(
                Decimal128Array::from(values)
                    .with_precision_and_scale(19, 6)
                    .unwrap(),
            ) as ArrayRef
        };
        let one = answer(&["a", "b"], decimals(vec![25_522_005, 38_273_129_734]));
        let floats = |values: Vec<f64>| Arc::new(Float64Array::from(values)) as ArrayRef;
        let other = answer(&["b", "a"], floats(vec![38_273.129_734_621, 25.522_005_853]));
        assert_eq!(one.difference(&other), None);
        let wrong = answer(&["b", "a"], floats(vec![38_273.129_734_621, 25.522_105_853]));
        assert!(one.difference(&wrong).is_some());
    }

    #[test]
    fn counts_are_exact() {
        let counts = |values: Vec<i64>| answer(&["a", "b"], Arc::new(Int64Array::from(values)));
        assert_eq!(counts(vec![1, 2]).difference(&counts(vec![1, 2])), None);
        assert!(counts(vec![1, 2]).difference(&counts(vec![1, 3])).is_some());
        assert!(
            counts(vec![1, 2])
                .difference(&answer(&["a"], Arc::new(Int64Array::from(vec![1]))))
                .is_some()
        );
    }
}
