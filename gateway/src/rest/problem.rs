//! Failures as RFC 9457 problems. A route answers with a [`Refusal`]; the envelope turns it into the document, because
//! only there is the name of the request known.
//!
//! Invariant: code, status and sentence come from `status.rs`. This file adds what only HTTP has: the headers, and the
//! two statuses (405, 415) that belong to the protocol and not to the failure.

use std::sync::Arc;

use arrow::error::ArrowError;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderValue, StatusCode};
use planner::ErrorKind;
use serde::Serialize;
use utoipa::ToSchema;

use crate::admission::Room;
use crate::audit::Outcome;
use crate::error::Error;
use crate::rest::caller::tell;
use crate::status::{Answer, outcome};

/// The media type of a problem.
const MEDIA_TYPE: &str = "application/problem+json";

/// Why a call is refused.
#[derive(Debug)]
pub(super) struct Refusal {
    error: Error,
    status: Option<StatusCode>,
    place: Option<(u64, u64)>,
}

impl Refusal {
    /// The same refusal under a status of the protocol's own.
    pub(super) fn with_status(self, status: StatusCode) -> Self {
        Self {
            status: Some(status),
            ..self
        }
    }

    /// The same refusal with line and column of the body, both from one.
    pub(super) fn at(self, line: u64, column: u64) -> Self {
        Self {
            place: Some((line, column)),
            ..self
        }
    }

    /// The document for the request `id`; writes the log line.
    pub(super) fn problem(&self, id: &str) -> Problem {
        let answer = Answer::of(&self.error, id);
        let status = self.status.unwrap_or_else(|| answer.http());
        let (line, column) = self.place().unzip();
        Problem {
            kind: format!("urn:lakegate:error:{}", answer.code),
            title: title(answer.kind),
            status: status.as_u16(),
            detail: answer.message,
            code: answer.code,
            request_id: id.to_owned(),
            hint: answer.hint,
            // Whole seconds, and not one too early.
            retry_after: answer
                .retry_after
                .map(|wait| wait.as_secs_f64().ceil().max(1.0) as u64),
            line,
            column,
        }
    }

    /// How the audit trail tells of it.
    pub(super) fn outcome(&self) -> Outcome {
        outcome(&self.error)
    }

    /// What is left of the caller's requests, where that is why.
    fn room(&self) -> Option<Room> {
        match &self.error {
            Error::RateLimited { room } => Some(*room),
            _ => None,
        }
    }

    /// The failure itself.
    pub(super) fn into_error(self) -> Error {
        self.error
    }

    fn place(&self) -> Option<(u64, u64)> {
        match &self.error {
            // Zero says that the parser gave no place.
            Error::Planner(planner::Error::Syntax { line, column, .. }) if *line > 0 => {
                Some((*line, *column))
            }
            _ => self.place,
        }
    }
}

impl<E: Into<Error>> From<E> for Refusal {
    fn from(error: E) -> Self {
        Self {
            error: error.into(),
            status: None,
            place: None,
        }
    }
}

/// Our own mistakes with Arrow in a place where the caller's data has no part.
pub(super) fn internal(error: &ArrowError) -> Error {
    Error::Internal {
        message: error.to_string(),
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = StatusCode::INTERNAL_SERVER_ERROR.into_response();
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// A failure as the caller reads it.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "type": "urn:lakegate:error:LG1005",
    "title": "Not found",
    "status": 404,
    "detail": "table 'lake.gold.linitem' not found",
    "code": "LG1005",
    "request_id": "0198d2a4c0de7cc3a1b2c3d4e5f60718",
    "hint": "did you mean 'lake.gold.lineitem'?"
}))]
pub(super) struct Problem {
    /// Names the kind of failure: `urn:lakegate:error:` and the code.
    #[serde(rename = "type")]
    pub(super) kind: String,
    /// The class of the failure, the same for every occurrence.
    pub(super) title: &'static str,
    /// The HTTP status; in a body that has begun with 200, the one it would have had.
    pub(super) status: u16,
    /// What is wrong this time.
    pub(super) detail: String,
    /// Stable code; `deploy/errors.md` says what to do about each.
    pub(super) code: &'static str,
    /// Names the request in the gateway's log; the same as the header `x-request-id`.
    pub(super) request_id: String,
    /// What to try.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) hint: Option<String>,
    /// After how many seconds to come again; the same as the header `retry-after`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) retry_after: Option<u64>,
    /// The line of the statement or body at fault, from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) line: Option<u64>,
    /// The column in that line, from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) column: Option<u64>,
}

impl Problem {
    /// The document as JSON.
    pub(super) fn json(&self) -> Vec<u8> {
        // Strings and numbers only: this cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

/// Puts the problem of `refusal` in the place of the body of `response`; its headers stay.
pub(super) fn render(response: Response, refusal: &Refusal, id: &str) -> Response {
    let problem = refusal.problem(id);
    let (mut parts, _) = response.into_parts();
    parts.status = StatusCode::from_u16(problem.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    parts.headers.remove(CONTENT_LENGTH);
    parts
        .headers
        .insert(CONTENT_TYPE, HeaderValue::from_static(MEDIA_TYPE));
    if parts.status == StatusCode::UNAUTHORIZED {
        let basic = HeaderValue::from_static("Basic realm=\"lakegate\", charset=\"UTF-8\"");
        parts.headers.append(WWW_AUTHENTICATE, basic);
        parts.headers.append(
            WWW_AUTHENTICATE,
            HeaderValue::from_static("Bearer realm=\"lakegate\""),
        );
    }
    if let Some(seconds) = problem.retry_after {
        parts.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    let mut response = Response::from_parts(parts, Body::from(problem.json()));
    tell(&mut response, refusal.room());
    response
}

fn title(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Invalid => "Invalid request",
        ErrorKind::NotFound => "Not found",
        ErrorKind::Denied => "Not allowed",
        ErrorKind::Unauthenticated => "Not authenticated",
        ErrorKind::TooMuch => "Limit exceeded",
        ErrorKind::Timeout => "Deadline passed",
        ErrorKind::Cancelled => "Cancelled",
        ErrorKind::Unavailable => "Temporarily unavailable",
        ErrorKind::Unsupported => "Not supported",
        ErrorKind::Corrupt => "Stored data is damaged",
        ErrorKind::Internal => "Internal error",
    }
}
