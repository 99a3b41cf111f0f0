//! JSON bodies: bounded, of the right media type, and refused with line and column.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{FromRequest, Request};
use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, StatusCode};
use serde::de::DeserializeOwned;

use crate::app::App;
use crate::error::Error;
use crate::rest::problem::Refusal;

/// The JSON body of a call.
#[derive(Debug)]
pub(super) struct Document<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Document<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Refusal> {
        check_media_type(request.headers())?;
        check_encoding(request.headers())?;
        let limit = app.config.limits.request_bytes_max;
        let too_large = || Error::TooLarge {
            what: "request body",
            limit: limit.to_string(),
        };
        let most = usize::try_from(limit.as_u64()).unwrap_or(usize::MAX);
        if announced(request.headers()).is_some_and(|length| length > limit.as_u64()) {
            return Err(too_large().into());
        }
        let bytes = read(request.into_body(), most).await?.ok_or_else(too_large)?;
        Ok(Self(parse(&bytes)?))
    }
}

fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// The whole body; none when it is longer than `most`.
async fn read(body: Body, most: usize) -> Result<Option<Bytes>, Error> {
    let mut stream = body.into_data_stream();
    let mut bytes = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let ended = |_| Error::Malformed {
            what: "request body",
            problem: "it ended early".to_owned(),
        };
        let chunk = chunk.map_err(ended)?;
        if bytes.len() + chunk.len() > most {
            return Ok(None);
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Some(bytes.freeze()))
}

fn check_media_type(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    let essence = given
        .split(';')
        .next()
        .unwrap_or_default()
        .trim()
        .to_ascii_lowercase();
    let subtype = essence.strip_prefix("application/").unwrap_or_default();
    if subtype == "json" || subtype.ends_with("+json") {
        return Ok(());
    }
    let what = match essence.as_str() {
        "" => "a body without content-type: application/json".to_owned(),
        other => format!(
            "content-type {}, where application/json is read,",
            shortened(other)
        ),
    };
    Err(not_read(what))
}

/// Statements are small: a body that says it is compressed is refused, whatever is in it.
fn check_encoding(headers: &HeaderMap) -> Result<(), Refusal> {
    let given = headers.get(CONTENT_ENCODING).map(|value| {
        String::from_utf8_lossy(value.as_bytes())
            .trim()
            .to_ascii_lowercase()
    });
    match given.as_deref() {
        None | Some("" | "identity") => Ok(()),
        Some(other) => Err(not_read(format!("content-encoding {}", shortened(other)))),
    }
}

fn not_read(what: String) -> Refusal {
    Refusal::from(Error::Unsupported { what }).with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE)
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}

/// The document in `bytes`.
///
/// # Errors
/// `Malformed` with the place, which the JSON reader writes at the end of its sentence.
pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        let sentence = error.to_string();
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = sentence.strip_suffix(&place).unwrap_or(&sentence);
        let (line, column) = (error.line() as u64, error.column() as u64);
        let problem = format!("{what} at line {line}, column {column}");
        Refusal::from(Error::Malformed {
            what: "request body",
            problem,
        })
        .at(line, column)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_broken_body_names_line_and_column() {
        let refusal = parse::<Value>(b"{\n  \"sql\": SELECT\n}").unwrap_err();
        let problem = refusal.problem("test");
        assert_eq!(
            (problem.status, problem.line, problem.column),
            (400, Some(2), Some(10))
        );
        assert_eq!(
            problem.detail,
            "request body is malformed: expected value at line 2, column 10"
        );
    }

    #[test]
    fn only_json_is_read() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            check_media_type(&headers).map_err(|refusal| refusal.problem("test").status)
        };
        for good in [
            "application/json",
            "Application/JSON; charset=utf-8",
            "application/vnd.api+json",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        for bad in [
            "text/plain",
            "application/xml",
            "application/x-www-form-urlencoded",
            "json",
        ] {
            assert_eq!(check(bad), Err(415), "{bad}");
        }
        assert!(check_media_type(&HeaderMap::new()).is_err());
    }

    #[test]
    fn no_body_is_decompressed() {
        let check = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_ENCODING, value.parse().unwrap());
            check_encoding(&headers).map_err(|refusal| refusal.problem("test").status)
        };
        assert_eq!(check("identity"), Ok(()));
        assert_eq!(check("gzip"), Err(415));
        assert_eq!(check("zstd, gzip"), Err(415));
    }
}
