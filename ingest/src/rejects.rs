//! Records that were set aside: one table for all pipelines, `system.rejects`, with the reason and the record as it came.

use std::sync::Arc;

use arrow::array::{ArrayRef, BinaryArray, RecordBatch, StringArray, TimestampMicrosecondArray};
use chrono::{DateTime, Utc};
use iceberg::spec::{PrimitiveType, Transform};

use crate::contract::{Column, Contract};
use crate::error::{Error, Result};
use crate::silver::judge::Received;
use crate::zone::Zone;

/// One record and why it was set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reject {
    rule: String,
    reason: String,
    id: String,
    batch: String,
    position: String,
    at: i64,
    format: String,
    payload: Option<String>,
    bytes: Option<Vec<u8>>,
}

impl Reject {
    pub(crate) fn new(record: &Received, rule: String, reason: String) -> Self {
        Self {
            rule,
            reason,
            id: record.id.clone(),
            batch: record.batch.clone(),
            position: record.position.clone(),
            at: record.at,
            format: record.format.clone(),
            payload: record.payload.clone(),
            bytes: record.bytes.clone(),
        }
    }
}

/// The contract of `system.rejects`.
pub(crate) fn contract() -> Result<Contract> {
    let text = PrimitiveType::String;
    let columns = vec![
        Column::required("pipeline", text.clone(), "The pipeline that set it aside"),
        Column::required(
            "rule",
            text.clone(),
            "The rule that it broke first; contract for its form, gate for its batch",
        ),
        Column::required("reason", text.clone(), "What is wrong with it"),
        Column::optional("payload", text.clone(), "The record as it came"),
        Column::optional(
            "payload_bytes",
            PrimitiveType::Binary,
            "The record, when it is no UTF-8",
        ),
        Column::required("payload_format", text.clone(), "The format that it came in"),
        Column::required("position", text.clone(), "Where it stood in its batch"),
        Column::required("batch_id", text.clone(), "The batch that brought it"),
        Column::required("ingest_id", text, "The record in bronze"),
        Column::required("ingested_at", PrimitiveType::Timestamptz, "When it was received"),
        Column::required("rejected_at", PrimitiveType::Timestamptz, "When it was set aside"),
    ];
    let comment = "Records that were set aside, with the reason";
    Contract::new(Zone::System, "rejects", comment, columns)?.with_partition("rejected_at", Transform::Day)
}

/// Rejects as rows.
pub(crate) fn rows(pipeline: &str, rejects: &[Reject], now: DateTime<Utc>) -> Result<RecordBatch> {
    let text = |value: &dyn Fn(&Reject) -> Option<String>| -> ArrayRef {
        Arc::new(rejects.iter().map(value).collect::<StringArray>())
    };
    let instant = |value: &dyn Fn(&Reject) -> i64| -> ArrayRef {
        let values = rejects.iter().map(value);
        Arc::new(TimestampMicrosecondArray::from_iter_values(values).with_timezone("+00:00"))
    };
    let bytes: BinaryArray = rejects.iter().map(|reject| reject.bytes.as_deref()).collect();
    let columns: [(&str, ArrayRef, bool); 11] = [
        ("pipeline", text(&|_| Some(pipeline.to_owned())), false),
        ("rule", text(&|reject| Some(reject.rule.clone())), false),
        ("reason", text(&|reject| Some(reject.reason.clone())), false),
        ("payload", text(&|reject| reject.payload.clone()), true),
        ("payload_bytes", Arc::new(bytes), true),
        (
            "payload_format",
            text(&|reject| Some(reject.format.clone())),
            false,
        ),
        ("position", text(&|reject| Some(reject.position.clone())), false),
        ("batch_id", text(&|reject| Some(reject.batch.clone())), false),
        ("ingest_id", text(&|reject| Some(reject.id.clone())), false),
        ("ingested_at", instant(&|reject| reject.at), false),
        ("rejected_at", instant(&|_| now.timestamp_micros()), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).map_err(|error| Error::arrow("system.rejects", error))
}
