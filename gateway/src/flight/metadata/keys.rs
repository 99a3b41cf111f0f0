//! Keys. A lake declares which columns identify a row (Iceberg identifier fields) and nothing of foreign keys; a database
//! declares both. A foreign key is told to those who may know both of its tables.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray, UInt8Array};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use arrow_flight::sql::{
    CommandGetCrossReference, CommandGetExportedKeys, CommandGetImportedKeys, CommandGetPrimaryKeys,
};
use planner::{ForeignKey, KeyRule, Pattern, TableFilter};

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

/// A table as a command names it; parts that are absent fit all.
struct Named {
    catalog: Option<String>,
    schema: Option<String>,
    table: String,
}

impl Named {
    fn is(&self, catalog: &str, (schema, table): &(String, String)) -> bool {
        self.catalog.as_deref().is_none_or(|wanted| wanted == catalog)
            && self.schema.as_deref().is_none_or(|wanted| wanted == schema)
            && self.table == *table
    }
}

/// The keys of other tables that refer to the named one, in the order of those tables.
pub(super) async fn exported(
    app: &App,
    context: &RequestContext,
    request: CommandGetExportedKeys,
) -> Result<RecordBatch> {
    let named = Named {
        catalog: request.catalog,
        schema: request.db_schema,
        table: request.table,
    };
    references(app, context, Some(&named), None).await
}

/// The keys of the named table that refer to others, in the order of those.
pub(super) async fn imported(
    app: &App,
    context: &RequestContext,
    request: CommandGetImportedKeys,
) -> Result<RecordBatch> {
    let named = Named {
        catalog: request.catalog,
        schema: request.db_schema,
        table: request.table,
    };
    references(app, context, None, Some(&named)).await
}

/// The keys of one named table that refer to another.
pub(super) async fn between(
    app: &App,
    context: &RequestContext,
    request: CommandGetCrossReference,
) -> Result<RecordBatch> {
    let referenced = Named {
        catalog: request.pk_catalog,
        schema: request.pk_db_schema,
        table: request.pk_table,
    };
    let referring = Named {
        catalog: request.fk_catalog,
        schema: request.fk_db_schema,
        table: request.fk_table,
    };
    references(app, context, Some(&referenced), Some(&referring)).await
}

async fn references(
    app: &App,
    context: &RequestContext,
    referenced: Option<&Named>,
    referring: Option<&Named>,
) -> Result<RecordBatch> {
    let asked = referenced
        .or(referring)
        .and_then(|named| named.catalog.as_deref());
    let mut keys = app.engine.foreign_keys(&context.principal, asked).await?;
    keys.retain(|(catalog, key)| {
        referenced.is_none_or(|named| named.is(catalog, &key.referenced))
            && referring.is_none_or(|named| named.is(catalog, &key.table))
    });
    // The other side of what was asked for comes first (FlightSql.proto).
    if referenced.is_none() {
        keys.sort_by(|(left_catalog, left), (right_catalog, right)| {
            (left_catalog, &left.referenced, &left.name).cmp(&(right_catalog, &right.referenced, &right.name))
        });
    }
    listed(&keys)
}

/// A row for each column of each key.
fn listed(keys: &[(String, ForeignKey)]) -> Result<RecordBatch> {
    let rows: Vec<_> = keys
        .iter()
        .flat_map(|(catalog, key)| {
            let pairs = key.referenced_columns.iter().zip(&key.columns).enumerate();
            pairs.map(move |(place, pair)| (catalog, key, place, pair))
        })
        .collect();
    let texts = |values: Vec<&String>| Arc::new(StringArray::from_iter_values(values)) as ArrayRef;
    let rules = |rule: fn(&ForeignKey) -> KeyRule| {
        let codes = rows.iter().map(|row| rule_code(rule(row.1)));
        Arc::new(codes.collect::<UInt8Array>()) as ArrayRef
    };
    let columns = vec![
        texts(rows.iter().map(|row| row.0).collect()),
        texts(rows.iter().map(|row| &row.1.referenced.0).collect()),
        texts(rows.iter().map(|row| &row.1.referenced.1).collect()),
        texts(rows.iter().map(|row| row.3.0).collect()),
        texts(rows.iter().map(|row| row.0).collect()),
        texts(rows.iter().map(|row| &row.1.table.0).collect()),
        texts(rows.iter().map(|row| &row.1.table.1).collect()),
        texts(rows.iter().map(|row| row.3.1).collect()),
        Arc::new(rows.iter().map(|row| row.2 as i32 + 1).collect::<Int32Array>()) as ArrayRef,
        texts(rows.iter().map(|row| &row.1.name).collect()),
        // A source tells which columns are referred to, and not the name of the key that they are.
        Arc::new(StringArray::new_null(rows.len())) as ArrayRef,
        rules(|key| key.on_update),
        rules(|key| key.on_delete),
    ];
    Ok(RecordBatch::try_new(reference_schema(), columns)?)
}

/// `UpdateDeleteRules` of FlightSql.proto.
fn rule_code(rule: KeyRule) -> u8 {
    match rule {
        KeyRule::Cascade => 0,
        KeyRule::Restrict => 1,
        KeyRule::SetNull => 2,
        KeyRule::NoAction => 3,
        KeyRule::SetDefault => 4,
    }
}

/// A name as a pattern that fits it alone.
fn escaped(name: &str) -> String {
    name.replace('\\', "\\\\").replace('%', "\\%").replace('_', "\\_")
}
