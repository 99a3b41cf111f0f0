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
use crate::pipeline::{Pipeline, Source};
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

/// The contract of the bronze table of a pipeline: the columns of every source, then those of its own source. The latter are optional, since a
/// record that is replayed comes without them.
///
/// # Errors
/// A defect: the columns contradict each other.
pub fn contract(pipeline: &Pipeline) -> Result<Contract> {
    let mut columns = of_all();
    match pipeline.document().source {
        Source::Upload { .. } => {}
        Source::Kafka(_) => columns.extend(of_kafka()),
    }
    let name = pipeline.name();
    let comment = format!("Records of {name} as received");
    Contract::new(Zone::Bronze, name, &comment, columns)?.with_partition(INGESTED_AT, Transform::Day)
}

/// What a record of Kafka is known by beside.
fn of_kafka() -> Vec<Column> {
    let optional = Column::optional;
    vec![
        optional(
            "_shard",
            PrimitiveType::String,
            "The topic and partition, TOPIC/PARTITION",
        ),
        optional("_topic", PrimitiveType::String, "The topic"),
        optional("_partition", PrimitiveType::Int, "The partition"),
        optional("_offset", PrimitiveType::Long, "The offset in its partition"),
        optional(
            "_event_time",
            PrimitiveType::Timestamptz,
            "The timestamp of the record, as its producer or its broker set it",
        ),
        optional("_key", PrimitiveType::String, "The key, when it is UTF-8"),
        optional(
            "_key_bytes",
            PrimitiveType::Binary,
            "The key, when it is no UTF-8",
        ),
        optional(
            "_schema_id",
            PrimitiveType::Int,
            "The id of its schema in the registry",
        ),
    ]
}

fn of_all() -> Vec<Column> {
    let text = PrimitiveType::String;
    vec![
        Column::required(
            INGEST_ID,
            text.clone(),
            "The record: its batch and its place there",
        ),
        Column::required("_source", text.clone(), "What brought it: upload or kafka"),
        Column::required("_stream", text.clone(), "The dataset"),
        Column::required(
            POSITION,
            text.clone(),
            "Where it stood: the line, row or offset, in digits of equal number",
        ),
        Column::required(
            INGESTED_AT,
            PrimitiveType::Timestamptz,
            "When it was first received",
        ),
        Column::required(
            "_op",
            text.clone(),
            "c for created, d for a record without a value",
        ),
        Column::required(BATCH, text.clone(), "The batch that brought it"),
        Column::required(
            "_payload_format",
            text.clone(),
            "json, ndjson, csv, parquet, avro or raw",
        ),
        Column::optional(
            PAYLOAD,
            text.clone(),
            "The record as it came; of a file's row, of Avro and of raw bytes the JSON form",
        ),
        Column::optional(
            PAYLOAD_BYTES,
            PrimitiveType::Binary,
            "The record as it came, when payload does not have it",
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
        Column::required(
            "_headers",
            text,
            "Who sent it, and what of the request is kept; of Kafka the headers",
        ),
    ]
}

/// A record as a text where it is one that every reader takes, or as bytes.
pub(crate) fn text_or_bytes(value: &[u8]) -> (Option<&str>, Option<&[u8]>) {
    // Parquet readers of other languages take a text with a NUL; those in C do not always.
    match std::str::from_utf8(value) {
        Ok(text) if !text.contains('\0') => (Some(text), None),
        _ => (None, Some(value)),
    }
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
            let (text, raw) = text_or_bytes(&record.payload);
            payload.append_option(text);
            bytes.append_option(raw);
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
