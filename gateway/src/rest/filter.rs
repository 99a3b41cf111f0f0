//! Filters of a dataset query: a small tree of JSON to a condition in SQL.
//!
//! Invariants
//! * A name in the condition is a column of the dataset, quoted; a value is a bound parameter typed by its column.
//! * A fault names the node by its JSON pointer, such as `/filters/and/1`.
//! * The depth is bounded by the JSON reader (128 levels).

use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::edge::plain_type;
use crate::error::{Error, Result};
use crate::rest::columns::{Columns, column, is_ordered, is_text, nearest};
use crate::rest::parameters::Bound;
use crate::rest::value::{shown, typed};

/// The operators, as they are written.
pub(super) const OPERATORS: [&str; 12] = [
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "in",
    "between",
    "is_null",
    "is_not_null",
    "like",
    "starts_with",
];

/// A tree of conditions, not yet held against the columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Filters(pub(super) Value);

/// The condition that `filters` stands for; its values go into `bound`.
///
/// # Errors
/// `Malformed` with the node at fault, `Invalid` for an unknown column, `TooLarge` for too many values.
pub(super) fn condition(filters: &Filters, columns: &Columns, bound: &mut Bound) -> Result<String> {
    let mut reader = Reader { columns, bound };
    match &filters.0 {
        Value::Array(nodes) => reader.list(nodes, "/filters", " AND ", "TRUE"),
        node => reader.node(node, "/filters"),
    }
}

fn malformed(place: &str, problem: impl std::fmt::Display) -> Error {
    Error::Malformed {
        what: "filter",
        problem: format!("at {place}: {problem}"),
    }
}

struct Reader<'a> {
    columns: &'a Columns,
    bound: &'a mut Bound,
}

impl Reader<'_> {
    fn node(&mut self, node: &Value, place: &str) -> Result<String> {
        let object = node
            .as_object()
            .ok_or_else(|| malformed(place, format!("{} is not an object", shown(node))))?;
        let mut pairs = object.iter();
        match (pairs.next(), pairs.next()) {
            (Some((word, inner)), None) if word == "and" || word == "or" => {
                let place = format!("{place}/{word}");
                let nodes = inner
                    .as_array()
                    .ok_or_else(|| malformed(&place, "takes a list of conditions"))?;
                let (between, none) = if word == "and" {
                    (" AND ", "TRUE")
                } else {
                    (" OR ", "FALSE")
                };
                self.list(nodes, &place, between, none)
            }
            (Some((word, inner)), None) if word == "not" => {
                Ok(format!("NOT ({})", self.node(inner, &format!("{place}/not"))?))
            }
            _ => self.leaf(object, place),
        }
    }

    fn list(&mut self, nodes: &[Value], place: &str, between: &str, none: &str) -> Result<String> {
        let texts: Vec<String> = nodes
            .iter()
            .enumerate()
            .map(|(index, node)| self.node(node, &format!("{place}/{index}")))
            .collect::<Result<_>>()?;
        Ok(match texts.len() {
            0 => none.to_owned(),
            _ => format!("({})", texts.join(between)),
        })
    }

    fn leaf(&mut self, object: &Map<String, Value>, place: &str) -> Result<String> {
        if let Some(key) = object
            .keys()
            .find(|key| !["column", "op", "value"].contains(&key.as_str()))
        {
            let key: String = key.chars().take(64).collect();
            return Err(malformed(
                place,
                format!("'{key}' is unknown: a condition has column, op and value, or is and, or, not"),
            ));
        }
        let text = |key: &str| {
            let found = object.get(key).and_then(Value::as_str);
            found.ok_or_else(|| malformed(place, format!("'{key}' is missing or not a text")))
        };
        let field = self.columns.find(text("column")?, &format!("at {place}"))?;
        let operator = text("op")?;
        if !OPERATORS.contains(&operator) {
            let operator: String = operator.chars().take(64).collect();
            return Err(malformed(
                place,
                match nearest(&operator, OPERATORS) {
                    Some(known) => format!("operator '{operator}' is unknown, did you mean '{known}'?"),
                    None => format!(
                        "operator '{operator}' is unknown; there are {}",
                        OPERATORS.join(", ")
                    ),
                },
            ));
        }
        let value = object.get("value");
        let name = column(field);
        if let Some(condition) = presence(operator, &name, value, place)? {
            return Ok(condition);
        }
        let value = value.ok_or_else(|| malformed(place, format!("operator '{operator}' takes a value")))?;
        if !is_ordered(field.data_type()) {
            let kind = planner::type_name(field.data_type());
            return Err(malformed(
                place,
                format!(
                    "column '{}' of type {kind} takes is_null and is_not_null only",
                    field.name()
                ),
            ));
        }
        self.comparison(operator, field, value, place)
    }

    fn comparison(&mut self, operator: &str, field: &Field, value: &Value, place: &str) -> Result<String> {
        let name = column(field);
        match operator {
            "in" => {
                let values = value
                    .as_array()
                    .ok_or_else(|| malformed(place, "operator 'in' takes a list of values"))?;
                if values.is_empty() {
                    return Ok("FALSE".to_owned());
                }
                let names: Vec<String> = values
                    .iter()
                    .map(|value| self.value(field, value, place))
                    .collect::<Result<_>>()?;
                Ok(format!("{name} IN ({})", names.join(", ")))
            }
            "between" => {
                let Some([low, high]) = value.as_array().map(Vec::as_slice) else {
                    return Err(malformed(place, "operator 'between' takes a list of two values"));
                };
                let (low, high) = (self.value(field, low, place)?, self.value(field, high, place)?);
                Ok(format!("({name} >= {low} AND {name} <= {high})"))
            }
            "like" | "starts_with" => {
                if !is_text(field.data_type()) {
                    let kind = planner::type_name(field.data_type());
                    let problem = format!(
                        "operator '{operator}' takes a text column, '{}' is {kind}",
                        field.name()
                    );
                    return Err(malformed(place, problem));
                }
                let value = self.value(field, value, place)?;
                Ok(match operator {
                    "like" => format!("{name} LIKE {value}"),
                    _ => format!("starts_with({name}, {value})"),
                })
            }
            "eq" if is_not_a_number(field.data_type(), value) => Ok(format!("isnan({name})")),
            "ne" if is_not_a_number(field.data_type(), value) => Ok(format!("NOT isnan({name})")),
            other => {
                let sign = match other {
                    "eq" => "=",
                    "ne" => "<>",
                    "lt" => "<",
                    "le" => "<=",
                    "gt" => ">",
                    _ => ">=",
                };
                Ok(format!("{name} {sign} {}", self.value(field, value, place)?))
            }
        }
    }

    /// Binds one value; gives the name of its position.
    fn value(&mut self, field: &Field, value: &Value, place: &str) -> Result<String> {
        if value.is_null() {
            return Err(malformed(
                place,
                "null compares with nothing: use is_null or is_not_null",
            ));
        }
        let array = typed(value, &plain_type(field.data_type()))
            .map_err(|problem| malformed(place, format!("column '{}': {problem}", field.name())))?;
        if is_nan(&array) {
            return Err(malformed(place, "NaN goes with eq and ne only"));
        }
        self.bound.push(array)
    }
}

/// The condition of the two operators without a value.
fn presence(operator: &str, name: &str, value: Option<&Value>, place: &str) -> Result<Option<String>> {
    let condition = match operator {
        "is_null" => format!("{name} IS NULL"),
        "is_not_null" => format!("{name} IS NOT NULL"),
        _ => return Ok(None),
    };
    match value {
        None | Some(Value::Null) => Ok(Some(condition)),
        Some(_) => Err(malformed(place, format!("operator '{operator}' takes no value"))),
    }
}

/// NaN is asked for by function: file statistics leave NaN out, so a comparison with it would lose rows.
fn is_not_a_number(data_type: &DataType, value: &Value) -> bool {
    data_type.is_floating() && value.as_str() == Some("NaN")
}

fn is_nan(array: &dyn Array) -> bool {
    match array.data_type() {
        DataType::Float32 => array.as_primitive::<Float32Type>().value(0).is_nan(),
        DataType::Float64 => array.as_primitive::<Float64Type>().value(0).is_nan(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
