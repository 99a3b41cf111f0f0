//! Session options. A session lives with the client: setting an option mints a new token that carries it, given both as
//! `authorization` (ADBC takes a replaced token up) and as a cookie (the JDBC driver keeps cookies and not tokens).
//!
//! The messages are those of Flight.proto; arrow-flight 58 does not generate them.

use std::collections::HashMap;

use policies::Shown;
use prost::Message;
use prost::bytes::Bytes;
use tonic::Response;

use super::handshake::bearer;
use crate::app::App;
use crate::auth::SESSION_COOKIE;
use crate::error::{Error, Result};
use crate::session::{RequestContext, options};

#[derive(Clone, PartialEq, Message)]
struct OptionValue {
    #[prost(oneof = "Value", tags = "1, 2, 3, 4, 5")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(bool, tag = "2")]
    Bool(bool),
    #[prost(sfixed64, tag = "3")]
    Int(i64),
    #[prost(double, tag = "4")]
    Double(f64),
    #[prost(message, tag = "5")]
    Texts(TextList),
}

#[derive(Clone, PartialEq, Message)]
struct TextList {
    #[prost(string, repeated, tag = "1")]
    values: Vec<String>,
}

#[derive(Clone, PartialEq, Message)]
struct SetRequest {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct SetError {
    #[prost(int32, tag = "1")]
    value: i32,
}

#[derive(Clone, PartialEq, Message)]
struct SetResult {
    #[prost(map = "string, message", tag = "1")]
    errors: HashMap<String, SetError>,
}

#[derive(Clone, PartialEq, Message)]
struct GetResult {
    #[prost(map = "string, message", tag = "1")]
    options: HashMap<String, OptionValue>,
}

#[derive(Clone, PartialEq, Message)]
struct CloseResult {
    #[prost(int32, tag = "1")]
    status: i32,
}

const INVALID_NAME: i32 = 1;
const INVALID_VALUE: i32 = 2;
const CLOSED: i32 = 1;

/// SetSessionOptions: options that cannot be set are named in the answer, the others are set.
pub(super) async fn set(app: &App, context: &RequestContext, body: Bytes) -> Result<Response<Bytes>> {
    let request = SetRequest::decode(body).map_err(|error| Error::Malformed {
        what: "SetSessionOptions",
        problem: error.to_string(),
    })?;
    let mut session = context.session.clone();
    let mut errors = HashMap::new();
    let mut options: Vec<_> = request.options.into_iter().collect();
    // The catalog first: a schema is looked up in it.
    options.sort_by(|left, right| left.0.cmp(&right.0));
    for (key, value) in options {
        let value = match value.value {
            Some(Value::Text(text)) => text,
            Some(Value::Int(number)) => number.to_string(),
            Some(Value::Bool(_) | Value::Double(_) | Value::Texts(_)) | None => {
                errors.insert(key, SetError { value: INVALID_VALUE });
                continue;
            }
        };
        match app
            .engine
            .set(&context.principal, &session, &[(key.clone(), value)])
            .await
        {
            Ok(changed) => session = changed,
            Err(planner::Error::Setting { problem, .. }) => {
                let is_name = problem.starts_with("is unknown");
                errors.insert(
                    key,
                    SetError {
                        value: if is_name { INVALID_NAME } else { INVALID_VALUE },
                    },
                );
            }
            Err(other) => return Err(other.into()),
        }
    }
    let body = Bytes::from(SetResult { errors }.encode_to_vec());
    carried(app, context, &session, Response::new(body))
}

/// GetSessionOptions.
pub(super) fn get(context: &RequestContext) -> Response<Bytes> {
    let settings = context.session.settings();
    let options = settings
        .into_iter()
        .map(|(key, value)| {
            let value = Some(Value::Text(value));
            (key.to_owned(), OptionValue { value })
        })
        .collect();
    Response::new(GetResult { options }.encode_to_vec().into())
}

/// CloseSession: there is nothing here to close; the cookie is taken back.
pub(super) fn close() -> Result<Response<Bytes>> {
    let mut response = Response::new(Bytes::from(CloseResult { status: CLOSED }.encode_to_vec()));
    let cookie = format!("{SESSION_COOKIE}=; Max-Age=0; Path=/; HttpOnly");
    let cookie = cookie.parse().map_err(|_| Error::Internal {
        message: "a cookie is not ASCII".to_owned(),
    })?;
    response.metadata_mut().insert("set-cookie", cookie);
    Ok(response)
}

/// The answer with the changed session in its headers.
pub(super) fn carried<T>(
    app: &App,
    context: &RequestContext,
    session: &planner::Session,
    mut response: Response<T>,
) -> Result<Response<T>> {
    let options = options(app, session);
    // Who came with a key, a token of an issuer or a certificate goes on with it; the options are in the cookie alone.
    if matches!(context.shown, Shown::Password | Shown::Session) {
        let token = app.identity.mint(&context.principal, context.login, &options)?;
        response.metadata_mut().insert("authorization", bearer(&token)?);
    }
    let carried = app.identity.close_options(&context.principal, &options)?;
    let cookie = format!("{SESSION_COOKIE}={carried}; Path=/; HttpOnly");
    let cookie = cookie.parse().map_err(|_| Error::Internal {
        message: "a cookie is not ASCII".to_owned(),
    })?;
    response.metadata_mut().insert("set-cookie", cookie);
    Ok(response)
}
