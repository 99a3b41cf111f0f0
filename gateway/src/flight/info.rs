//! GetFlightInfo, PollFlightInfo, GetSchema, ListFlights: what a result will be and the tickets to fetch it.
//!
//! Nothing runs here: the statement is planned, the versions of its tables are pinned into the tickets, and the rows
//! are made when a ticket is used, on any gateway of the fleet.

use std::time::{Duration, SystemTime};

use arrow::datatypes::{Schema, SchemaRef};
use arrow::ipc::writer::IpcWriteOptions;
use arrow_flight::{
    FlightDescriptor, FlightEndpoint, FlightInfo, IpcMessage, PollInfo, SchemaAsIpc, SchemaResult, Ticket,
};
use planner::{Query, StatementKind, TableFilter};
use prost::bytes::Bytes;
use tonic::Response;

use super::asked::{Asked, by_descriptor, name};
use super::prepared::Opened;
use super::{metadata, session_options};
use crate::app::App;
use crate::edge::result_schema;
use crate::error::{Error, Result};
use crate::session::RequestContext;
use crate::ticket::{self, Content, Statement};

/// GetFlightInfo.
pub(super) async fn flight_info(
    app: &App,
    context: &RequestContext,
    descriptor: FlightDescriptor,
) -> Result<Response<FlightInfo>> {
    match by_descriptor(&descriptor)? {
        Asked::Sql(sql) => statement(app, context, descriptor, sql, None).await,
        Asked::Prepared(handle) => {
            let Opened { context, handle } = Opened::handle(app, context, &handle)?;
            statement(app, &context, descriptor, handle.sql, handle.parameters).await
        }
        Asked::Metadata(command) => {
            context.entry.command(name(command.type_url())).await?;
            let schema = metadata::schema(&command);
            let ticket = sealed(app, context, Content::Metadata(bytes_of(*command)))?;
            Ok(Response::new(assemble(
                &schema,
                descriptor,
                vec![endpoint(app, ticket)],
            )?))
        }
    }
}

/// PollFlightInfo: planning is quick, so the first answer is the last.
pub(super) async fn poll(
    app: &App,
    context: &RequestContext,
    descriptor: FlightDescriptor,
) -> Result<Response<PollInfo>> {
    let expires = SystemTime::now() + app.config.limits.ticket_lifetime;
    let response = flight_info(app, context, descriptor).await?;
    Ok(response.map(|info| PollInfo {
        info: Some(info),
        flight_descriptor: None,
        progress: Some(1.0),
        expiration_time: Some(expires.into()),
    }))
}

/// GetSchema.
pub(super) async fn schema(
    app: &App,
    context: &RequestContext,
    descriptor: &FlightDescriptor,
) -> Result<SchemaResult> {
    let schema = match by_descriptor(descriptor)? {
        Asked::Sql(sql) => columns(app, context, Query::new(sql)).await?,
        Asked::Prepared(handle) => {
            let Opened { context, handle } = Opened::handle(app, context, &handle)?;
            let query = Query {
                parameters: handle.values()?,
                ..Query::new(handle.sql)
            };
            columns(app, &context, query).await?
        }
        Asked::Metadata(command) => {
            context.entry.command(name(command.type_url())).await?;
            metadata::schema(&command)
        }
    };
    Ok(SchemaResult {
        schema: encoded(&schema)?,
    })
}

async fn columns(app: &App, context: &RequestContext, query: Query) -> Result<SchemaRef> {
    let described = app
        .engine
        .describe(&context.request(&query.sql).await?, &query)
        .await?;
    context.entry.planned(described.reads.as_ref()).await?;
    Ok(result_schema(&described.schema, &described.origins))
}

/// ListFlights: every table that the caller may know, as a flight of all its rows. The expression is a LIKE pattern on
/// the table's name; empty means all.
pub(super) async fn list(app: &App, context: &RequestContext, expression: &[u8]) -> Result<Vec<FlightInfo>> {
    let pattern = String::from_utf8(expression.to_vec()).map_err(|_| Error::Malformed {
        what: "criteria",
        problem: "it is not UTF-8".to_owned(),
    })?;
    let table = (!pattern.is_empty()).then(|| planner::Pattern::new(pattern));
    let filter = TableFilter {
        table,
        with_columns: true,
        ..TableFilter::default()
    };
    let mut flights = Vec::new();
    for table in app.engine.tables(context.lister()?, &filter).await? {
        let Some(columns) = table.columns else { continue };
        let schema = crate::edge::table_schema(&columns, &table.catalog, &table.schema, &table.name);
        let descriptor = FlightDescriptor::new_path(vec![table.catalog, table.schema, table.name]);
        flights.push(assemble(&schema, descriptor, Vec::new())?);
    }
    Ok(flights)
}

async fn statement(
    app: &App,
    context: &RequestContext,
    descriptor: FlightDescriptor,
    sql: String,
    parameters: Option<Vec<u8>>,
) -> Result<Response<FlightInfo>> {
    let values = parameters.as_deref().map(ticket::read_values).transpose()?;
    let query = Query {
        parameters: values,
        ..Query::new(sql.clone())
    };
    let described = app
        .engine
        .describe(&context.request(&query.sql).await?, &query)
        .await?;
    context.entry.planned(described.reads.as_ref()).await?;
    if let StatementKind::Set(assignments) = &described.kind {
        let session = app
            .engine
            .set(&context.principal, &context.session, assignments)
            .await?;
        let ticket = sealed(app, context, Content::Nothing)?;
        let info = assemble(&described.schema, descriptor, vec![endpoint(app, ticket)])?;
        return session_options::carried(app, context, &session, Response::new(info));
    }
    let parts: Vec<_> = match described.partitions.is_empty() {
        true => vec![None],
        false => described.partitions.iter().copied().map(Some).collect(),
    };
    let mut endpoints = Vec::with_capacity(parts.len());
    for partition in parts {
        let content = Content::Statement(Statement {
            id: context.id.clone(),
            sql: sql.clone(),
            parameters: parameters.clone(),
            pins: described.pins.clone(),
            partition,
            at: described.at,
        });
        endpoints.push(endpoint(app, sealed(app, context, content)?));
    }
    let mut info = assemble(
        &result_schema(&described.schema, &described.origins),
        descriptor,
        endpoints,
    )?;
    // What the sources will be asked, as JSON: `planner::Report`.
    if let Some(report) = &described.report {
        info.app_metadata = serde_json::to_vec(report)
            .map_err(|error| Error::Internal {
                message: error.to_string(),
            })?
            .into();
    }
    Ok(Response::new(info))
}

fn sealed(app: &App, context: &RequestContext, content: Content) -> Result<Vec<u8>> {
    ticket::seal(
        &app.seal,
        &context.principal,
        &context.session,
        app.config.limits.ticket_lifetime,
        content,
    )
}

/// An endpoint without a location: fetch it where you got it, or from any gateway of the fleet.
fn endpoint(app: &App, ticket: Vec<u8>) -> FlightEndpoint {
    let expires = SystemTime::now()
        + app
            .config
            .limits
            .ticket_lifetime
            .saturating_sub(Duration::from_secs(1));
    FlightEndpoint {
        ticket: Some(Ticket {
            ticket: ticket.into(),
        }),
        location: Vec::new(),
        expiration_time: Some(expires.into()),
        app_metadata: Bytes::new(),
    }
}

fn assemble(
    schema: &SchemaRef,
    descriptor: FlightDescriptor,
    endpoint: Vec<FlightEndpoint>,
) -> Result<FlightInfo> {
    Ok(FlightInfo {
        schema: encoded(schema)?,
        flight_descriptor: Some(descriptor),
        endpoint,
        total_records: -1,
        total_bytes: -1,
        ordered: false,
        app_metadata: Bytes::new(),
    })
}

/// A schema as an encapsulated IPC message, which is what clients read from FlightInfo, SchemaResult and GetTables.
pub(super) fn encoded(schema: &Schema) -> Result<Bytes> {
    let options = IpcWriteOptions::default();
    let IpcMessage(bytes) = SchemaAsIpc::new(schema, &options).try_into()?;
    Ok(bytes)
}

fn bytes_of(command: arrow_flight::sql::Command) -> Vec<u8> {
    prost::Message::encode_to_vec(&command.into_any())
}
