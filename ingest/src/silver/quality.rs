//! Rules over a batch: a verdict for each rule, a reason for each record that breaks one, and the score of the whole.
//!
//! The score is the weighted mean of the shares that passed: of the values that a rule looked at for a rule of records, all or nothing for a
//! rule of the batch. Nulls are not looked at but by `not_null`. A rule that looked at nothing passes.

use std::collections::HashSet;

use arrow::array::{Array, RecordBatch};
use regex::Regex;

use super::cell::Cell;
use crate::error::{Error, Result};
use crate::pipeline::{Document, Rule, RuleKind, Severity};
use crate::transform::Conditions;

/// The rule that stands for the contract itself: JSON, types, required columns.
pub(crate) const CONTRACT: &str = "contract";

/// What a rule has found in a batch.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct Verdict {
    /// The rule.
    pub rule: String,
    /// Values or records that it looked at.
    pub evaluated: u64,
    /// Those of them that passed.
    pub passed: u64,
    /// How much it counts.
    pub weight: f64,
    /// For a rule of the batch: what it measured.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub measured: Option<f64>,
}

impl Verdict {
    fn share(&self) -> f64 {
        if self.evaluated == 0 {
            1.0
        } else {
            self.passed as f64 / self.evaluated as f64
        }
    }
}

/// The weighted mean of the verdicts' shares, 0 to 1; 1 for none.
pub(crate) fn score(verdicts: &[Verdict]) -> f64 {
    let weights: f64 = verdicts.iter().map(|verdict| verdict.weight).sum();
    if weights <= 0.0 {
        return 1.0;
    }
    let sum: f64 = verdicts
        .iter()
        .map(|verdict| verdict.weight * verdict.share())
        .sum();
    sum / weights
}

/// Records that have their types, with the first reason to reject each.
#[derive(Debug)]
pub(crate) struct Judged<'a> {
    /// The records' values in the order of the contract.
    pub(crate) rows: &'a [Vec<Cell>],
    /// The rule that each record broke first, and what it says.
    pub(crate) reasons: Vec<Option<(String, String)>>,
    /// What each rule found but for `unique`, which looks at the window later.
    pub(crate) verdicts: Vec<Verdict>,
}

/// The rules of a pipeline, ready to be asked.
#[derive(Debug)]
pub(crate) struct Rules {
    rules: Vec<(Rule, Asked)>,
    names: Vec<String>,
}

#[derive(Debug)]
enum Asked {
    NotNull(usize),
    InSet(usize, HashSet<String>),
    Between(usize, f64, f64),
    Regex(usize, Regex),
    Sql(String),
    Mean(usize, f64, f64),
    Count(u64, u64),
    /// Asked by the window.
    Unique,
}

impl Rules {
    /// The rules of a document that has been checked.
    pub(crate) fn of(document: &Document) -> Result<Self> {
        let names: Vec<String> = document
            .contract
            .columns
            .iter()
            .map(|column| column.name.clone())
            .collect();
        let rules = document.quality.rules.iter().map(|rule| {
            let asked = asked(&rule.kind, &names).ok_or_else(|| Error::Contract {
                table: format!("silver.{}", document.name),
                problem: format!("the rule {} cannot be asked", rule.id),
            })?;
            Ok((rule.clone(), asked))
        });
        Ok(Self {
            rules: rules.collect::<Result<_>>()?,
            names,
        })
    }

    /// Asks every rule but the unique ones. `batch` has the same rows as Arrow columns, for SQL.
    pub(crate) fn judge<'a>(&self, rows: &'a [Vec<Cell>], batch: &RecordBatch) -> Result<Judged<'a>> {
        let mut judged = Judged {
            rows,
            reasons: vec![None; rows.len()],
            verdicts: Vec::new(),
        };
        for (rule, asked) in &self.rules {
            let verdict = match asked {
                Asked::Unique => continue,
                Asked::Mean(column, min, max) => mean(rule, rows, *column, (*min, *max)),
                Asked::Count(min, max) => count(rule, rows.len() as u64, (*min, *max)),
                Asked::Sql(expr) => {
                    let passes = Conditions::of(batch.schema_ref(), &[expr.as_str()])?.evaluate(batch)?;
                    let passes = passes.into_iter().next();
                    self.each(rule, asked, &mut judged, |index, _| {
                        // Neither true nor false is no reason to reject.
                        Some(
                            passes
                                .as_ref()
                                .is_none_or(|found| found.is_null(index) || found.value(index)),
                        )
                    })
                }
                row => self.each(rule, asked, &mut judged, |_, values| passes(row, values)),
            };
            judged.verdicts.push(verdict);
        }
        Ok(judged)
    }

    fn each(
        &self,
        rule: &Rule,
        asked: &Asked,
        judged: &mut Judged<'_>,
        passes: impl Fn(usize, &[Cell]) -> Option<bool>,
    ) -> Verdict {
        let (mut evaluated, mut passed) = (0, 0);
        for (index, values) in judged.rows.iter().enumerate() {
            let Some(good) = passes(index, values) else {
                continue;
            };
            evaluated += 1;
            passed += u64::from(good);
            if !good && rule.severity == Severity::Reject && judged.reasons[index].is_none() {
                judged.reasons[index] = Some((rule.id.clone(), self.says(asked)));
            }
        }
        Verdict {
            rule: rule.id.clone(),
            evaluated,
            passed,
            weight: rule.weight,
            measured: None,
        }
    }

    /// What is wrong with a record that breaks the rule.
    fn says(&self, asked: &Asked) -> String {
        let name = |column: &usize| self.names.get(*column).map_or("?", String::as_str);
        match asked {
            Asked::NotNull(column) => format!("{} has no value", name(column)),
            Asked::InSet(column, _) => format!("{} is none of the allowed values", name(column)),
            Asked::Between(column, min, max) => {
                let bounds = match (min.is_finite(), max.is_finite()) {
                    (true, true) => format!("between {min} and {max}"),
                    (true, false) => format!("{min} or more"),
                    _ => format!("{max} or less"),
                };
                format!("{} is not {bounds}", name(column))
            }
            Asked::Regex(column, _) => format!("{} does not match the pattern", name(column)),
            Asked::Sql(expr) => format!("it does not hold that {expr}"),
            Asked::Mean(..) | Asked::Count(..) | Asked::Unique => String::new(),
        }
    }
}

fn asked(kind: &RuleKind, names: &[String]) -> Option<Asked> {
    let find = |name: &String| names.iter().position(|other| other == name);
    let bounds = |min: &Option<f64>, max: &Option<f64>| {
        (min.unwrap_or(f64::NEG_INFINITY), max.unwrap_or(f64::INFINITY))
    };
    Some(match kind {
        RuleKind::NotNull { column } => Asked::NotNull(find(column)?),
        RuleKind::Unique { .. } => Asked::Unique,
        RuleKind::InSet { column, values } => Asked::InSet(find(column)?, values.iter().cloned().collect()),
        RuleKind::Between { column, min, max } => {
            let (min, max) = bounds(min, max);
            Asked::Between(find(column)?, min, max)
        }
        RuleKind::Regex { column, pattern } => {
            Asked::Regex(find(column)?, Regex::new(&format!("^(?:{pattern})$")).ok()?)
        }
        RuleKind::Sql { expr } => Asked::Sql(expr.clone()),
        RuleKind::MeanBetween { column, min, max } => {
            let (min, max) = bounds(min, max);
            Asked::Mean(find(column)?, min, max)
        }
        RuleKind::RowCountBetween { min, max } => Asked::Count(min.unwrap_or(0), max.unwrap_or(u64::MAX)),
    })
}

/// Whether a record passes a rule of records; none when the rule does not look at it.
fn passes(asked: &Asked, values: &[Cell]) -> Option<bool> {
    match asked {
        Asked::NotNull(column) => Some(values.get(*column) != Some(&Cell::Null)),
        Asked::InSet(column, set) => match values.get(*column)? {
            Cell::Text(text) => Some(set.contains(text)),
            _ => None,
        },
        Asked::Regex(column, regex) => match values.get(*column)? {
            Cell::Text(text) => Some(regex.is_match(text)),
            _ => None,
        },
        Asked::Between(column, min, max) => {
            let number = values.get(*column)?.number()?;
            Some((*min..=*max).contains(&number))
        }
        Asked::Sql(_) | Asked::Mean(..) | Asked::Count(..) | Asked::Unique => None,
    }
}

fn mean(rule: &Rule, rows: &[Vec<Cell>], column: usize, (min, max): (f64, f64)) -> Verdict {
    let numbers: Vec<f64> = rows
        .iter()
        .filter_map(|values| values.get(column)?.number())
        .collect();
    if numbers.is_empty() {
        return whole(rule, true, None);
    }
    let mean = numbers.iter().sum::<f64>() / numbers.len() as f64;
    whole(rule, (min..=max).contains(&mean), Some(mean))
}

fn count(rule: &Rule, rows: u64, (min, max): (u64, u64)) -> Verdict {
    whole(rule, (min..=max).contains(&rows), Some(rows as f64))
}

fn whole(rule: &Rule, good: bool, measured: Option<f64>) -> Verdict {
    Verdict {
        rule: rule.id.clone(),
        evaluated: 1,
        passed: u64::from(good),
        weight: rule.weight,
        measured,
    }
}
