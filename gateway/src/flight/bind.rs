//! DoPut: values for a prepared statement. The answer carries a new handle with the values inside, so that the next call
//! may go to another gateway. Everything that would write is refused by name: nothing here pretends.

use std::sync::Arc;

use arrow_flight::error::FlightError;
use arrow_flight::sql::{Command, DoPutPreparedStatementResult, DoPutUpdateResult};
use arrow_flight::{FlightData, PutResult};
use futures::{StreamExt, TryStreamExt, stream};
use planner::{Query, StatementKind};
use prost::Message;
use tonic::{Response, Streaming};

use super::asked::{command, name};
use super::prepared::{self, Opened};
use super::session_options;
use super::values::{malformed, values};
use crate::app::App;
use crate::error::{Error, Result};
use crate::session::RequestContext;

pub(super) async fn answer(
    app: &Arc<App>,
    context: &RequestContext,
    mut messages: Streaming<FlightData>,
) -> Result<Response<PutResult>> {
    let first = match messages.next().await {
        Some(Ok(first)) => first,
        Some(Err(status)) => return Err(malformed(status.message().to_owned())),
        None => return Err(malformed("it is empty".to_owned())),
    };
    let descriptor = first
        .flight_descriptor
        .clone()
        .ok_or_else(|| malformed("it has no descriptor".to_owned()))?;
    let command = command(&descriptor.cmd);
    if let Some(Ok(command)) = &command {
        context.entry.command(name(command.type_url())).await?;
    }
    match command {
        Some(Ok(Command::CommandPreparedStatementQuery(query))) => {
            let opened = Opened::handle(app, context, &query.prepared_statement_handle)?;
            let rows_max = app.config.planner.parameter_rows_max;
            let messages = stream::once(async move { Ok(first) }).chain(messages.map_err(FlightError::from));
            let handle = match values(messages, rows_max).await? {
                Some(values) => prepared::bound(&opened, app, &values)?,
                None => query.prepared_statement_handle.to_vec(),
            };
            let result = DoPutPreparedStatementResult {
                prepared_statement_handle: Some(handle.into()),
            };
            Ok(Response::new(PutResult {
                app_metadata: result.encode_to_vec().into(),
            }))
        }
        Some(Ok(Command::CommandStatementUpdate(update))) => update_result(app, context, &update.query).await,
        Some(Ok(Command::CommandPreparedStatementUpdate(update))) => {
            let opened = Opened::handle(app, context, &update.prepared_statement_handle)?;
            update_result(app, &opened.context, &opened.handle.sql).await
        }
        Some(Ok(Command::CommandStatementIngest(_))) => Err(Error::Unsupported {
            what: "bulk ingestion through the query gateway, which only reads,".to_owned(),
        }),
        Some(Ok(other)) => Err(Error::Unsupported {
            what: name(other.type_url()).to_owned(),
        }),
        Some(Err(error)) => Err(error),
        None => Err(malformed("its command is not a Flight SQL message".to_owned())),
    }
}

/// An update that changes the session is carried out; a query is told to come by the query path; the rest was refused
/// when the statement was read.
async fn update_result(app: &App, context: &RequestContext, sql: &str) -> Result<Response<PutResult>> {
    let described = app
        .engine
        .describe(&context.request(sql).await?, &Query::new(sql))
        .await?;
    let StatementKind::Set(assignments) = described.kind else {
        return Err(Error::Unsupported {
            what: "a query sent as an update".to_owned(),
        });
    };
    let session = app
        .engine
        .set(&context.principal, &context.session, &assignments)
        .await?;
    let result = DoPutUpdateResult { record_count: 0 };
    let response = Response::new(PutResult {
        app_metadata: result.encode_to_vec().into(),
    });
    session_options::carried(app, context, &session, response)
}
