//! Rows of Parquet and Avro files as JSON objects.
//!
//! The readers of both formats can panic on damaged bytes; that is caught here and told like any other damage.

use std::panic::{AssertUnwindSafe, catch_unwind};

use arrow::array::RecordBatch;
use arrow::error::ArrowError;
use arrow::json::LineDelimitedWriter;
use bytes::Bytes;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

use super::{Bounds, Collected, Record, Refused};

/// Rows that are turned at a time.
const ROWS: usize = 1_024;

/// The rows of a Parquet file.
pub(super) fn parquet(body: Bytes, bounds: &Bounds) -> Result<Vec<Record>, Refused> {
    guarded("parquet", || {
        let failed = |error: &dyn std::fmt::Display| unreadable("parquet", error);
        let builder = ParquetRecordBatchReaderBuilder::try_new(body).map_err(|error| failed(&error))?;
        // What the footer says is believed only to refuse: a file that unpacks to more than the bound is not begun.
        let unpacked: i64 = builder
            .metadata()
            .row_groups()
            .iter()
            .map(|group| group.total_byte_size())
            .sum();
        if usize::try_from(unpacked).map_or(true, |bytes| bytes > bounds.unpacked_bytes_max) {
            return Err(super::too_large(bounds));
        }
        let reader = builder
            .with_batch_size(ROWS)
            .build()
            .map_err(|error| failed(&error))?;
        turned("parquet", reader, bounds)
    })
}

/// The rows of an Avro object container file.
pub(super) fn avro(body: &Bytes, bounds: &Bounds) -> Result<Vec<Record>, Refused> {
    guarded("avro", || {
        let reader = arrow_avro::reader::ReaderBuilder::new()
            .with_batch_size(ROWS)
            .build(body.as_ref())
            .map_err(|error| unreadable("avro", &error))?;
        turned("avro", reader, bounds)
    })
}

fn guarded(
    format: &'static str,
    read: impl FnOnce() -> Result<Vec<Record>, Refused>,
) -> Result<Vec<Record>, Refused> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|_| Err(unreadable(format, &"its bytes are damaged")))
}

fn turned(
    format: &'static str,
    batches: impl Iterator<Item = Result<RecordBatch, ArrowError>>,
    bounds: &Bounds,
) -> Result<Vec<Record>, Refused> {
    let mut collected = Collected::new(bounds);
    for batch in batches {
        let batch = batch.map_err(|error| unreadable(format, &error))?;
        let mut writer = LineDelimitedWriter::new(Vec::new());
        writer
            .write(&batch)
            .and_then(|()| writer.finish())
            .map_err(|error| unreadable(format, &error))?;
        let lines = Bytes::from(writer.into_inner());
        let mut start = 0;
        while start < lines.len() {
            let length = lines[start..].iter().position(|byte| *byte == b'\n');
            let end = length.map_or(lines.len(), |length| start + length);
            let place = collected.records.len() as u64 + 1;
            collected.push(Record::good(lines.slice(start..end), place))?;
            start = end + 1;
        }
    }
    Ok(collected.records)
}

fn unreadable(format: &'static str, problem: &dyn std::fmt::Display) -> Refused {
    Refused::File {
        format,
        problem: problem.to_string().chars().take(500).collect(),
    }
}
