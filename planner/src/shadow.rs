//! Shadow verification: some queries of which a source does a part are made again without it, over the same snapshots, and
//! both answers are compared. A difference is counted and logged, and what was handed down for that query is handed down
//! to that source no more, until the process starts anew.
//!
//! Invariants:
//! - The caller's answer is not touched and does not wait: the second run begins after the last row, one at a time, within
//!   the query's deadline and `shadow_rows_max` rows of each source.
//! - What may differ by right is not compared: rows cut by a limit, functions of the moment, sums of floats.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hasher as _};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, SchemaRef};
use arrow::row::{RowConverter, SortField};
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::logical_expr::{LogicalPlan, Volatility};
use datafusion::physical_plan::execute_stream;
use futures::StreamExt;

use crate::error::Result;
use crate::execute::{Run, conform};
use crate::optimize::Withheld;
use crate::report::Report;

/// The second runs of this process, and what they found.
#[derive(Debug)]
pub(crate) struct Shadow {
    /// The share of the queries, 0 to 1.
    rate: f64,
    drawn: AtomicU64,
    is_busy: AtomicBool,
    compared: AtomicU64,
    differed: AtomicU64,
    /// Rules that are out of service, by source. There are few of either.
    withheld: Mutex<BTreeSet<(String, &'static str)>>,
}

impl Shadow {
    pub(crate) fn new(rate: f64) -> Self {
        Self {
            rate,
            drawn: AtomicU64::new(0),
            is_busy: AtomicBool::new(false),
            compared: AtomicU64::new(0),
            differed: AtomicU64::new(0),
            withheld: Mutex::default(),
        }
    }

    /// What is not handed down any more.
    pub(crate) fn withheld(&self) -> Withheld {
        Withheld::rules(self.lock().clone())
    }

    /// Second runs that gave the same, and those that did not.
    pub(crate) fn counts(&self) -> (u64, u64) {
        (
            self.compared.load(Ordering::Relaxed),
            self.differed.load(Ordering::Relaxed),
        )
    }

    /// Whether to make this query again. Whoever gets a place gives it back by dropping it.
    pub(crate) fn place(self: &Arc<Self>) -> Option<ShadowPlace> {
        if self.rate <= 0.0 {
            return None;
        }
        // The golden ratio's multiples fill the unit interval evenly: every share is met in the long run.
        let drawn = self.drawn.fetch_add(1, Ordering::Relaxed) as f64;
        let is_drawn = (drawn * 0.618_033_988_749_895).fract() < self.rate;
        let is_free = is_drawn && !self.is_busy.swap(true, Ordering::Relaxed);
        is_free.then(|| ShadowPlace(Arc::clone(self)))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<(String, &'static str)>> {
        self.withheld.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The place of the one second run.
#[derive(Debug)]
pub(crate) struct ShadowPlace(Arc<Shadow>);

impl Drop for ShadowPlace {
    fn drop(&mut self) {
        self.0.is_busy.store(false, Ordering::Relaxed);
    }
}

impl ShadowPlace {
    /// Compares the answer that was given with the one that `run` gives, which hands nothing down.
    pub(crate) async fn compare(
        self,
        given: Digest,
        run: Run,
        schema: SchemaRef,
        rules: Vec<(String, &'static str)>,
        report: Report,
    ) {
        let again = match digest(run, &schema).await {
            Ok(again) => again,
            // Too many rows, a source that went away: nothing is known.
            Err(error) => {
                tracing::debug!(error = %error, "a shadow run did not come to its end");
                return;
            }
        };
        let shadow = &self.0;
        if again == given {
            shadow.compared.fetch_add(1, Ordering::Relaxed);
            return;
        }
        shadow.differed.fetch_add(1, Ordering::Relaxed);
        tracing::error!(
            target: "lakegate::shadow",
            request = report.request,
            rows = given.rows,
            rows_unpushed = again.rows,
            withheld = ?rules,
            report = serde_json::to_string(&report).unwrap_or_default(),
            "a query gave other rows when nothing was handed down"
        );
        shadow.lock().extend(rules);
    }
}

async fn digest(run: Run, schema: &SchemaRef) -> Result<Digest> {
    let mut digest = Digest::default();
    let mut rows = execute_stream(run.plan, run.task)?;
    while let Some(batch) = rows.next().await {
        digest.take(&conform(batch?, schema)?)?;
    }
    Ok(digest)
}

/// Rows in any order as a few bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Digest {
    rows: u64,
    sum: u64,
    sum_of_squares: u64,
}

impl Digest {
    /// Takes rows in.
    ///
    /// # Errors
    /// For a type whose values have no form of bytes.
    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        self.rows += batch.num_rows() as u64;
        if batch.num_columns() == 0 {
            return Ok(());
        }
        let schema = batch.schema();
        let fields = schema
            .fields()
            .iter()
            .map(|field| SortField::new(field.data_type().clone()));
        let rows = RowConverter::new(fields.collect())?.convert_columns(batch.columns())?;
        for row in &rows {
            let mut hasher = DefaultHasher::new();
            hasher.write(row.as_ref());
            let hash = hasher.finish();
            self.sum = self.sum.wrapping_add(hash);
            self.sum_of_squares = self.sum_of_squares.wrapping_add(hash.wrapping_mul(hash));
        }
        Ok(())
    }
}

/// Whether two runs of a plan over the same rows must give the same.
pub(crate) fn is_comparable(plan: &LogicalPlan) -> bool {
    let is_exact = |data_type: &DataType| {
        let fields = [DataType::Float16, DataType::Float32, DataType::Float64];
        !fields.contains(data_type) && !data_type.is_nested()
    };
    if !plan
        .schema()
        .fields()
        .iter()
        .all(|field| is_exact(field.data_type()))
    {
        return false;
    }
    let mut is_comparable = true;
    let visited = plan.apply_with_subqueries(|node| {
        let is_cut = match node {
            LogicalPlan::Limit(_) | LogicalPlan::Window(_) | LogicalPlan::RecursiveQuery(_) => true,
            LogicalPlan::Sort(sort) => sort.fetch.is_some(),
            _ => false,
        };
        let is_volatile = node.expressions().iter().any(|expr| {
            expr.exists(|expr| {
                Ok(matches!(
                    expr,
                    datafusion::logical_expr::Expr::ScalarFunction(call)
                        if call.func.signature().volatility == Volatility::Volatile
                ))
            })
            .unwrap_or(true)
        });
        is_comparable &= !is_cut && !is_volatile;
        Ok(TreeNodeRecursion::Continue)
    });
    visited.is_ok() && is_comparable
}

#[cfg(test)]
mod tests {
    use arrow::array::{ArrayRef, Int64Array, StringArray};

    use super::*;

    fn rows(numbers: Vec<i64>, texts: Vec<Option<&str>>) -> RecordBatch {
        let numbers = Arc::new(Int64Array::from(numbers)) as ArrayRef;
        let texts = Arc::new(StringArray::from(texts)) as ArrayRef;
        RecordBatch::try_from_iter_with_nullable([("n", numbers, true), ("t", texts, true)]).unwrap()
    }

    fn of(batches: &[RecordBatch]) -> Digest {
        let mut digest = Digest::default();
        for batch in batches {
            digest.take(batch).unwrap();
        }
        digest
    }

    #[test]
    fn a_digest_forgets_order_and_cut_and_nothing_else() {
        let one = of(&[rows(vec![1, 2, 2], vec![Some("a"), None, Some("")])]);
        let other = of(&[
            rows(vec![2], vec![Some("")]),
            rows(vec![2, 1], vec![None, Some("a")]),
        ]);
        assert_eq!(one, other);
        for wrong in [
            rows(vec![1, 2, 2], vec![None, Some("a"), Some("")]),
            rows(vec![1, 2, 2], vec![Some("a"), None, None]),
            rows(vec![1, 2], vec![Some("a"), None]),
            rows(vec![1, 1, 2], vec![Some("a"), Some("a"), None]),
        ] {
            assert_ne!(of(&[wrong]), one);
        }
    }

    #[test]
    fn a_share_of_the_queries_has_a_place_and_one_at_a_time() {
        let shadow = Arc::new(Shadow::new(0.25));
        let drawn = (0..1_000).filter(|_| shadow.place().is_some()).count();
        assert!((245..=255).contains(&drawn), "{drawn}");
        assert!(Arc::new(Shadow::new(0.0)).place().is_none());
        let always = Arc::new(Shadow::new(1.0));
        let place = always.place();
        assert!(place.is_some() && always.place().is_none());
        drop(place);
        assert!(always.place().is_some());
    }
}
