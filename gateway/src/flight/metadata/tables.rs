//! GetTables. Tools spell table types in several ways and expect their own spelling back: Power BI asks for `BASE
//! TABLE`, JDBC tools for `TABLE`, and the ODBC driver strips the blank.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow_flight::sql::CommandGetTables;
use arrow_flight::sql::metadata::GetTablesBuilder;
use planner::{Pattern, Table, TableFilter, TableKind};

use super::failed;
use crate::app::App;
use crate::edge::table_schema;
use crate::error::Result;
use crate::session::RequestContext;

/// The table types there are, as the type listing names them.
pub(super) const TYPES: [&str; 3] = ["SYSTEM TABLE", "TABLE", "VIEW"];

/// The schema whose tables are of the type `SYSTEM TABLE`.
const INFORMATION_SCHEMA: &str = "information_schema";

/// What a table type means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    /// A table or view of a source.
    Kind(TableKind),
    /// A table of the information schema.
    System,
}

/// Tables of the sources, and those of the information schema where they are asked for: by their type, or without any
/// type by the name of their schema, as tools do that want its columns. A listing of everything leaves them out, so
/// that a tool's tree shows the lake and not its catalog.
pub(super) async fn rows(
    app: &App,
    context: &RequestContext,
    request: CommandGetTables,
) -> Result<RecordBatch> {
    let asked: Vec<(Wanted, String)> = request
        .table_types
        .iter()
        .filter_map(|name| wanted(name).map(|wanted| (wanted, name.clone())))
        .collect();
    let is_open = request.table_types.is_empty();
    let schema = request.db_schema_filter_pattern.map(Pattern::new);
    let system = match is_open {
        true => schema
            .as_ref()
            .is_some_and(|pattern| pattern.names(INFORMATION_SCHEMA)),
        false => asked.iter().any(|(wanted, _)| *wanted == Wanted::System),
    };
    let kinds = asked.iter().filter_map(|(wanted, _)| match wanted {
        Wanted::Kind(kind) => Some(*kind),
        Wanted::System => None,
    });
    let filter = TableFilter {
        catalog: request.catalog,
        schema,
        table: request.table_name_filter_pattern.map(Pattern::new),
        kinds: (!is_open).then(|| kinds.collect()),
        with_columns: request.include_schema,
    };
    let mut found: Vec<(Wanted, Table)> = Vec::new();
    if system {
        let tables = app.engine.system_tables(context.lister()?, &filter).await?;
        found.extend(tables.into_iter().map(|table| (Wanted::System, table)));
    }
    let tables = app.engine.tables(context.lister()?, &filter).await?;
    found.extend(tables.into_iter().map(|table| (Wanted::Kind(table.kind), table)));
    found.sort_by(|(_, one), (_, other)| place(one).cmp(&place(other)));
    batch(&found, &asked, request.include_schema)
}

/// Where a table stands in the order of FlightSql.proto.
fn place(table: &Table) -> (&str, &str, &str) {
    (&table.catalog, &table.schema, &table.name)
}

fn batch(found: &[(Wanted, Table)], asked: &[(Wanted, String)], include_schema: bool) -> Result<RecordBatch> {
    let mut builder = GetTablesBuilder::new(
        None::<String>,
        None::<String>,
        None::<String>,
        Vec::<String>::new(),
        include_schema,
    );
    for (is, table) in found {
        let spelling = asked
            .iter()
            .find(|(wanted, _)| wanted == is)
            .map(|(_, name)| name.as_str());
        let columns = match &table.columns {
            Some(columns) => table_schema(columns, &table.catalog, &table.schema, &table.name),
            None => Schema::empty().into(),
        };
        let type_name = spelling.unwrap_or(default_name(*is));
        builder
            .append(&table.catalog, &table.schema, &table.name, type_name, &columns)
            .map_err(failed)?;
    }
    builder.build().map_err(failed)
}

/// What a spelling of a table type means.
fn wanted(name: &str) -> Option<Wanted> {
    let plain: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    match plain.to_ascii_uppercase().as_str() {
        "TABLE" | "BASETABLE" => Some(Wanted::Kind(TableKind::Table)),
        "VIEW" => Some(Wanted::Kind(TableKind::View)),
        "SYSTEMTABLE" => Some(Wanted::System),
        _ => None,
    }
}

fn default_name(is: Wanted) -> &'static str {
    match is {
        Wanted::System => TYPES[0],
        Wanted::Kind(TableKind::Table) => TYPES[1],
        Wanted::Kind(TableKind::View) => TYPES[2],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_table_is_known() {
        for name in ["TABLE", "table", "BASE TABLE", "BASETABLE", "Base Table"] {
            assert_eq!(wanted(name), Some(Wanted::Kind(TableKind::Table)), "{name}");
        }
        assert_eq!(wanted("VIEW"), Some(Wanted::Kind(TableKind::View)));
        for name in ["SYSTEM TABLE", "SYSTEMTABLE", "system table"] {
            assert_eq!(wanted(name), Some(Wanted::System), "{name}");
        }
        assert_eq!(wanted("GLOBAL TEMPORARY"), None);
        for name in TYPES {
            assert_eq!(wanted(name).map(default_name), Some(name));
        }
    }
}
