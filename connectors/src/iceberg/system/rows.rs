//! The rows of the system tables, from the keys that ingest puts into the summaries of its snapshots.

use super::{Column, Kind, Known};
use crate::Result;
use arrow::array::{Array, ArrayRef, Float64Array, Int64Array, StringArray, TimestampMillisecondArray};
use arrow::datatypes::Field;
use iceberg::spec::SnapshotRef;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The key that every snapshot of ingest has.
const COMMIT_ID: &str = "ingest.commit-id";
const PIPELINE: &str = "ingest.pipeline";

/// Whether ingest made a snapshot of a pipeline.
pub(super) fn is_ours(snapshot: &SnapshotRef) -> bool {
    text(snapshot, COMMIT_ID).is_some() && text(snapshot, PIPELINE).is_some()
}

fn text<'a>(snapshot: &'a SnapshotRef, key: &str) -> Option<&'a str> {
    snapshot
        .summary()
        .additional_properties
        .get(key)
        .map(String::as_str)
}

fn number(snapshot: &SnapshotRef, key: &str) -> Option<i64> {
    text(snapshot, key)?.parse().ok()
}

fn float(snapshot: &SnapshotRef, key: &str) -> Option<f64> {
    text(snapshot, key)?.parse().ok()
}

/// The columns of a kind.
pub(super) fn columns(kind: Kind, tables: &[Known], until_ms: i64) -> Result<Vec<Column>> {
    let mut snapshots: Vec<(&Known, &SnapshotRef)> = tables
        .iter()
        .flat_map(|table| table.snapshots(until_ms).map(move |snapshot| (table, snapshot)))
        .collect();
    snapshots
        .sort_by_key(|(table, snapshot)| (snapshot.timestamp_ms(), &table.name, snapshot.sequence_number()));
    Ok(match kind {
        Kind::Commits => commits(&snapshots),
        Kind::Quality => quality(&snapshots),
        Kind::Lineage => lineage(&snapshots),
        Kind::Pipelines => pipelines(&snapshots),
    })
}

fn column(name: &str, nullable: bool, values: ArrayRef) -> Column {
    (Field::new(name, values.data_type().clone(), nullable), values)
}

fn texts<'a>(name: &str, nullable: bool, values: impl Iterator<Item = Option<&'a str>>) -> Column {
    column(name, nullable, Arc::new(values.collect::<StringArray>()))
}

fn longs(name: &str, nullable: bool, values: impl Iterator<Item = Option<i64>>) -> Column {
    column(name, nullable, Arc::new(values.collect::<Int64Array>()))
}

fn floats(name: &str, nullable: bool, values: impl Iterator<Item = Option<f64>>) -> Column {
    column(name, nullable, Arc::new(values.collect::<Float64Array>()))
}

fn instants(name: &str, values: impl Iterator<Item = i64>) -> Column {
    let values = TimestampMillisecondArray::from_iter_values(values).with_timezone("+00:00");
    column(name, false, Arc::new(values))
}

type Commit<'a> = (&'a Known, &'a SnapshotRef);

/// The columns that every table of snapshots begins with.
fn heads(of: &[Commit<'_>]) -> Vec<Column> {
    vec![
        instants(
            "committed_at",
            of.iter().map(|(_, snapshot)| snapshot.timestamp_ms()),
        ),
        texts(
            "pipeline",
            false,
            of.iter().map(|(_, snapshot)| text(snapshot, PIPELINE)),
        ),
        texts(
            "table_name",
            false,
            of.iter().map(|(table, _)| Some(table.name.as_str())),
        ),
        longs(
            "snapshot_id",
            false,
            of.iter().map(|(_, snapshot)| Some(snapshot.snapshot_id())),
        ),
    ]
}

fn commits(of: &[Commit<'_>]) -> Vec<Column> {
    let mut columns = heads(of);
    let text_of =
        |name: &str, key: &str| texts(name, true, of.iter().map(|(_, snapshot)| text(snapshot, key)));
    let long_of =
        |name: &str, key: &str| longs(name, true, of.iter().map(|(_, snapshot)| number(snapshot, key)));
    columns.push(texts(
        "operation",
        false,
        of.iter()
            .map(|(_, snapshot)| Some(snapshot.summary().operation.as_str())),
    ));
    columns.extend([
        text_of("batch_id", "ingest.batch-id"),
        text_of("commit_id", COMMIT_ID),
        long_of("writer_epoch", "ingest.writer-epoch"),
        text_of("positions", "ingest.positions"),
        long_of("records_in", "ingest.in"),
        long_of("published", "ingest.published"),
        long_of("rejected", "ingest.rejected"),
        long_of("duplicate", "ingest.duplicate"),
        long_of("added_records", "added-records"),
        long_of("total_records", "total-records"),
        floats(
            "score",
            true,
            of.iter().map(|(_, snapshot)| float(snapshot, "ingest.score")),
        ),
        text_of("gate", "ingest.gate"),
    ]);
    columns
}

/// A verdict as ingest writes it.
#[derive(Deserialize)]
struct Verdict {
    rule: String,
    evaluated: i64,
    passed: i64,
    weight: f64,
    measured: Option<f64>,
}

fn quality(of: &[Commit<'_>]) -> Vec<Column> {
    let mut rows: Vec<Commit<'_>> = Vec::new();
    let mut verdicts: Vec<Verdict> = Vec::new();
    for commit in of {
        let Some(found) = text(commit.1, "ingest.verdicts") else {
            continue;
        };
        // What another version wrote in another form is left out, not guessed at.
        let found: Vec<Verdict> = serde_json::from_str(found).unwrap_or_default();
        rows.extend(std::iter::repeat_n(*commit, found.len()));
        verdicts.extend(found);
    }
    let mut columns = heads(&rows);
    let share = |verdict: &Verdict| match verdict.evaluated {
        0 => 1.0,
        evaluated => verdict.passed as f64 / evaluated as f64,
    };
    columns.extend([
        texts(
            "rule",
            false,
            verdicts.iter().map(|verdict| Some(verdict.rule.as_str())),
        ),
        longs(
            "evaluated",
            false,
            verdicts.iter().map(|verdict| Some(verdict.evaluated)),
        ),
        longs(
            "passed",
            false,
            verdicts.iter().map(|verdict| Some(verdict.passed)),
        ),
        floats(
            "share",
            false,
            verdicts.iter().map(|verdict| Some(share(verdict))),
        ),
        floats(
            "weight",
            false,
            verdicts.iter().map(|verdict| Some(verdict.weight)),
        ),
        floats("measured", true, verdicts.iter().map(|verdict| verdict.measured)),
        floats(
            "score",
            true,
            rows.iter().map(|(_, snapshot)| float(snapshot, "ingest.score")),
        ),
        texts(
            "gate",
            true,
            rows.iter().map(|(_, snapshot)| text(snapshot, "ingest.gate")),
        ),
    ]);
    columns
}

fn lineage(of: &[Commit<'_>]) -> Vec<Column> {
    let origin = |commit: &Commit<'_>| -> Option<(String, i64)> {
        let (table, snapshot) = text(commit.1, "ingest.derived-from")?.rsplit_once('@')?;
        Some((table.to_owned(), snapshot.parse().ok()?))
    };
    let (rows, origins): (Vec<Commit<'_>>, Vec<(String, i64)>) = of
        .iter()
        .filter_map(|commit| Some((*commit, origin(commit)?)))
        .unzip();
    let mut columns = heads(&rows);
    columns.extend([
        texts(
            "source_table",
            false,
            origins.iter().map(|(table, _)| Some(table.as_str())),
        ),
        longs(
            "source_snapshot_id",
            false,
            origins.iter().map(|(_, snapshot)| Some(*snapshot)),
        ),
        texts(
            "pipeline_version",
            true,
            rows.iter()
                .map(|(_, snapshot)| text(snapshot, "ingest.pipeline-version")),
        ),
    ]);
    columns
}

/// What is known of one pipeline.
#[derive(Default)]
struct Pipeline<'a> {
    received: i64,
    silver: Option<&'a SnapshotRef>,
    newest_ms: i64,
    tables: Vec<&'a str>,
}

fn pipelines(of: &[Commit<'_>]) -> Vec<Column> {
    let mut known: BTreeMap<&str, Pipeline<'_>> = BTreeMap::new();
    for (table, snapshot) in of {
        let Some(name) = text(snapshot, PIPELINE) else {
            continue;
        };
        let pipeline = known.entry(name).or_default();
        pipeline.newest_ms = pipeline.newest_ms.max(snapshot.timestamp_ms());
        if !pipeline.tables.contains(&table.name.as_str()) {
            pipeline.tables.push(&table.name);
        }
        // Oldest first: the last one stands.
        if table.name.starts_with("bronze.") {
            pipeline.received = number(snapshot, "total-records").unwrap_or(0);
        }
        if table.name.starts_with("silver.") {
            pipeline.silver = Some(snapshot);
        }
    }
    let total = |pipeline: &Pipeline<'_>, key: &str| {
        pipeline
            .silver
            .and_then(|snapshot| number(snapshot, key))
            .unwrap_or(0)
    };
    let each = |key: &'static str| known.values().map(move |pipeline| Some(total(pipeline, key)));
    let tables: Vec<String> = known
        .values()
        .map(|pipeline| {
            let mut tables = pipeline.tables.clone();
            tables.sort_unstable();
            tables.join(", ")
        })
        .collect();
    vec![
        texts("pipeline", false, known.keys().map(|name| Some(*name))),
        longs(
            "received",
            false,
            known.values().map(|pipeline| Some(pipeline.received)),
        ),
        longs("published", false, each("ingest.total-published")),
        longs("rejected", false, each("ingest.total-rejected")),
        longs("duplicate", false, each("ingest.total-duplicate")),
        longs(
            "pending",
            false,
            known
                .values()
                .map(|pipeline| Some((pipeline.received - total(pipeline, "ingest.total-in")).max(0))),
        ),
        floats(
            "score",
            true,
            known.values().map(|pipeline| {
                pipeline
                    .silver
                    .and_then(|snapshot| float(snapshot, "ingest.score"))
            }),
        ),
        instants("committed_at", known.values().map(|pipeline| pipeline.newest_ms)),
        texts("tables", false, tables.iter().map(|tables| Some(tables.as_str()))),
    ]
}
