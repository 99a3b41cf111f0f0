//! Everything that can go wrong here, split by what the caller can do about it.
//!
//! Invariants: no variant carries a secret; Display never prints its source; the refusals of credentials do not say
//! which part was wrong.

use std::borrow::Cow;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What went wrong.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The pair of user and password is not known. The same for a wrong password and for an unknown user.
    #[error("the user name or the password is wrong")]
    Password,

    /// The bearer token is not one of ours, is damaged, or its subject has no account any more.
    #[error("the bearer token is not valid")]
    Token,

    /// The bearer token is one of ours and its time is over.
    #[error("the bearer token has expired")]
    TokenExpired,

    /// The client certificate is good and nobody's here.
    #[error("the client certificate is not known")]
    Certificate,

    /// The keys of an issuer cannot be had, so its tokens cannot be checked.
    #[error("the keys of the issuer '{name}' cannot be had")]
    Issuer {
        /// The issuer's name in the config.
        name: String,
    },

    /// So many wrong passwords came, for this user, from this address or in all, that no more are tried for a while.
    #[error("too many wrong passwords")]
    Throttled {
        /// How long to wait.
        retry_after: Duration,
    },

    /// The credentials were good when the call began and have been taken back since.
    #[error("the credentials have been revoked")]
    Revoked,

    /// So many session options were set that the token would not fit into a header.
    #[error("the session options make a token of {bytes} bytes, more than {bytes_max}")]
    TokenTooLong {
        /// How long the token would be.
        bytes: usize,
        /// How long it may be.
        bytes_max: usize,
    },

    /// Sealed bytes do not open: damaged, of another purpose, or closed with a key that the ring does not hold.
    #[error("the sealed bytes do not open")]
    Sealed,

    /// So many password checks wait already that one more is refused at once.
    #[error("too many password checks are waiting")]
    Busy,

    /// A file that must be there cannot be read or written.
    #[error("{} cannot be {action}", path.display())]
    File {
        /// The file at fault.
        path: PathBuf,
        /// What was tried: `read` or `written`.
        action: &'static str,
        /// What the system said.
        #[source]
        source: io::Error,
    },

    /// A document is not what it must be.
    #[error("{}{}: {reason}", path.display(), at(*line))]
    Document {
        /// The file at fault, or the name of the text when there is no file.
        path: PathBuf,
        /// The line at fault, counted from one, where it is known.
        line: Option<usize>,
        /// What is wrong, naming the key or the rule.
        reason: String,
    },

    /// The source of the policies has been out of reach for so long that others may be in force.
    #[error("the policies cannot be confirmed")]
    Stale,

    /// A config key of this crate holds a value that cannot be.
    #[error("{key}: {reason}")]
    Setting {
        /// The key within the section.
        key: Cow<'static, str>,
        /// What is wrong with it.
        reason: String,
    },

    /// A key of the seal is not 32 bytes in base64, or there is none, or there are too many.
    #[error("seal key {position}: {reason}")]
    SealKey {
        /// Which key of the ring, counted from one; zero for the ring as a whole.
        position: usize,
        /// What is wrong with it, never the key.
        reason: &'static str,
    },

    /// The cryptographic library or the runtime refused something that must work.
    #[error("{operation} failed")]
    Internal {
        /// What was tried.
        operation: &'static str,
    },
}

fn at(line: Option<usize>) -> String {
    line.map_or_else(String::new, |line| format!(", line {line}"))
}

/// What the caller can do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Correct what was given.
    Invalid,
    /// Come again with other credentials.
    Unauthenticated,
    /// Come again later, with less.
    TooMuch,
    /// Wait until someone has repaired a file.
    Unavailable,
    /// Report it.
    Internal,
}

impl Error {
    /// What the caller can do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Password | Self::Token | Self::TokenExpired | Self::Certificate | Self::Revoked => {
                ErrorKind::Unauthenticated
            }
            Self::TokenTooLong { .. }
            | Self::Sealed
            | Self::Document { .. }
            | Self::Setting { .. }
            | Self::SealKey { .. } => ErrorKind::Invalid,
            Self::Busy | Self::Throttled { .. } => ErrorKind::TooMuch,
            Self::File { .. } | Self::Issuer { .. } | Self::Stale => ErrorKind::Unavailable,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// Whether the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::TooMuch => true,
            ErrorKind::Invalid
            | ErrorKind::Unauthenticated
            | ErrorKind::Unavailable
            | ErrorKind::Internal => false,
        }
    }
}
