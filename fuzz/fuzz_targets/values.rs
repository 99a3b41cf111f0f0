//! Values of parameters as Arrow messages: any bytes are refused or are a batch that can be read to its end. What the
//! decoder falls over is caught by the gateway and no finding; memory that is claimed and not sent is one.
#![no_main]

use std::sync::Once;

use arrow::ipc::root_as_message;
use arrow::util::pretty::pretty_format_batches;
use arrow_flight::FlightData;
use arrow_flight::error::FlightError;
use futures::executor::block_on;
use futures::stream;
use gateway::flight::values::values;
use libfuzzer_sys::fuzz_target;

/// The most rows that a statement takes.
const ROWS_MAX: usize = 1_000;

/// The next message of an Arrow stream: marker, length of the header, header, and a body as long as the header says.
fn message(bytes: &mut &[u8]) -> Option<FlightData> {
    let (_, rest) = bytes.split_at_checked(4)?;
    let (length, rest) = rest.split_at_checked(4)?;
    let length = u32::from_le_bytes(length.try_into().ok()?) as usize;
    let (header, rest) = rest.split_at_checked(length.min(rest.len()))?;
    let body = root_as_message(header).map_or(0, |message| message.bodyLength());
    let (body, rest) = rest.split_at_checked(usize::try_from(body).unwrap_or(0).min(rest.len()))?;
    *bytes = rest;
    Some(FlightData {
        data_header: header.to_vec().into(),
        data_body: body.to_vec().into(),
        ..FlightData::default()
    })
}

fuzz_target!(|bytes: &[u8]| {
    static QUIET: Once = Once::new();
    // libFuzzer's own hook ends the process at each fall, also at those that are caught.
    QUIET.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    let mut bytes = bytes;
    let mut messages = Vec::new();
    while let Some(message) = message(&mut bytes) {
        messages.push(Ok::<_, FlightError>(message));
    }
    if let Ok(Some(batch)) = block_on(values(stream::iter(messages), ROWS_MAX)) {
        assert!(batch.num_rows() <= ROWS_MAX, "{} rows", batch.num_rows());
        drop(pretty_format_batches(&[batch]));
    }
});
