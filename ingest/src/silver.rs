//! Silver: what bronze received, typed by the contract, checked, and each record once.
//!
//! One cycle takes the snapshots of bronze that silver has not read, up to a bound, brings each of their records to its end ([`judge`]), sets
//! the rejects aside, and commits the rest with the new position in one snapshot.
//!
//! Invariants:
//! 1. *Balance*: in = published + rejected + duplicate, for every cycle, before anything is committed.
//! 2. *Rejects first*: they are committed under the range of bronze that they come from. A cycle that was broken off after that takes the same
//!    range again and finds them there.
//! 3. *The position is the table's*: silver and rejects say themselves how far they have read; nothing else is believed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::TimestampMicrosecondType;
use iceberg::spec::SnapshotRef;
use iceberg::table::Table;

use crate::append::{Appender, remove};
use crate::bronze::envelope;
use crate::commit::facts::{self, Advance, PIPELINE_KEY};
use crate::commit::snapshot::added_files;
use crate::commit::{Change, Commit, Kernel, Token, failed};
use crate::error::{Error, Result};
use crate::fault;
use crate::metrics::Metrics;
use crate::pipeline::{Pipeline, silver_columns};
use crate::read;
use crate::rejects;

mod cell;
pub(crate) mod judge;
pub mod quality;
pub mod window;
use judge::{Outcome, Received};
use window::{Window, Windows};

/// Records of one cycle; may be overshot by one snapshot of bronze.
const RECORDS_MAX: u64 = 200_000;

/// Whether every rule of a pipeline can be asked, its SQL included.
///
/// # Errors
/// The rule at fault.
pub(crate) fn check(pipeline: &Pipeline) -> Result<()> {
    judge::check(pipeline)
}

/// What a cycle did.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cycle {
    /// Records read from bronze.
    pub records: u64,
    /// Of them published.
    pub published: u64,
    /// Of them set aside.
    pub rejected: u64,
    /// Of them published before.
    pub duplicates: u64,
    /// The score of the batch.
    pub score: f64,
    /// The snapshot of silver that was made.
    pub snapshot_id: Option<i64>,
    /// Whether bronze has more.
    pub more: bool,
}

/// The silver side of one pipeline.
#[derive(Debug)]
pub struct Silver {
    pipeline: Pipeline,
    kernel: Kernel,
    appender: Appender,
    window: Arc<Window>,
    metrics: Metrics,
    epoch: u64,
}

/// What a cycle will read.
struct Range {
    from: Option<i64>,
    to: i64,
    snapshots: Vec<SnapshotRef>,
    more: bool,
}

impl Silver {
    /// Takes the silver table over; it is made where it is missing, and so is `system.rejects`.
    ///
    /// # Errors
    /// A table is another one, or the claim fails.
    pub async fn open(
        pipeline: Pipeline,
        kernel: Kernel,
        appender: Appender,
        windows: &Windows,
        metrics: Metrics,
    ) -> Result<Self> {
        let table = appender.ensure(pipeline.silver()).await?;
        appender.ensure(&rejects::contract()?).await?;
        let epoch = kernel.claim(table.identifier()).await?;
        let window = Arc::new(windows.of(pipeline.name())?);
        Ok(Self {
            pipeline,
            kernel,
            appender,
            window,
            metrics,
            epoch,
        })
    }

    /// Takes what bronze has, up to the bound. A cycle without records does nothing.
    ///
    /// # Errors
    /// Nothing of the cycle is published, or only its rejects, which the next one finds.
    pub async fn cycle(&self) -> Result<Cycle> {
        let bronze = self
            .kernel
            .load(&envelope::contract(&self.pipeline)?.ident())
            .await?;
        let silver = self.kernel.load(&self.pipeline.silver().ident()).await?;
        let rejected = self.kernel.load(&rejects::contract()?.ident()).await?;
        let Some(range) = self.range(&bronze, &silver, &rejected)? else {
            return Ok(Cycle::default());
        };
        self.catch_up(&silver).await?;
        let records = self.records(&bronze, &range.snapshots).await?;
        let count = records.len() as u64;
        let expected: u64 = range
            .snapshots
            .iter()
            .map(|snapshot| facts::number(snapshot, "added-records"))
            .sum();
        if count != expected {
            return Err(Error::Count {
                table: bronze.identifier().to_string(),
                place: "read from its snapshots",
                found: count,
                expected,
            });
        }
        let outcome = self.judged(records).await?;
        fault::point("silver-judged");
        self.set_aside(&rejected, &range, &outcome).await?;
        fault::point("rejects-committed");
        let snapshot = self.publish(&silver, &range, count, &outcome).await?;
        fault::point("silver-committed");
        self.window.add(&outcome.seen, Some(snapshot))?;
        fault::point("index-written");
        let now = chrono::Utc::now().timestamp_micros();
        self.window.forget(now, false)?;
        let cycle = Cycle {
            records: count,
            published: outcome.published_rows,
            rejected: outcome.rejects.len() as u64,
            duplicates: outcome.duplicates,
            score: outcome.score,
            snapshot_id: Some(snapshot),
            more: range.more,
        };
        self.metrics.refined(self.pipeline.name(), &cycle);
        tracing::info!(
            pipeline = self.pipeline.name(),
            snapshot,
            records = cycle.records,
            published = cycle.published,
            rejected = cycle.rejected,
            duplicates = cycle.duplicates,
            score = cycle.score,
            "silver"
        );
        Ok(cycle)
    }

    /// How far silver has read bronze.
    fn source(&self) -> String {
        format!("bronze.{}", self.pipeline.name())
    }

    fn range(&self, bronze: &Table, silver: &Table, rejected: &Table) -> Result<Option<Range>> {
        let position = |table: &Table, source: &str| -> Option<i64> {
            facts::positions(table.metadata()).get(source)?.parse().ok()
        };
        let source = self.source();
        let from = position(silver, &source);
        let Some(pending) = read::since(bronze.metadata(), from) else {
            return Err(Error::Gap {
                table: silver.identifier().to_string(),
                origin: source,
                recorded: from.map(|id| id.to_string()),
                from: bronze.metadata().current_snapshot_id().map(|id| id.to_string()),
            });
        };
        // A cycle that was broken off after its rejects is done again with the same range.
        let broken_off = position(rejected, &source)
            .filter(|to| pending.iter().any(|snapshot| snapshot.snapshot_id() == *to));
        let mut snapshots = Vec::new();
        let mut records = 0;
        let total = pending.len();
        for snapshot in pending {
            let added = facts::number(&snapshot, "added-records");
            if broken_off.is_none() && records > 0 && records + added > RECORDS_MAX {
                break;
            }
            records += added;
            let last = Some(snapshot.snapshot_id()) == broken_off;
            snapshots.push(snapshot);
            if last {
                break;
            }
        }
        let more = snapshots.len() < total;
        let to = snapshots.last().map(|snapshot| snapshot.snapshot_id());
        Ok(match to {
            Some(to) if records > 0 => Some(Range {
                from,
                to,
                snapshots,
                more,
            }),
            _ => None,
        })
    }

    async fn records(&self, bronze: &Table, snapshots: &[SnapshotRef]) -> Result<Vec<Received>> {
        let mut records = Vec::new();
        for snapshot in snapshots {
            let files = added_files(bronze, snapshot).await;
            let files = files.map_err(|error| failed("read", bronze.identifier(), error))?;
            for file in &files {
                for batch in read::file(bronze, file, None).await? {
                    received(&batch, &mut records).ok_or_else(|| Error::Contract {
                        table: bronze.identifier().to_string(),
                        problem: "its files do not have the columns of bronze".to_owned(),
                    })?;
                }
            }
        }
        Ok(records)
    }

    async fn judged(&self, records: Vec<Received>) -> Result<Outcome> {
        let (pipeline, window) = (self.pipeline.clone(), Arc::clone(&self.window));
        let judged = tokio::task::spawn_blocking(move || judge::judge(&pipeline, records, &window));
        judged.await.map_err(|_| Error::Crashed {
            part: "judge",
            table: self.pipeline.silver().to_string(),
        })?
    }

    async fn set_aside(&self, table: &Table, range: &Range, outcome: &Outcome) -> Result<()> {
        if outcome.rejects.is_empty() {
            return Ok(());
        }
        let contract = rejects::contract()?;
        let token = self.token("rejects", range)?;
        let batch = rejects::rows(self.pipeline.name(), &outcome.rejects, chrono::Utc::now())?;
        let files = self.appender.write(table, &contract, vec![batch]).await?;
        let source = self.source();
        // Pipelines share the table: no epoch fences it, the tokens and positions of each pipeline do.
        let commit = Commit::new(table, 0, token, Change::Append(files.clone()))
            .with_fact(PIPELINE_KEY, self.pipeline.name())
            .with_advance(Advance {
                from: facts::positions(table.metadata()).get(&source).cloned(),
                source,
                to: range.to.to_string(),
            });
        let committed = self.kernel.commit_known(&commit).await;
        if !committed.as_ref().is_ok_and(|receipt| commit.made(receipt)) {
            remove(table, &files).await;
        }
        committed.map(|_| ())
    }

    async fn publish(&self, table: &Table, range: &Range, count: u64, outcome: &Outcome) -> Result<i64> {
        let contract = self.pipeline.silver();
        let files = match &outcome.published {
            Some(batch) => self.appender.write(table, contract, vec![batch.clone()]).await?,
            None => Vec::new(),
        };
        fault::point("silver-files-written");
        let total = |key: &str| -> u64 {
            facts::newest(table.metadata(), key)
                .and_then(|text| text.parse().ok())
                .unwrap_or(0)
        };
        let rejected = outcome.rejects.len() as u64;
        let mut summary = BTreeMap::from([
            (PIPELINE_KEY.to_owned(), self.pipeline.name().to_owned()),
            ("ingest.batch-id".to_owned(), range.to.to_string()),
            (
                "ingest.derived-from".to_owned(),
                format!("{}@{}", self.source(), range.to),
            ),
            (
                "ingest.pipeline-version".to_owned(),
                self.pipeline.version().to_owned(),
            ),
            ("ingest.score".to_owned(), format!("{:.6}", outcome.score)),
            (
                "ingest.gate".to_owned(),
                if outcome.passed { "passed" } else { "failed" }.to_owned(),
            ),
            (
                "ingest.verdicts".to_owned(),
                serde_json::to_string(&outcome.verdicts).unwrap_or_default(),
            ),
        ]);
        for (name, value) in [
            ("in", count),
            ("published", outcome.published_rows),
            ("rejected", rejected),
            ("duplicate", outcome.duplicates),
        ] {
            summary.insert(format!("ingest.{name}"), value.to_string());
            let key = format!("ingest.total-{name}");
            summary.insert(key.clone(), (total(&key) + value).to_string());
        }
        let commit = Commit {
            facts: summary,
            ..Commit::append(table, self.epoch, self.token("silver", range)?, files.clone())
        };
        let commit = commit.with_advance(Advance {
            source: self.source(),
            from: range.from.map(|id| id.to_string()),
            to: range.to.to_string(),
        });
        let started = std::time::Instant::now();
        let committed = self.kernel.commit_known(&commit).await;
        if !committed.as_ref().is_ok_and(|receipt| commit.made(receipt)) {
            remove(table, &files).await;
        }
        let receipt = committed?;
        self.metrics.committed(&contract.to_string(), started.elapsed());
        Ok(receipt.snapshot_id)
    }

    fn token(&self, what: &str, range: &Range) -> Result<Token> {
        let name = self.pipeline.name();
        Token::new(format!("{what}/{name}/{}", range.to)).ok_or_else(|| Error::Contract {
            table: self.pipeline.silver().to_string(),
            problem: "the name makes no token".to_owned(),
        })
    }

    /// Brings the window to the state of silver: by the snapshots that it lacks, or anew from those that a window can reach.
    async fn catch_up(&self, silver: &Table) -> Result<()> {
        let metadata = silver.metadata();
        let complete = self.window.complete()?;
        let missing = match complete.and_then(|complete| read::since(metadata, Some(complete))) {
            Some(missing) => missing,
            None => {
                let now = chrono::Utc::now();
                self.window.forget(now.timestamp_micros(), true)?;
                let oldest = now.timestamp_millis() - 8 * window::DAY / 1_000;
                let mut all = read::since(metadata, None).unwrap_or_default();
                all.retain(|snapshot| snapshot.timestamp_ms() >= oldest);
                all
            }
        };
        let mut columns = vec![
            silver_columns::SHA256.to_owned(),
            silver_columns::INGESTED_AT.to_owned(),
        ];
        columns.extend(
            self.pipeline
                .document()
                .contract
                .columns
                .iter()
                .map(|column| column.name.clone()),
        );
        for snapshot in missing {
            let files = added_files(silver, &snapshot).await;
            let files = files.map_err(|error| failed("read", silver.identifier(), error))?;
            let mut keys = Vec::new();
            for file in &files {
                for batch in read::file(silver, file, Some(&columns)).await? {
                    keys.extend(judge::keys_of_published(self.pipeline.document(), &batch)?);
                }
            }
            self.window.add(&keys, Some(snapshot.snapshot_id()))?;
        }
        Ok(())
    }
}

/// The records of a batch of bronze; none when a column is not there.
fn received(batch: &RecordBatch, records: &mut Vec<Received>) -> Option<()> {
    let text = |name: &str| batch.column_by_name(name)?.as_string_opt::<i32>();
    let id = text(envelope::INGEST_ID)?;
    let of = text(envelope::BATCH)?;
    let position = text(envelope::POSITION)?;
    let format = text("_payload_format")?;
    let payload = text(envelope::PAYLOAD)?;
    let problem = text(envelope::PROBLEM)?;
    let bytes = batch.column_by_name(envelope::PAYLOAD_BYTES)?;
    let at = batch
        .column_by_name(envelope::INGESTED_AT)?
        .as_primitive_opt::<TimestampMicrosecondType>()?;
    let some = |array: &arrow::array::StringArray, row: usize| {
        array.is_valid(row).then(|| array.value(row).to_owned())
    };
    for row in 0..batch.num_rows() {
        let raw = if bytes.is_null(row) {
            None
        } else if let Some(array) = bytes.as_binary_opt::<i64>() {
            Some(array.value(row).to_vec())
        } else {
            Some(bytes.as_binary_opt::<i32>()?.value(row).to_vec())
        };
        records.push(Received {
            id: id.value(row).to_owned(),
            batch: of.value(row).to_owned(),
            position: position.value(row).to_owned(),
            at: at.value(row),
            format: format.value(row).to_owned(),
            payload: some(payload, row),
            bytes: raw,
            problem: some(problem, row),
        });
    }
    Some(())
}

#[cfg(test)]
mod tests;
