//! From the table's columns to those of one data file, matched by Iceberg field id.
//!
//! Invariants:
//! - Names never match anything: a file's column `a` is the table's column `a` only if the ids are equal.
//! - A column that the file lacks has the value of the file's partition, else its initial default, else NULL; one that
//!   must not be NULL is an error.
//! - A type is read only as itself or by a promotion that Iceberg allows; anything else is refused by name.
//! - The rewritten expressions name the file's own columns, so that row groups and pages are pruned by them.

use super::naming;
use super::nested::{Defaults, Reshaped, Shape};
use super::schema::field_id;
use super::unpruned::Unpruned;
use crate::Error;
use arrow::datatypes::{DataType, Field, SchemaRef, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::common::metadata::FieldMetadata;
use datafusion::common::tree_node::{Transformed, TransformedResult, TreeNode};
use datafusion::error::Result as EngineResult;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{CastExpr, Column, Literal};
use datafusion::physical_expr_adapter::{PhysicalExprAdapter, PhysicalExprAdapterFactory};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

/// Makes the adapters of one scan.
#[derive(Clone, Debug)]
pub(super) struct FieldIdAdapterFactory {
    /// `schema.table`, for errors.
    pub(super) table: Arc<str>,
    /// The ids of float columns that may hold NaN in some file of the scan.
    pub(super) may_hold_nan: Arc<BTreeSet<i32>>,
    /// What columns are in files older than they.
    pub(super) defaults: Arc<Defaults>,
}

impl PhysicalExprAdapterFactory for FieldIdAdapterFactory {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> EngineResult<Arc<dyn PhysicalExprAdapter>> {
        let mut by_id = HashMap::new();
        for (place, field) in physical.fields().iter().enumerate() {
            if let Some(id) = field_id(field)
                && by_id.insert(id, place).is_some()
            {
                return Err(self
                    .unsupported(format!("two columns of a data file as field {id}"))
                    .into());
            }
        }
        let carried = naming::carried(physical.metadata())
            .ok_or_else(|| self.unsupported("partition values that cannot be read".to_owned()))?;
        if by_id.is_empty() && carried.is_empty() && !physical.fields().is_empty() {
            return Err(self.unsupported("data files without field ids".to_owned()).into());
        }
        Ok(Arc::new(FieldIdAdapter {
            factory: self.clone(),
            logical,
            physical,
            by_id,
            carried,
        }))
    }
}

impl FieldIdAdapterFactory {
    fn unsupported(&self, feature: String) -> Error {
        Error::Unsupported {
            table: self.table.to_string(),
            feature,
        }
    }
}

/// Rewrites expressions over the table's columns for one file.
#[derive(Debug)]
struct FieldIdAdapter {
    factory: FieldIdAdapterFactory,
    logical: SchemaRef,
    physical: SchemaRef,
    by_id: HashMap<i32, usize>,
    /// The values of columns that the file leaves to its partition.
    carried: HashMap<i32, ScalarValue>,
}

impl PhysicalExprAdapter for FieldIdAdapter {
    fn rewrite(&self, expr: Arc<dyn PhysicalExpr>) -> EngineResult<Arc<dyn PhysicalExpr>> {
        expr.transform(|node| match node.downcast_ref::<Column>() {
            Some(column) => Ok(Transformed::yes(self.column(column)?)),
            None => Ok(Transformed::no(node)),
        })
        .data()
    }
}

impl FieldIdAdapter {
    fn column(&self, column: &Column) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let wanted = self.logical.field_with_name(column.name())?;
        let found = field_id(wanted).and_then(|id| self.by_id.get(&id));
        let Some(place) = found else {
            return self.absent(wanted);
        };
        let held = self.physical.field(*place);
        let own: Arc<dyn PhysicalExpr> = Arc::new(Column::new(held.name(), *place));
        let shape = Shape::of(held.data_type(), wanted.data_type(), &self.factory.defaults);
        let read: Arc<dyn PhysicalExpr> = match shape {
            Ok(Shape::Same) => own,
            Ok(Shape::Cast(_)) => Arc::new(CastExpr::new_with_target_field(
                own,
                Arc::new(wanted.clone()),
                None,
            )),
            Ok(shape) => Arc::new(Reshaped::new(own, shape, wanted)),
            Err(problem) => {
                let feature = format!("column {} with {problem}", wanted.name());
                return Err(self.factory.unsupported(feature).into());
            }
        };
        let nan = field_id(wanted).is_some_and(|id| self.factory.may_hold_nan.contains(&id));
        Ok(if nan { Arc::new(Unpruned::new(read)) } else { read })
    }

    fn absent(&self, wanted: &Field) -> EngineResult<Arc<dyn PhysicalExpr>> {
        let id = field_id(wanted).unwrap_or_default();
        let value = match (self.carried.get(&id), self.factory.defaults.get(&id)) {
            (Some(carried), _) => self.promoted(carried, wanted)?,
            (None, Some(default)) => default.clone(),
            (None, None) => ScalarValue::try_from(wanted.data_type())?,
        };
        if value.is_null() && !wanted.is_nullable() {
            let feature = format!("required column {} that a data file lacks", wanted.name());
            return Err(self.factory.unsupported(feature).into());
        }
        Ok(Arc::new(Literal::new_with_metadata(
            value,
            Some(FieldMetadata::from(wanted)),
        )))
    }

    /// A partition's value as the column's type is now.
    fn promoted(&self, value: &ScalarValue, wanted: &Field) -> EngineResult<ScalarValue> {
        let (held, target) = (value.data_type(), wanted.data_type());
        if held == *target || promotes(&held, target) {
            return value.cast_to(target);
        }
        let feature = format!("column {} of type {target} partitioned as {held}", wanted.name());
        Err(self.factory.unsupported(feature).into())
    }
}

/// Whether values of a column stored as `held` can be read as `wanted` without loss, by Iceberg's rules.
pub(super) fn promotes(held: &DataType, wanted: &DataType) -> bool {
    use DataType::{
        Binary, BinaryView, Date32, Decimal32, Decimal64, Decimal128, Dictionary, Float32, Float64, Int8,
        Int16, Int32, Int64, LargeBinary, LargeUtf8, Timestamp, Utf8, Utf8View,
    };
    match (held, wanted) {
        (Dictionary(_, values), _) => values.as_ref() == wanted || promotes(values, wanted),
        (Int8 | Int16, Int32 | Int64) | (Int32, Int64) | (Float32, Float64) => true,
        (Utf8 | LargeUtf8 | Utf8View, Utf8 | Utf8View)
        | (Binary | LargeBinary | BinaryView, Binary | BinaryView) => true,
        // The opener may have read the bytes of a column as text because another column has its name; the cast back is
        // free of loss.
        (Utf8View, BinaryView) => true,
        (Decimal32(p, s) | Decimal64(p, s) | Decimal128(p, s), Decimal128(wp, ws)) => s == ws && p <= wp,
        (Timestamp(TimeUnit::Second | TimeUnit::Millisecond | TimeUnit::Microsecond, _), Timestamp(_, _)) => {
            true
        }
        // INT96, which Spark writes, comes as nanoseconds.
        (Timestamp(TimeUnit::Nanosecond, _), Timestamp(TimeUnit::Nanosecond | TimeUnit::Microsecond, _)) => {
            true
        }
        (Date32, Timestamp(_, None)) => true,
        _ => false,
    }
}
