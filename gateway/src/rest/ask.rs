//! A dataset query as the caller writes it: in a body, or in the query string.

use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};

use crate::error::Error;
use crate::rest::arguments::Arguments;
use crate::rest::filter::Filters;
use crate::rest::order::{self, OrderTerm};
use crate::rest::problem::Refusal;

/// A query of one dataset.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({
    "columns": ["l_orderkey", "l_linenumber", "l_shipdate", "l_extendedprice"],
    "filters": {"and": [
        {"column": "l_shipdate", "op": "between", "value": ["1995-01-01", "1995-12-31"]},
        {"not": {"column": "l_shipmode", "op": "in", "value": ["AIR", "REG AIR"]}}
    ]},
    "order": [{"column": "l_extendedprice", "direction": "desc", "nulls": "last"}],
    "limit": 100
}))]
pub(super) struct Ask {
    /// The columns wanted, in this order; all of them when absent.
    pub(super) columns: Option<Vec<String>>,
    /// Which rows; a list means that all of its conditions hold.
    pub(super) filters: Option<Filters>,
    /// In which order. With `limit`, the primary key (or every column, where there is none) decides among equals.
    pub(super) order: Option<Vec<OrderTerm>>,
    /// How many rows a page has; without it the answer has all rows in one.
    #[schema(minimum = 1)]
    pub(super) limit: Option<u64>,
    /// `next_cursor` of the page before. It carries the whole query; what is given beside it, except `limit`, must be
    /// the same.
    pub(super) cursor: Option<String>,
}

/// A query of one dataset.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct AskArguments {
    /// The columns wanted, with commas between, or a JSON list; all of them when absent.
    #[param(example = "l_orderkey,l_linenumber,l_extendedprice")]
    pub(super) columns: Option<String>,
    /// The conditions as JSON, as in the body of the POST.
    #[param(example = "{\"column\":\"l_shipdate\",\"op\":\"ge\",\"value\":\"1998-09-02\"}")]
    pub(super) filters: Option<String>,
    /// The order: `column[:asc|desc[:first|last]]` with commas between, or a JSON list as in the body of the POST.
    #[param(example = "l_extendedprice:desc:last")]
    pub(super) order: Option<String>,
    /// How many rows a page has; without it the answer has all rows in one.
    #[param(minimum = 1, example = 100)]
    pub(super) limit: Option<u64>,
    /// `next_cursor` of the page before.
    pub(super) cursor: Option<String>,
}

impl AskArguments {
    fn take(arguments: &mut Arguments) -> Result<Self, Error> {
        Ok(Self {
            columns: arguments.text("columns"),
            filters: arguments.text("filters"),
            order: arguments.text("order"),
            limit: arguments.number("limit")?,
            cursor: arguments.text("cursor"),
        })
    }
}

impl Ask {
    /// Takes a query out of the query string.
    ///
    /// # Errors
    /// `Malformed` naming the argument.
    pub(super) fn take(arguments: &mut Arguments) -> Result<Self, Refusal> {
        let given = AskArguments::take(arguments)?;
        Ok(Self {
            columns: given.columns.as_deref().map(columns).transpose()?,
            filters: given.filters.as_deref().map(filters).transpose()?,
            order: given.order.as_deref().map(order::parse).transpose()?,
            limit: given.limit,
            cursor: given.cursor,
        })
    }
}

fn columns(text: &str) -> Result<Vec<String>, Error> {
    if text.trim_start().starts_with('[') {
        let malformed = |error: serde_json::Error| Error::Malformed {
            what: "columns",
            problem: error.to_string(),
        };
        return serde_json::from_str(text).map_err(malformed);
    }
    Ok(text.split(',').map(|name| name.trim().to_owned()).collect())
}

fn filters(text: &str) -> Result<Filters, Error> {
    let malformed = |error: serde_json::Error| Error::Malformed {
        what: "filters",
        problem: error.to_string(),
    };
    serde_json::from_str(text).map(Filters).map_err(malformed)
}

#[cfg(test)]
mod tests {
    use crate::rest::document;

    use super::*;

    #[test]
    fn both_ways_of_asking_are_one() {
        let body = br#"{"columns": ["a", "b"], "filters": {"column": "a", "op": "eq", "value": 1},
            "order": [{"column": "b", "direction": "desc"}], "limit": 5}"#;
        let body: Ask = document::parse(body).unwrap();
        let query = "columns=a,+b&filters=%7B%22column%22:%22a%22,%22op%22:%22eq%22,%22value%22:1%7D&order=b:desc&limit=5";
        let mut arguments = Arguments::read(query);
        assert_eq!(Ask::take(&mut arguments).unwrap(), body);
        arguments.finish().unwrap();
    }

    #[test]
    fn an_unknown_key_is_refused() {
        assert!(document::parse::<Ask>(br#"{"column": ["a"]}"#).is_err());
        assert!(Ask::take(&mut Arguments::read("filters=%7B")).is_err());
    }
}
