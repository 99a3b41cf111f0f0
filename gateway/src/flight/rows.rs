//! DoGet: rows for a ticket. The ticket says what and at which versions; the caller is proven and the policy asked anew.

use arrow::datatypes::Schema;
use arrow_flight::sql::Command;
use planner::Query;
use prost::bytes::Bytes;
use std::sync::Arc;
use uuid::Uuid;

use super::asked::{command, name, no_transaction, text};
use super::encode::{self, Stream};
use super::frames::{self, Frames, Given};
use super::metadata;
use crate::app::App;
use crate::edge::result_schema;
use crate::error::{Error, Result};
use crate::session::RequestContext;
use crate::ticket::{self, Content};

pub(super) async fn answer(app: &Arc<App>, context: &RequestContext, bytes: &Bytes) -> Result<Given> {
    match ticket::open::<Content>(&app.seal, &context.principal, bytes) {
        Ok(opened) => {
            let context = RequestContext {
                session: opened.session,
                ..context.clone()
            };
            by_content(app, &context, opened.content).await
        }
        Err(Error::Ticket) => by_raw(app, context, bytes).await,
        Err(other) => Err(other),
    }
}

async fn by_content(app: &Arc<App>, context: &RequestContext, content: Content) -> Result<Given> {
    match content {
        Content::Statement(statement) => {
            let query = statement.query()?;
            rows(app, context, &statement.id, query).await
        }
        Content::Metadata(bytes) => match command(&Bytes::from(bytes)) {
            Some(command) => metadata_rows(app, context, command?).await,
            None => Err(Error::Ticket),
        },
        Content::Nothing => Ok(frames::whole(vec![Frames::schema(&Schema::empty())]).into()),
    }
}

/// Tickets that a client wrote itself: SQL text, or a command that needs no ticket of ours.
async fn by_raw(app: &Arc<App>, context: &RequestContext, bytes: &Bytes) -> Result<Given> {
    let sql = match command(bytes) {
        Some(Ok(Command::CommandStatementQuery(query))) => {
            no_transaction(query.transaction_id.as_ref())?;
            query.query
        }
        Some(Ok(Command::TicketStatementQuery(inner))) => {
            text(&inner.statement_handle).ok_or(Error::Ticket)?
        }
        Some(Ok(command)) if metadata::is_metadata(&command) => {
            return metadata_rows(app, context, command).await;
        }
        Some(_) => return Err(Error::Ticket),
        None => text(bytes).ok_or(Error::Ticket)?,
    };
    let id = Uuid::now_v7().simple().to_string();
    rows(app, context, &id, Query::new(sql)).await
}

async fn rows(app: &Arc<App>, context: &RequestContext, id: &str, query: Query) -> Result<Given> {
    let place = app.admission.enter(context.principal.subject()).await?;
    let request = context.request(&query.sql).await?;
    let running = app.engine.run(&request, &query).await?;
    let registered = app.running.register(context.principal.subject(), id);
    context.entry.read(&running.reads).await?;
    context.entry.streams();
    let stream = Stream {
        app: Arc::clone(app),
        schema: result_schema(&running.schema, &running.origins),
        request: context.id.clone(),
        fence: Arc::clone(&context.fence),
        entry: Arc::clone(&context.entry),
        registered,
        _place: place,
    };
    Ok(Given {
        cache: running.cached().cloned(),
        messages: stream.encode(running),
    })
}

async fn metadata_rows(app: &Arc<App>, context: &RequestContext, command: Command) -> Result<Given> {
    context.entry.command(name(command.type_url())).await?;
    let batch = metadata::rows(app, context, command).await?;
    let (messages, bytes) = encode::all(&batch)?;
    context.entry.sent(batch.num_rows(), bytes);
    Ok(frames::whole(messages).into())
}
