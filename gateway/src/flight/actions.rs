//! DoAction: each action by name, and a refusal by name for those that cannot be.

use std::time::SystemTime;

use arrow_flight::sql::{
    ActionCancelQueryRequest, ActionCancelQueryResult, ActionCreatePreparedStatementRequest, Any,
    ProstMessageExt,
};
use arrow_flight::{
    Action, CancelFlightInfoRequest, CancelFlightInfoResult, CancelStatus, FlightInfo,
    RenewFlightEndpointRequest, Ticket,
};
use prost::Message;
use prost::bytes::Bytes;
use tonic::Response;

use super::{prepared, session_options};
use crate::app::App;
use crate::error::{Error, Result};
use crate::session::RequestContext;
use crate::ticket::{self, Content};

/// The actions there are, with a sentence each.
pub(super) const NAMES: [(&str, &str); 8] = [
    (
        "CreatePreparedStatement",
        "Plans a statement and returns a sealed handle, its columns and its parameters.",
    ),
    (
        "ClosePreparedStatement",
        "Does nothing, as often as wanted: handles are kept by the client.",
    ),
    (
        "CancelFlightInfo",
        "Stops the streams of a query on this gateway. Closing a stream stops it anywhere.",
    ),
    ("CancelQuery", "The older form of CancelFlightInfo."),
    ("RenewFlightEndpoint", "Gives a ticket a new life time."),
    (
        "SetSessionOptions",
        "Sets catalog, schema or timezone; the changed session comes back as a token and a cookie.",
    ),
    ("GetSessionOptions", "The settings of the session."),
    ("CloseSession", "Forgets the session's settings."),
];

pub(super) async fn answer(app: &App, context: &RequestContext, action: Action) -> Result<Response<Bytes>> {
    let known = NAMES.iter().find(|(name, _)| *name == action.r#type);
    context
        .entry
        .command(known.map_or("unknown", |(name, _)| name))
        .await?;
    match action.r#type.as_str() {
        "CreatePreparedStatement" => {
            let request: ActionCreatePreparedStatementRequest = unpacked(&action)?;
            let result = prepared::create(app, context, request).await?;
            Ok(packed(&result))
        }
        "ClosePreparedStatement" => Ok(Response::new(Bytes::new())),
        "CancelFlightInfo" => {
            let request: CancelFlightInfoRequest = raw(&action)?;
            let status = cancel(app, context, request.info.unwrap_or_default());
            Ok(Response::new(
                CancelFlightInfoResult {
                    status: status.into(),
                }
                .encode_to_vec()
                .into(),
            ))
        }
        "CancelQuery" => {
            let request: ActionCancelQueryRequest = unpacked(&action)?;
            let info = FlightInfo::decode(request.info).map_err(|error| malformed(&action, &error))?;
            let result = cancel(app, context, info) as i32;
            Ok(packed(&ActionCancelQueryResult { result }))
        }
        "RenewFlightEndpoint" => renew(app, context, raw(&action)?),
        "SetSessionOptions" => session_options::set(app, context, action.body).await,
        "GetSessionOptions" => Ok(session_options::get(context)),
        "CloseSession" => session_options::close(),
        other => Err(Error::Unsupported {
            what: format!("action '{}'", other.chars().take(64).collect::<String>()),
        }),
    }
}

/// Stops the query that the info's tickets name. A query that runs on another gateway is not cancellable here.
fn cancel(app: &App, context: &RequestContext, info: FlightInfo) -> CancelStatus {
    let subject = context.principal.subject();
    let tickets = info.endpoint.into_iter().filter_map(|endpoint| endpoint.ticket);
    let ids = tickets.filter_map(|ticket| {
        match ticket::open::<Content>(&app.seal, &context.principal, &ticket.ticket) {
            Ok(opened) => match opened.content {
                Content::Statement(statement) => Some(statement.id),
                Content::Metadata(_) | Content::Nothing => None,
            },
            Err(_) => None,
        }
    });
    let stopped = ids.filter(|id| app.running.cancel(subject, id)).count();
    if stopped > 0 {
        CancelStatus::Cancelled
    } else {
        CancelStatus::NotCancellable
    }
}

fn renew(
    app: &App,
    context: &RequestContext,
    request: RenewFlightEndpointRequest,
) -> Result<Response<Bytes>> {
    let mut endpoint = request.endpoint.unwrap_or_default();
    let old = endpoint.ticket.take().unwrap_or_default();
    let opened = ticket::open::<Content>(&app.seal, &context.principal, &old.ticket)?;
    let lifetime = app.config.limits.ticket_lifetime;
    let sealed = ticket::seal(
        &app.seal,
        &context.principal,
        &opened.session,
        lifetime,
        opened.content,
    )?;
    endpoint.ticket = Some(Ticket {
        ticket: sealed.into(),
    });
    endpoint.expiration_time = Some((SystemTime::now() + lifetime).into());
    Ok(Response::new(endpoint.encode_to_vec().into()))
}

fn raw<T: Message + Default>(action: &Action) -> Result<T> {
    T::decode(action.body.clone()).map_err(|error| malformed(action, &error))
}

fn unpacked<T: ProstMessageExt>(action: &Action) -> Result<T> {
    let any = Any::decode(action.body.clone()).map_err(|error| malformed(action, &error))?;
    let wanted = any.unpack::<T>().map_err(|error| malformed(action, &error))?;
    wanted.ok_or_else(|| malformed(action, &"it holds another message"))
}

fn packed<T: ProstMessageExt>(message: &T) -> Response<Bytes> {
    Response::new(message.as_any().encode_to_vec().into())
}

fn malformed(action: &Action, problem: &dyn std::fmt::Display) -> Error {
    tracing::debug!(action = action.r#type, "malformed action");
    Error::Malformed {
        what: "action",
        problem: problem.to_string(),
    }
}
