//! Rows as bytes, in four formats. An encoder sees the rows in pieces and keeps nothing of them.

mod arrow;
mod cell;
mod csv;
mod json;
mod times;

pub(crate) use cell::cells;
pub(super) use json::{AnswerColumn, Rows};

use ::arrow::array::RecordBatch;
use ::arrow::datatypes::SchemaRef;
use ::arrow::error::ArrowError;

use crate::error::{Error, Result};
use crate::rest::accept::{Format, Shape};
use crate::rest::problem::Problem;

/// Rows that a text encoder takes at a time, so that a piece of output has a bound.
pub(super) const PIECE_ROWS: usize = 1024;

/// What is said after the last row.
#[derive(Clone, Debug)]
pub(super) struct End<'a> {
    /// Rows in the answer.
    pub(super) rows: u64,
    /// Whether the answer was cut to a page although there are more rows; none when nobody asked for a page.
    pub(super) truncated: Option<bool>,
    /// Where the next page begins.
    pub(super) next_cursor: Option<&'a str>,
    /// The request.
    pub(super) request_id: &'a str,
    /// What the sources were asked and what came, as JSON; none when it could not be written.
    pub(super) report: Option<&'a str>,
}

/// Writes rows in one format.
pub(super) trait Encode: Send {
    /// What stands before the first row.
    fn head(&mut self, out: &mut Vec<u8>) -> Result<()>;
    /// Some rows.
    fn rows(&mut self, batch: &RecordBatch, out: &mut Vec<u8>) -> Result<()>;
    /// What stands after the last row.
    fn tail(&mut self, end: &End<'_>, out: &mut Vec<u8>) -> Result<()>;
    /// What is said when the rows end before their end; the body is then broken off.
    fn failure(&mut self, problem: &Problem, out: &mut Vec<u8>);
    /// Whether the end of the answer has room for the cursor.
    fn carries_cursor(&self) -> bool;
    /// Rows to hand in at a time.
    fn piece_rows(&self) -> usize;
}

/// The encoder for `shape`.
pub(super) fn encoder(shape: Shape, schema: &SchemaRef) -> Box<dyn Encode> {
    match shape.format {
        Format::Json => Box::new(json::Json::document(shape, schema)),
        Format::Ndjson => Box::new(json::Json::lines(shape, schema)),
        Format::Csv => Box::new(csv::Csv::new(shape.safe, schema)),
        Format::Arrow => Box::new(arrow::Arrow::new(schema)),
    }
}

/// Why rows cannot be written: a type without a JSON form, or a value that cannot be shown, such as a timestamp in a
/// time zone that does not exist.
fn unwritten(error: ArrowError) -> Error {
    match error {
        ArrowError::JsonError(problem) => Error::Unsupported {
            what: format!("a column in this format ({problem})"),
        },
        other => Error::from(other),
    }
}

/// The bytes of an Arrow IPC stream that has a schema and no rows.
///
/// # Errors
/// `Internal` when the schema cannot be written.
pub(super) fn schema_stream(schema: &SchemaRef) -> Result<Vec<u8>> {
    let mut out = Vec::new();
    let mut stream = arrow::Arrow::new(schema);
    stream.head(&mut out)?;
    stream.tail(
        &End {
            rows: 0,
            truncated: None,
            next_cursor: None,
            request_id: "",
            report: None,
        },
        &mut out,
    )?;
    Ok(out)
}

#[cfg(test)]
mod tests;
