//! What is written about a request.

use std::net::IpAddr;

use planner::{ErrorKind, Reads};
use policies::{Credentials, Principal, Shown};
use serde::Serialize;

/// The start of a request.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Start {
    /// Names the request in the log and to the caller.
    pub(crate) request: String,
    /// `flight` or `rest`.
    pub(crate) protocol: &'static str,
    /// The method of the protocol, such as `DoGet` or `POST /v1/sql`.
    pub(crate) method: String,
    /// Where the call came from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpAddr>,
    /// Who asks; none when nobody was proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) who: Option<Who>,
    /// Who it claims to be, where nobody was proven.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) claims: Option<String>,
}

/// The longest claim that is kept, in bytes.
const CLAIM_BYTES_MAX: usize = 128;

/// The name that credentials claim: that of a user. A token is not looked into, since nothing in it is true before it is
/// proven, and all of it may be a secret.
pub(crate) fn claim(credentials: &Credentials) -> Option<String> {
    match credentials {
        Credentials::Basic { user, .. } => Some(bounded(user, CLAIM_BYTES_MAX)),
        Credentials::Bearer(_) | Credentials::Certificate(_) => None,
    }
}

/// The first bytes of a text, cut between letters.
pub(super) fn bounded(text: &str, bytes_max: usize) -> String {
    let mut end = text.len().min(bytes_max);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default().to_owned()
}

/// A proven caller, without anything that was shown.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Who {
    subject: String,
    tenant: String,
    roles: Vec<String>,
    /// What kind of thing was shown.
    shown: &'static str,
    /// Which one: the id of a key or token, the name of a certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    credential: Option<String>,
}

impl Who {
    pub(crate) fn new(principal: &Principal, shown: &Shown) -> Self {
        let (kind, credential) = match shown {
            Shown::Password => ("password", None),
            Shown::Session => ("session", None),
            Shown::ApiKey { id } => ("key", Some(id.clone())),
            Shown::Token { id, .. } => ("token", id.clone()),
            Shown::Certificate { name } => ("certificate", Some(name.clone())),
        };
        Self {
            subject: principal.subject().to_owned(),
            tenant: principal.tenant().to_owned(),
            roles: principal.roles().iter().cloned().collect(),
            shown: kind,
            credential,
        }
    }
}

/// Its caller went away, or took it back.
const CANCELLED: &str = "cancelled";

/// How a request ended.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    pub(super) name: &'static str,
    pub(super) code: Option<&'static str>,
}

impl Outcome {
    /// Answered in whole.
    pub(crate) fn ok() -> Self {
        Self {
            name: "ok",
            code: None,
        }
    }

    /// Answered with a failure; kind and code are those of the table in `status.rs`.
    pub(crate) fn failed(kind: ErrorKind, code: &'static str) -> Self {
        Self {
            name: match kind {
                ErrorKind::Cancelled => CANCELLED,
                _ => "failed",
            },
            code: Some(code),
        }
    }

    /// The caller went away.
    pub(crate) fn cancelled() -> Self {
        Self {
            name: CANCELLED,
            code: None,
        }
    }
}

/// The end of a request.
#[derive(Clone, Debug, Serialize)]
pub(super) struct End {
    pub(super) outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) code: Option<&'static str>,
    pub(super) rows: u64,
    pub(super) bytes: u64,
    pub(super) micros: u64,
}

/// What a record tells.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub(super) enum Event {
    /// A file begins. The requests that were open before it are named by the numbers of their starts.
    File {
        public_key: String,
        open: Vec<u64>,
    },
    /// A process has begun to write.
    Open {
        version: &'static str,
    },
    /// A process has ended as it should.
    Close {},
    /// The last line of a process that died was not whole; so many bytes of it were cut off.
    Torn {
        bytes: u64,
    },
    Start(Box<Start>),
    /// What is asked of a method that does many things, by a name of ours.
    Command {
        command: String,
    },
    Statement {
        /// As the config lets it be kept; none where it keeps the digest alone, or the text is no SQL.
        #[serde(skip_serializing_if = "Option::is_none")]
        statement: Option<String>,
        /// HMAC-SHA-256 of the text under a key of this trail: equal statements are seen to be equal, and nobody finds a
        /// literal by trying all of them.
        digest: String,
    },
    Read(Box<Reads>),
    End(End),
    /// The process died before the request ended.
    Lost {},
}
