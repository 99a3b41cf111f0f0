//! Keys. A lake declares which columns identify a row (Iceberg identifier fields) and nothing of foreign keys.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::CommandGetPrimaryKeys;
use planner::{Pattern, TableFilter};

use crate::app::App;
use crate::error::Result;
use crate::session::RequestContext;

/// Columns of CommandGetPrimaryKeys (FlightSql.proto).
pub(super) fn primary_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("catalog_name", DataType::Utf8, true),
        Field::new("db_schema_name", DataType::Utf8, true),
        Field::new("table_name", DataType::Utf8, false),
        Field::new("column_name", DataType::Utf8, false),
        Field::new("key_name", DataType::Utf8, true),
        Field::new("key_sequence", DataType::Int32, false),
    ]))
}

/// Columns of CommandGetExportedKeys, CommandGetImportedKeys and CommandGetCrossReference (FlightSql.proto).
pub(super) fn reference_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("pk_catalog_name", DataType::Utf8, true),
        Field::new("pk_db_schema_name", DataType::Utf8, true),
        Field::new("pk_table_name", DataType::Utf8, false),
        Field::new("pk_column_name", DataType::Utf8, false),
        Field::new("fk_catalog_name", DataType::Utf8, true),
        Field::new("fk_db_schema_name", DataType::Utf8, true),
        Field::new("fk_table_name", DataType::Utf8, false),
        Field::new("fk_column_name", DataType::Utf8, false),
        Field::new("key_sequence", DataType::Int32, false),
        Field::new("fk_key_name", DataType::Utf8, true),
        Field::new("pk_key_name", DataType::Utf8, true),
        Field::new("update_rule", DataType::UInt8, false),
        Field::new("delete_rule", DataType::UInt8, false),
    ]))
}

/// The primary key of the named table, or of each table of that name that the caller may know.
pub(super) async fn primary(
    app: &App,
    context: &RequestContext,
    request: CommandGetPrimaryKeys,
) -> Result<RecordBatch> {
    let exactly = |name: String| Pattern::new(escaped(&name));
    let filter = TableFilter {
        catalog: request.catalog,
        schema: request.db_schema.map(exactly),
        table: Some(exactly(request.table)),
        kinds: None,
        with_columns: true,
    };
    let tables = app.engine.tables(context.lister()?, &filter).await?;
    let rows: Vec<_> = tables
        .iter()
        .flat_map(|table| {
            table
                .primary_key
                .iter()
                .enumerate()
                .map(move |(index, column)| (table, index, column))
        })
        .collect();
    let texts = |values: Vec<String>| Arc::new(StringArray::from(values)) as ArrayRef;
    let columns = vec![
        texts(rows.iter().map(|row| row.0.catalog.clone()).collect()),
        texts(rows.iter().map(|row| row.0.schema.clone()).collect()),
        texts(rows.iter().map(|row| row.0.name.clone()).collect()),
        texts(rows.iter().map(|row| row.2.clone()).collect()),
        texts(rows.iter().map(|row| format!("{}_pkey", row.0.name)).collect()),
        Arc::new(rows.iter().map(|row| row.1 as i32 + 1).collect::<Int32Array>()) as ArrayRef,
    ];
    Ok(RecordBatch::try_new(primary_schema(), columns)?)
}

/// A name as a pattern that fits it alone.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
