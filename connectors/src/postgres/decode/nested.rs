//! Columns with parts: arrays, composites, vectors.
//!
//! Invariants:
//! - The types that the server names inside a value are those that the column was made for.
//! - An array of several dimensions is a value that a list cannot hold; where an array starts to count is not kept.

use super::{Bad, Column, Mismatch, end, fixed, take, take_part};
use crate::postgres::config::Unrepresentable;
use arrow::array::{Array, ArrayRef, Float32Array, ListArray, NullBufferBuilder, StructArray};
use arrow::buffer::{OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{ArrowPrimitiveType, DataType, FieldRef, Fields, Float16Type};
use std::sync::Arc;
use tokio_postgres::types::{Field as Attribute, Kind, Type};

/// The ends of lists, and which of them are NULL.
#[derive(Debug)]
struct Ends {
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Ends {
    fn new() -> Self {
        Self {
            offsets: vec![0],
            nulls: NullBufferBuilder::new(0),
        }
    }

    /// Ends a list that has `more` elements.
    fn push(&mut self, more: usize, is_valid: bool) -> Result<(), Bad> {
        let last = self.offsets.last().copied().unwrap_or_default();
        let next = i32::try_from(more).ok().and_then(|more| last.checked_add(more));
        self.offsets
            .push(next.ok_or(Bad::Shape("lists of more elements than a batch can hold"))?);
        self.nulls.append(is_valid);
        Ok(())
    }

    fn push_null(&mut self) {
        let last = self.offsets.last().copied().unwrap_or_default();
        self.offsets.push(last);
        self.nulls.append(false);
    }

    fn finish(&mut self, item: &FieldRef, values: ArrayRef) -> ArrayRef {
        let offsets = std::mem::replace(&mut self.offsets, vec![0]);
        let nulls = self.nulls.finish();
        self.nulls = NullBufferBuilder::new(0);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Arc::new(ListArray::new(Arc::clone(item), offsets, values, nulls))
    }
}

/// A column of arrays.
#[derive(Debug)]
pub(super) struct ListColumn {
    item: FieldRef,
    element: u32,
    ends: Ends,
    values: Column,
}

impl ListColumn {
    pub(super) fn new(item: FieldRef, element: &Type, policy: Unrepresentable) -> Result<Self, Mismatch> {
        Ok(Self {
            values: Column::new(item.data_type(), element, policy)?,
            element: element.oid(),
            item,
            ends: Ends::new(),
        })
    }

    pub(super) fn push(&mut self, mut raw: &[u8]) -> Result<(), Bad> {
        let dimensions = i32::from_be_bytes(take(&mut raw)?);
        let _has_nulls = take::<4>(&mut raw)?;
        if u32::from_be_bytes(take(&mut raw)?) != self.element {
            return Err(Bad::Shape("an array of another type than its column's"));
        }
        let count = match dimensions {
            0 => 0,
            1 => {
                let count = i32::from_be_bytes(take(&mut raw)?);
                let _first = take::<4>(&mut raw)?;
                usize::try_from(count).map_err(|_| Bad::Shape("an array of negative length"))?
            }
            2.. => return Err(Bad::Value("an array of several dimensions")),
            _ => return Err(Bad::Shape("an array of negative dimensions")),
        };
        for _ in 0..count {
            self.values.push(take_part(&mut raw)?)?;
        }
        end(raw)?;
        self.ends.push(count, true)
    }

    pub(super) fn push_null(&mut self) {
        self.ends.push_null();
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        let values = self.values.finish();
        self.ends.finish(&self.item, values)
    }
}

/// A column of composites.
#[derive(Debug)]
pub(super) struct StructColumn {
    fields: Fields,
    types: Vec<u32>,
    columns: Vec<Column>,
    nulls: NullBufferBuilder,
}

impl StructColumn {
    /// `None` when the attributes are not those of the fields, by name and place.
    pub(super) fn new(
        fields: &Fields,
        attributes: &[Attribute],
        policy: Unrepresentable,
    ) -> Option<Result<Self, Mismatch>> {
        let same_names = fields
            .iter()
            .map(|field| field.name().as_str())
            .eq(attributes.iter().map(Attribute::name));
        let columns: Result<Vec<_>, _> = fields
            .iter()
            .zip(attributes)
            .map(|(field, attribute)| Column::new(field.data_type(), attribute.type_(), policy))
            .collect();
        same_names.then(|| {
            Ok(Self {
                fields: fields.clone(),
                types: attributes
                    .iter()
                    .map(|attribute| attribute.type_().oid())
                    .collect(),
                columns: columns?,
                nulls: NullBufferBuilder::new(0),
            })
        })
    }

    pub(super) fn push(&mut self, mut raw: &[u8]) -> Result<(), Bad> {
        let count = i32::from_be_bytes(take(&mut raw)?);
        if usize::try_from(count) != Ok(self.columns.len()) {
            return Err(Bad::Shape("a composite with another number of attributes"));
        }
        for (column, oid) in self.columns.iter_mut().zip(&self.types) {
            if u32::from_be_bytes(take(&mut raw)?) != *oid {
                return Err(Bad::Shape("a composite with an attribute of another type"));
            }
            column.push(take_part(&mut raw)?)?;
        }
        end(raw)?;
        self.nulls.append(true);
        Ok(())
    }

    pub(super) fn push_null(&mut self) {
        for column in &mut self.columns {
            column.push_null();
        }
        self.nulls.append(false);
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        let columns = self.columns.iter_mut().map(Column::finish).collect();
        let nulls = self.nulls.finish();
        self.nulls = NullBufferBuilder::new(0);
        Arc::new(StructArray::new(self.fields.clone(), columns, nulls))
    }
}

/// A column of pgvector's `vector` or `halfvec`.
#[derive(Debug)]
pub(super) struct VectorColumn {
    item: FieldRef,
    is_half: bool,
    ends: Ends,
    values: Vec<f32>,
}

impl VectorColumn {
    /// `None` for another type.
    pub(super) fn new(item: FieldRef, server: &Type) -> Option<Self> {
        let is_half = match (server.name(), server.kind()) {
            ("vector", Kind::Simple) => false,
            ("halfvec", Kind::Simple) => true,
            _ => return None,
        };
        (*item.data_type() == DataType::Float32).then(|| Self {
            item,
            is_half,
            ends: Ends::new(),
            values: Vec::new(),
        })
    }

    pub(super) fn push(&mut self, mut raw: &[u8]) -> Result<(), Bad> {
        let count = usize::from(u16::from_be_bytes(take(&mut raw)?));
        let _unused = take::<2>(&mut raw)?;
        let width = if self.is_half { 2 } else { 4 };
        if raw.len() != count * width {
            return Err(Bad::Shape("a vector of another length than it says"));
        }
        for value in raw.chunks_exact(width) {
            self.values.push(match self.is_half {
                true => {
                    <Float16Type as ArrowPrimitiveType>::Native::from_bits(u16::from_be_bytes(fixed(value)?))
                        .to_f32()
                }
                false => f32::from_be_bytes(fixed(value)?),
            });
        }
        self.ends.push(count, true)
    }

    pub(super) fn push_null(&mut self) {
        self.ends.push_null();
    }

    pub(super) fn finish(&mut self) -> ArrayRef {
        let values: Arc<dyn Array> = Arc::new(Float32Array::from(std::mem::take(&mut self.values)));
        self.ends.finish(&self.item, values)
    }
}
