//! From a column as a file holds it to the same column as the table has it, by field id at every depth.
//!
//! Invariants:
//! - Within structs, names and places match nothing: children are found by id, absent ones are their initial default or
//!   NULL. Elements of lists and the two sides of maps have one place only, which an id may confirm.
//! - A type is read only as itself or by a promotion that Iceberg allows.
//! - A NULL struct stays NULL: defaults fill what a struct leaves out, never the struct.

use super::adapter::promotes;
use super::schema::field_id;
use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, ListArray, MapArray, StructArray};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema};
use arrow::record_batch::RecordBatch;
use datafusion::common::ScalarValue;
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::ColumnarValue;
use datafusion::physical_expr::PhysicalExpr;
use std::collections::HashMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

/// The initial defaults of a table's fields, at every depth, by field id.
pub(super) type Defaults = HashMap<i32, ScalarValue>;

/// How a value becomes one of the table's type.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// As it is.
    Same,
    /// By a cast without loss.
    Cast(DataType),
    /// Child by child.
    Struct(Fields, Vec<Source>),
    /// Element by element.
    List(FieldRef, Box<Shape>),
    /// Side by side; the field of the entries comes first, that of their type within.
    Map(FieldRef, Box<Shape>, Box<Shape>),
}

/// Where a struct's child comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// A child of the file's struct, by its place.
    Child(usize, Shape),
    /// The same value everywhere.
    Constant(ScalarValue),
}

impl Shape {
    /// How values stored as `held` are read as `wanted`.
    ///
    /// # Errors
    /// What cannot be read so, as a noun phrase.
    pub(super) fn of(held: &DataType, wanted: &DataType, defaults: &Defaults) -> Result<Self, String> {
        if held == wanted {
            return Ok(Self::Same);
        }
        match (held, wanted) {
            (DataType::Struct(held), DataType::Struct(wanted)) => {
                let sources = wanted.iter().map(|field| source(held, field, defaults));
                Ok(Self::Struct(wanted.clone(), sources.collect::<Result<_, _>>()?))
            }
            (DataType::List(held) | DataType::LargeList(held), DataType::List(wanted)) => {
                let element = part(held, wanted, defaults)?;
                Ok(Self::List(Arc::clone(wanted), Box::new(element)))
            }
            (DataType::Map(held, _), DataType::Map(wanted, _)) => {
                match (held.data_type(), wanted.data_type()) {
                    (DataType::Struct(held), DataType::Struct(pair))
                        if held.len() == 2 && pair.len() == 2 =>
                    {
                        let key = part(&held[0], &pair[0], defaults)?;
                        let value = part(&held[1], &pair[1], defaults)?;
                        Ok(Self::Map(Arc::clone(wanted), Box::new(key), Box::new(value)))
                    }
                    _ => Err("a map that is none".to_owned()),
                }
            }
            _ if promotes(held, wanted) => Ok(Self::Cast(wanted.clone())),
            _ => Err(format!("type {wanted} stored as {held}")),
        }
    }

    /// Reads values.
    fn apply(&self, values: &ArrayRef) -> Result<ArrayRef> {
        match self {
            Self::Same => Ok(Arc::clone(values)),
            Self::Cast(wanted) => {
                let strict = CastOptions {
                    safe: false,
                    ..Default::default()
                };
                Ok(cast_with_options(values, wanted, &strict)?)
            }
            Self::Struct(fields, sources) => {
                let held = values.as_struct_opt().ok_or_else(|| other("a struct"))?;
                // The engine reads a child without looking at its struct, so that a default must not show through.
                let gone = held.nulls().map(|valid| BooleanArray::new(!valid.inner(), None));
                let children = sources.iter().map(|source| match (source, &gone) {
                    (Source::Child(place, shape), _) => shape.apply(held.column(*place)),
                    (Source::Constant(value), None) => value.to_array_of_size(held.len()),
                    (Source::Constant(value), Some(gone)) => Ok(arrow::compute::nullif(
                        &value.to_array_of_size(held.len())?,
                        gone,
                    )?),
                });
                let children = children.collect::<Result<Vec<_>>>()?;
                let nulls = held.nulls().cloned();
                let built = if children.is_empty() {
                    StructArray::new_empty_fields(held.len(), nulls)
                } else {
                    StructArray::try_new(fields.clone(), children, nulls)?
                };
                Ok(Arc::new(built))
            }
            Self::List(field, shape) => {
                let small;
                let held = match values.as_list_opt::<i32>() {
                    Some(held) => held,
                    None => {
                        let large = values.as_list_opt::<i64>().ok_or_else(|| other("a list"))?;
                        let element = Arc::new(Field::new("element", large.value_type(), true));
                        small = arrow::compute::cast(values, &DataType::List(element))?;
                        small.as_list_opt::<i32>().ok_or_else(|| other("a list"))?
                    }
                };
                let elements = shape.apply(held.values())?;
                let (offsets, nulls) = (held.offsets().clone(), held.nulls().cloned());
                let list = ListArray::try_new(Arc::clone(field), offsets, elements, nulls)?;
                Ok(Arc::new(list))
            }
            Self::Map(field, key, value) => {
                let held = values.as_map_opt().ok_or_else(|| other("a map"))?;
                let sides = vec![key.apply(held.keys())?, value.apply(held.values())?];
                let DataType::Struct(pair) = field.data_type() else {
                    return Err(other("a map"));
                };
                let entries = StructArray::try_new(pair.clone(), sides, None)?;
                let (offsets, nulls) = (held.offsets().clone(), held.nulls().cloned());
                let map = MapArray::try_new(Arc::clone(field), offsets, entries, nulls, false)?;
                Ok(Arc::new(map))
            }
        }
    }
}

/// The element of a list or a side of a map.
fn part(held: &Field, wanted: &Field, defaults: &Defaults) -> Result<Shape, String> {
    if field_id(held).is_some_and(|id| field_id(wanted) != Some(id)) {
        return Err(format!("{} under another field id", wanted.name()));
    }
    Shape::of(held.data_type(), wanted.data_type(), defaults)
}

fn source(held: &Fields, wanted: &Field, defaults: &Defaults) -> Result<Source, String> {
    if !held.is_empty() && held.iter().all(|field| field_id(field).is_none()) {
        return Err("nested columns without field ids".to_owned());
    }
    let id = field_id(wanted);
    let place = held
        .iter()
        .position(|field| id.is_some() && field_id(field) == id);
    if let Some(place) = place {
        let shape = Shape::of(held[place].data_type(), wanted.data_type(), defaults)?;
        return Ok(Source::Child(place, shape));
    }
    match id.and_then(|id| defaults.get(&id)) {
        Some(value) => Ok(Source::Constant(value.clone())),
        None if wanted.is_nullable() => {
            let null = ScalarValue::try_from(wanted.data_type()).map_err(|error| error.to_string())?;
            Ok(Source::Constant(null))
        }
        None => Err(format!("required field {} that a data file lacks", wanted.name())),
    }
}

fn other(wanted: &str) -> DataFusionError {
    DataFusionError::Internal(format!("a column that is not {wanted}"))
}

/// A column of a file, read as a column of the table.
#[derive(Debug)]
pub(super) struct Reshaped {
    inner: Arc<dyn PhysicalExpr>,
    shape: Arc<Shape>,
    target: FieldRef,
}

impl Reshaped {
    /// Reads `inner` as `target`.
    pub(super) fn new(inner: Arc<dyn PhysicalExpr>, shape: Shape, target: &Field) -> Self {
        Self {
            inner,
            shape: Arc::new(shape),
            target: Arc::new(target.clone()),
        }
    }
}

impl PartialEq for Reshaped {
    fn eq(&self, other: &Self) -> bool {
        self.inner.eq(&other.inner) && self.target == other.target && self.shape == other.shape
    }
}

impl Eq for Reshaped {}

impl Hash for Reshaped {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
        self.target.hash(state);
    }
}

impl fmt::Display for Reshaped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.inner)
    }
}

impl PhysicalExpr for Reshaped {
    fn data_type(&self, _input: &Schema) -> Result<DataType> {
        Ok(self.target.data_type().clone())
    }

    fn nullable(&self, _input: &Schema) -> Result<bool> {
        Ok(self.target.is_nullable())
    }

    fn evaluate(&self, batch: &RecordBatch) -> Result<ColumnarValue> {
        let values = self.inner.evaluate(batch)?.into_array(batch.num_rows())?;
        self.shape.apply(&values).map(ColumnarValue::Array)
    }

    fn return_field(&self, _input: &Schema) -> Result<FieldRef> {
        Ok(Arc::clone(&self.target))
    }

    fn children(&self) -> Vec<&Arc<dyn PhysicalExpr>> {
        vec![&self.inner]
    }

    fn with_new_children(
        self: Arc<Self>,
        mut children: Vec<Arc<dyn PhysicalExpr>>,
    ) -> Result<Arc<dyn PhysicalExpr>> {
        match (children.pop(), children.is_empty()) {
            (Some(inner), true) => Ok(Arc::new(Self {
                inner,
                shape: Arc::clone(&self.shape),
                target: Arc::clone(&self.target),
            })),
            _ => Err(DataFusionError::Internal(
                "a reshaped column takes one input".to_owned(),
            )),
        }
    }

    fn fmt_sql(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt_sql(f)
    }
}
