//! What travels with the client: tickets, handles and cursors. Sealed, bound to the principal, self-contained and
//! short-lived, so that any gateway with the same key serves them and nobody else's are of use.
//!
//! A ticket is no authority: the caller is proven and the policy asked again on every use.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::StreamWriter;
use planner::{Partition, Pins, Query, Session};
use policies::{Principal, Seal};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// What a ticket is for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Content {
    /// Rows of a statement.
    Statement(Statement),
    /// Rows of a metadata command, as its protocol bytes.
    Metadata(Vec<u8>),
    /// No rows: the statement changed the session.
    Nothing,
}

/// A statement with everything that its run depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Statement {
    /// Names the query in logs and for cancelling.
    pub id: String,
    /// The text.
    pub sql: String,
    /// Bound values as an Arrow IPC stream.
    pub parameters: Option<Vec<u8>>,
    /// Versions of the tables.
    pub pins: Pins,
    /// One part of the result.
    pub partition: Option<Partition>,
    /// The time that `now()` gives in every part, in microseconds since 1970 UTC.
    pub at: i64,
}

/// A prepared statement: the text, and the values once they are bound.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Handle {
    /// The text.
    pub sql: String,
    /// Bound values as an Arrow IPC stream.
    pub parameters: Option<Vec<u8>>,
}

#[derive(Serialize, Deserialize)]
struct Sealed<T> {
    subject: String,
    session: Session,
    expires: u64,
    content: T,
}

/// A sealed thing opened again.
#[derive(Clone, Debug)]
pub struct Opened<T> {
    /// The session that it was made in.
    pub session: Session,
    /// What it holds.
    pub content: T,
}

/// What kind of thing is sealed; one kind never opens as another.
pub trait Purpose: Serialize + DeserializeOwned {
    /// The name under the seal.
    const NAME: &'static str;
}

impl Purpose for Content {
    const NAME: &'static str = "ticket";
}

impl Purpose for Handle {
    const NAME: &'static str = "handle";
}

/// Seals `content` for `principal`.
///
/// # Errors
/// `Internal` when encoding fails.
pub fn seal<T: Purpose>(
    seal: &Seal,
    principal: &Principal,
    session: &Session,
    lifetime: Duration,
    content: T,
) -> Result<Vec<u8>> {
    let expires = now().saturating_add(lifetime.as_secs());
    let sealed = Sealed {
        subject: principal.subject().to_owned(),
        session: session.clone(),
        expires,
        content,
    };
    let bytes = postcard::to_allocvec(&sealed).map_err(|error| Error::Internal {
        message: error.to_string(),
    })?;
    Ok(seal.seal(T::NAME, &bytes)?)
}

/// Opens what [`seal`] made for the same principal.
///
/// # Errors
/// `Ticket` for anything else, whatever is wrong with it; `TicketExpired` when it is too old.
pub fn open<T: Purpose>(seal: &Seal, principal: &Principal, bytes: &[u8]) -> Result<Opened<T>> {
    let plain = seal.open(T::NAME, bytes).map_err(|_| Error::Ticket)?;
    let sealed: Sealed<T> = postcard::from_bytes(&plain).map_err(|_| Error::Ticket)?;
    if sealed.subject != principal.subject() {
        return Err(Error::Ticket);
    }
    if sealed.expires <= now() {
        return Err(Error::TicketExpired);
    }
    Ok(Opened {
        session: sealed.session,
        content: sealed.content,
    })
}

impl Statement {
    /// As the planner takes it.
    ///
    /// # Errors
    /// `Internal` when the values in our own ticket cannot be read.
    pub fn query(&self) -> Result<Query> {
        Ok(Query {
            sql: self.sql.clone(),
            parameters: self.parameters.as_deref().map(read_values).transpose()?,
            pins: self.pins.clone(),
            partition: self.partition,
            rows_max: None,
            at: Some(self.at),
        })
    }
}

/// Values as bytes for a ticket.
///
/// # Errors
/// `Internal` when encoding fails.
pub fn write_values(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut writer = StreamWriter::try_new(&mut bytes, batch.schema_ref()).map_err(internal)?;
    writer.write(batch).map_err(internal)?;
    writer.finish().map_err(internal)?;
    drop(writer);
    Ok(bytes)
}

/// The values of [`write_values`]. The bytes come out of our own seal, so they are what we wrote.
///
/// # Errors
/// `Internal` when they are not.
pub fn read_values(bytes: &[u8]) -> Result<RecordBatch> {
    let mut reader = StreamReader::try_new(bytes, None).map_err(internal)?;
    match reader.next() {
        Some(batch) => batch.map_err(internal),
        None => Err(Error::Internal {
            message: "no values in a ticket".to_owned(),
        }),
    }
}

fn internal(error: arrow::error::ArrowError) -> Error {
    Error::Internal {
        message: error.to_string(),
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_secs())
}
