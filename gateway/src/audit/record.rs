//! What is written about a request.

use std::collections::BTreeMap;
use std::net::IpAddr;

use policies::{Principal, Shown};
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

/// What is read for a statement, and under which policies.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Read {
    /// The columns that are read of each table, by its full name.
    pub(crate) tables: BTreeMap<String, Vec<String>>,
    /// The version of each table that is read, where it has one.
    pub(crate) versions: BTreeMap<String, String>,
    /// The rules that allowed it.
    pub(crate) policies: Vec<String>,
    /// The epoch of the policies.
    pub(crate) epoch: String,
}

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

    /// Answered with a failure; `code` is that of the table in `status.rs`.
    pub(crate) fn failed(code: &'static str) -> Self {
        Self {
            name: "failed",
            code: Some(code),
        }
    }

    /// The caller went away.
    pub(crate) fn cancelled() -> Self {
        Self {
            name: "cancelled",
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
    Statement {
        statement: String,
        digest: String,
    },
    Read(Read),
    End(End),
    /// The process died before the request ended.
    Lost {},
}
