//! Which containers may hold rows that a predicate keeps.
//!
//! Invariant: pruning is a matter of speed. A predicate that cannot be turned into one over bounds, a bound that is
//! missing, a failure on the way: each keeps the container.

use super::bounds::Range;
use arrow::array::{ArrayRef, BooleanArray, UInt64Array};
use arrow::datatypes::SchemaRef;
use datafusion::common::pruning::PruningStatistics;
use datafusion::common::{Column, ScalarValue};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_optimizer::pruning::PruningPredicate;
use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;

/// The predicates of one scan, made ready for bounds.
#[derive(Debug)]
pub(super) struct Pruner {
    schema: SchemaRef,
    predicates: Vec<PruningPredicate>,
}

impl Pruner {
    /// A pruner for conjuncts over `schema`. Those that say nothing about bounds are left out.
    pub(super) fn new(schema: &SchemaRef, conjuncts: &[Arc<dyn PhysicalExpr>]) -> Self {
        let predicates = conjuncts
            .iter()
            .filter_map(|conjunct| PruningPredicate::try_new(Arc::clone(conjunct), Arc::clone(schema)).ok())
            .filter(|predicate| !predicate.always_true())
            .collect();
        Self {
            schema: Arc::clone(schema),
            predicates,
        }
    }

    /// For each of `count` containers whether it may hold a row to keep. `range` tells what is known of a column (by its
    /// place in the schema) in a container, and `rows` its number of rows.
    pub(super) fn keep(
        &self,
        count: usize,
        range: impl Fn(usize, usize) -> Range,
        rows: impl Fn(usize) -> Option<u64>,
    ) -> Vec<bool> {
        let mut keep = vec![true; count];
        if count == 0 {
            return keep;
        }
        let statistics = Bounds {
            schema: &self.schema,
            count,
            range,
            rows,
        };
        for predicate in &self.predicates {
            match predicate.prune(&statistics) {
                Ok(verdict) => keep.iter_mut().zip(verdict).for_each(|(keep, may)| *keep &= may),
                Err(error) => tracing::debug!(%error, "predicate not used for pruning"),
            }
        }
        keep
    }
}

/// The ranges of all containers, as arrays, one column at a time.
struct Bounds<'a, R, N> {
    schema: &'a SchemaRef,
    count: usize,
    range: R,
    rows: N,
}

impl<R, N> fmt::Debug for Bounds<'_, R, N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bounds")
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl<R: Fn(usize, usize) -> Range, N> Bounds<'_, R, N> {
    fn values(&self, column: &Column, side: impl Fn(Range) -> Option<ScalarValue>) -> Option<ArrayRef> {
        let index = self.schema.index_of(column.name()).ok()?;
        let unknown = ScalarValue::try_from(self.schema.field(index).data_type()).ok()?;
        let mut known = false;
        let values = (0..self.count).map(|container| match side((self.range)(container, index)) {
            Some(value) => {
                known = true;
                value
            }
            None => unknown.clone(),
        });
        let array = ScalarValue::iter_to_array(values.collect::<Vec<_>>()).ok()?;
        known.then_some(array)
    }
}

impl<R: Fn(usize, usize) -> Range, N: Fn(usize) -> Option<u64>> PruningStatistics for Bounds<'_, R, N> {
    fn min_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |range| range.min)
    }

    fn max_values(&self, column: &Column) -> Option<ArrayRef> {
        self.values(column, |range| range.max)
    }

    fn num_containers(&self) -> usize {
        self.count
    }

    fn null_counts(&self, column: &Column) -> Option<ArrayRef> {
        let index = self.schema.index_of(column.name()).ok()?;
        let nulls: UInt64Array = (0..self.count)
            .map(|container| (self.range)(container, index).nulls)
            .collect();
        Some(Arc::new(nulls))
    }

    fn row_counts(&self) -> Option<ArrayRef> {
        let rows: UInt64Array = (0..self.count).map(&self.rows).collect();
        Some(Arc::new(rows))
    }

    fn contained(&self, _column: &Column, _values: &HashSet<ScalarValue>) -> Option<BooleanArray> {
        None
    }
}
