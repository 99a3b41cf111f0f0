//! What can go wrong between a statement and its rows, split by what the caller can do about it.
//!
//! Display is one lower-case line without its source. `from_datafusion` is the one place that takes an engine error
//! apart; nothing else in the house looks into `DataFusionError`.

mod wording;

use arrow::datatypes::DataType;
use arrow::error::ArrowError;
use connectors::ErrorKind as SourceErrorKind;
use datafusion::common::SchemaError;
use datafusion::error::DataFusionError;
use thiserror::Error;

use crate::information_schema::type_name;
use crate::rules::TooManyRows;
use crate::suggest::nearest;

use self::wording::{pattern_fault, told};

/// Result of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// A failure of planning or running a statement.
#[derive(Debug, Error)]
pub enum Error {
    /// The text is not SQL. Line and column count from one; zero when the parser did not say.
    #[error("syntax error at line {line}, column {column}: {message}")]
    Syntax { line: u64, column: u64, message: String },
    /// A request carries exactly one statement.
    #[error("expected one statement, found {found}")]
    Statements { found: usize },
    /// The statement or function is none that this gateway runs.
    #[error("{what} is not supported")]
    Unsupported { what: String },
    /// The statement is valid SQL that means nothing here: unknown column, wrong types, ambiguous name.
    #[error("{message}")]
    Invalid { message: String, hint: Option<String> },
    /// No such table among those the principal may know.
    #[error("table '{name}' not found")]
    UnknownTable { name: String, nearest: Option<String> },
    /// A setting that does not exist or a value it cannot take: of a session, or a limit of the config.
    #[error("setting '{key}' {problem}")]
    Setting { key: String, problem: String },
    /// A bound parameter is missing, superfluous or of a type that cannot stand there. Positions count from one.
    #[error("parameter ${position}: {problem}")]
    Parameter { position: usize, problem: String },
    /// The data made an expression fail: division by zero, a failing cast, an overflow.
    #[error("{message}")]
    Evaluation { message: String },
    /// A value would leave the range of its type. `operation` is an operator or a function, `data_type` a name of SQL.
    #[error("the result of {operation} does not fit {data_type}")]
    Overflow { operation: String, data_type: String },
    /// A bound of this gateway was met.
    #[error("{what} exceeds the limit of {limit}")]
    TooMuch { what: &'static str, limit: String },
    /// The query needs more memory than it may have.
    #[error("the query needs more memory than the gateway gives to one")]
    Memory,
    /// The deadline passed.
    #[error("the query did not finish within its deadline")]
    Timeout,
    /// The client or an operator stopped the query.
    #[error("the query was cancelled")]
    Cancelled,
    /// The data version that a ticket names is gone.
    #[error("version {version} of table '{table}' is no longer there")]
    VersionGone { table: String, version: String },
    /// The statement asks for a version of a table that the table does not have.
    #[error("table '{table}' has no such version: {asked}")]
    UnknownVersion { table: String, asked: String },
    /// The session demands that a source does what it cannot (`lakegate.pushdown = 'require'`).
    #[error("source {source_name} cannot be handed down {operator}: {reason}")]
    NotPushed {
        source_name: String,
        operator: String,
        reason: String,
    },
    /// The session takes fewer rows from a source than the query needs (`lakegate.max_rows_from_source`).
    #[error("{0}")]
    TooManyRows(TooManyRows),
    /// The session takes no state as old as this one (`lakegate.max_staleness`).
    #[error("table '{table}' was committed {age_s} s ago, lakegate.max_staleness is {limit_s} s")]
    Stale { table: String, age_s: u64, limit_s: u64 },
    /// A source failed. `message` names the thing at fault; its causes went to the log when it was met.
    #[error("{message}")]
    Source { message: String, kind: SourceErrorKind },
    /// Identity or policy documents failed.
    #[error("policy: {0}")]
    Policy(policies::Error),
    /// The policies changed between two steps of the query, or while it gave rows. Asking again is answered by the new
    /// ones.
    #[error("the policies changed while the query ran")]
    PolicyChanged,
    /// A defect of this program. The text is for the log, not for the caller.
    #[error("internal error: {message}")]
    Internal { message: String },
}

/// The classes a protocol needs to answer properly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorKind {
    /// The caller must change the request.
    Invalid,
    /// The thing does not exist, or the caller may not know that it does.
    NotFound,
    /// The caller is known and may not do this.
    Denied,
    /// The caller is not known.
    Unauthenticated,
    /// A bound was met; a smaller request or a later one may pass.
    TooMuch,
    /// The deadline passed.
    Timeout,
    /// Stopped on request.
    Cancelled,
    /// A source is not reachable now; the same request may pass later.
    Unavailable,
    /// Never possible here.
    Unsupported,
    /// Stored data is damaged.
    Corrupt,
    /// A defect of this program.
    Internal,
}

impl Error {
    /// The class of the failure.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Error::Syntax { .. }
            | Error::Statements { .. }
            | Error::Invalid { .. }
            | Error::Setting { .. }
            | Error::Parameter { .. }
            | Error::Evaluation { .. }
            | Error::NotPushed { .. }
            | Error::Overflow { .. } => ErrorKind::Invalid,
            Error::UnknownTable { .. } | Error::VersionGone { .. } | Error::UnknownVersion { .. } => {
                ErrorKind::NotFound
            }
            Error::Stale { .. } => ErrorKind::Unavailable,
            Error::Unsupported { .. } => ErrorKind::Unsupported,
            Error::TooManyRows(_) | Error::TooMuch { .. } | Error::Memory => ErrorKind::TooMuch,
            Error::Timeout => ErrorKind::Timeout,
            Error::PolicyChanged => ErrorKind::Unavailable,
            Error::Cancelled => ErrorKind::Cancelled,
            Error::Source { kind, .. } => match kind {
                SourceErrorKind::NotFound | SourceErrorKind::VersionGone => ErrorKind::NotFound,
                SourceErrorKind::Unsupported => ErrorKind::Unsupported,
                SourceErrorKind::Corrupt => ErrorKind::Corrupt,
                SourceErrorKind::Unavailable | SourceErrorKind::Stale => ErrorKind::Unavailable,
                SourceErrorKind::Timeout => ErrorKind::Timeout,
                SourceErrorKind::Refused => ErrorKind::Unsupported,
                SourceErrorKind::Invalid => ErrorKind::Invalid,
                SourceErrorKind::Internal => ErrorKind::Internal,
            },
            Error::Policy(policies::Error::Stale) => ErrorKind::Unavailable,
            Error::Policy(_) | Error::Internal { .. } => ErrorKind::Internal,
        }
    }

    /// A stable code for documentation and programs; the page `deploy/errors.md` says what to do about each.
    pub fn code(&self) -> &'static str {
        match self {
            Error::Syntax { .. } => "LG1001",
            Error::Statements { .. } => "LG1002",
            Error::Unsupported { .. } => "LG1003",
            Error::Invalid { .. } => "LG1004",
            Error::UnknownTable { .. } => "LG1005",
            Error::Setting { .. } => "LG1006",
            Error::Parameter { .. } => "LG1007",
            Error::Evaluation { .. } => "LG1008",
            Error::TooMuch { .. } => "LG1009",
            Error::Timeout => "LG1010",
            Error::Cancelled => "LG1011",
            Error::VersionGone { .. } => "LG1012",
            Error::Source { .. } => "LG1013",
            Error::Policy(_) => "LG1014",
            Error::Memory => "LG1015",
            Error::Overflow { .. } => "LG1016",
            Error::UnknownVersion { .. } => "LG1017",
            Error::NotPushed { .. } => "LG1019",
            Error::TooManyRows(_) => "LG1020",
            Error::Stale { .. } => "LG1021",
            Error::PolicyChanged => "LG1018",
            Error::Internal { .. } => "LG1099",
        }
    }

    /// What the caller may try, when there is something to try.
    pub fn hint(&self) -> Option<String> {
        match self {
            Error::UnknownTable { nearest, .. } => {
                nearest.as_ref().map(|name| format!("did you mean '{name}'?"))
            }
            Error::Invalid { hint, .. } => hint.clone(),
            Error::Statements { .. } => Some("send each statement in a request of its own".to_owned()),
            Error::Overflow { data_type, .. } if data_type.ends_with("INT") || data_type == "INTEGER" => {
                Some("cast to DECIMAL(38, 0) before".to_owned())
            }
            Error::VersionGone { .. } => Some("ask again for a new ticket".to_owned()),
            Error::UnknownVersion { table, .. } => Some(format!(
                "\"{}$snapshots\" and \"{0}$refs\" tell those that there are",
                table.rsplit('.').next().unwrap_or(table)
            )),
            Error::NotPushed { .. } | Error::TooManyRows(_) => {
                Some("EXPLAIN (FEDERATION) shows what is handed down and what is not".to_owned())
            }
            Error::PolicyChanged => Some("send the statement again".to_owned()),
            Error::Syntax { .. }
            | Error::Unsupported { .. }
            | Error::Setting { .. }
            | Error::Parameter { .. }
            | Error::Evaluation { .. }
            | Error::Overflow { .. }
            | Error::TooMuch { .. }
            | Error::Memory
            | Error::Timeout
            | Error::Cancelled
            | Error::Stale { .. }
            | Error::Source { .. }
            | Error::Policy(_)
            | Error::Internal { .. } => None,
        }
    }

    /// An overflow on its way through the engine.
    pub(crate) fn overflow(operation: impl Into<String>, data_type: &DataType) -> DataFusionError {
        DataFusionError::External(Box::new(Error::Overflow {
            operation: operation.into(),
            data_type: type_name(data_type),
        }))
    }

    pub(crate) fn invalid(message: impl Into<String>) -> Self {
        Error::Invalid {
            message: message.into(),
            hint: None,
        }
    }
}

impl From<DataFusionError> for Error {
    fn from(error: DataFusionError) -> Self {
        from_datafusion(error)
    }
}

impl From<ArrowError> for Error {
    fn from(error: ArrowError) -> Self {
        from_arrow(error)
    }
}

/// Takes an engine error apart: our own errors that travelled through it come out unchanged, the rest is classed.
pub fn from_datafusion(error: DataFusionError) -> Error {
    if let Some(source) = connectors::Error::find(&error) {
        return from_source(source);
    }
    if let Some(overflow) = found_overflow(&error) {
        return overflow;
    }
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_datafusion(*inner),
        DataFusionError::Collection(mut errors) if !errors.is_empty() => {
            from_datafusion(errors.swap_remove(0))
        }
        DataFusionError::External(inner) => from_external(inner),
        DataFusionError::ArrowError(inner, _) => from_arrow(*inner),
        other => from_shared(&other),
    }
}

/// Our own overflow, wherever the engine has put it; others may hold it too.
fn found_overflow(error: &DataFusionError) -> Option<Error> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(cause) = next {
        if let Some(Error::Overflow { operation, data_type }) = cause.downcast_ref() {
            return Some(Error::Overflow {
                operation: operation.clone(),
                data_type: data_type.clone(),
            });
        }
        next = cause.source();
    }
    None
}

/// What can be told of an error that others may hold too.
fn from_shared(error: &DataFusionError) -> Error {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => from_shared(inner),
        DataFusionError::Shared(inner) => from_shared(inner),
        DataFusionError::SchemaError(inner, _) => from_schema(inner),
        DataFusionError::SQL(inner, _) => crate::parse::syntax_error(inner),
        DataFusionError::NotImplemented(what) => Error::Unsupported { what: told(what) },
        DataFusionError::Plan(message) => Error::invalid(told(message)),
        DataFusionError::Execution(message) => Error::Evaluation {
            message: told(message),
        },
        DataFusionError::ArrowError(inner, _) => from_value(inner).unwrap_or_else(|| Error::Evaluation {
            message: told(&inner.to_string()),
        }),
        DataFusionError::ResourcesExhausted(message) => {
            tracing::debug!(message, "memory limit met");
            Error::TooMuch {
                what: "memory of the query",
                limit: "the configured pool".to_owned(),
            }
        }
        DataFusionError::ParquetError(inner) => corrupt(&inner.to_string()),
        DataFusionError::ObjectStore(inner) => unreachable_store(inner),
        other => {
            let message = other.strip_backtrace();
            match pattern_fault(&message) {
                Some(message) => Error::Evaluation { message },
                None => Error::Internal { message },
            }
        }
    }
}

fn from_external(inner: Box<dyn std::error::Error + Send + Sync>) -> Error {
    let inner = match inner.downcast::<Error>() {
        Ok(own) => return *own,
        Err(inner) => inner,
    };
    let inner = match inner.downcast::<DataFusionError>() {
        Ok(engine) => return from_datafusion(*engine),
        Err(inner) => inner,
    };
    match inner.downcast::<ArrowError>() {
        Ok(arrow) => from_arrow(*arrow),
        Err(other) => {
            let message = other.to_string();
            match pattern_fault(&message) {
                Some(message) => Error::Evaluation { message },
                None => Error::Internal { message },
            }
        }
    }
}

fn from_arrow(error: ArrowError) -> Error {
    match error {
        ArrowError::ExternalError(inner) => from_external(inner),
        ArrowError::ParquetError(message) => corrupt(&message),
        other => from_value(&other).unwrap_or_else(|| Error::Internal {
            message: other.to_string(),
        }),
    }
}

/// What a value did to an expression; none for other failures. It says the same whoever else holds the error, for which
/// operator fails first may hang on a policy.
fn from_value(error: &ArrowError) -> Option<Error> {
    let message = match error {
        ArrowError::DivideByZero => "division by zero",
        ArrowError::NotYetImplemented(what) => {
            return Some(Error::Unsupported { what: told(what) });
        }
        ArrowError::CastError(message)
        | ArrowError::ComputeError(message)
        | ArrowError::ParseError(message)
        | ArrowError::InvalidArgumentError(message)
        | ArrowError::ArithmeticOverflow(message) => message,
        _ => return None,
    };
    Some(Error::Evaluation {
        message: pattern_fault(message).unwrap_or_else(|| told(message)),
    })
}

/// A source's failure; its causes are logged here, where they are still known.
fn from_source(error: &connectors::Error) -> Error {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        causes.push(inner.to_string());
        cause = inner.source();
    }
    tracing::warn!(error = %error, causes = causes.join(": "), "a source failed");
    if let connectors::Error::VersionGone { table, version } = error {
        return Error::VersionGone {
            table: table.clone(),
            version: version.to_string(),
        };
    }
    // The data made an expression fail, wherever it ran (SQLSTATE class 22): the caller is told the same of both places.
    if let connectors::Error::Refused {
        source_name, state, ..
    } = error
        && state.starts_with("22")
    {
        return match state.as_str() {
            "22003" | "22008" => Error::Overflow {
                operation: format!("an expression at source '{source_name}'"),
                data_type: "its type".to_owned(),
            },
            "22012" => Error::Evaluation {
                message: format!("division by zero at source '{source_name}'"),
            },
            _ => Error::Evaluation {
                message: error.to_string(),
            },
        };
    }
    Error::Source {
        message: error.to_string(),
        kind: error.kind(),
    }
}

impl From<connectors::Error> for Error {
    fn from(error: connectors::Error) -> Self {
        from_source(&error)
    }
}

fn unreachable_store(error: &object_store::Error) -> Error {
    tracing::warn!(error = %error, "a store failed");
    let (message, kind) = match error {
        object_store::Error::NotFound { .. } => ("a data file is missing", SourceErrorKind::Corrupt),
        _ => (
            "the store of the table's files does not answer",
            SourceErrorKind::Unavailable,
        ),
    };
    Error::Source {
        message: message.to_owned(),
        kind,
    }
}

fn corrupt(problem: &str) -> Error {
    tracing::warn!(problem, "a data file is damaged");
    Error::Source {
        message: "a data file is damaged".to_owned(),
        kind: SourceErrorKind::Corrupt,
    }
}

fn from_schema(error: &SchemaError) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let names: Vec<&str> = valid_fields.iter().map(|column| column.name.as_str()).collect();
            Error::Invalid {
                message: format!("column '{}' not found", field.flat_name()),
                hint: nearest(&field.name, names).map(|name| format!("did you mean '{name}'?")),
            }
        }
        SchemaError::AmbiguousReference { field } => Error::invalid(format!(
            "column '{}' is ambiguous: say which table it belongs to",
            field.name
        )),
        other => Error::invalid(told(&other.to_string())),
    }
}
