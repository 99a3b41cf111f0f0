//! The sum or the average of the values that differ, of all rows or of the rows in a window.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray as _, PrimitiveArray};
use arrow::datatypes::DataType;
use datafusion::common::utils::SingleRowListArrayBuilder;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::wide::{Addend, Outcome, Wide, zero};

/// The values seen, with the number of rows that each is in.
#[derive(Debug)]
pub(super) struct Distinct<T: Addend<W>, W: Wide> {
    outcome: Outcome<W>,
    /// Of the values.
    data_type: DataType,
    seen: HashMap<T::Native, u64>,
    /// Of the values seen, each once.
    sum: W::Native,
}

impl<T: Addend<W>, W: Wide> Distinct<T, W>
where
    T::Native: Eq + Hash,
{
    pub(super) fn new(outcome: Outcome<W>, data_type: DataType) -> Self {
        Self {
            outcome,
            data_type,
            seen: HashMap::new(),
            sum: zero::<W>(),
        }
    }

    fn add(&mut self, values: &PrimitiveArray<T>) -> Result<()> {
        for value in values.iter().flatten() {
            let rows = self.seen.entry(value).or_default();
            *rows += 1;
            if *rows == 1 {
                self.sum = self.exact(W::plus(self.sum, T::widened(value)))?;
            }
        }
        Ok(())
    }

    fn exact(&self, (sum, has_gone_round): (W::Native, bool)) -> Result<W::Native> {
        match has_gone_round {
            true => Err(self.outcome.overflow()),
            false => Ok(sum),
        }
    }
}

impl<T: Addend<W>, W: Wide> Accumulator for Distinct<T, W>
where
    T::Native: Eq + Hash,
{
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        self.add(values[0].as_primitive())
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        for values in states[0].as_list::<i32>().iter().flatten() {
            self.add(values.as_primitive())?;
        }
        Ok(())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        for value in values[0].as_primitive::<T>().iter().flatten() {
            if let Some(rows) = self.seen.get_mut(&value) {
                *rows -= 1;
                if *rows == 0 {
                    self.seen.remove(&value);
                    self.sum = self.exact(W::minus(self.sum, T::widened(value)))?;
                }
            }
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = match self.seen.len() as u64 {
            0 => None,
            rows => Some(self.outcome.of::<T>(self.sum, rows)?),
        };
        ScalarValue::new_primitive::<T>(value, &self.outcome.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let values = PrimitiveArray::<T>::from_iter_values(self.seen.keys().copied());
        let values = Arc::new(values.with_data_type(self.data_type.clone()));
        let list = SingleRowListArrayBuilder::new(values)
            .with_nullable(true)
            .build_list_scalar();
        Ok(vec![list])
    }

    fn size(&self) -> usize {
        size_of_val(self) + self.seen.capacity() * (size_of::<T::Native>() + size_of::<u64>() + 1)
    }
}
