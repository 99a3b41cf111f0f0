//! `status`: each pipeline as its tables tell it, whoever runs it.

use chrono::{DateTime, Utc};
use iceberg::spec::TableMetadata;

use super::print;
use crate::bronze::envelope;
use crate::commit::{facts, history};
use crate::error::Result;
use crate::pipeline::Pipeline;
use crate::settings::Settings;

#[derive(serde::Serialize)]
struct Row {
    pipeline: String,
    received: u64,
    published: u64,
    rejected: u64,
    duplicate: u64,
    pending: u64,
    score: Option<f64>,
    committed_at: Option<String>,
    lag_seconds: Option<i64>,
}

/// Prints one row a pipeline.
pub(super) async fn run(settings: &Settings, pipelines: &[Pipeline], json: bool) -> Result<()> {
    let catalog = crate::lake::open(&settings.lake.catalog, &settings.lake.warehouse).await?;
    let mut rows = Vec::new();
    for pipeline in pipelines {
        rows.push(row(catalog.as_ref(), pipeline).await?);
    }
    let mut text = String::new();
    if json {
        for row in &rows {
            text += &serde_json::to_string(row).unwrap_or_default();
            text.push('\n');
        }
        return print(&text);
    }
    text += &format!(
        "{:20} {:>12} {:>12} {:>10} {:>10} {:>10} {:>7} {:>8}  {}\n",
        "PIPELINE", "IN", "PUBLISHED", "REJECTED", "DUPLICATE", "PENDING", "SCORE", "LAG", "LAST COMMIT"
    );
    for row in &rows {
        text += &format!(
            "{:20} {:>12} {:>12} {:>10} {:>10} {:>10} {:>7} {:>8}  {}\n",
            row.pipeline,
            row.received,
            row.published,
            row.rejected,
            row.duplicate,
            row.pending,
            row.score.map_or("-".to_owned(), |score| format!("{score:.4}")),
            row.lag_seconds.map_or("-".to_owned(), |lag| format!("{lag} s")),
            row.committed_at.as_deref().unwrap_or("never"),
        );
    }
    print(&text)
}

async fn row(catalog: &dyn iceberg::Catalog, pipeline: &Pipeline) -> Result<Row> {
    let load = async |ident: iceberg::TableIdent| -> Result<Option<iceberg::table::Table>> {
        match catalog.load_table(&ident).await {
            Ok(table) => Ok(Some(table)),
            Err(error)
                if matches!(
                    error.kind(),
                    iceberg::ErrorKind::TableNotFound | iceberg::ErrorKind::NamespaceNotFound
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(crate::commit::failed("load", &ident, error)),
        }
    };
    let bronze = load(envelope::contract(pipeline.name())?.ident()).await?;
    let silver = load(pipeline.silver().ident()).await?;
    let total = |key: &str| -> u64 {
        let silver = silver.as_ref().map(iceberg::table::Table::metadata);
        silver
            .and_then(|metadata| facts::newest(metadata, key)?.parse().ok())
            .unwrap_or(0)
    };
    let received = bronze
        .as_ref()
        .and_then(|table| table.metadata().current_snapshot())
        .map_or(0, |snapshot| facts::number(snapshot, "total-records"));
    let last_received = bronze.as_ref().and_then(|table| last(table.metadata()));
    let last_read = silver.as_ref().and_then(|table| last(table.metadata()));
    let pending = received.saturating_sub(total("ingest.total-in"));
    // What waits has waited since the last commit of silver, or, when that was before it came, since it came.
    let lag = (pending > 0)
        .then_some(last_received)
        .flatten()
        .map(|at| Utc::now() - at);
    Ok(Row {
        pipeline: pipeline.name().to_owned(),
        received,
        published: total("ingest.total-published"),
        rejected: total("ingest.total-rejected"),
        duplicate: total("ingest.total-duplicate"),
        pending,
        score: silver
            .as_ref()
            .and_then(|table| facts::newest(table.metadata(), "ingest.score")?.parse().ok()),
        committed_at: last_read.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        lag_seconds: lag.map(|lag| lag.num_seconds()),
    })
}

/// When the last snapshot with rows was committed.
fn last(metadata: &TableMetadata) -> Option<DateTime<Utc>> {
    let snapshot = history(metadata).find(|snapshot| facts::fact(snapshot, facts::PIPELINE_KEY).is_some())?;
    DateTime::from_timestamp_millis(snapshot.timestamp_ms())
}
