//! What a server's or a connection's failure means to the caller.
//!
//! Invariants:
//! - The server's own text is never passed on: it may repeat values of rows that nobody asked for. The SQLSTATE is.
//! - Whatever ends a stream early is an error: a result is whole or it is none.

use crate::error::Cause;
use crate::{Error, Version};
use std::fmt;
use std::sync::Arc;
use tokio_postgres::error::SqlState;

/// Whose failure it is.
#[derive(Clone, Debug)]
pub(super) struct Origin {
    /// The source's name in the config.
    pub(super) source: Arc<str>,
    /// Where it is, in messages.
    pub(super) address: Arc<str>,
}

/// What was being read, for failures that concern it.
#[derive(Clone, Debug, Default)]
pub(super) struct Subject {
    /// `schema.table`, or what stands for it.
    pub(super) table: Arc<str>,
    /// The version that was planned with.
    pub(super) version: Option<Version>,
}

/// A cause in words of ours.
#[derive(Debug)]
pub(super) struct Reason(pub(super) String);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Reason {}

impl Origin {
    /// The source does not answer, or not any more.
    pub(super) fn unavailable(&self, reason: impl Into<String>) -> Error {
        Error::Unavailable {
            source_name: self.source.to_string(),
            path: self.address.to_string(),
            cause: Box::new(Reason(reason.into())),
        }
    }

    /// A failure of a connection or of a statement on it.
    pub(super) fn failure(&self, subject: &Subject, error: tokio_postgres::Error) -> Error {
        let Some(state) = error.code() else {
            return Error::Unavailable {
                source_name: self.source.to_string(),
                path: self.address.to_string(),
                cause: transport(error),
            };
        };
        tracing::debug!(
            source = %self.source,
            state = state.code(),
            routine = error.as_db_error().and_then(|error| error.routine()),
            "a server reported a failure"
        );
        self.by_state(subject, state)
    }

    fn by_state(&self, subject: &Subject, state: &SqlState) -> Error {
        let code = state.code();
        let refused = |reason| Error::Refused {
            source_name: self.source.to_string(),
            state: code.to_owned(),
            reason,
        };
        let unavailable = |reason: &str| self.unavailable(format!("{reason} (SQLSTATE {code})"));
        match (code.get(..2).unwrap_or_default(), code) {
            (_, "57014") => Error::Timeout {
                source_name: self.source.to_string(),
            },
            (_, "42P01" | "42703" | "42704" | "3F000") => changed(subject),
            // Our statement fitted the columns of its time: an operator between other types has none.
            (_, "42883" | "42804" | "42846") if subject.version.is_some() => changed(subject),
            (_, "42501") => refused("its role may not read this"),
            ("08" | "57", _) => unavailable("the server ended the connection"),
            ("53", _) => unavailable("the server is out of connections or other means"),
            ("28", _) => unavailable("the server does not accept the user or the password"),
            (_, "3D000") => unavailable("the server has no such database"),
            ("40" | "55" | "25", _) => {
                unavailable("the server could not keep the statement's snapshot or lock")
            }
            ("22", _) => refused("a value makes the source's own expression fail"),
            ("0A", _) => refused("the source does not support this"),
            ("42", _) => refused("the source does not understand the statement"),
            ("XX", _) => refused("the source reports a defect or damaged data"),
            _ => refused("the source failed"),
        }
    }
}

/// The table is not any more as it was when the query was planned.
pub(super) fn changed(subject: &Subject) -> Error {
    match &subject.version {
        Some(version) => Error::VersionGone {
            table: subject.table.to_string(),
            version: version.clone(),
        },
        None => Error::NotFound {
            what: "table or column of",
            name: subject.table.to_string(),
        },
    }
}

/// The layers of a failure without a message of the server.
fn transport(error: tokio_postgres::Error) -> Cause {
    let mut text = error.to_string();
    let mut next = std::error::Error::source(&error);
    while let Some(cause) = next {
        text = format!("{text}: {cause}");
        next = cause.source();
    }
    Box::new(Reason(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn a_state_says_what_the_caller_can_do() {
        let origin = Origin {
            source: "pg".into(),
            address: "h:5432/d".into(),
        };
        let subject = Subject {
            table: "s.t".into(),
            version: Some(Version::new("v")),
        };
        let kind = |code: &str| origin.by_state(&subject, &SqlState::from_code(code)).kind();
        for (code, expected) in [
            ("57014", ErrorKind::Timeout),
            ("57P01", ErrorKind::Unavailable),
            ("53300", ErrorKind::Unavailable),
            ("28P01", ErrorKind::Unavailable),
            ("3D000", ErrorKind::Unavailable),
            ("40001", ErrorKind::Unavailable),
            ("42P01", ErrorKind::VersionGone),
            ("42703", ErrorKind::VersionGone),
            ("42501", ErrorKind::Refused),
            ("42601", ErrorKind::Refused),
            ("22012", ErrorKind::Refused),
            ("XX001", ErrorKind::Refused),
        ] {
            assert_eq!(kind(code), expected, "{code}");
        }
    }
}
