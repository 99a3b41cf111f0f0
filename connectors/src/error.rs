//! What can go wrong with a source, split by what the caller can do about it.
//!
//! Invariants: Display is one lower-case line without a full stop, names the thing at fault, and never prints its
//! source; the chain is walked by whoever logs.

use crate::Version;
use datafusion::error::DataFusionError;
use std::error::Error as _;
use std::fmt;
use std::sync::Arc;

/// The result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The cause behind an error, for the log.
pub(crate) type Cause = Box<dyn std::error::Error + Send + Sync>;

/// A failure of a source.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file, schema or table that must exist does not.
    #[error("{what} {name} is not there")]
    NotFound {
        /// The kind of thing, such as `catalog file`.
        what: &'static str,
        /// Its name or path.
        name: String,
    },
    /// A pinned version is no longer kept by the table.
    #[error("table {table} no longer keeps version {version}")]
    VersionGone {
        /// `schema.table`.
        table: String,
        /// The version that was asked for.
        version: Version,
    },
    /// The table uses a feature that this connector does not read or write.
    #[error("table {table} uses {feature}, which is not supported")]
    Unsupported {
        /// `schema.table`.
        table: String,
        /// The feature, as a noun phrase.
        feature: String,
    },
    /// A table names a file outside of its own folder, or of its source's places where the config lets it name those.
    #[error("table {table} names the file {path}, which is outside of what it may read")]
    Outside {
        /// `schema.table`.
        table: String,
        /// The path as the table writes it.
        path: String,
    },
    /// Metadata or data that cannot be understood.
    #[error("{path} of table {table} is damaged")]
    Corrupt {
        /// `schema.table`.
        table: String,
        /// The file at fault.
        path: String,
        /// What the reader said.
        #[source]
        cause: Cause,
    },
    /// A file that the table counts on is not in its store.
    #[error("{path} of table {table} is missing")]
    Missing {
        /// `schema.table`.
        table: String,
        /// The file.
        path: String,
    },
    /// The source, or a file of it, cannot be reached now.
    #[error("source {source_name} cannot be reached at {path}")]
    Unavailable {
        /// The source's name in the config.
        source_name: String,
        /// The file or address that did not answer.
        path: String,
        /// What it said.
        #[source]
        cause: Cause,
    },
    /// The source stopped working on a query because its time was over.
    #[error("source {source_name} did not finish in time")]
    Timeout {
        /// The source's name in the config.
        source_name: String,
    },
    /// The source shows a state that is older than the query may read.
    #[error("source {source_name} shows a state {age_s} s old, where the query takes {limit_s} s")]
    Stale {
        /// The source's name in the config.
        source_name: String,
        /// The age of the state, in seconds.
        age_s: u64,
        /// The age that the query takes, in seconds.
        limit_s: u64,
    },
    /// The source understood a query and will not run it, or failed in its own work.
    #[error("source {source_name} refused the query: {reason} (SQLSTATE {state})")]
    Refused {
        /// The source's name in the config.
        source_name: String,
        /// The five characters by which the SQL standard names the failure.
        state: String,
        /// The failure in words of ours: the source's own may repeat data.
        reason: &'static str,
    },
    /// A config key with a value that cannot be used.
    #[error("key {key}: {problem}")]
    Invalid {
        /// The key, below the source's own section.
        key: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// A defect of this program.
    #[error("internal failure while {doing}")]
    Internal {
        /// What was being done.
        doing: &'static str,
        /// What failed.
        #[source]
        cause: Cause,
    },
}

/// What the caller can do about an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// Ask for something that exists.
    NotFound,
    /// Ask again without a pin.
    VersionGone,
    /// Nothing here; the table's owner may rewrite the table.
    Unsupported,
    /// Nothing here; the table's owner must repair the table.
    Corrupt,
    /// Try again later.
    Unavailable,
    /// Ask for less, or with more time.
    Timeout,
    /// Wait for newer data, or take older.
    Stale,
    /// Nothing here; whoever owns the source must permit or repair what was asked.
    Refused,
    /// Correct the config.
    Invalid,
    /// Report a defect.
    Internal,
}

impl Error {
    /// What the caller can do.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::NotFound { .. } => ErrorKind::NotFound,
            Self::VersionGone { .. } => ErrorKind::VersionGone,
            Self::Unsupported { .. } | Self::Outside { .. } => ErrorKind::Unsupported,
            Self::Corrupt { .. } | Self::Missing { .. } => ErrorKind::Corrupt,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Stale { .. } => ErrorKind::Stale,
            Self::Refused { .. } => ErrorKind::Refused,
            Self::Invalid { .. } => ErrorKind::Invalid,
            Self::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// Whether the same call can succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self.kind() {
            ErrorKind::Unavailable | ErrorKind::Stale => true,
            ErrorKind::NotFound
            | ErrorKind::VersionGone
            | ErrorKind::Unsupported
            | ErrorKind::Corrupt
            | ErrorKind::Timeout
            | ErrorKind::Refused
            | ErrorKind::Invalid
            | ErrorKind::Internal => false,
        }
    }

    /// The same failure for another one who waited for it, with the same cause behind it.
    pub(crate) fn shared(failure: &Arc<Self>) -> Self {
        let cause = || -> Cause { Box::new(Shared(Arc::clone(failure))) };
        failure.repeated(cause)
    }

    /// The same failure for another one who waited for it, with only the words of the cause behind it.
    pub(crate) fn copied(failure: &Self) -> Self {
        let cause = || -> Cause {
            match failure.source() {
                Some(cause) => cause.to_string().into(),
                None => failure.to_string().into(),
            }
        };
        failure.repeated(cause)
    }

    fn repeated(&self, cause: impl Fn() -> Cause) -> Self {
        match self {
            Self::NotFound { what, name } => Self::NotFound {
                what,
                name: name.clone(),
            },
            Self::VersionGone { table, version } => Self::VersionGone {
                table: table.clone(),
                version: version.clone(),
            },
            Self::Unsupported { table, feature } => Self::Unsupported {
                table: table.clone(),
                feature: feature.clone(),
            },
            Self::Outside { table, path } => Self::Outside {
                table: table.clone(),
                path: path.clone(),
            },
            Self::Corrupt { table, path, .. } => Self::Corrupt {
                table: table.clone(),
                path: path.clone(),
                cause: cause(),
            },
            Self::Missing { table, path } => Self::Missing {
                table: table.clone(),
                path: path.clone(),
            },
            Self::Unavailable {
                source_name, path, ..
            } => Self::Unavailable {
                source_name: source_name.clone(),
                path: path.clone(),
                cause: cause(),
            },
            Self::Timeout { source_name } => Self::Timeout {
                source_name: source_name.clone(),
            },
            Self::Stale {
                source_name,
                age_s,
                limit_s,
            } => Self::Stale {
                source_name: source_name.clone(),
                age_s: *age_s,
                limit_s: *limit_s,
            },
            Self::Refused {
                source_name,
                state,
                reason,
            } => Self::Refused {
                source_name: source_name.clone(),
                state: state.clone(),
                reason,
            },
            Self::Invalid { key, problem } => Self::Invalid {
                key: key.clone(),
                problem: problem.clone(),
            },
            Self::Internal { doing, .. } => Self::Internal {
                doing,
                cause: cause(),
            },
        }
    }

    /// Finds the error of this crate inside one of DataFusion's, through contexts, sharing and nesting.
    #[must_use]
    pub fn find(error: &DataFusionError) -> Option<&Self> {
        let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
        while let Some(current) = next {
            if let Some(found) = current.downcast_ref::<Self>() {
                return Some(found);
            }
            next = match current.downcast_ref::<DataFusionError>() {
                Some(DataFusionError::External(inner)) => Some(inner.as_ref()),
                _ => current.source(),
            };
        }
        None
    }
}

/// The cause of a failure that several wait for.
#[derive(Debug)]
struct Shared(Arc<Error>);

impl fmt::Display for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.source() {
            Some(cause) => write!(f, "{cause}"),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::error::Error for Shared {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source().and_then(|cause| cause.source())
    }
}

/// Errors raised inside a scan travel through the engine as `External`; [`Error::find`] takes them out again.
impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
