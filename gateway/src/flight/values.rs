//! Values of parameters out of Arrow messages that a client sends.
//!
//! Invariant: whatever the messages hold, the outcome is a batch or an error. What can be checked is checked by
//! `screen.rs` before a message is decoded; what the decoder falls over all the same is caught here.

use std::panic::AssertUnwindSafe;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow_flight::FlightData;
use arrow_flight::decode::FlightRecordBatchStream;
use arrow_flight::error::FlightError;
use futures::{FutureExt, Stream, StreamExt};
use tonic::Status;

use super::screen;
use crate::error::{Error, Result};

/// All values of the messages as one batch of at most `rows_max` rows, which may have none; none when the messages have no
/// columns.
///
/// # Errors
/// `Malformed` for messages that are no Arrow stream, `TooLarge` for too many rows.
pub async fn values(
    messages: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static,
    rows_max: usize,
) -> Result<Option<RecordBatch>> {
    let screened = messages.map(move |message| {
        let message = message?;
        match message.data_header.is_empty() {
            true => Ok(message),
            false => match screen::check(&message, rows_max) {
                Ok(()) => Ok(message),
                Err(error) => Err(FlightError::ExternalError(Box::new(error))),
            },
        }
    });
    let whole = async move {
        let (schema, batches) = decoded(screened, rows_max).await?;
        match schema {
            Some(schema) if !schema.fields().is_empty() => Ok(Some(concat_batches(&schema, &batches)?)),
            _ => Ok(None),
        }
    };
    AssertUnwindSafe(whole)
        .catch_unwind()
        .await
        .unwrap_or_else(|_| Err(malformed("an Arrow message of it cannot be decoded".to_owned())))
}

async fn decoded(
    messages: impl Stream<Item = Result<FlightData, FlightError>> + Send + 'static,
    rows_max: usize,
) -> Result<(Option<SchemaRef>, Vec<RecordBatch>)> {
    let mut stream = FlightRecordBatchStream::new_from_flight_data(messages);
    let mut batches = Vec::new();
    let mut rows = 0;
    while let Some(batch) = stream.next().await {
        let batch = batch.map_err(|error| match error {
            FlightError::ExternalError(inner) => match inner.downcast::<Error>() {
                Ok(own) => *own,
                Err(other) => malformed(other.to_string()),
            },
            FlightError::Tonic(status) => broken(&status),
            other => malformed(other.to_string()),
        })?;
        rows += batch.num_rows();
        if rows > rows_max {
            return Err(Error::TooLarge {
                what: "rows of parameters",
                limit: rows_max.to_string(),
            });
        }
        batches.push(batch);
    }
    Ok((stream.schema().cloned(), batches))
}

fn broken(status: &Status) -> Error {
    malformed(status.message().to_owned())
}

/// A stream that is none.
pub(super) fn malformed(problem: String) -> Error {
    Error::Malformed {
        what: "DoPut stream",
        problem,
    }
}
