//! The rows of bronze: each record as it came, and where it came from.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryBuilder, RecordBatch, StringArray, StringBuilder, TimestampMicrosecondArray,
};
use chrono::{DateTime, Utc};
use iceberg::spec::{PrimitiveType, Transform};

use super::Upload;
use crate::contract::{Column, Contract};
use crate::digest;
use crate::error::{Error, Result};
use crate::zone::Zone;

/// The record as a text, when it is one.
pub const PAYLOAD: &str = "payload";
/// The record as bytes, when it is no text.
pub const PAYLOAD_BYTES: &str = "payload_bytes";
/// What is wrong with it, where that was known on receipt.
pub const PROBLEM: &str = "_problem";
/// The id of the record.
pub const INGEST_ID: &str = "_ingest_id";
/// When it was received.
pub const INGESTED_AT: &str = "_ingested_at";
/// The batch that brought it.
pub const BATCH: &str = "_batch_id";
/// Where it stood in the batch.
pub const POSITION: &str = "_position";

/// The contract of the bronze table of a pipeline.
pub fn contract(pipeline: &str) -> Result<Contract> {
    let text = PrimitiveType::String;
    let columns = vec![
        Column::required(
            INGEST_ID,
            text.clone(),
            "The record: its batch and its place there",
        ),
        Column::required("_source", text.clone(), "What brought it: upload"),
        Column::required("_stream", text.clone(), "The dataset"),
        Column::required(
            POSITION,
            text.clone(),
            "Where it stood: the line or row, in digits of equal number",
        ),
        Column::required(
            INGESTED_AT,
            PrimitiveType::Timestamptz,
            "When it was first received",
        ),
        Column::required("_op", text.clone(), "c for created"),
        Column::required(BATCH, text.clone(), "The batch that brought it"),
        Column::required(
            "_payload_format",
            text.clone(),
            "json, ndjson, csv, parquet or avro",
        ),
        Column::optional(
            PAYLOAD,
            text.clone(),
            "The record as it came; of a file's row the JSON form",
        ),
        Column::optional(
            PAYLOAD_BYTES,
            PrimitiveType::Binary,
            "The record, when it is no UTF-8",
        ),
        Column::optional(
            PROBLEM,
            text.clone(),
            "Why it could not be told apart, where that was known on receipt",
        ),
        Column::required("_content_sha256", text.clone(), "SHA-256 of the payload"),
        Column::optional(
            "_landing",
            text.clone(),
            "The file it is a row of, kept byte for byte",
        ),
        Column::required("_headers", text, "Who sent it, and what of the request is kept"),
    ];
    let comment = format!("Records of {pipeline} as received");
    Contract::new(Zone::Bronze, pipeline, &comment, columns)?.with_partition(INGESTED_AT, Transform::Day)
}

/// The rows of some uploads, received at `now`.
pub(super) fn rows(pipeline: &str, uploads: &[Upload], now: DateTime<Utc>) -> Result<RecordBatch> {
    let count = uploads.iter().map(|upload| upload.records.len()).sum();
    let mut texts: [StringBuilder; 8] = std::array::from_fn(|_| StringBuilder::new());
    let mut bytes = BinaryBuilder::new();
    for upload in uploads {
        for (index, record) in upload.records.iter().enumerate() {
            let [id, position, batch, format, payload, problem, sha256, landing] = &mut texts;
            id.append_value(format!("{}-{index:08}", upload.batch));
            position.append_value(format!("{:012}", record.place));
            batch.append_value(&upload.batch);
            format.append_value(upload.format.name());
            // Parquet readers of other languages take a text with a NUL; those in C do not always.
            match std::str::from_utf8(&record.payload) {
                Ok(text) if !text.contains('\0') => {
                    payload.append_value(text);
                    bytes.append_null();
                }
                _ => {
                    payload.append_null();
                    bytes.append_value(&record.payload);
                }
            }
            problem.append_option(record.problem.as_deref());
            sha256.append_value(digest::hex(&digest::sha256(&record.payload)));
            landing.append_option(upload.landing.as_deref());
        }
    }
    let [id, position, batch, format, payload, problem, sha256, landing] = &mut texts;
    let headers = uploads
        .iter()
        .flat_map(|upload| std::iter::repeat_n(upload.headers.as_str(), upload.records.len()));
    let headers: StringArray = headers.map(Some).collect();
    let repeated = |text: &str| -> ArrayRef { Arc::new(StringArray::from(vec![text; count])) };
    let received =
        TimestampMicrosecondArray::from(vec![now.timestamp_micros(); count]).with_timezone("+00:00");
    let columns: [(&str, ArrayRef, bool); 14] = [
        (INGEST_ID, Arc::new(id.finish()), false),
        ("_source", repeated("upload"), false),
        ("_stream", repeated(pipeline), false),
        (POSITION, Arc::new(position.finish()), false),
        (INGESTED_AT, Arc::new(received), false),
        ("_op", repeated("c"), false),
        (BATCH, Arc::new(batch.finish()), false),
        ("_payload_format", Arc::new(format.finish()), false),
        (PAYLOAD, Arc::new(payload.finish()), true),
        (PAYLOAD_BYTES, Arc::new(bytes.finish()), true),
        (PROBLEM, Arc::new(problem.finish()), true),
        ("_content_sha256", Arc::new(sha256.finish()), false),
        ("_landing", Arc::new(landing.finish()), true),
        ("_headers", Arc::new(headers), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns)
        .map_err(|error| Error::arrow(&format!("bronze.{pipeline}"), error))
}
