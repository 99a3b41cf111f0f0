//! What can go wrong at the door. The planner's and the identity's failures pass through; `status.rs` turns each into
//! an answer.

use arrow::error::ArrowError;
use thiserror::Error;

use crate::config::Fault;

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of a call.
#[derive(Debug, Error)]
pub enum Error {
    /// Planning or running failed.
    #[error(transparent)]
    Planner(#[from] planner::Error),
    /// Identity failed.
    #[error(transparent)]
    Identity(#[from] policies::Error),
    /// The config, met at the start; no call sees it.
    #[error("{0}")]
    Config(Box<Fault>),
    /// The call carries no credentials.
    #[error("no credentials: send Basic or Bearer authorization")]
    NoCredentials,
    /// The authorization header cannot be read.
    #[error("the authorization header is malformed: {problem}")]
    Authorization { problem: &'static str },
    /// What the caller has shown is a key for something else.
    #[error("the key has no scope '{scope}'")]
    Scope { scope: policies::Scope },
    /// A ticket, handle or cursor that this fleet did not make, or not for this caller. One answer for every damage.
    #[error("the ticket or handle is not valid")]
    Ticket,
    /// A ticket or handle of ours that is too old.
    #[error("the ticket or handle has expired")]
    TicketExpired,
    /// A message that does not follow the protocol.
    #[error("{what} is malformed: {problem}")]
    Malformed { what: &'static str, problem: String },
    /// A part of the protocol that is not there.
    #[error("{what} is not supported")]
    Unsupported { what: String },
    /// No place for one more query, now.
    #[error("too many queries are {what}")]
    Busy { what: &'static str },
    /// A body or message past its bound.
    #[error("{what} exceeds the limit of {limit}")]
    TooLarge { what: &'static str, limit: String },
    /// Nothing lives at this path or under this name.
    #[error("{what} '{name}' not found")]
    NotFound { what: &'static str, name: String },
    /// None of the formats that the caller accepts can be made.
    #[error("no acceptable format: {accepted}")]
    NotAcceptable { accepted: &'static str },
    /// The audit trail takes no record now, so nothing is done that would not be in it.
    #[error("the audit trail takes no more records now")]
    Audit,
    /// The caller has made the requests of this minute.
    #[error("more than {} requests a minute", room.limit)]
    RateLimited { room: crate::admission::Room },
    /// The gateway is stopping.
    #[error("the gateway is stopping")]
    Stopping,
    /// A defect of this program.
    #[error("internal error: {message}")]
    Internal { message: String },
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::Config(Box::new(fault))
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        Error::Planner(planner::Error::from(error))
    }
}
