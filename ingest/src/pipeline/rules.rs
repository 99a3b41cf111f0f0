//! Rules against the contract that they speak of.

use std::collections::BTreeSet;
use std::time::Duration;

use super::RULES_MAX;
use super::document::{ColumnSection, Document, Kind, RuleKind};

/// The longest memory of what has been seen.
const WINDOW_MAX: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Whether every rule can be asked of the document's columns.
pub(super) fn check(document: &Document) -> Result<(), String> {
    let quality = &document.quality;
    if !(0.0..=1.0).contains(&quality.gate) {
        return Err("quality.gate: must be between 0 and 1".to_owned());
    }
    if quality.rules.len() > RULES_MAX {
        return Err(format!("quality.rule: more than {RULES_MAX}"));
    }
    if document.dedupe.window > WINDOW_MAX {
        return Err("dedupe.window: more than 7 days".to_owned());
    }
    let columns = &document.contract.columns;
    let mut ids = BTreeSet::new();
    for rule in &quality.rules {
        if rule.id.is_empty() || rule.id.len() > 128 || !ids.insert(&rule.id) {
            return Err(format!(
                "quality.rule: the id {:?} is empty, too long or stands twice",
                rule.id
            ));
        }
        if !rule.weight.is_finite() || rule.weight <= 0.0 {
            return Err(format!(
                "quality.rule {}: weight must be larger than zero",
                rule.id
            ));
        }
        asks(&rule.kind, columns).map_err(|reason| format!("quality.rule {}: {reason}", rule.id))?;
    }
    Ok(())
}

fn asks(kind: &RuleKind, columns: &[ColumnSection]) -> Result<(), String> {
    match kind {
        RuleKind::NotNull { column } => find(columns, column).map(|_| ()),
        RuleKind::Unique {
            columns: names,
            window,
        } => {
            if names.is_empty() {
                return Err("columns: at least one is needed".to_owned());
            }
            if *window > WINDOW_MAX {
                return Err("window: more than 7 days".to_owned());
            }
            names.iter().try_for_each(|name| find(columns, name).map(|_| ()))
        }
        RuleKind::InSet { column, .. } => text(columns, column),
        RuleKind::Regex { column, pattern } => {
            text(columns, column)?;
            regex::Regex::new(pattern).map_err(|_| "pattern: not a regular expression".to_owned())?;
            Ok(())
        }
        RuleKind::Between { column, min, max } | RuleKind::MeanBetween { column, min, max } => {
            let kind = find(columns, column)?.kind;
            if !matches!(kind, Kind::Int | Kind::Bigint | Kind::Double | Kind::Decimal) {
                return Err(format!("the column {column} is no number"));
            }
            bounds(
                min.is_none() && max.is_none(),
                matches!((min, max), (Some(min), Some(max)) if min > max),
            )
        }
        RuleKind::RowCountBetween { min, max } => bounds(
            min.is_none() && max.is_none(),
            matches!((min, max), (Some(min), Some(max)) if min > max),
        ),
        RuleKind::Sql { expr } if expr.trim().is_empty() => Err("expr: is empty".to_owned()),
        RuleKind::Sql { .. } => Ok(()),
    }
}

fn bounds(none: bool, crossed: bool) -> Result<(), String> {
    if none || crossed {
        return Err("min, max: at least one is needed, and min may not be larger than max".to_owned());
    }
    Ok(())
}

fn find<'a>(columns: &'a [ColumnSection], name: &str) -> Result<&'a ColumnSection, String> {
    columns
        .iter()
        .find(|column| column.name == name)
        .ok_or_else(|| format!("there is no column {name}"))
}

fn text(columns: &[ColumnSection], name: &str) -> Result<(), String> {
    match find(columns, name)?.kind {
        Kind::Text => Ok(()),
        _ => Err(format!("the column {name} is no text")),
    }
}
