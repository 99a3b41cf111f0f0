//! Prepared statements. A handle is the statement itself, sealed: preparing keeps nothing here, binding gives a new
//! handle with the values inside, and closing has nothing to do.

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema, TimeUnit};
use arrow_flight::sql::{ActionCreatePreparedStatementRequest, ActionCreatePreparedStatementResult};
use planner::{Query, StatementKind};
use prost::bytes::Bytes;

use super::asked::no_transaction;
use super::info::encoded;
use crate::app::App;
use crate::edge::{plain_schema, result_schema};
use crate::error::Result;
use crate::session::RequestContext;
use crate::ticket::{self, Handle};

/// An opened handle and the context to run it in. The session is the caller's of now, not that of the preparation: who
/// changes the schema between two runs of a statement means the second run to see it.
pub(super) struct Opened {
    pub(super) context: RequestContext,
    pub(super) handle: Handle,
}

impl Opened {
    /// Opens a handle for its owner.
    ///
    /// # Errors
    /// `Ticket` for anything that is not a handle of this caller, `TicketExpired` for an old one.
    pub(super) fn handle(app: &App, context: &RequestContext, bytes: &Bytes) -> Result<Self> {
        let opened = ticket::open::<Handle>(&app.seal, &context.principal, bytes)?;
        Ok(Self {
            context: context.clone(),
            handle: opened.content,
        })
    }
}

impl Handle {
    /// The bound values, once there are some.
    ///
    /// # Errors
    /// `Internal` when our own bytes cannot be read.
    pub(super) fn values(&self) -> Result<Option<RecordBatch>> {
        self.parameters.as_deref().map(ticket::read_values).transpose()
    }
}

/// CreatePreparedStatement.
pub(super) async fn create(
    app: &App,
    context: &RequestContext,
    request: ActionCreatePreparedStatementRequest,
) -> Result<ActionCreatePreparedStatementResult> {
    no_transaction(request.transaction_id.as_ref())?;
    let described = app
        .engine
        .describe(
            &context.request(&request.query).await?,
            &Query::new(request.query.clone()),
        )
        .await?;
    context.entry.planned(described.reads.as_ref()).await?;
    let handle = Handle {
        sql: request.query,
        parameters: None,
    };
    let sealed = seal(app, context, handle)?;
    let dataset_schema = match described.kind {
        StatementKind::Query
        | StatementKind::Explain
        | StatementKind::Policy
        | StatementKind::Federation { .. } => encoded(&result_schema(&described.schema, &described.origins))?,
        // An empty schema tells drivers that there is no result set.
        StatementKind::Set(_) => encoded(&Schema::empty())?,
    };
    let parameters = announced(&plain_schema(&Schema::new(described.parameters)));
    Ok(ActionCreatePreparedStatementResult {
        prepared_statement_handle: sealed.into(),
        dataset_schema,
        parameter_schema: encoded(&parameters)?,
    })
}

/// Parameters as a client is told of them: times in milliseconds, because the JDBC driver (18.3) writes its milliseconds
/// into whatever unit is announced. Values of any unit are accepted.
fn announced(parameters: &Schema) -> Schema {
    let fields = parameters.fields().iter().map(|field| {
        let data_type = match field.data_type() {
            DataType::Timestamp(_, zone) => DataType::Timestamp(TimeUnit::Millisecond, zone.clone()),
            DataType::Time32(_) | DataType::Time64(_) => DataType::Time32(TimeUnit::Millisecond),
            other => other.clone(),
        };
        field.as_ref().clone().with_data_type(data_type)
    });
    Schema::new(fields.collect::<Vec<_>>())
}

/// The handle with `values` inside.
pub(super) fn bound(opened: &Opened, app: &App, values: &RecordBatch) -> Result<Vec<u8>> {
    let handle = Handle {
        sql: opened.handle.sql.clone(),
        parameters: Some(ticket::write_values(values)?),
    };
    seal(app, &opened.context, handle)
}

fn seal(app: &App, context: &RequestContext, handle: Handle) -> Result<Vec<u8>> {
    // A prepared statement may be kept for a working day; its tickets are made when it is run and live shorter.
    let lifetime = app
        .config
        .limits
        .ticket_lifetime
        .max(std::time::Duration::from_secs(24 * 3600));
    ticket::seal(&app.seal, &context.principal, &context.session, lifetime, handle)
}
