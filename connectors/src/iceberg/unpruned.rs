//! A column that must be read but never pruned by.
//!
//! Parquet leaves NaN out of its statistics while DataFusion orders NaN above every number, so that `x > 5` over pages
//! with a maximum of 3 would lose their NaN rows. Wrapped in this expression a column has the same values, but the
//! pruning of row groups and pages, which looks for bare columns, leaves it alone.

use arrow::datatypes::{DataType, FieldRef, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::error::Result;
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The values of `inner`, hidden from pruning.
#[derive(Debug, Eq)]
pub(super) struct Unpruned {
    inner: Arc<dyn PhysicalExpr>,
}

impl Unpruned {
    /// Hides `inner`.
    pub(super) fn new(inner: Arc<dyn PhysicalExpr>) -> Self {
        Self { inner }
    }
}

// Derived ones do not compile for trait objects (rust-lang/rust#78808).
impl PartialEq for Unpruned {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner)
    }
}

impl Hash for Unpruned {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

impl fmt::Display for Unpruned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

impl PhysicalExpr for Unpruned {
    fn data_type(&self, input: &Schema) -> Result<DataType> {
        self.inner.data_type(input)
    }

    fn nullable(&self, input: &Schema) -> Result<bool> {
        self.inner.nullable(input)
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        self.inner.evaluate(batch)
    }

    fn return_field(&self, input: &Schema) -> Result<FieldRef> {
        self.inner.return_field(input)
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(inner), true) => Ok(Arc::new(Self { inner })),
            _ => Err(datafusion::error::DataFusionError::Internal(
                "unpruned column takes one input".to_owned(),
            )),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
