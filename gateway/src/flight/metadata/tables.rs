//! GetTables. Tools spell table types in several ways and expect their own spelling back: Power BI asks for `BASE
//! TABLE`, JDBC tools for `TABLE`, and the ODBC driver strips the blank.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::sql::metadata::GetTablesBuilder;
use planner::{Pattern, TableFilter, TableKind};

use super::failed;
use crate::app::App;
use crate::edge::table_schema;
use crate::error::Result;
use crate::session::RequestContext;

/// The table types there are, as the type listing names them.
pub(super) const TYPES: [&str; 2] = ["TABLE", "VIEW"];

pub(super) async fn rows(
    app: &App,
    context: &RequestContext,
    request: CommandGetTables,
) -> Result<RecordBatch> {
    let asked: Vec<(TableKind, String)> = request
        .table_types
        .iter()
        .filter_map(|name| kind(name).map(|kind| (kind, name.clone())))
        .collect();
    let filter = TableFilter {
        catalog: request.catalog,
        schema: request.db_schema_filter_pattern.map(Pattern::new),
        table: request.table_name_filter_pattern.map(Pattern::new),
        kinds: (!request.table_types.is_empty()).then(|| asked.iter().map(|(kind, _)| *kind).collect()),
        with_columns: request.include_schema,
    };
    let found = app.engine.tables(&context.principal, &filter).await?;
    let mut builder = GetTablesBuilder::new(
        None::<String>,
        None::<String>,
        None::<String>,
        Vec::<String>::new(),
        request.include_schema,
    );
    for table in found {
        let spelling = asked
            .iter()
            .find(|(kind, _)| *kind == table.kind)
            .map(|(_, name)| name.as_str());
        let columns = match &table.columns {
            Some(columns) => table_schema(columns, &table.catalog, &table.schema, &table.name),
            None => Schema::empty().into(),
        };
        let type_name = spelling.unwrap_or(default_name(table.kind));
        builder
            .append(&table.catalog, &table.schema, &table.name, type_name, &columns)
            .map_err(failed)?;
    }
    builder.build().map_err(failed)
}

/// What a spelling of a table type means.
fn kind(name: &str) -> Option<TableKind> {
    let plain: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    match plain.to_ascii_uppercase().as_str() {
        "TABLE" | "BASETABLE" => Some(TableKind::Table),
        "VIEW" => Some(TableKind::View),
        _ => None,
    }
}

fn default_name(kind: TableKind) -> &'static str {
    match kind {
        TableKind::Table => TYPES[0],
        TableKind::View => TYPES[1],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_table_is_known() {
        for name in ["TABLE", "table", "BASE TABLE", "BASETABLE", "Base Table"] {
            assert_eq!(kind(name), Some(TableKind::Table), "{name}");
        }
        assert_eq!(kind("VIEW"), Some(TableKind::View));
        assert_eq!(kind("SYSTEM TABLE"), None);
    }
}
