//! What a descriptor or a raw ticket asks for. Flight SQL commands come wrapped in `Any`; pyarrow users send plain SQL
//! text in a command or a ticket, and mean it.

use arrow_flight::FlightDescriptor;
use arrow_flight::flight_descriptor::DescriptorType;
use arrow_flight::sql::{Any, Command};
use prost::Message;
use prost::bytes::Bytes;

use crate::error::{Error, Result};

/// What is asked for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A statement.
    Sql(String),
    /// A prepared statement, by its sealed handle.
    Prepared(Bytes),
    /// A metadata command.
    Metadata(Box<Command>),
}

/// What a descriptor asks for.
///
/// # Errors
/// `Malformed` for bytes that are neither a command nor text, `Unsupported` for a command that is not there.
pub(super) fn by_descriptor(descriptor: &FlightDescriptor) -> Result<Asked> {
    match descriptor.r#type() {
        DescriptorType::Cmd => by_bytes(&descriptor.cmd),
        DescriptorType::Path if !descriptor.path.is_empty() => {
            let parts: Vec<String> = descriptor
                .path
                .iter()
                .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
                .collect();
            Ok(Asked::Sql(format!("SELECT * FROM {}", parts.join("."))))
        }
        DescriptorType::Path | DescriptorType::Unknown => Err(Error::Malformed {
            what: "descriptor",
            problem: "it has neither a command nor a path".to_owned(),
        }),
    }
}

/// What command bytes ask for.
///
/// # Errors
/// As [`by_descriptor`].
pub(super) fn by_bytes(bytes: &Bytes) -> Result<Asked> {
    match command(bytes) {
        Some(command) => by_command(command?),
        None => match text(bytes) {
            Some(sql) => Ok(Asked::Sql(sql)),
            None => Err(Error::Malformed {
                what: "command",
                problem: "it is neither a Flight SQL message nor SQL text".to_owned(),
            }),
        },
    }
}

fn by_command(command: Command) -> Result<Asked> {
    match command {
        Command::CommandStatementQuery(query) => {
            no_transaction(query.transaction_id.as_ref())?;
            Ok(Asked::Sql(query.query))
        }
        Command::CommandPreparedStatementQuery(query) => Ok(Asked::Prepared(query.prepared_statement_handle)),
        Command::CommandGetCatalogs(_)
        | Command::CommandGetDbSchemas(_)
        | Command::CommandGetTables(_)
        | Command::CommandGetTableTypes(_)
        | Command::CommandGetSqlInfo(_)
        | Command::CommandGetXdbcTypeInfo(_)
        | Command::CommandGetPrimaryKeys(_)
        | Command::CommandGetExportedKeys(_)
        | Command::CommandGetImportedKeys(_)
        | Command::CommandGetCrossReference(_) => Ok(Asked::Metadata(Box::new(command))),
        other => Err(Error::Unsupported {
            what: name(other.type_url()).to_owned(),
        }),
    }
}

/// A Flight SQL message; none when the bytes are something else.
pub(super) fn command(bytes: &Bytes) -> Option<Result<Command>> {
    let any = Any::decode(bytes.clone()).ok()?;
    if !any.type_url.starts_with("type.googleapis.com/") {
        return None;
    }
    let malformed = |error: arrow::error::ArrowError| Error::Malformed {
        what: "command",
        problem: error.to_string(),
    };
    Some(Command::try_from(any).map_err(malformed))
}

/// The bytes as text a person could have typed; none when there is anything else in them.
pub(super) fn text(bytes: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(bytes).ok()?;
    let is_typed = |letter: char| !letter.is_control() || matches!(letter, '\n' | '\r' | '\t');
    text.chars().all(is_typed).then(|| text.to_owned())
}

/// Refuses a transaction: none can exist, since none is ever begun.
pub(super) fn no_transaction(id: Option<&Bytes>) -> Result<()> {
    match id {
        Some(id) if !id.is_empty() => Err(Error::Unsupported {
            what: "a transaction".to_owned(),
        }),
        _ => Ok(()),
    }
}

/// The last part of a type's address.
pub(super) fn name(type_url: &str) -> &str {
    type_url.rsplit(['.', '/']).next().unwrap_or(type_url)
}
