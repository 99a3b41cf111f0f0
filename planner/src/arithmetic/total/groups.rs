//! Sums and averages of many groups at once.

use std::marker::PhantomData;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, BooleanArray, PrimitiveArray, UInt64Array};
use arrow::buffer::NullBuffer;
use arrow::datatypes::UInt64Type;
use datafusion::error::Result;
use datafusion::logical_expr::{EmitTo, GroupsAccumulator};
use datafusion::physical_expr::NullState;

use super::wide::{Addend, Outcome, Wide, zero};

/// A sum for each group.
#[derive(Debug)]
pub(super) struct Groups<T, W: Wide> {
    outcome: Outcome<W>,
    sums: Vec<W::Native>,
    /// Values in each sum; of averages alone.
    rows: Vec<u64>,
    nulls: NullState,
    of: PhantomData<T>,
}

impl<T: Addend<W>, W: Wide> Groups<T, W> {
    pub(super) fn new(outcome: Outcome<W>) -> Self {
        Self {
            outcome,
            sums: Vec::new(),
            rows: Vec::new(),
            nulls: NullState::new(),
            of: PhantomData,
        }
    }

    fn checked(&self, has_gone_round: bool) -> Result<()> {
        match has_gone_round {
            true => Err(self.outcome.overflow()),
            false => Ok(()),
        }
    }
}

impl<T: Addend<W>, W: Wide> GroupsAccumulator for Groups<T, W> {
    fn update_batch(
        &mut self,
        values: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        let values = values[0].as_primitive::<T>();
        let mut has_gone_round = false;
        self.sums.resize(count, zero::<W>());
        let (sums, rows) = (&mut self.sums, &mut self.rows);
        if self.outcome.is_average() {
            rows.resize(count, 0);
            self.nulls
                .accumulate(groups, values, filter, count, |group, value: T::Native| {
                    let (sum, is_round) = W::plus(sums[group], T::widened(value));
                    sums[group] = sum;
                    rows[group] += 1;
                    has_gone_round |= is_round;
                });
        } else {
            self.nulls
                .accumulate(groups, values, filter, count, |group, value: T::Native| {
                    let (sum, is_round) = W::plus(sums[group], T::widened(value));
                    sums[group] = sum;
                    has_gone_round |= is_round;
                });
        }
        self.checked(has_gone_round)
    }

    fn merge_batch(
        &mut self,
        states: &[ArrayRef],
        groups: &[usize],
        filter: Option<&BooleanArray>,
        count: usize,
    ) -> Result<()> {
        let partial: &PrimitiveArray<W> = match self.outcome.is_average() {
            true => {
                let counts = states[0].as_primitive::<UInt64Type>();
                self.rows.resize(count, 0);
                let rows = &mut self.rows;
                self.nulls
                    .accumulate(groups, counts, filter, count, |group, value| rows[group] += value);
                states[1].as_primitive()
            }
            false => states[0].as_primitive(),
        };
        let mut has_gone_round = false;
        self.sums.resize(count, zero::<W>());
        let sums = &mut self.sums;
        self.nulls
            .accumulate(groups, partial, filter, count, |group, value| {
                let (sum, is_round) = W::plus(sums[group], value);
                sums[group] = sum;
                has_gone_round |= is_round;
            });
        self.checked(has_gone_round)
    }

    fn evaluate(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let nulls = self.nulls.build(emit);
        let sums = emit.take_needed(&mut self.sums);
        let rows = match self.outcome.is_average() {
            true => emit.take_needed(&mut self.rows),
            false => vec![1; sums.len()],
        };
        let values: Vec<T::Native> = sums
            .into_iter()
            .zip(rows)
            .enumerate()
            .map(
                |(group, (sum, rows))| match nulls.as_ref().is_some_and(|nulls| nulls.is_null(group)) {
                    true => Ok(zero::<T>()),
                    false => self.outcome.of::<T>(sum, rows),
                },
            )
            .collect::<Result<_>>()?;
        let array = PrimitiveArray::<T>::new(values.into(), nulls);
        Ok(Arc::new(array.with_data_type(self.outcome.data_type.clone())))
    }

    fn state(&mut self, emit: EmitTo) -> Result<Vec<ArrayRef>> {
        let nulls = self.nulls.build(emit);
        let sums = emit.take_needed(&mut self.sums);
        let sums = PrimitiveArray::<W>::new(sums.into(), nulls.clone());
        let sums: ArrayRef = Arc::new(sums.with_data_type(self.outcome.wide.clone()));
        if !self.outcome.is_average() {
            return Ok(vec![sums]);
        }
        let rows = emit.take_needed(&mut self.rows);
        Ok(vec![Arc::new(UInt64Array::new(rows.into(), nulls)), sums])
    }

    fn convert_to_state(&self, values: &[ArrayRef], filter: Option<&BooleanArray>) -> Result<Vec<ArrayRef>> {
        let values = values[0].as_primitive::<T>();
        let kept = filter.map(|filter| {
            NullBuffer::new(match filter.nulls() {
                Some(nulls) => filter.values() & nulls.inner(),
                None => filter.values().clone(),
            })
        });
        let nulls = NullBuffer::union(values.nulls(), kept.as_ref());
        let sums: Vec<W::Native> = values.values().iter().map(|value| T::widened(*value)).collect();
        let sums = PrimitiveArray::<W>::new(sums.into(), nulls.clone());
        let sums: ArrayRef = Arc::new(sums.with_data_type(self.outcome.wide.clone()));
        if !self.outcome.is_average() {
            return Ok(vec![sums]);
        }
        let ones = UInt64Array::new(vec![1; values.len()].into(), nulls);
        Ok(vec![Arc::new(ones), sums])
    }

    fn supports_convert_to_state(&self) -> bool {
        true
    }

    fn size(&self) -> usize {
        self.sums.capacity() * size_of::<W::Native>()
            + self.rows.capacity() * size_of::<u64>()
            + self.nulls.size()
    }
}
