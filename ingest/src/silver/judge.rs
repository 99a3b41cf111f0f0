//! Records of bronze come to their end here: each is published, rejected with a reason, or a duplicate. None is anything else.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Field, Schema};

use super::cell::{self, Cell};
use super::quality::{CONTRACT, Rules, Verdict, score};
use super::window::{Key, Window, key};
use crate::digest;
use crate::error::{Error, Result};
use crate::json::Json;
use crate::pipeline::{Document, Pipeline, Rule, RuleKind, Severity, Unknown, silver_columns};
use crate::rejects::Reject;

/// The deepest nesting of a record.
const DEPTH_MAX: usize = 32;
/// The room of the window for whole records.
const RECORDS: &str = "\u{0}record";
/// The rule of a batch that was not good enough.
pub(crate) const GATE: &str = "gate";

/// One record of bronze, as far as silver needs it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Received {
    pub(crate) id: String,
    pub(crate) batch: String,
    pub(crate) position: String,
    pub(crate) at: i64,
    pub(crate) format: String,
    pub(crate) payload: Option<String>,
    pub(crate) bytes: Option<Vec<u8>>,
    pub(crate) problem: Option<String>,
}

/// What has become of some records.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// The rows for silver; none when nothing is published.
    pub(crate) published: Option<RecordBatch>,
    /// How many.
    pub(crate) published_rows: u64,
    /// The records that are set aside.
    pub(crate) rejects: Vec<Reject>,
    /// Records that were published before.
    pub(crate) duplicates: u64,
    /// What each rule found.
    pub(crate) verdicts: Vec<Verdict>,
    /// The score of the batch.
    pub(crate) score: f64,
    /// Whether the gate let it pass.
    pub(crate) passed: bool,
    /// What the window learns when this is committed.
    pub(crate) seen: Vec<(Key, i64)>,
}

struct Typed {
    of: usize,
    sha256: [u8; 32],
}

/// Asks every rule of a batch without records.
pub(crate) fn check(pipeline: &Pipeline) -> Result<()> {
    let document = pipeline.document();
    Rules::of(document)?
        .judge(&[], &columns(document, &[])?)
        .map(|_| ())
}

/// Judges the records of one batch. Blocking: not for an async thread.
pub(crate) fn judge(pipeline: &Pipeline, records: Vec<Received>, window: &Window) -> Result<Outcome> {
    let document = pipeline.document();
    let rules = Rules::of(document)?;
    let mut rejects: Vec<(usize, String, String)> = Vec::new();
    let mut typed: Vec<Typed> = Vec::new();
    let mut rows: Vec<Vec<Cell>> = Vec::new();
    for (index, record) in records.iter().enumerate() {
        match read(document, record) {
            Ok((values, sha256)) => {
                typed.push(Typed { of: index, sha256 });
                rows.push(values);
            }
            Err(reason) => rejects.push((index, CONTRACT.to_owned(), reason)),
        }
    }
    let mut verdicts = vec![Verdict {
        rule: CONTRACT.to_owned(),
        evaluated: records.len() as u64,
        passed: rows.len() as u64,
        weight: 1.0,
        measured: None,
    }];
    let batch = columns(document, &rows)?;
    let judged = rules.judge(&rows, &batch)?;
    verdicts.extend(judged.verdicts);
    let mut chosen = Chosen::new(document, window);
    let mut kept: Vec<usize> = Vec::new();
    let mut duplicates = 0;
    for (row, (record, reason)) in typed.iter().zip(judged.reasons).enumerate() {
        if let Some((rule, reason)) = reason {
            rejects.push((record.of, rule, reason));
            continue;
        }
        match chosen.meet(&rows[row], &record.sha256, records[record.of].at)? {
            Met::New => kept.push(row),
            Met::Duplicate => duplicates += 1,
            Met::NotUnique(rule, reason) => rejects.push((record.of, rule, reason)),
        }
    }
    verdicts.extend(chosen.verdicts());
    let score = score(&verdicts);
    let quality = &document.quality;
    let passed = score >= quality.gate || (records.len() as u64) < quality.gate_rows_min;
    if !passed {
        let reason = format!("the batch has the score {score:.4}, less than {}", quality.gate);
        rejects.extend(
            kept.drain(..)
                .map(|row| (typed[row].of, GATE.to_owned(), reason.clone())),
        );
        chosen.seen.clear();
    }
    rejects.sort_unstable_by_key(|(index, _, _)| *index);
    let published = published(pipeline, &records, &typed, &rows, &kept)?;
    let ends = kept.len() as u64 + rejects.len() as u64 + duplicates;
    balance(document, ends, records.len() as u64)?;
    Ok(Outcome {
        published,
        published_rows: kept.len() as u64,
        rejects: rejects
            .into_iter()
            .map(|(index, rule, reason)| Reject::new(&records[index], rule, reason))
            .collect(),
        duplicates,
        verdicts,
        score,
        passed,
        seen: chosen.seen,
    })
}

/// in = published + rejected + duplicate: whatever else, no record is lost on the way.
fn balance(document: &Document, found: u64, expected: u64) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(Error::Count {
        table: format!("silver.{}", document.name),
        place: "published, rejected and duplicate",
        found,
        expected,
    })
}

/// The values of a record and the digest of its canonical form, or why it has none.
fn read(document: &Document, record: &Received) -> std::result::Result<(Vec<Cell>, [u8; 32]), String> {
    if let Some(problem) = &record.problem {
        return Err(problem.clone());
    }
    let Some(text) = &record.payload else {
        return Err(match &record.bytes {
            Some(bytes) if std::str::from_utf8(bytes).is_ok() => "a NUL in the text".to_owned(),
            Some(_) => "it is no UTF-8".to_owned(),
            None => "it has no value: it tells that its key is gone".to_owned(),
        });
    };
    let json = Json::read(text, DEPTH_MAX).map_err(|malformed| format!("it is no JSON: {malformed}"))?;
    let Json::Object(members) = &json else {
        return Err(format!("it is {}, not an object", json.kind()));
    };
    let columns = &document.contract.columns;
    if document.contract.unknown == Unknown::Reject {
        let unknown = members
            .iter()
            .find(|(name, _)| !columns.iter().any(|column| column.name == *name));
        if let Some((name, _)) = unknown {
            let name: String = name.chars().take(64).collect();
            return Err(format!("the field {name:?} is no column"));
        }
    }
    let mut values = Vec::with_capacity(columns.len());
    for column in columns {
        let value = match json.get(&column.name) {
            Some(json) => {
                Cell::read(json, column.kind).map_err(|misfit| format!("{} {misfit}", column.name))?
            }
            None => Cell::Null,
        };
        if column.required && value == Cell::Null {
            return Err(format!("{} has no value", column.name));
        }
        values.push(value);
    }
    let mut canonical = String::with_capacity(text.len());
    let fields = &document.dedupe.fields;
    if fields.is_empty() {
        json.canonical(&mut canonical);
    } else {
        let some = members
            .iter()
            .filter(|(name, _)| fields.iter().any(|field| field == name));
        Json::Object(some.cloned().collect()).canonical(&mut canonical);
    }
    Ok((values, digest::sha256(canonical.as_bytes())))
}

/// What a record is to the window.
enum Met {
    New,
    Duplicate,
    NotUnique(String, String),
}

/// The records of this batch that will be published, and the window behind them.
struct Chosen<'a> {
    document: &'a Document,
    window: &'a Window,
    unique: Vec<Unique<'a>>,
    here: HashSet<Key>,
    seen: Vec<(Key, i64)>,
}

struct Unique<'a> {
    rule: &'a Rule,
    columns: Vec<usize>,
    length: i64,
    evaluated: u64,
    passed: u64,
}

impl<'a> Chosen<'a> {
    fn new(document: &'a Document, window: &'a Window) -> Self {
        Self {
            document,
            window,
            unique: unique(document)
                .map(|(rule, columns, length)| Unique {
                    rule,
                    columns,
                    length,
                    evaluated: 0,
                    passed: 0,
                })
                .collect(),
            here: HashSet::new(),
            seen: Vec::new(),
        }
    }

    fn meet(&mut self, values: &[Cell], sha256: &[u8; 32], at: i64) -> Result<Met> {
        let dedupe = &self.document.dedupe;
        let whole = key(RECORDS, &record_text(sha256));
        if dedupe.enabled && self.known(&whole, at, micros(dedupe.window))? {
            return Ok(Met::Duplicate);
        }
        let mut keys = vec![whole];
        for index in 0..self.unique.len() {
            let of = &self.unique[index];
            let Some(found) = unique_key(of.rule, &of.columns, values) else {
                continue;
            };
            let known = self.known(&found, at, of.length)?;
            let of = &mut self.unique[index];
            of.evaluated += 1;
            of.passed += u64::from(!known);
            if known && of.rule.severity == Severity::Reject {
                let names: Vec<&str> = of
                    .columns
                    .iter()
                    .map(|column| self.document.contract.columns[*column].name.as_str())
                    .collect();
                let reason = format!("{} is there already", names.join(", "));
                return Ok(Met::NotUnique(of.rule.id.clone(), reason));
            }
            keys.push(found);
        }
        for key in keys {
            self.here.insert(key);
            self.seen.push((key, at));
        }
        Ok(Met::New)
    }

    fn known(&self, key: &Key, at: i64, length: i64) -> Result<bool> {
        Ok(self.here.contains(key) || self.window.has(key, at, length)?)
    }

    fn verdicts(&self) -> Vec<Verdict> {
        let verdict = |of: &Unique<'_>| Verdict {
            rule: of.rule.id.clone(),
            evaluated: of.evaluated,
            passed: of.passed,
            weight: of.rule.weight,
            measured: None,
        };
        self.unique.iter().map(verdict).collect()
    }
}

/// The unique rules of a document with their columns and windows.
fn unique(document: &Document) -> impl Iterator<Item = (&Rule, Vec<usize>, i64)> {
    let find = |name: &String| {
        document
            .contract
            .columns
            .iter()
            .position(|column| column.name == *name)
    };
    document
        .quality
        .rules
        .iter()
        .filter_map(move |rule| match &rule.kind {
            RuleKind::Unique { columns, window } => {
                let columns: Option<Vec<usize>> = columns.iter().map(find).collect();
                Some((rule, columns?, micros(*window)))
            }
            _ => None,
        })
}

/// The window's key of a record's values under a unique rule; none when one of them is null, as in SQL.
fn unique_key(rule: &Rule, columns: &[usize], values: &[Cell]) -> Option<Key> {
    let mut bytes = Vec::new();
    for column in columns {
        match values.get(*column)? {
            Cell::Null => return None,
            value => value.key(&mut bytes),
        }
    }
    Some(key(&rule.id, &bytes))
}

/// The keys that a row of silver left in the window, from the row itself.
pub(crate) fn keys_of_published(document: &Document, batch: &RecordBatch) -> Result<Vec<(Key, i64)>> {
    let broken = || Error::Contract {
        table: format!("silver.{}", document.name),
        problem: "its files do not have the columns of the pipeline".to_owned(),
    };
    let column = |name: &str| batch.column_by_name(name).ok_or_else(broken);
    let sha256: &StringArray = column(silver_columns::SHA256)?
        .as_any()
        .downcast_ref()
        .ok_or_else(broken)?;
    let at: &TimestampMicrosecondArray = column(silver_columns::INGESTED_AT)?
        .as_any()
        .downcast_ref()
        .ok_or_else(broken)?;
    let rules: Vec<_> = unique(document).collect();
    let mut arrays = Vec::new();
    for section in &document.contract.columns {
        // A column that came to the contract later is not in earlier files.
        arrays.push((section.kind, batch.column_by_name(&section.name)));
    }
    let mut keys = Vec::new();
    for row in 0..batch.num_rows() {
        let at = at.value(row);
        keys.push((key(RECORDS, sha256.value(row).as_bytes()), at));
        for (rule, columns, _) in &rules {
            let mut values = vec![Cell::Null; arrays.len()];
            for index in columns {
                if let (kind, Some(array)) = &arrays[*index] {
                    values[*index] = Cell::of(array.as_ref(), row, *kind).ok_or_else(broken)?;
                }
            }
            keys.extend(unique_key(rule, columns, &values).map(|key| (key, at)));
        }
    }
    Ok(keys)
}

/// The digest as silver has it.
fn record_text(sha256: &[u8; 32]) -> Vec<u8> {
    digest::hex(sha256).into_bytes()
}

fn micros(length: std::time::Duration) -> i64 {
    i64::try_from(length.as_micros()).unwrap_or(i64::MAX)
}

/// The contract's columns of some rows.
fn columns(document: &Document, rows: &[Vec<Cell>]) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut arrays: Vec<ArrayRef> = Vec::new();
    for (index, column) in document.contract.columns.iter().enumerate() {
        let array = cell::column(column.kind, rows.iter().map(|values| &values[index]));
        fields.push(Field::new(&column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows.len()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options)
        .map_err(|error| Error::arrow(&format!("silver.{}", document.name), error))
}

fn published(
    pipeline: &Pipeline,
    records: &[Received],
    typed: &[Typed],
    rows: &[Vec<Cell>],
    kept: &[usize],
) -> Result<Option<RecordBatch>> {
    if kept.is_empty() {
        return Ok(None);
    }
    let of = |row: &usize| &records[typed[*row].of];
    let texts = |value: &dyn Fn(&usize) -> String| -> ArrayRef {
        Arc::new(kept.iter().map(|row| Some(value(row))).collect::<StringArray>())
    };
    let mut named: Vec<(String, ArrayRef)> = Vec::new();
    for (index, column) in pipeline.document().contract.columns.iter().enumerate() {
        let cells = kept.iter().map(|row| &rows[*row][index]);
        named.push((column.name.clone(), cell::column(column.kind, cells)));
    }
    let at = TimestampMicrosecondArray::from_iter_values(kept.iter().map(|row| of(row).at))
        .with_timezone("+00:00");
    named.push((silver_columns::INGESTED_AT.to_owned(), Arc::new(at)));
    named.push((
        silver_columns::BATCH.to_owned(),
        texts(&|row| of(row).batch.clone()),
    ));
    named.push((
        silver_columns::INGEST_ID.to_owned(),
        texts(&|row| of(row).id.clone()),
    ));
    named.push((
        silver_columns::SHA256.to_owned(),
        texts(&|row| digest::hex(&typed[*row].sha256)),
    ));
    RecordBatch::try_from_iter(named)
        .map(Some)
        .map_err(|error| Error::arrow(&pipeline.silver().to_string(), error))
}
