//! `status`: each pipeline as its tables tell it, whoever runs it.

use chrono::{DateTime, Utc};
use iceberg::spec::TableMetadata;

use super::print;
use crate::bronze::envelope;
use crate::commit::{facts, history};
use crate::error::Result;
use crate::kafka::inspect;
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
    /// Records received in the last minute, a second.
    records_per_second: f64,
    /// Offsets of the source that bronze has not; none where there is no such source, or it does not answer.
    behind: Option<i64>,
    /// Why that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    source_failure: Option<String>,
}

/// How far back the rate looks.
const RATE: chrono::Duration = chrono::Duration::seconds(60);

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
        "{:20} {:>12} {:>12} {:>10} {:>10} {:>10} {:>7} {:>8} {:>9} {:>10}  {}\n",
        "PIPELINE",
        "IN",
        "PUBLISHED",
        "REJECTED",
        "DUPLICATE",
        "PENDING",
        "SCORE",
        "LAG",
        "RATE",
        "BEHIND",
        "LAST COMMIT"
    );
    for row in &rows {
        text += &format!(
            "{:20} {:>12} {:>12} {:>10} {:>10} {:>10} {:>7} {:>8} {:>9} {:>10}  {}\n",
            row.pipeline,
            row.received,
            row.published,
            row.rejected,
            row.duplicate,
            row.pending,
            row.score.map_or("-".to_owned(), |score| format!("{score:.4}")),
            row.lag_seconds.map_or("-".to_owned(), |lag| format!("{lag} s")),
            format!("{:.1}/s", row.records_per_second),
            row.behind.map_or("-".to_owned(), |behind| behind.to_string()),
            row.committed_at.as_deref().unwrap_or("never"),
        );
    }
    for row in &rows {
        if let Some(failure) = &row.source_failure {
            text += &format!("{failure}\n");
        }
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
    let bronze = load(envelope::contract(pipeline)?.ident()).await?;
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
    let metadata = bronze.as_ref().map(iceberg::table::Table::metadata);
    let behind = match pipeline.document().source.kafka() {
        Some(kafka) => Some(inspect::lag(pipeline.name(), kafka, metadata).await),
        None => None,
    };
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
        records_per_second: metadata.map_or(0.0, rate),
        behind: behind.as_ref().and_then(|behind| behind.as_ref().ok()).copied(),
        source_failure: behind.and_then(Result::err).map(|error| error.chain()),
    })
}

/// When the last snapshot with rows was committed.
fn last(metadata: &TableMetadata) -> Option<DateTime<Utc>> {
    let snapshot = history(metadata).find(|snapshot| facts::fact(snapshot, facts::PIPELINE_KEY).is_some())?;
    DateTime::from_timestamp_millis(snapshot.timestamp_ms())
}

/// Records received a second, over the last minute.
fn rate(metadata: &TableMetadata) -> f64 {
    let oldest = (Utc::now() - RATE).timestamp_millis();
    let records: u64 = history(metadata)
        .take_while(|snapshot| snapshot.timestamp_ms() >= oldest)
        .map(|snapshot| facts::number(snapshot, "added-records"))
        .sum();
    records as f64 / RATE.num_seconds() as f64
}
