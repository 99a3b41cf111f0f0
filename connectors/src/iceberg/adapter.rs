//! From the table's columns to those of one data file, matched by Iceberg field id.
//!
//! Invariants:
//! - Names never match anything: a file's column `a` is the table's column `a` only if the ids are equal.
//! - A column that the file lacks is NULL; one that must not be NULL is an error.
//! - A type is read only as itself or by a promotion that Iceberg allows; anything else is refused by name.
//! - The rewritten expressions name the file's own columns, so that row groups and pages are pruned by them.

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
}

impl PhysicalExprAdapterFactory for FieldIdAdapterFactory {
    fn create(&self, logical: SchemaRef, physical: SchemaRef) -> EngineResult<Arc<dyn PhysicalExprAdapter>> {
        let by_id: HashMap<i32, usize> = physical
            .fields()
            .iter()
            .enumerate()
            .filter_map(|(place, field)| field_id(field).map(|id| (id, place)))
            .collect();
        if by_id.is_empty() && !physical.fields().is_empty() {
            return Err(self.unsupported("data files without field ids".to_owned()).into());
        }
        Ok(Arc::new(FieldIdAdapter {
            factory: self.clone(),
            logical,
            physical,
            by_id,
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
        let read: Arc<dyn PhysicalExpr> = if wanted.data_type() == held.data_type() {
            own
        } else if promotes(held.data_type(), wanted.data_type())
            || alike(held.data_type(), wanted.data_type())
        {
            Arc::new(CastExpr::new_with_target_field(
                own,
                Arc::new(wanted.clone()),
                None,
            ))
        } else {
            let feature = format!(
                "column {} of type {} stored as {}",
                wanted.name(),
                wanted.data_type(),
                held.data_type()
            );
            return Err(self.factory.unsupported(feature).into());
        };
        let nan = field_id(wanted).is_some_and(|id| self.factory.may_hold_nan.contains(&id));
        Ok(if nan { Arc::new(Unpruned::new(read)) } else { read })
    }

    fn absent(&self, wanted: &Field) -> EngineResult<Arc<dyn PhysicalExpr>> {
        if !wanted.is_nullable() {
            let feature = format!("required column {} that a data file lacks", wanted.name());
            return Err(self.factory.unsupported(feature).into());
        }
        let null = ScalarValue::try_from(wanted.data_type())?;
        Ok(Arc::new(Literal::new_with_metadata(
            null,
            Some(FieldMetadata::from(wanted)),
        )))
    }
}

/// Whether values of a column stored as `held` can be read as `wanted` without loss, by Iceberg's rules.
fn promotes(held: &DataType, wanted: &DataType) -> bool {
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

/// Whether two nested types are the same by ids and leaves, so that a cast by position and by name is right: they may
/// differ in what carries no value (names of list elements and map entries, nullability, comments).
fn alike(held: &DataType, wanted: &DataType) -> bool {
    match (held, wanted) {
        (DataType::List(held) | DataType::LargeList(held), DataType::List(wanted)) => {
            same_field(held, wanted)
        }
        (DataType::Map(held, _), DataType::Map(wanted, _)) => match (held.data_type(), wanted.data_type()) {
            (DataType::Struct(held), DataType::Struct(wanted)) if held.len() == 2 && wanted.len() == 2 => {
                held.iter()
                    .zip(wanted)
                    .all(|(held, wanted)| same_field(held, wanted))
            }
            _ => false,
        },
        (DataType::Struct(held), DataType::Struct(wanted)) => {
            held.len() == wanted.len()
                && held
                    .iter()
                    .zip(wanted)
                    .all(|(held, wanted)| held.name() == wanted.name() && same_field(held, wanted))
        }
        _ => false,
    }
}

fn same_field(held: &Field, wanted: &Field) -> bool {
    let (held_type, wanted_type) = (held.data_type(), wanted.data_type());
    field_id(held) == field_id(wanted)
        && (held_type == wanted_type || promotes(held_type, wanted_type) || alike(held_type, wanted_type))
}
