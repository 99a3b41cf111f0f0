//! The only table from failures to answers: gRPC status, HTTP status, stable code and sentence.
//!
//! Internal text never reaches a caller; it goes to the log under the request id that the caller gets.

use std::time::Duration;

use planner::ErrorKind;
use prost::Message;
use prost::bytes::Bytes;
use prost_types::Any;
use tonic::{Code, Status};

use crate::admission::Room;
use crate::audit::Outcome;
use crate::error::Error;

/// A failure as a caller sees it.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The class.
    pub kind: ErrorKind,
    /// Stable code; `deploy/errors.md` has a paragraph for each.
    pub code: &'static str,
    /// What is wrong, one line.
    pub message: String,
    /// What to try.
    pub hint: Option<String>,
    /// When to come again, for what will pass.
    pub retry_after: Option<Duration>,
    /// What is left of the caller's requests, where that is why.
    pub(crate) room: Option<Room>,
}

impl Answer {
    /// The answer for `error` in the request `id`; writes the log line.
    pub fn of(error: &Error, id: &str) -> Self {
        let answer = Self {
            kind: kind(error),
            code: code(error),
            message: error.to_string(),
            hint: hint(error),
            retry_after: retry_after(error),
            room: match error {
                Error::RateLimited { room } => Some(*room),
                _ => None,
            },
        };
        if answer.kind == ErrorKind::Internal {
            tracing::error!(request = id, code = answer.code, error = %chain(error), "request failed");
            return Self {
                message: format!("internal error; the log has it as request {id}"),
                ..answer
            };
        }
        tracing::debug!(request = id, code = answer.code, error = %chain(error), "request refused");
        answer
    }

    /// The sentence with its hint and code, for protocols that have room for one text.
    pub fn sentence(&self) -> String {
        match &self.hint {
            Some(hint) => format!("{}; {hint} ({})", self.message, self.code),
            None => format!("{} ({})", self.message, self.code),
        }
    }

    /// As a gRPC status.
    pub fn status(&self) -> Status {
        let (code, sentence) = (grpc(self.kind), self.sentence());
        let mut status = match self.retry_after {
            Some(delay) => Status::with_details(code, sentence.clone(), retry_info(code, sentence, delay)),
            None => Status::new(code, sentence),
        };
        for (name, value) in self.room.iter().flat_map(Room::headers) {
            status.metadata_mut().insert(name, value.into());
        }
        status
    }

    /// The HTTP status.
    pub fn http(&self) -> http::StatusCode {
        use http::StatusCode;
        match self.code {
            "LG2008" => return StatusCode::NOT_ACCEPTABLE,
            // A statement past its bounds will be past them again: not 429, which invites to come back.
            "LG1009" | "LG1020" | "LG2009" => return StatusCode::PAYLOAD_TOO_LARGE,
            _ => {}
        }
        match self.kind {
            ErrorKind::Invalid => StatusCode::BAD_REQUEST,
            ErrorKind::NotFound => StatusCode::NOT_FOUND,
            ErrorKind::Denied => StatusCode::FORBIDDEN,
            ErrorKind::Unauthenticated => StatusCode::UNAUTHORIZED,
            ErrorKind::TooMuch => StatusCode::TOO_MANY_REQUESTS,
            ErrorKind::Timeout => StatusCode::GATEWAY_TIMEOUT,
            ErrorKind::Cancelled => StatusCode::CONFLICT,
            ErrorKind::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            ErrorKind::Unsupported => StatusCode::NOT_IMPLEMENTED,
            ErrorKind::Corrupt => StatusCode::BAD_GATEWAY,
            ErrorKind::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

fn grpc(kind: ErrorKind) -> Code {
    match kind {
        ErrorKind::Invalid => Code::InvalidArgument,
        ErrorKind::NotFound => Code::NotFound,
        ErrorKind::Denied => Code::PermissionDenied,
        ErrorKind::Unauthenticated => Code::Unauthenticated,
        ErrorKind::TooMuch => Code::ResourceExhausted,
        ErrorKind::Timeout => Code::DeadlineExceeded,
        ErrorKind::Cancelled => Code::Cancelled,
        ErrorKind::Unavailable => Code::Unavailable,
        ErrorKind::Unsupported => Code::Unimplemented,
        ErrorKind::Corrupt => Code::DataLoss,
        ErrorKind::Internal => Code::Internal,
    }
}

fn kind(error: &Error) -> ErrorKind {
    match error {
        Error::Planner(error) => error.kind(),
        Error::Identity(error) => match error.kind() {
            policies::ErrorKind::Invalid => ErrorKind::Invalid,
            policies::ErrorKind::Unauthenticated => ErrorKind::Unauthenticated,
            policies::ErrorKind::TooMuch => ErrorKind::TooMuch,
            policies::ErrorKind::Unavailable => ErrorKind::Unavailable,
            policies::ErrorKind::Internal => ErrorKind::Internal,
        },
        Error::Scope { .. } => ErrorKind::Denied,
        Error::NoCredentials | Error::Authorization { .. } => ErrorKind::Unauthenticated,
        Error::Ticket | Error::TicketExpired | Error::Malformed { .. } | Error::NotAcceptable { .. } => {
            ErrorKind::Invalid
        }
        Error::Unsupported { .. } => ErrorKind::Unsupported,
        Error::Busy { .. } | Error::TooLarge { .. } | Error::RateLimited { .. } => ErrorKind::TooMuch,
        Error::NotFound { .. } => ErrorKind::NotFound,
        Error::Stopping | Error::Audit => ErrorKind::Unavailable,
        Error::Config(_) | Error::Internal { .. } => ErrorKind::Internal,
    }
}

/// How the audit trail tells of a failure.
pub(crate) fn outcome(error: &Error) -> Outcome {
    Outcome::failed(kind(error), code(error))
}

/// The stable code of a failure.
fn code(error: &Error) -> &'static str {
    match error {
        Error::Planner(error) => error.code(),
        Error::Identity(policies::Error::Throttled { .. }) => "LG2014",
        Error::Identity(policies::Error::Issuer { .. }) => "LG2015",
        Error::Scope { .. } => "LG2013",
        Error::Identity(error) => match error.kind() {
            policies::ErrorKind::Unauthenticated => "LG2001",
            policies::ErrorKind::TooMuch => "LG2002",
            policies::ErrorKind::Invalid
            | policies::ErrorKind::Unavailable
            | policies::ErrorKind::Internal => "LG2003",
        },
        Error::NoCredentials | Error::Authorization { .. } => "LG2001",
        Error::Ticket => "LG2004",
        Error::TicketExpired => "LG2005",
        Error::Malformed { .. } => "LG2006",
        Error::Unsupported { .. } => "LG2007",
        Error::NotAcceptable { .. } => "LG2008",
        Error::TooLarge { .. } => "LG2009",
        Error::Busy { .. } => "LG2010",
        Error::NotFound { .. } => "LG2011",
        Error::Stopping => "LG2012",
        Error::Audit => "LG2016",
        Error::RateLimited { .. } => "LG2017",
        Error::Config(_) | Error::Internal { .. } => "LG2099",
    }
}

/// When to come again.
fn retry_after(error: &Error) -> Option<Duration> {
    match error {
        Error::Identity(policies::Error::Throttled { retry_after }) => Some(*retry_after),
        Error::RateLimited { room } => room.wait,
        Error::Busy { .. } | Error::Stopping | Error::Audit | Error::Identity(policies::Error::Busy) => {
            Some(Duration::from_secs(1))
        }
        _ => None,
    }
}

/// `google.rpc.Status`, which gRPC carries in `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RpcStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<prost_types::Duration>,
}

fn retry_info(code: Code, message: String, delay: Duration) -> Bytes {
    let info = RetryInfo {
        retry_delay: prost_types::Duration::try_from(delay).ok(),
    };
    let detail = Any {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(),
        value: info.encode_to_vec(),
    };
    let status = RpcStatus {
        code: code as i32,
        message,
        details: vec![detail],
    };
    status.encode_to_vec().into()
}

fn hint(error: &Error) -> Option<String> {
    match error {
        Error::Planner(error) => error.hint(),
        Error::Busy { .. } => Some("try again in a moment".to_owned()),
        Error::TicketExpired => Some("send the statement again".to_owned()),
        _ => None,
    }
}

/// An error with its causes, for the log.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
