//! The sum or the average of all rows, or of the rows in a window.

use std::marker::PhantomData;

use arrow::array::{Array, ArrayRef, AsArray as _, PrimitiveArray};
use arrow::datatypes::UInt64Type;
use datafusion::error::Result;
use datafusion::logical_expr::Accumulator;
use datafusion::scalar::ScalarValue;

use super::wide::{Addend, Outcome, Wide, zero};

/// One sum.
#[derive(Debug)]
pub(super) struct Plain<T, W: Wide> {
    outcome: Outcome<W>,
    sum: W::Native,
    /// Values in the sum; for sums that are merged, partial sums.
    rows: u64,
    of: PhantomData<T>,
}

impl<T: Addend<W>, W: Wide> Plain<T, W> {
    pub(super) fn new(outcome: Outcome<W>) -> Self {
        Self {
            outcome,
            sum: zero::<W>(),
            rows: 0,
            of: PhantomData,
        }
    }

    fn add(&mut self, values: impl Iterator<Item = W::Native>) -> Result<()> {
        let (mut sum, mut has_gone_round) = (self.sum, false);
        for value in values {
            let (next, is_round) = W::plus(sum, value);
            sum = next;
            has_gone_round |= is_round;
        }
        self.sum = sum;
        match has_gone_round {
            true => Err(self.outcome.overflow()),
            false => Ok(()),
        }
    }
}

fn present(array: &dyn Array) -> u64 {
    (array.len() - array.null_count()) as u64
}

impl<T: Addend<W>, W: Wide> Accumulator for Plain<T, W> {
    fn update_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        self.rows += present(values);
        match values.null_count() {
            0 => self.add(values.values().iter().map(|value| T::widened(*value))),
            _ => self.add(values.iter().flatten().map(T::widened)),
        }
    }

    fn merge_batch(&mut self, states: &[ArrayRef]) -> Result<()> {
        let sums: &PrimitiveArray<W> = match self.outcome.is_average() {
            true => {
                let counts = states[0].as_primitive::<UInt64Type>();
                self.rows += counts.iter().flatten().sum::<u64>();
                states[1].as_primitive()
            }
            false => states[0].as_primitive(),
        };
        if !self.outcome.is_average() {
            self.rows += present(sums);
        }
        self.add(sums.iter().flatten())
    }

    fn retract_batch(&mut self, values: &[ArrayRef]) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        self.rows -= present(values);
        for value in values.iter().flatten() {
            let (sum, is_round) = W::minus(self.sum, T::widened(value));
            if is_round {
                return Err(self.outcome.overflow());
            }
            self.sum = sum;
        }
        Ok(())
    }

    fn supports_retract_batch(&self) -> bool {
        true
    }

    fn evaluate(&mut self) -> Result<ScalarValue> {
        let value = match self.rows {
            0 => None,
            rows => Some(self.outcome.of::<T>(self.sum, rows)?),
        };
        ScalarValue::new_primitive::<T>(value, &self.outcome.data_type)
    }

    fn state(&mut self) -> Result<Vec<ScalarValue>> {
        let sum = (self.rows > 0).then_some(self.sum);
        let sum = ScalarValue::new_primitive::<W>(sum, &self.outcome.wide)?;
        Ok(match self.outcome.is_average() {
            true => vec![ScalarValue::UInt64(Some(self.rows)), sum],
            false => vec![sum],
        })
    }

    fn size(&self) -> usize {
        size_of_val(self)
    }
}
