//! A look at an incoming Arrow message before it is decoded.
//!
//! A compressed buffer claims its decoded size in eight bytes, and the decoder allocates what is claimed: a small
//! message could ask for 2^45 bytes and end the process (apache/arrow-rs#10959). Clients send parameters uncompressed,
//! so compressed ones are refused; counts and offsets are checked against the bytes that are there.

use arrow::ipc::root_as_message;
use arrow_flight::FlightData;

use crate::error::{Error, Result};

/// Refuses a message that a decoder must not see.
///
/// # Errors
/// `Malformed`, naming what is wrong with it.
pub(super) fn check(data: &FlightData, rows_max: usize) -> Result<()> {
    let message = root_as_message(&data.data_header).map_err(|error| bad(error.to_string()))?;
    if let Some(dictionary) = message.header_as_dictionary_batch() {
        let _ = dictionary;
        return Err(bad("dictionaries are not accepted as parameters".to_owned()));
    }
    let Some(batch) = message.header_as_record_batch() else {
        return Ok(());
    };
    if batch.compression().is_some() {
        return Err(bad("compressed parameters are not accepted".to_owned()));
    }
    let rows = usize::try_from(batch.length()).map_err(|_| bad("a negative row count".to_owned()))?;
    if rows > rows_max {
        return Err(Error::TooLarge {
            what: "rows of parameters",
            limit: rows_max.to_string(),
        });
    }
    for buffer in batch.buffers().into_iter().flatten() {
        let end = buffer.offset().checked_add(buffer.length());
        let fits = buffer.offset() >= 0
            && buffer.length() >= 0
            && end
                .and_then(|end| usize::try_from(end).ok())
                .is_some_and(|end| end <= data.data_body.len());
        if !fits {
            return Err(bad("a buffer lies outside of the message".to_owned()));
        }
    }
    for node in batch.nodes().into_iter().flatten() {
        if node.length() < 0 || node.null_count() < 0 || node.null_count() > node.length() {
            return Err(bad("a column with impossible counts".to_owned()));
        }
    }
    Ok(())
}

fn bad(problem: String) -> Error {
    Error::Malformed {
        what: "Arrow message",
        problem,
    }
}
