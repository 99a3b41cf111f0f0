//! Types at the edge. The engine works on string and byte views; drivers in the field do not read them (the JDBC driver
//! up to 18 and `flightsql-dbapi` fail), so nothing but plain types leaves, nested ones included. SQL has no half
//! floats: they leave as REAL.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, SchemaRef};
use http::header::AGE;
use http::{HeaderMap, HeaderValue};
use planner::{CacheReport, Origin};

use crate::error::Result;

/// Prefix of the column metadata that Flight SQL defines.
const FLIGHT_SQL: &str = "ARROW:FLIGHT:SQL:";

/// A type that every client reads.
pub fn plain_type(data_type: &DataType) -> DataType {
    let inner = |field: &FieldRef| Arc::new(plain_field(field));
    match data_type {
        DataType::Utf8View => DataType::Utf8,
        DataType::BinaryView => DataType::Binary,
        DataType::Float16 => DataType::Float32,
        DataType::List(item) | DataType::ListView(item) => DataType::List(inner(item)),
        DataType::LargeList(item) | DataType::LargeListView(item) => DataType::LargeList(inner(item)),
        DataType::FixedSizeList(item, size) => DataType::FixedSizeList(inner(item), *size),
        DataType::Struct(fields) => DataType::Struct(fields.iter().map(inner).collect()),
        DataType::Map(entries, sorted) => DataType::Map(inner(entries), *sorted),
        DataType::Dictionary(_, value) => plain_type(value),
        DataType::RunEndEncoded(_, values) => plain_type(values.data_type()),
        DataType::Decimal32(precision, scale) | DataType::Decimal64(precision, scale) => {
            DataType::Decimal128(*precision, *scale)
        }
        other => other.clone(),
    }
}

fn plain_field(field: &FieldRef) -> Field {
    field
        .as_ref()
        .clone()
        .with_data_type(plain_type(field.data_type()))
}

/// The columns as a client sees them, without the metadata of the house.
pub fn plain_schema(schema: &Schema) -> SchemaRef {
    let fields: Fields = schema
        .fields()
        .iter()
        .map(|field| Field::new(field.name(), plain_type(field.data_type()), field.is_nullable()))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The columns of a result with what drivers want to know of each.
pub fn result_schema(schema: &Schema, origins: &[Option<Origin>]) -> SchemaRef {
    let schema = plain_schema(schema);
    let fields: Fields = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let mut metadata = type_metadata(field.data_type());
            if let Some(Some(origin)) = origins.get(index) {
                metadata.insert(format!("{FLIGHT_SQL}CATALOG_NAME"), origin.catalog.clone());
                metadata.insert(format!("{FLIGHT_SQL}SCHEMA_NAME"), origin.schema.clone());
                metadata.insert(format!("{FLIGHT_SQL}TABLE_NAME"), origin.table.clone());
            }
            Arc::new(field.as_ref().clone().with_metadata(metadata))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

/// The columns of a table for a listing: remarks belong here and not on results, where JDBC would take them for labels.
pub fn table_schema(schema: &Schema, catalog: &str, db_schema: &str, table: &str) -> SchemaRef {
    let fields: Fields = schema
        .fields()
        .iter()
        .map(|field| {
            let data_type = plain_type(field.data_type());
            let mut metadata = type_metadata(&data_type);
            metadata.insert(format!("{FLIGHT_SQL}CATALOG_NAME"), catalog.to_owned());
            metadata.insert(format!("{FLIGHT_SQL}SCHEMA_NAME"), db_schema.to_owned());
            metadata.insert(format!("{FLIGHT_SQL}TABLE_NAME"), table.to_owned());
            if let Some(comment) = field.metadata().get(planner::COMMENT_KEY) {
                metadata.insert(format!("{FLIGHT_SQL}REMARKS"), comment.clone());
            }
            Arc::new(Field::new(field.name(), data_type, field.is_nullable()).with_metadata(metadata))
        })
        .collect();
    Arc::new(Schema::new(fields))
}

fn type_metadata(data_type: &DataType) -> HashMap<String, String> {
    let name = planner::type_name(data_type);
    let mut metadata = HashMap::from([
        (
            format!("{FLIGHT_SQL}TYPE_NAME"),
            name.split('(').next().unwrap_or_default().to_owned(),
        ),
        (format!("{FLIGHT_SQL}IS_AUTO_INCREMENT"), "0".to_owned()),
        (
            format!("{FLIGHT_SQL}IS_CASE_SENSITIVE"),
            if is_text(data_type) { "1" } else { "0" }.to_owned(),
        ),
        (format!("{FLIGHT_SQL}IS_READ_ONLY"), "1".to_owned()),
        (format!("{FLIGHT_SQL}IS_SEARCHABLE"), "1".to_owned()),
    ]);
    let (precision, scale) = match data_type {
        DataType::Decimal128(precision, scale) | DataType::Decimal256(precision, scale) => {
            (Some(i32::from(*precision)), Some(i32::from(*scale)))
        }
        DataType::Int8 => (Some(3), Some(0)),
        DataType::Int16 => (Some(5), Some(0)),
        DataType::Int32 => (Some(10), Some(0)),
        DataType::Int64 => (Some(19), Some(0)),
        DataType::Float32 => (Some(7), None),
        DataType::Float64 => (Some(15), None),
        _ => (None, None),
    };
    if let Some(precision) = precision {
        metadata.insert(format!("{FLIGHT_SQL}PRECISION"), precision.to_string());
    }
    if let Some(scale) = scale {
        metadata.insert(format!("{FLIGHT_SQL}SCALE"), scale.to_string());
    }
    metadata
}

fn is_text(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::LargeUtf8)
}

/// The rows of `batch` under `schema`, which is a plain form of the batch's own.
///
/// # Errors
/// When a value has no plain form.
pub fn plain_batch(batch: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns = batch
        .columns()
        .iter()
        .zip(schema.fields())
        .map(|(column, field)| plain_column(column, field.data_type()))
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

fn plain_column(column: &ArrayRef, data_type: &DataType) -> Result<ArrayRef> {
    if column.data_type() == data_type {
        return Ok(Arc::clone(column));
    }
    // What does not fit fails: another value, or none, would be a wrong answer.
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    Ok(cast_with_options(column, data_type, &options)?)
}

/// What the cache had of an answer's rows, for the caller: `Cache-Status` (RFC 9211), and `Age` in whole seconds
/// (RFC 9111, 5.1) for rows that were made before.
pub(crate) fn cache_headers(cache: &CacheReport, headers: &mut HeaderMap) {
    headers.insert("cache-status", HeaderValue::from_static(cache.field()));
    if let Some(age) = cache.age {
        headers.insert(AGE, HeaderValue::from(age as u64));
    }
}
