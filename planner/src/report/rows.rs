//! A report as rows: `EXPLAIN (FEDERATION)`.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};

use super::{Read, Report, SourceReport};
use crate::error::Result;

/// The columns: the source, what the row tells, of what, and what there is to say.
pub(crate) fn schema() -> SchemaRef {
    let text = |name: &str, nullable: bool| Field::new(name, DataType::Utf8, nullable);
    Arc::new(Schema::new(vec![
        text("source", false),
        text("item", false),
        text("subject", true),
        text("detail", true),
    ]))
}

/// A row for each thing that the report tells.
///
/// # Errors
/// `Internal` when the rows do not fit their columns, which they do.
pub(crate) fn batch(report: &Report) -> Result<RecordBatch> {
    let rows: Vec<Row> = report.sources.iter().flat_map(of_source).collect();
    let column = |value: fn(&Row) -> Option<&str>| -> ArrayRef {
        Arc::new(rows.iter().map(value).collect::<StringArray>())
    };
    let columns = vec![
        column(|row| Some(&row.source)),
        column(|row| Some(row.item)),
        column(|row| row.subject.as_deref()),
        column(|row| row.detail.as_deref()),
    ];
    Ok(RecordBatch::try_new(schema(), columns)?)
}

struct Row {
    source: String,
    item: &'static str,
    subject: Option<String>,
    detail: Option<String>,
}

fn of_source(source: &SourceReport) -> Vec<Row> {
    let row = |item, subject: Option<&str>, detail: Option<String>| Row {
        source: source.source.clone(),
        item,
        subject: subject.map(str::to_owned),
        detail,
    };
    let mut rows = vec![row("kind", None, Some(source.kind.to_owned()))];
    for read in &source.reads {
        let subject = Some(read.tables.as_str());
        rows.push(row("read", subject, Some(counts(read))));
        rows.extend(
            read.statement
                .iter()
                .map(|text| row("statement", subject, Some(text.clone()))),
        );
        rows.extend(
            read.pushed
                .iter()
                .map(|text| row("pushed", subject, Some(text.clone()))),
        );
        if read.takes_keys {
            let keys = match read.keys {
                Some(keys) => format!("{keys} keys of a join"),
                None => "the keys of a join, as the query runs".to_owned(),
            };
            rows.push(row("pushed", subject, Some(keys)));
        }
    }
    for residual in &source.residual {
        rows.push(row(
            "residual",
            Some(&residual.operator),
            Some(residual.reason.clone()),
        ));
    }
    for freshness in &source.freshness {
        let version = freshness.version.as_deref().unwrap_or("unknown");
        let detail = match &freshness.as_of {
            Some(as_of) => format!("{version} as of {as_of}"),
            None => version.to_owned(),
        };
        rows.push(row("freshness", freshness.table.as_deref(), Some(detail)));
    }
    let totals = [
        ("rows", source.rows.map(|rows| rows.to_string())),
        ("bytes", source.bytes.map(|bytes| bytes.to_string())),
        ("seconds", source.seconds.map(|seconds| format!("{seconds:.6}"))),
    ];
    let known = totals.into_iter().filter(|(_, total)| total.is_some());
    rows.extend(known.map(|(item, total)| row(item, None, total)));
    rows
}

fn counts(read: &Read) -> String {
    if read.secured {
        return "behind a policy".to_owned();
    }
    let mut parts = Vec::new();
    if let Some(partitions) = read.partitions.filter(|partitions| *partitions > 1) {
        parts.push(format!("in {partitions} parts"));
    }
    if let Some(rows) = read.estimated_rows {
        parts.push(format!("{rows} rows expected"));
    }
    if let Some(rows) = read.rows {
        parts.push(format!("{rows} rows came"));
    }
    if let Some(bytes) = read.bytes {
        parts.push(format!("{bytes} bytes"));
    }
    match parts.is_empty() {
        true => "files".to_owned(),
        false => parts.join(", "),
    }
}
