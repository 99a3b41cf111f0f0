//! Refusals as RFC 9457 problems, each with a code of `deploy/errors.md`.

use axum::Json;
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use policies::Error as PolicyError;

use crate::bronze::NotStored;
use crate::error::ErrorKind;
use crate::intake::Refused;

/// Why a call is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Problem {
    status: StatusCode,
    code: &'static str,
    title: &'static str,
    detail: String,
    retry_seconds: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            title,
            detail: detail.into(),
            retry_seconds: None,
        }
    }

    fn again_in(self, seconds: u32) -> Self {
        Self {
            retry_seconds: Some(seconds),
            ..self
        }
    }

    pub(super) fn status(&self) -> u16 {
        self.status.as_u16()
    }

    pub(super) fn no_route() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "LG3001",
            "no such thing",
            "there is no such route",
        )
    }

    pub(super) fn no_pipeline(name: &str) -> Self {
        let name: String = name.chars().take(64).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "LG3001",
            "no such thing",
            format!("there is no pipeline {name:?}"),
        )
    }

    pub(super) fn no_uploads(name: &str, from: &str) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "LG3001",
            "no such thing",
            format!("the pipeline {name:?} takes its records from {from}, not from uploads"),
        )
    }

    pub(super) fn no_credentials() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "LG3002",
            "not known",
            "send Basic or Bearer credentials",
        )
    }

    pub(super) fn bad_credentials(error: &PolicyError) -> Self {
        match error {
            PolicyError::Busy => Self::full("too many password checks are waiting"),
            PolicyError::Throttled { retry_after } => {
                let seconds = u32::try_from(retry_after.as_secs()).unwrap_or(u32::MAX);
                Self::full("too many wrong passwords").again_in(seconds.max(1))
            }
            PolicyError::Issuer { .. } | PolicyError::Internal { .. } => {
                Self::unavailable("the credentials cannot be checked now; nothing was stored")
            }
            _ => Self::new(StatusCode::UNAUTHORIZED, "LG3002", "not known", error.to_string()),
        }
    }

    pub(super) fn not_allowed() -> Self {
        Self::new(
            StatusCode::FORBIDDEN,
            "LG3003",
            "not allowed",
            "none of the caller's roles may write",
        )
    }

    pub(super) fn header(name: &str, problem: &str) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "LG3004",
            "bad request",
            format!("{name}: {problem}"),
        )
    }

    pub(super) fn broken_off() -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "LG3004",
            "bad request",
            "the body was broken off",
        )
    }

    pub(super) fn format(given: &str) -> Self {
        let given: String = given.chars().take(64).collect();
        let detail = format!(
            "{given:?} is none of application/json, application/x-ndjson, text/csv, application/vnd.apache.parquet, application/avro"
        );
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "LG3005",
            "format not known",
            detail,
        )
    }

    pub(super) fn full(what: &str) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "LG3008", "under pressure", what).again_in(1)
    }

    pub(super) fn set_aside(refused: &Refused, landing: &str) -> Self {
        let detail = format!("{refused}; it was set aside as {landing}");
        Self::new(
            StatusCode::UNPROCESSABLE_ENTITY,
            "LG3007",
            "file not readable",
            detail,
        )
    }

    pub(super) fn unavailable(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "LG3010", "not stored", detail).again_in(5)
    }
}

impl From<&Refused> for Problem {
    fn from(refused: &Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::TooLarge { .. } => {
                Self::new(StatusCode::PAYLOAD_TOO_LARGE, "LG3006", "too large", detail)
            }
            Refused::Encoding { .. } | Refused::File { .. } => Self::new(
                StatusCode::UNPROCESSABLE_ENTITY,
                "LG3007",
                "file not readable",
                detail,
            ),
            Refused::Empty => Self::new(StatusCode::BAD_REQUEST, "LG3004", "bad request", detail),
        }
    }
}

impl From<NotStored> for Problem {
    fn from(error: NotStored) -> Self {
        match &error {
            NotStored::OtherBody => Self::new(
                StatusCode::CONFLICT,
                "LG3009",
                "key used before",
                "the Idempotency-Key was used for another body in the last 7 days",
            ),
            NotStored::TooManyKeys(_) => Self::full("too many keys are remembered"),
            NotStored::Failed(cause) if cause.kind() == ErrorKind::Full => Self::new(
                StatusCode::INSUFFICIENT_STORAGE,
                "LG3011",
                "no space left",
                "the lake's disk is full; nothing of the upload was stored",
            )
            .again_in(60),
            NotStored::Failed(_) | NotStored::Closed => {
                Self::unavailable("the upload was not committed; send it again with the same Idempotency-Key")
            }
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let document = serde_json::json!({
            "type": format!("urn:lakegate:error:{}", self.code),
            "title": self.title,
            "status": self.status.as_u16(),
            "code": self.code,
            "detail": self.detail,
        });
        let mut response = (self.status, Json(document)).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(
                WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"lakegate\""),
            );
        }
        if let Some(seconds) = self.retry_seconds {
            headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
