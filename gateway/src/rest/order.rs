//! The order that a caller asks for, and the total order that pages need.

use planner::{Table, has_order_key};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::error::{Error, Result};
use crate::rest::columns::{Columns, is_ordered};

/// One column of an order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OrderTerm {
    /// The column.
    #[schema(example = "l_shipdate")]
    pub(super) column: String,
    /// The direction; ascending when absent.
    #[serde(default)]
    #[schema(inline)]
    pub(super) direction: Direction,
    /// Where rows without a value go; as in SQL, last when ascending and first when descending.
    #[serde(default)]
    #[schema(inline)]
    pub(super) nulls: Option<Nulls>,
}

/// The direction of an order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Direction {
    /// Small values first.
    #[default]
    Asc,
    /// Large values first.
    Desc,
}

/// Where rows without a value go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Nulls {
    /// Before all values.
    First,
    /// After all values.
    Last,
}

impl OrderTerm {
    /// Whether large values come first.
    pub(super) fn is_descending(&self) -> bool {
        self.direction == Direction::Desc
    }

    /// Whether rows without a value come first.
    pub(super) fn is_nulls_first(&self) -> bool {
        self.nulls
            .map_or(self.is_descending(), |nulls| nulls == Nulls::First)
    }

    /// As SQL says it after the expression.
    pub(super) fn sql(&self) -> &'static str {
        match (self.is_descending(), self.is_nulls_first()) {
            (false, false) => "ASC NULLS LAST",
            (false, true) => "ASC NULLS FIRST",
            (true, false) => "DESC NULLS LAST",
            (true, true) => "DESC NULLS FIRST",
        }
    }

    fn ascending(column: &str) -> Self {
        Self {
            column: column.to_owned(),
            direction: Direction::Asc,
            nulls: None,
        }
    }
}

/// Reads the argument `order`: a JSON array, or `column[:asc|desc[:first|last]]` with commas between.
///
/// # Errors
/// `Malformed` with the term at fault.
pub(super) fn parse(text: &str) -> Result<Vec<OrderTerm>> {
    let malformed = |problem: String| Error::Malformed {
        what: "order",
        problem,
    };
    if text.trim_start().starts_with('[') {
        return serde_json::from_str(text).map_err(|error| malformed(error.to_string()));
    }
    text.split(',')
        .map(|term| parse_term(term.trim()).ok_or_else(|| malformed(bad_term(term))))
        .collect()
}

fn bad_term(term: &str) -> String {
    let term: String = term.chars().take(64).collect();
    format!("'{term}' is not of the form column:asc:first, with asc or desc and first or last")
}

fn parse_term(term: &str) -> Option<OrderTerm> {
    let mut parts = term.split(':');
    let column = parts.next().filter(|column| !column.is_empty())?;
    let direction = match parts.next() {
        None | Some("asc") => Direction::Asc,
        Some("desc") => Direction::Desc,
        Some(_) => return None,
    };
    let nulls = match parts.next() {
        None => None,
        Some("first") => Some(Nulls::First),
        Some("last") => Some(Nulls::Last),
        Some(_) => return None,
    };
    parts.next().is_none().then(|| OrderTerm {
        column: column.to_owned(),
        direction,
        nulls,
    })
}

/// Checks that every column of an order is there, once, and has an order.
///
/// # Errors
/// `Invalid` for an unknown column, `Malformed` for one that stands twice or cannot be sorted by.
pub(super) fn check(order: &[OrderTerm], columns: &Columns) -> Result<()> {
    for (index, term) in order.iter().enumerate() {
        let malformed = |problem: &str| Error::Malformed {
            what: "order",
            problem: format!("at /order/{index}: column '{}' {problem}", term.column),
        };
        let field = columns.find(&term.column, &format!("at /order/{index}"))?;
        if !is_ordered(field.data_type()) {
            let problem = format!("of type {} has no order", planner::type_name(field.data_type()));
            return Err(malformed(&problem));
        }
        if order[..index].iter().any(|earlier| earlier.column == term.column) {
            return Err(malformed("is named twice"));
        }
    }
    Ok(())
}

/// `order` continued so that no two rows are equal in it: by the primary key, or by every column where there is none.
/// Columns of types that a caller cannot sort by stand in it by bytes of their values. None when a value of some column has
/// none either, and no key makes up for it.
pub(super) fn total(order: &[OrderTerm], table: &Table, columns: &Columns) -> Option<Vec<OrderTerm>> {
    let has_key = !table.primary_key.is_empty();
    let rest: Vec<&str> = match has_key {
        true => table.primary_key.iter().map(String::as_str).collect(),
        false => columns.iter().map(|field| field.name().as_str()).collect(),
    };
    let mut total = order.to_vec();
    for name in rest {
        let is_sortable = columns.iter().any(|field| {
            let data_type = field.data_type();
            field.name() == name && (is_ordered(data_type) || has_order_key(data_type))
        });
        if !is_sortable {
            return None;
        }
        if !total.iter().any(|term| term.column == name) {
            total.push(OrderTerm::ascending(name));
        }
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, Field, Schema};
    use planner::TableKind;

    use super::*;

    fn columns() -> Columns {
        let tags = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
        Columns(Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8View, true),
            Field::new("tags", tags, true),
        ])))
    }

    fn table(key: &[&str]) -> Table {
        Table {
            catalog: "lake".to_owned(),
            schema: "gold".to_owned(),
            name: "t".to_owned(),
            kind: TableKind::Table,
            comment: None,
            columns: None,
            primary_key: key.iter().map(|name| (*name).to_owned()).collect(),
        }
    }

    #[test]
    fn both_spellings_of_an_order_are_read() {
        let short = parse("name:desc:last, id").unwrap();
        let long = parse(r#"[{"column":"name","direction":"desc","nulls":"last"},{"column":"id"}]"#).unwrap();
        assert_eq!(short, long);
        assert_eq!(
            short.iter().map(OrderTerm::sql).collect::<Vec<_>>(),
            ["DESC NULLS LAST", "ASC NULLS LAST"]
        );
        assert_eq!(parse("name:desc").unwrap()[0].sql(), "DESC NULLS FIRST");
        for bad in [
            "",
            "name:up",
            "name:asc:middle",
            "name:asc:first:x",
            ",id",
            "[{\"colum\":\"id\"}]",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_order_that_cannot_be_is_refused() {
        assert!(check(&parse("name,id:desc").unwrap(), &columns()).is_ok());
        for bad in ["nam", "tags", "id,id:desc"] {
            assert!(check(&parse(bad).unwrap(), &columns()).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_key_or_every_column_makes_an_order_total() {
        let order = parse("name:desc").unwrap();
        let names = |total: Option<Vec<OrderTerm>>| {
            total.map(|total| total.into_iter().map(|term| term.column).collect::<Vec<_>>())
        };
        let keyed = names(total(&order, &table(&["id"]), &columns()));
        assert_eq!(keyed, Some(vec!["name".to_owned(), "id".to_owned()]));
        let every = ["name", "id", "tags"].map(str::to_owned).to_vec();
        assert_eq!(names(total(&order, &table(&[]), &columns())), Some(every));
        let flat = Columns(Arc::new(Schema::new(columns().0.fields()[..2].to_vec())));
        assert_eq!(
            names(total(&[], &table(&[]), &flat)),
            Some(vec!["id".to_owned(), "name".to_owned()])
        );
    }
}
