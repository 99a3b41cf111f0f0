//! `SET` and `USE`: the few settings a session has. An engine option is never reachable from SQL, because some of them
//! lift the limits of the process.

use datafusion::sql::sqlparser::ast::{Expr, Set, Use, Value};

use crate::error::{Error, Result};
use crate::suggest::nearest;

/// The settings that exist.
pub(crate) const KEYS: [&str; 7] = [
    "catalog",
    "schema",
    "timezone",
    "lakegate.pushdown",
    "lakegate.max_rows_from_source",
    "lakegate.max_staleness",
    "lakegate.cache",
];

/// The assignments of a SET statement, keys in lower case and known.
pub(super) fn assignments(set: Set) -> Result<Vec<(String, String)>> {
    match set {
        Set::SingleAssignment { variable, values, .. } => {
            let [value] = values.as_slice() else {
                return Err(Error::Setting {
                    key: variable.to_string(),
                    problem: "takes one value".to_owned(),
                });
            };
            let key = known(&variable.to_string())?;
            let value = text(&key, value)?;
            Ok(vec![(key, value)])
        }
        Set::SetTimeZone { value, .. } => Ok(vec![("timezone".to_owned(), text("timezone", &value)?)]),
        other => Err(Error::Unsupported {
            what: format!("'{}'", shortened(&other.to_string())),
        }),
    }
}

/// The assignments that a USE statement stands for.
pub(super) fn used(target: Use) -> Result<Vec<(String, String)>> {
    let pairs = |key: &str, name: String| vec![(key.to_owned(), unquoted(&name))];
    match target {
        Use::Catalog(name) => Ok(pairs("catalog", name.to_string())),
        Use::Schema(name) | Use::Database(name) | Use::Object(name) => {
            let parts: Vec<String> = name.0.iter().map(|part| unquoted(&part.to_string())).collect();
            match parts.as_slice() {
                [schema] => Ok(pairs("schema", schema.clone())),
                [catalog, schema] => Ok(vec![
                    ("catalog".to_owned(), catalog.clone()),
                    ("schema".to_owned(), schema.clone()),
                ]),
                _ => Err(Error::invalid("USE takes a schema or catalog.schema")),
            }
        }
        other => Err(Error::Unsupported {
            what: format!("'{}'", shortened(&other.to_string())),
        }),
    }
}

/// The canonical spelling of a setting's name.
///
/// # Errors
/// `Setting` with the nearest known key.
pub(crate) fn known(key: &str) -> Result<String> {
    let lower = unquoted(key).to_lowercase();
    let lower = match lower.as_str() {
        "time_zone" | "time zone" => "timezone".to_owned(),
        "search_path" => "schema".to_owned(),
        _ => lower,
    };
    if KEYS.contains(&lower.as_str()) {
        return Ok(lower);
    }
    let problem = match nearest(&lower, KEYS) {
        Some(name) => format!("is unknown, did you mean '{name}'?"),
        None => format!("is unknown; there are {}", KEYS.join(", ")),
    };
    Err(Error::Setting {
        key: shortened(key),
        problem,
    })
}

fn text(key: &str, value: &Expr) -> Result<String> {
    match value {
        Expr::Value(value) => match &value.value {
            Value::SingleQuotedString(text) | Value::DoubleQuotedString(text) => Ok(text.clone()),
            Value::Number(number, _) => Ok(number.clone()),
            _ => Err(Error::Setting {
                key: key.to_owned(),
                problem: "takes a text".to_owned(),
            }),
        },
        Expr::Identifier(name) => Ok(name.value.clone()),
        _ => Err(Error::Setting {
            key: key.to_owned(),
            problem: "takes a text".to_owned(),
        }),
    }
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) {
        Some(inner) => inner.replace("\"\"", "\""),
        None => name.to_owned(),
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(64).collect()
}
