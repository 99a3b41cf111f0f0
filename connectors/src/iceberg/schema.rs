//! Iceberg schemas as Arrow schemas, as queries see them.
//!
//! Invariants:
//! - Each field, at every depth, carries its Iceberg field id under [`FIELD_ID_KEY`]: columns are matched by id, so a
//!   name may change hands.
//! - Top-level strings and binaries are views, the form that the Parquet reader makes without copying; nested ones are
//!   plain, the form in which they come out of the file.

use super::nested::Defaults;
use super::values::scalar;
use crate::iceberg::{COMMENT_KEY, FIELD_ID_KEY};
use crate::{Error, Result};
use arrow::datatypes::{DataType, Field, Fields, Schema, TimeUnit};
use iceberg::spec::{Literal, NestedField, PrimitiveType, Schema as IcebergSchema, Type};
use std::collections::HashMap;
use std::sync::Arc;

/// The Arrow schema of an Iceberg schema.
pub(super) fn to_arrow(schema: &IcebergSchema) -> Schema {
    let fields = schema.as_struct().fields().iter();
    Schema::new(fields.map(|field| top_level(field)).collect::<Fields>())
}

/// What fields are in files that were written before them, at every depth.
///
/// # Errors
/// [`Error::Unsupported`] for a default that is no plain value.
pub(super) fn defaults(table: &str, schema: &IcebergSchema) -> Result<Defaults> {
    let mut defaults = Defaults::new();
    for field in schema.as_struct().fields() {
        let target = top_level(field).data_type().clone();
        add_defaults(table, field, &target, &mut defaults)?;
    }
    Ok(defaults)
}

fn add_defaults(table: &str, field: &NestedField, target: &DataType, into: &mut Defaults) -> Result<()> {
    if let Some(default) = &field.initial_default {
        let value = match (default, field.field_type.as_ref()) {
            (Literal::Primitive(value), Type::Primitive(of)) => scalar(value, of, target),
            _ => None,
        };
        let value = value.ok_or_else(|| Error::Unsupported {
            table: table.to_owned(),
            feature: format!("the default value of column {}", field.name),
        })?;
        into.insert(field.id, value);
    }
    let within: Vec<&NestedField> = match field.field_type.as_ref() {
        Type::Primitive(_) => Vec::new(),
        Type::Struct(of) => of.fields().iter().map(AsRef::as_ref).collect(),
        Type::List(of) => vec![&of.element_field],
        Type::Map(of) => vec![&of.key_field, &of.value_field],
    };
    for field in within {
        add_defaults(table, field, &data_type(&field.field_type), into)?;
    }
    Ok(())
}

/// The same columns with plain strings and binaries in place of views: for rows that are handed on as they are, a view
/// is one form too many.
pub(super) fn without_views(schema: &Schema) -> Schema {
    let fields: Fields = schema
        .fields()
        .iter()
        .map(|field| match field.data_type() {
            DataType::Utf8View => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
            DataType::BinaryView => Arc::new(field.as_ref().clone().with_data_type(DataType::Binary)),
            _ => Arc::clone(field),
        })
        .collect();
    Schema::new(fields)
}

/// The names of the columns that identify a row, in schema order.
pub(super) fn primary_key(schema: &IcebergSchema) -> Vec<String> {
    let ids: Vec<i32> = schema.identifier_field_ids().collect();
    let fields = schema.as_struct().fields().iter();
    fields
        .filter(|field| ids.contains(&field.id))
        .map(|field| field.name.clone())
        .collect()
}

/// The Iceberg id of an Arrow field.
pub(super) fn field_id(field: &Field) -> Option<i32> {
    field.metadata().get(FIELD_ID_KEY).and_then(|id| id.parse().ok())
}

/// A column of the table.
pub(super) fn top_level(field: &NestedField) -> Field {
    let data_type = match field.field_type.as_ref() {
        Type::Primitive(PrimitiveType::String) => DataType::Utf8View,
        Type::Primitive(PrimitiveType::Binary) => DataType::BinaryView,
        other => data_type(other),
    };
    make(field, data_type)
}

fn nested(field: &NestedField) -> Field {
    make(field, data_type(&field.field_type))
}

fn make(field: &NestedField, data_type: DataType) -> Field {
    let mut metadata = HashMap::from([(FIELD_ID_KEY.to_owned(), field.id.to_string())]);
    if let Some(comment) = &field.doc {
        metadata.insert(COMMENT_KEY.to_owned(), comment.clone());
    }
    Field::new(&field.name, data_type, !field.required).with_metadata(metadata)
}

fn data_type(of: &Type) -> DataType {
    match of {
        Type::Primitive(primitive) => primitive_type(primitive),
        Type::Struct(fields) => DataType::Struct(
            fields
                .fields()
                .iter()
                .map(|field| nested(field))
                .collect::<Fields>(),
        ),
        Type::List(list) => DataType::List(Arc::new(nested(&list.element_field))),
        Type::Map(map) => {
            let pair = Fields::from(vec![nested(&map.key_field), nested(&map.value_field)]);
            DataType::Map(
                Arc::new(Field::new("key_value", DataType::Struct(pair), false)),
                false,
            )
        }
    }
}

/// The Arrow type of a primitive below the top level; at the top, strings and binaries are views instead.
pub(super) fn primitive_type(of: &PrimitiveType) -> DataType {
    match of {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        // Iceberg bounds the precision at 38 and the scale by the precision.
        PrimitiveType::Decimal { precision, scale } => DataType::Decimal128(
            u8::try_from(*precision).unwrap_or(38),
            i8::try_from(*scale).unwrap_or(38),
        ),
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        PrimitiveType::Timestamptz => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        PrimitiveType::TimestampNs => DataType::Timestamp(TimeUnit::Nanosecond, None),
        PrimitiveType::TimestamptzNs => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Uuid => DataType::FixedSizeBinary(16),
        PrimitiveType::Fixed(bytes) => match i32::try_from(*bytes) {
            Ok(bytes) => DataType::FixedSizeBinary(bytes),
            Err(_) => DataType::Binary,
        },
        PrimitiveType::Binary => DataType::Binary,
    }
}
