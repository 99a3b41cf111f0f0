//! The information schema of a catalog, as the principal may know it. Its tables are computed for one statement from
//! the same listing that every metadata call uses.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use connectors::TableKind;
use datafusion::catalog::TableProvider;
use datafusion::datasource::MemTable;
use policies::{Principal, TableName};

use crate::catalog::{Catalog, Pattern, Table, TableFilter};
use crate::error::{Error, Result};
use crate::request::Session;
use crate::suggest::nearest;

/// The schema's name.
pub(crate) const NAME: &str = "information_schema";

const TABLES: [&str; 8] = [
    "catalogs",
    "columns",
    "df_settings",
    "key_column_usage",
    "schemata",
    "table_constraints",
    "tables",
    "views",
];

/// One table of the information schema.
///
/// # Errors
/// `UnknownTable` for a name that is none of its tables, or for a catalog that the principal may not know.
pub(crate) async fn table(
    catalog: &Catalog,
    principal: &Principal,
    session: &Session,
    name: &TableName,
) -> Result<Arc<dyn TableProvider>> {
    let schemas = catalog.schemas(principal, Some(&name.catalog), None).await?;
    if schemas.is_empty() {
        return Err(Error::UnknownTable {
            name: name.to_string(),
            nearest: None,
        });
    }
    let with_columns = matches!(
        name.table.as_str(),
        "columns" | "table_constraints" | "key_column_usage"
    );
    let filter = TableFilter {
        catalog: Some(name.catalog.clone()),
        with_columns,
        ..TableFilter::default()
    };
    let batch = match name.table.as_str() {
        "catalogs" => catalogs(catalog.catalogs(principal).await?)?,
        "schemata" => schemata(schemas)?,
        "tables" => tables(&catalog.tables(principal, &filter).await?)?,
        "views" => views(&catalog.tables(principal, &filter).await?)?,
        "columns" => columns(&catalog.tables(principal, &filter).await?)?,
        "table_constraints" => constraints(&catalog.tables(principal, &filter).await?)?,
        "key_column_usage" => keys(&catalog.tables(principal, &filter).await?)?,
        "df_settings" => settings(&session.settings())?,
        other => {
            let nearest = nearest(other, TABLES).map(|table| format!("{}.{NAME}.{table}", name.catalog));
            return Err(Error::UnknownTable {
                name: name.to_string(),
                nearest,
            });
        }
    };
    Ok(Arc::new(MemTable::try_new(batch.schema(), vec![vec![batch]])?))
}

/// The information schema's own tables, for listings that ask for them: those of each catalog that the principal may
/// know, sorted by catalog and name. They are computed, so their kind is a view; `filter.kinds` is not looked at.
///
/// # Errors
/// `Source` when a source does not answer.
pub(crate) async fn list(
    catalog: &Catalog,
    principal: &Principal,
    filter: &TableFilter,
) -> Result<Vec<Table>> {
    let only = Pattern::new(NAME);
    let mut found = Vec::new();
    if filter
        .schema
        .as_ref()
        .is_some_and(|pattern| !pattern.matches(NAME))
    {
        return Ok(found);
    }
    for (name, _) in catalog
        .schemas(principal, filter.catalog.as_deref(), Some(&only))
        .await?
    {
        for table in TABLES {
            if filter
                .table
                .as_ref()
                .is_some_and(|pattern| !pattern.matches(table))
            {
                continue;
            }
            found.push(Table {
                catalog: name.clone(),
                schema: NAME.to_owned(),
                name: table.to_owned(),
                kind: TableKind::View,
                comment: None,
                columns: filter.with_columns.then(|| shape(table)).transpose()?,
                primary_key: Vec::new(),
            });
        }
    }
    Ok(found)
}

/// The columns of a table of [`TABLES`]: those of its rows when there are none.
fn shape(name: &str) -> Result<SchemaRef> {
    let batch = match name {
        "catalogs" => catalogs(Vec::new())?,
        "columns" => columns(&[])?,
        "df_settings" => settings(&[])?,
        "key_column_usage" => keys(&[])?,
        "schemata" => schemata(Vec::new())?,
        "table_constraints" => constraints(&[])?,
        "tables" => tables(&[])?,
        "views" => views(&[])?,
        other => {
            return Err(Error::Internal {
                message: format!("the information schema has no table {other}"),
            });
        }
    };
    Ok(batch.schema())
}

fn catalogs(names: Vec<String>) -> Result<RecordBatch> {
    texts(&["catalog_name"], names.into_iter().map(|name| [name]))
}

fn schemata(pairs: Vec<(String, String)>) -> Result<RecordBatch> {
    let rows = pairs.into_iter().map(|pair| [pair.0, pair.1]);
    texts(&["catalog_name", "schema_name"], rows)
}

fn settings(pairs: &[(&str, String)]) -> Result<RecordBatch> {
    let rows = pairs
        .iter()
        .map(|(key, value)| [(*key).to_owned(), value.clone()]);
    texts(&["name", "value"], rows)
}

/// The word for a kind of table, in every listing.
fn kind_name(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => "BASE TABLE",
        TableKind::View => "VIEW",
    }
}

fn tables(tables: &[Table]) -> Result<RecordBatch> {
    let rows = tables.iter().map(|table| {
        [
            table.catalog.clone(),
            table.schema.clone(),
            table.name.clone(),
            kind_name(table.kind).to_owned(),
        ]
    });
    texts(
        &["table_catalog", "table_schema", "table_name", "table_type"],
        rows,
    )
}

fn views(tables: &[Table]) -> Result<RecordBatch> {
    let rows = tables
        .iter()
        .filter(|table| table.kind == TableKind::View)
        .map(|table| [table.catalog.clone(), table.schema.clone(), table.name.clone()]);
    texts(&["table_catalog", "table_schema", "table_name"], rows)
}

fn constraints(tables: &[Table]) -> Result<RecordBatch> {
    let names = [
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
        "table_name",
        "constraint_type",
    ];
    let rows = tables
        .iter()
        .filter(|table| !table.primary_key.is_empty())
        .map(|table| {
            [
                table.catalog.clone(),
                table.schema.clone(),
                format!("{}_pkey", table.name),
                table.catalog.clone(),
                table.schema.clone(),
                table.name.clone(),
                "PRIMARY KEY".to_owned(),
            ]
        });
    texts(&names, rows)
}

fn keys(tables: &[Table]) -> Result<RecordBatch> {
    let pairs: Vec<(&Table, usize, &String)> = tables
        .iter()
        .flat_map(|table| {
            table
                .primary_key
                .iter()
                .enumerate()
                .map(move |(index, column)| (table, index, column))
        })
        .collect();
    let names = [
        "constraint_catalog",
        "constraint_schema",
        "constraint_name",
        "table_catalog",
        "table_schema",
    ];
    let left = texts(
        &names,
        pairs.iter().map(|(table, ..)| {
            [
                table.catalog.clone(),
                table.schema.clone(),
                format!("{}_pkey", table.name),
                table.catalog.clone(),
                table.schema.clone(),
            ]
        }),
    )?;
    let right = texts(
        &["table_name", "column_name"],
        pairs.iter().map(|pair| [pair.0.name.clone(), pair.2.clone()]),
    )?;
    let ordinals: Int32Array = pairs.iter().map(|pair| pair.1 as i32 + 1).collect();
    let mut fields: Vec<_> = left
        .schema()
        .fields()
        .iter()
        .chain(right.schema().fields())
        .cloned()
        .collect();
    fields.push(Arc::new(Field::new("ordinal_position", DataType::Int32, false)));
    let mut arrays: Vec<ArrayRef> = left.columns().iter().chain(right.columns()).cloned().collect();
    arrays.push(Arc::new(ordinals));
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

fn columns(tables: &[Table]) -> Result<RecordBatch> {
    let mut rows: Vec<(&Table, usize, &Field)> = Vec::new();
    for table in tables {
        let fields = table.columns.iter().flat_map(|schema| schema.fields().iter());
        rows.extend(
            fields
                .enumerate()
                .map(|(index, field)| (table, index, field.as_ref())),
        );
    }
    let text = |value: fn(&Table, &Field) -> Option<String>| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|(table, _, field)| value(table, field))
                .collect::<StringArray>(),
        )
    };
    let number = |value: fn(&DataType) -> Option<i32>| -> ArrayRef {
        Arc::new(
            rows.iter()
                .map(|(_, _, field)| value(field.data_type()))
                .collect::<Int32Array>(),
        )
    };
    let ordinals: ArrayRef = Arc::new(
        rows.iter()
            .map(|row| Some(row.1 as i32 + 1))
            .collect::<Int32Array>(),
    );
    let columns = vec![
        ("table_catalog", text(|table, _| Some(table.catalog.clone()))),
        ("table_schema", text(|table, _| Some(table.schema.clone()))),
        ("table_name", text(|table, _| Some(table.name.clone()))),
        ("column_name", text(|_, field| Some(field.name().clone()))),
        ("ordinal_position", ordinals),
        ("column_default", text(|_, _| None)),
        (
            "is_nullable",
            text(|_, field| Some(if field.is_nullable() { "YES" } else { "NO" }.to_owned())),
        ),
        ("data_type", text(|_, field| Some(type_name(field.data_type())))),
        ("character_maximum_length", number(|_| None)),
        ("numeric_precision", number(precision)),
        ("numeric_scale", number(scale)),
        (
            "column_comment",
            text(|_, field| field.metadata().get(connectors::iceberg::COMMENT_KEY).cloned()),
        ),
    ];
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, array)| Field::new(*name, array.data_type().clone(), true))
        .collect();
    let arrays = columns.into_iter().map(|(_, array)| array).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), arrays)?)
}

/// The SQL name of a column's type.
pub fn type_name(data_type: &DataType) -> String {
    match data_type {
        DataType::Boolean => "BOOLEAN".to_owned(),
        DataType::Int8 | DataType::UInt8 => "TINYINT".to_owned(),
        DataType::Int16 | DataType::UInt16 => "SMALLINT".to_owned(),
        DataType::Int32 | DataType::UInt32 => "INTEGER".to_owned(),
        DataType::Int64 | DataType::UInt64 => "BIGINT".to_owned(),
        DataType::Float16 | DataType::Float32 => "REAL".to_owned(),
        DataType::Float64 => "DOUBLE".to_owned(),
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => format!("DECIMAL({precision},{scale})"),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => "VARCHAR".to_owned(),
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView => "VARBINARY".to_owned(),
        DataType::FixedSizeBinary(_) => "BINARY".to_owned(),
        DataType::Date32 | DataType::Date64 => "DATE".to_owned(),
        DataType::Time32(_) | DataType::Time64(_) => "TIME".to_owned(),
        DataType::Timestamp(_, None) => "TIMESTAMP".to_owned(),
        DataType::Timestamp(_, Some(_)) => "TIMESTAMP WITH TIME ZONE".to_owned(),
        DataType::Duration(_) | DataType::Interval(_) => "INTERVAL".to_owned(),
        DataType::List(item) | DataType::LargeList(item) | DataType::FixedSizeList(item, _) => {
            format!("{} ARRAY", type_name(item.data_type()))
        }
        DataType::Struct(_) => "ROW".to_owned(),
        DataType::Map(..) => "MAP".to_owned(),
        DataType::Null => "NULL".to_owned(),
        other => other.to_string().to_uppercase(),
    }
}

fn precision(data_type: &DataType) -> Option<i32> {
    match data_type {
        DataType::Int8 => Some(3),
        DataType::Int16 => Some(5),
        DataType::Int32 => Some(10),
        DataType::Int64 => Some(19),
        DataType::Float32 => Some(24),
        DataType::Float64 => Some(53),
        DataType::Decimal128(precision, _) | DataType::Decimal256(precision, _) => {
            Some(i32::from(*precision))
        }
        _ => None,
    }
}

fn scale(data_type: &DataType) -> Option<i32> {
    match data_type {
        DataType::Int8 | DataType::Int16 | DataType::Int32 | DataType::Int64 => Some(0),
        DataType::Decimal128(_, scale) | DataType::Decimal256(_, scale) => Some(i32::from(*scale)),
        _ => None,
    }
}

fn texts<const N: usize>(names: &[&str; N], rows: impl Iterator<Item = [String; N]>) -> Result<RecordBatch> {
    let schema: SchemaRef = Arc::new(Schema::new(
        names
            .iter()
            .map(|name| Field::new(*name, DataType::Utf8, false))
            .collect::<Vec<_>>(),
    ));
    let mut columns: [Vec<String>; N] = std::array::from_fn(|_| Vec::new());
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    let arrays = columns
        .into_iter()
        .map(|column| Arc::new(StringArray::from(column)) as ArrayRef)
        .collect();
    Ok(RecordBatch::try_new(schema, arrays)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_table_of_the_listing_has_a_shape() {
        for name in TABLES {
            assert!(!shape(name).unwrap().fields().is_empty(), "{name}");
        }
        assert!(shape("nothing").is_err());
    }
}
