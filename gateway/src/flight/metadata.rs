//! The metadata commands: catalogs, schemas, tables, types, keys, and facts about the server. Drivers look columns up by
//! name and compare schemas strictly, so schemas are those of the proto comments, letter by letter, and nothing but
//! plain types is used.

mod keys;
mod tables;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow_flight::sql::metadata::{GetCatalogsBuilder, GetDbSchemasBuilder};
use arrow_flight::sql::{Command, CommandGetCatalogs, CommandGetDbSchemas, CommandGetTableTypes};
use planner::Pattern;

use super::{sql_info, xdbc};
use crate::app::App;
use crate::error::{Error, Result};
use crate::session::RequestContext;

/// Whether a command asks for metadata.
pub(super) fn is_metadata(command: &Command) -> bool {
    matches!(
        command,
        Command::CommandGetCatalogs(_)
            | Command::CommandGetDbSchemas(_)
            | Command::CommandGetTables(_)
            | Command::CommandGetTableTypes(_)
            | Command::CommandGetSqlInfo(_)
            | Command::CommandGetXdbcTypeInfo(_)
            | Command::CommandGetPrimaryKeys(_)
            | Command::CommandGetExportedKeys(_)
            | Command::CommandGetImportedKeys(_)
            | Command::CommandGetCrossReference(_)
    )
}

/// The columns of a command's answer; no columns for what is no metadata command.
pub(super) fn schema(command: &Command) -> SchemaRef {
    match command {
        Command::CommandGetCatalogs(_) => CommandGetCatalogs {}.into_builder().schema(),
        Command::CommandGetDbSchemas(request) => request.clone().into_builder().schema(),
        Command::CommandGetTables(request) => request.clone().into_builder().schema(),
        Command::CommandGetTableTypes(_) => CommandGetTableTypes {}.into_builder().schema(),
        Command::CommandGetSqlInfo(_) => sql_info::schema(),
        Command::CommandGetXdbcTypeInfo(_) => xdbc::schema(),
        Command::CommandGetPrimaryKeys(_) => keys::primary_schema(),
        Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => keys::reference_schema(),
        _ => Arc::new(arrow::datatypes::Schema::empty()),
    }
}

/// The rows of a command's answer: what this caller may know.
///
/// # Errors
/// A source that does not answer.
pub(super) async fn rows(app: &App, context: &RequestContext, command: Command) -> Result<RecordBatch> {
    match command {
        Command::CommandGetCatalogs(_) => catalogs(app, context).await,
        Command::CommandGetDbSchemas(request) => schemas(app, context, request).await,
        Command::CommandGetTables(request) => tables::rows(app, context, request).await,
        Command::CommandGetTableTypes(_) => table_types(),
        Command::CommandGetSqlInfo(request) => sql_info::rows(&request),
        Command::CommandGetXdbcTypeInfo(request) => xdbc::rows(&request),
        Command::CommandGetPrimaryKeys(request) => keys::primary(app, context, request).await,
        Command::CommandGetExportedKeys(request) => keys::exported(app, context, request).await,
        Command::CommandGetImportedKeys(request) => keys::imported(app, context, request).await,
        Command::CommandGetCrossReference(request) => keys::between(app, context, request).await,
        other => Err(Error::Unsupported {
            what: super::asked::name(other.type_url()).to_owned(),
        }),
    }
}

async fn catalogs(app: &App, context: &RequestContext) -> Result<RecordBatch> {
    let mut builder = GetCatalogsBuilder::new();
    for name in app.engine.catalogs(context.lister()?).await? {
        builder.append(name);
    }
    builder.build().map_err(failed)
}

async fn schemas(app: &App, context: &RequestContext, request: CommandGetDbSchemas) -> Result<RecordBatch> {
    let pattern = request.db_schema_filter_pattern.map(Pattern::new);
    let found = app
        .engine
        .schemas(context.lister()?, request.catalog.as_deref(), pattern.as_ref())
        .await?;
    let mut builder = GetDbSchemasBuilder::new(None::<String>, None::<String>);
    for (catalog, schema) in found {
        builder.append(catalog, schema);
    }
    builder.build().map_err(failed)
}

fn table_types() -> Result<RecordBatch> {
    let mut builder = CommandGetTableTypes {}.into_builder();
    for name in tables::TYPES {
        builder.append(name);
    }
    builder.build().map_err(failed)
}

fn failed(error: arrow_flight::error::FlightError) -> Error {
    Error::Internal {
        message: error.to_string(),
    }
}
