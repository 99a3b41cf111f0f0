//! A pipeline: how the records of one dataset become bronze, silver and gold.
//!
//! [`document`] is the TOML file as written, [`Pipeline`] the same with everything checked that can be checked without a catalog: contracts
//! build, rules name columns that exist, models name their partition column, durations and scores are in their bounds.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use iceberg::spec::Transform;

use crate::contract::{Column, Contract};
use crate::error::{Error, Result};
use crate::zone::Zone;
use document::By;

pub mod document;
pub mod kafka;
pub mod postgres;
mod rules;

pub use document::{Document, Format, Model, Rule, RuleKind, Severity, Source, Unknown};

/// The columns that silver adds to those of the contract.
pub mod silver_columns {
    /// When bronze received the record.
    pub const INGESTED_AT: &str = "_ingested_at";
    /// The batch that brought it.
    pub const BATCH: &str = "_batch_id";
    /// The record in bronze.
    pub const INGEST_ID: &str = "_ingest_id";
    /// The SHA-256 of its canonical form.
    pub const SHA256: &str = "_content_sha256";
    /// Of the state of a table: the key, a JSON list of texts.
    pub const KEY: &str = "_key";
}

/// The longest name of a pipeline, in bytes.
const NAME_BYTES_MAX: usize = 63;
/// Most columns of a contract.
const COLUMNS_MAX: usize = 1_000;
/// Most and the usual number of partitions of a table's state.
const BUCKETS_MAX: u32 = 10_000;
const BUCKETS: u32 = 16;
/// Most rules and most models of one pipeline.
const RULES_MAX: usize = 200;

/// A checked pipeline.
#[derive(Debug, Clone)]
pub struct Pipeline {
    document: Arc<Document>,
    text_sha256: String,
    silver: Contract,
}

impl Pipeline {
    /// Reads a pipeline; `path` names the text in errors.
    ///
    /// # Errors
    /// [`Error::Pipeline`] with the key at fault.
    pub fn parse(text: &str, path: &Path) -> Result<Self> {
        let fault = |reason: String| Error::Pipeline {
            path: path.to_owned(),
            reason,
        };
        let document: Document = toml::from_str(text).map_err(|error| {
            let line = error.span().map(|span| {
                let before = text.as_bytes().get(..span.start).unwrap_or_default();
                1 + before.iter().filter(|byte| **byte == b'\n').count()
            });
            let line = line.map_or(String::new(), |line| format!("line {line}: "));
            fault(format!("{line}{}", error.message()))
        })?;
        known_keys(text, &document).map_err(fault)?;
        let silver = check(&document).map_err(fault)?;
        Ok(Self {
            document: Arc::new(document),
            text_sha256: crate::digest::hex(&crate::digest::sha256(text.as_bytes())),
            silver,
        })
    }

    /// Reads all `*.toml` files of a folder, sorted by name.
    ///
    /// # Errors
    /// The folder or a file cannot be read, or two files define one pipeline.
    pub fn folder(folder: &Path) -> Result<Vec<Self>> {
        let failed = |path: &Path, source: std::io::Error| Error::Storage {
            action: "read",
            path: path.display().to_string(),
            source: Box::new(source),
        };
        let mut paths: Vec<PathBuf> = Vec::new();
        for entry in std::fs::read_dir(folder).map_err(|error| failed(folder, error))? {
            let path = entry.map_err(|error| failed(folder, error))?.path();
            if path.extension().is_some_and(|end| end == "toml") {
                paths.push(path);
            }
        }
        paths.sort();
        let mut names = BTreeSet::new();
        let mut pipelines = Vec::new();
        for path in paths {
            let text = std::fs::read_to_string(&path).map_err(|error| failed(&path, error))?;
            let pipeline = Self::parse(&text, &path)?;
            if !names.insert(pipeline.name().to_owned()) {
                return Err(Error::Pipeline {
                    path,
                    reason: format!("another file defines the pipeline {} too", pipeline.name()),
                });
            }
            pipelines.push(pipeline);
        }
        Ok(pipelines)
    }

    /// Its name, which is also the dataset's in `POST /v1/ingest/{dataset}` and the tables' in bronze and silver.
    pub fn name(&self) -> &str {
        &self.document.name
    }

    /// As written.
    pub fn document(&self) -> &Document {
        &self.document
    }

    /// The SHA-256 of its text, which tells two versions apart.
    pub fn version(&self) -> &str {
        &self.text_sha256
    }

    /// The contract of its silver table.
    pub fn silver(&self) -> &Contract {
        &self.silver
    }

    /// The partitions of the state of its table, for a source that has a state.
    pub(crate) fn buckets(&self) -> Option<u32> {
        let source = &self.document.source;
        source.postgres().map(|_| self.document.silver.buckets.unwrap_or(BUCKETS))
    }

    /// How often bronze is taken to silver and gold, and how far apart commits of bronze are under load.
    pub fn interval(&self) -> Duration {
        self.document.interval
    }
}

/// Names become folders and SQL identifiers, so they are plain.
pub(crate) fn plain(name: &str) -> bool {
    let starts = name.starts_with(|c: char| c.is_ascii_lowercase());
    starts
        && name.len() <= NAME_BYTES_MAX
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn check(document: &Document) -> std::result::Result<Contract, String> {
    if !plain(&document.name) {
        return Err(format!(
            "name: {:?} is not a lower-case letter, then letters, digits or _, {NAME_BYTES_MAX} at most",
            document.name
        ));
    }
    if !(Duration::from_millis(100)..=Duration::from_secs(24 * 60 * 60)).contains(&document.interval) {
        return Err("interval: must be between 100 milliseconds and 1 day".to_owned());
    }
    let columns = &document.contract.columns;
    if columns.len() > COLUMNS_MAX {
        return Err(format!("contract.columns: more than {COLUMNS_MAX}"));
    }
    if let Some(reserved) = columns.iter().find(|column| column.name.starts_with('_')) {
        return Err(format!(
            "contract.columns: {} starts with _, which is for columns of ours",
            reserved.name
        ));
    }
    match &document.source {
        Source::Upload { .. } => {}
        Source::Kafka(kafka) => kafka.check()?,
        Source::Postgres(postgres) => {
            postgres.check()?;
            current(document)?;
        }
    }
    if document.silver.buckets.is_some() && document.source.postgres().is_none() {
        return Err("silver.buckets: is for sources of kind postgres".to_owned());
    }
    rules::check(document)?;
    models(document)?;
    silver(document).map_err(|error| format!("contract: {error}"))
}

/// What cannot be asked of a silver table that holds the newest state of each key.
fn current(document: &Document) -> std::result::Result<(), String> {
    if document.dedupe != document::Dedupe::default() {
        return Err("dedupe: rows of a table are told apart by their key alone".to_owned());
    }
    if document.silver.partition.is_some() {
        return Err("silver.partition: the state of a table is partitioned by its key; see silver.buckets".to_owned());
    }
    if document.silver.buckets.is_some_and(|buckets| !(1..=BUCKETS_MAX).contains(&buckets)) {
        return Err(format!("silver.buckets: must be between 1 and {BUCKETS_MAX}"));
    }
    let unique = |rule: &&Rule| matches!(rule.kind, RuleKind::Unique { .. });
    match document.quality.rules.iter().find(unique) {
        Some(rule) => Err(format!(
            "quality.rule {}: unique looks at days, not at the state of a table; let the database keep it",
            rule.id
        )),
        None => Ok(()),
    }
}

/// Refuses keys of rules that no rule has: serde cannot, where fields are flattened.
fn known_keys(text: &str, document: &Document) -> std::result::Result<(), String> {
    let written: toml::Table = text.parse().map_err(|error: toml::de::Error| error.to_string())?;
    let rules = written.get("quality").and_then(|quality| quality.get("rule"));
    let rules = rules
        .and_then(toml::Value::as_array)
        .map(Vec::as_slice)
        .unwrap_or_default();
    for (written, rule) in rules.iter().zip(&document.quality.rules) {
        let known = serde_json::to_value(rule).map_err(|error| error.to_string())?;
        let mut keys = written.as_table().into_iter().flat_map(toml::Table::keys);
        if let Some(key) = keys.find(|key| known.get(key.as_str()).is_none()) {
            return Err(format!("quality.rule {}: there is no key {key}", rule.id));
        }
    }
    Ok(())
}

fn models(document: &Document) -> std::result::Result<(), String> {
    if document.gold.len() > RULES_MAX {
        return Err(format!("gold: more than {RULES_MAX} models"));
    }
    let mut names = BTreeSet::new();
    for model in &document.gold {
        if !plain(&model.name) || !names.insert(&model.name) {
            return Err(format!(
                "gold: {:?} is not a plain name, or stands twice",
                model.name
            ));
        }
        let by_day = document
            .silver
            .partition
            .as_ref()
            .is_some_and(|partition| partition.by == By::Day);
        if model.day.is_some() && !by_day {
            return Err(format!("gold {}: day needs silver.partition by day", model.name));
        }
        if !(0.0..=1.0).contains(&model.gate) {
            return Err(format!("gold {}: gate must be between 0 and 1", model.name));
        }
    }
    Ok(())
}

/// Silver: the contract's columns, then ours.
fn silver(document: &Document) -> Result<Contract> {
    use iceberg::spec::PrimitiveType;
    let mut columns = Vec::new();
    for column in &document.contract.columns {
        let kind = column.kind.iceberg();
        columns.push(if column.required {
            Column::required(&column.name, kind, &column.doc)
        } else {
            Column::optional(&column.name, kind, &column.doc)
        });
    }
    let ours = [
        (
            silver_columns::INGESTED_AT,
            PrimitiveType::Timestamptz,
            "When bronze received the record",
        ),
        (
            silver_columns::BATCH,
            PrimitiveType::String,
            "The batch that brought it",
        ),
        (
            silver_columns::INGEST_ID,
            PrimitiveType::String,
            "The record in bronze",
        ),
        (
            silver_columns::SHA256,
            PrimitiveType::String,
            "SHA-256 of its canonical form",
        ),
    ];
    columns.extend(ours.map(|(name, kind, doc)| Column::required(name, kind, doc)));
    let lookups: Vec<&str> = document.silver.lookups.iter().map(String::as_str).collect();
    if document.source.postgres().is_some() {
        columns.push(Column::required(
            silver_columns::KEY,
            PrimitiveType::String,
            "The key of the row, a JSON list of texts",
        ));
        let buckets = document.silver.buckets.unwrap_or(BUCKETS);
        return Contract::new(Zone::Silver, &document.name, &document.description, columns)?
            .with_partition(silver_columns::KEY, Transform::Bucket(buckets))?
            .with_lookups(&lookups);
    }
    let mut contract = Contract::new(Zone::Silver, &document.name, &document.description, columns)?;
    match &document.silver.partition {
        Some(partition) => contract = contract.with_partition(&partition.column, partition.by.transform())?,
        None => contract = contract.with_partition(silver_columns::INGESTED_AT, Transform::Day)?,
    }
    contract.with_lookups(&lookups)
}

/// Whether a number of a source is in its bounds.
fn between(key: &str, value: usize, min: usize, max: usize) -> Result<(), String> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(format!("source.{key}: must be between {min} and {max}")),
    }
}

/// Whether a duration of a source is in its bounds.
fn within(key: &str, value: Duration, min: Duration, max: Duration) -> Result<(), String> {
    match (min..=max).contains(&value) {
        true => Ok(()),
        false => Err(format!("source.{key}: must be between {min:?} and {max:?}")),
    }
}

#[cfg(test)]
mod tests;
