//! A dataset query as a statement for the engine.
//!
//! Invariant: the text holds quoted columns of the dataset, positions of bound values and words of ours, and nothing
//! that a caller wrote.

use arrow::array::{Array, RecordBatch};
use arrow::datatypes::{DataType, Field};
use planner::{Pins, Query};

use crate::error::{Error, Result};
use crate::rest::ask::Ask;
use crate::rest::columns::{Columns, column, is_ordered};
use crate::rest::filter::condition;
use crate::rest::identifier::DatasetName;
use crate::rest::keyset::{Key, at_or_after};
use crate::rest::order::{OrderTerm, check};
use crate::rest::parameters::Bound;

/// Where a page begins: the last row before it, by the columns of the order.
#[derive(Clone, Debug)]
pub(super) struct Position {
    /// One row: the values of the keys, in order.
    pub(super) values: RecordBatch,
    /// How many rows equal to it were given already; they come first and are skipped.
    pub(super) ties: u64,
}

/// A statement and what its columns are for.
#[derive(Debug)]
pub(super) struct Select {
    /// The statement with its values.
    pub(super) query: Query,
    /// How many of its columns, from the first, the caller gets.
    pub(super) shown: usize,
    /// Which of its columns are the keys of the order.
    pub(super) keys: Vec<usize>,
}

/// Writes the statement for `ask`. With `keys`, the rows are in the order of the keys, which is a total one, and begin at
/// `position`; without, in the order that the caller asked for, if any.
///
/// # Errors
/// What is wrong with the ask: an unknown column, a value that does not fit.
pub(super) fn select(
    name: &DatasetName,
    columns: &Columns,
    ask: &Ask,
    keys: Option<&[OrderTerm]>,
    position: Option<&Position>,
) -> Result<Select> {
    let order = ask.order.as_deref().unwrap_or_default();
    check(order, columns)?;
    let mut wanted = Wanted::new(columns, ask)?;
    let shown = wanted.expressions.len();
    let mut bound = Bound::default();
    let mut conditions = Vec::new();
    if let Some(filters) = &ask.filters {
        conditions.push(condition(filters, columns, &mut bound)?);
    }
    let mut indexes = Vec::new();
    for term in keys.unwrap_or_default() {
        indexes.push(wanted.key(columns.find(&term.column, "the order")?));
    }
    if let (Some(keys), Some(position)) = (keys, position) {
        conditions.push(beginning(keys, columns, &position.values, &mut bound)?);
    }
    let mut sql = format!("SELECT {} FROM {}", wanted.expressions.join(", "), name.sql());
    if !conditions.is_empty() {
        sql.push_str(" WHERE ");
        sql.push_str(&conditions.join(" AND "));
    }
    let terms: Vec<String> = keys
        .unwrap_or(order)
        .iter()
        .map(|term| {
            Ok(format!(
                "{} {}",
                key_expression(columns.find(&term.column, "the order")?),
                term.sql()
            ))
        })
        .collect::<Result<_>>()?;
    if !terms.is_empty() {
        sql.push_str(" ORDER BY ");
        sql.push_str(&terms.join(", "));
    }
    if let Some(position) = position.filter(|position| position.ties > 0) {
        sql.push_str(&format!(" OFFSET {}", position.ties));
    }
    let query = Query {
        sql,
        parameters: bound.batch()?,
        pins: Pins::default(),
        partition: None,
        rows_max: None,
        at: None,
    };
    Ok(Select {
        query,
        shown,
        keys: indexes,
    })
}

/// The columns of the statement: those that the caller wants, then the keys that are not among them.
struct Wanted {
    names: Vec<String>,
    expressions: Vec<String>,
}

impl Wanted {
    fn new(columns: &Columns, ask: &Ask) -> Result<Self> {
        let names: Vec<String> = match &ask.columns {
            None => columns.iter().map(|field| field.name().clone()).collect(),
            Some(names) => names.clone(),
        };
        let malformed = |problem: String| Error::Malformed {
            what: "columns",
            problem,
        };
        if names.is_empty() {
            return Err(malformed("the list is empty".to_owned()));
        }
        let mut expressions = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            expressions.push(column(columns.find(name, &format!("at /columns/{index}"))?));
            if names[..index].contains(name) {
                return Err(malformed(format!(
                    "at /columns/{index}: column '{name}' is named twice"
                )));
            }
        }
        Ok(Self { names, expressions })
    }

    /// The index of a key's column, which is appended when nobody else wants it.
    fn key(&mut self, field: &Field) -> usize {
        let is_plain = !is_keyed(field.data_type());
        if let Some(index) = self
            .names
            .iter()
            .position(|name| is_plain && name == field.name())
        {
            return index;
        }
        // No column can have this name, too, because it differs from all that are here and from the other keys.
        let mut alias = format!("key {}", self.names.len());
        while self.names.contains(&alias) {
            alias.push('\'');
        }
        self.expressions
            .push(format!("{} AS \"{alias}\"", key_expression(field)));
        self.names.push(alias);
        self.names.len() - 1
    }
}

/// What rows are sorted and compared by. A list, a row or a map goes by bytes of its values. A floating-point column goes through `nanvl`, which makes one NaN of all and,
/// more important, hides the comparison from file statistics: those leave NaN out, and pruning by them would lose rows.
fn key_expression(field: &Field) -> String {
    match field.data_type() {
        DataType::Float32 => format!("nanvl({}, CAST('NaN' AS REAL))", column(field)),
        DataType::Float16 | DataType::Float64 => format!("nanvl({}, CAST('NaN' AS DOUBLE))", column(field)),
        other if is_ordered(other) => column(field),
        _ => format!("order_key({})", column(field)),
    }
}

/// Whether a column is compared by something else than itself.
fn is_keyed(data_type: &DataType) -> bool {
    data_type.is_floating() || !is_ordered(data_type)
}

fn beginning(
    keys: &[OrderTerm],
    columns: &Columns,
    values: &RecordBatch,
    bound: &mut Bound,
) -> Result<String> {
    if values.num_columns() != keys.len() || values.num_rows() != 1 {
        return Err(Error::Ticket);
    }
    let (mut parts, mut expressions, mut names) = (Vec::new(), Vec::new(), Vec::new());
    for (term, value) in keys.iter().zip(values.columns()) {
        let field = columns.find(&term.column, "the cursor's order")?;
        parts.push(Key {
            descending: term.is_descending(),
            nulls_first: term.is_nulls_first(),
            nullable: field.is_nullable(),
            is_null: value.is_null(0),
        });
        expressions.push(key_expression(field));
        names.push(if value.is_null(0) {
            "NULL".to_owned()
        } else {
            bound.push(value.slice(0, 1))?
        });
    }
    Ok(at_or_after(&parts).sql(&expressions, &names))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, StringArray};
    use arrow::datatypes::Schema;
    use serde_json::json;

    use crate::rest::order;

    use super::*;

    fn columns() -> Columns {
        Columns(Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8View, true),
            Field::new("weight", DataType::Float64, true),
        ])))
    }

    fn ask(value: serde_json::Value) -> Ask {
        serde_json::from_value(value).unwrap()
    }

    fn written(ask: &Ask, keys: Option<&str>, position: Option<&Position>) -> Result<Select> {
        let name = DatasetName::parse("lake.gold.t").unwrap();
        let keys = keys.map(|keys| order::parse(keys).unwrap());
        select(&name, &columns(), ask, keys.as_deref(), position)
    }

    #[test]
    fn an_empty_ask_is_the_whole_table() {
        let all = written(&Ask::default(), None, None).unwrap();
        assert_eq!(
            all.query.sql,
            "SELECT \"id\", \"name\", \"weight\" FROM \"lake\".\"gold\".\"t\""
        );
        assert_eq!((all.shown, all.query.parameters), (3, None));
    }

    #[test]
    fn a_first_page_carries_its_keys() {
        let ask = ask(json!({"columns": ["name"], "filters": {"column": "id", "op": "gt", "value": 5}}));
        let page = written(&ask, Some("name:desc:last,weight,id"), None).unwrap();
        assert_eq!(
            page.query.sql,
            "SELECT \"name\", nanvl(\"weight\", CAST('NaN' AS DOUBLE)) AS \"key 1\", \"id\" AS \"key 2\" \
             FROM \"lake\".\"gold\".\"t\" WHERE \"id\" > $1 ORDER BY \"name\" DESC NULLS LAST, \
             nanvl(\"weight\", CAST('NaN' AS DOUBLE)) ASC NULLS LAST, \"id\" ASC NULLS LAST"
        );
        assert_eq!((page.shown, page.keys), (1, vec![0, 1, 2]));
    }

    #[test]
    fn a_list_is_compared_by_its_bytes() {
        let item = Arc::new(Field::new("item", DataType::Utf8, true));
        let columns = Columns(Arc::new(Schema::new(vec![Field::new(
            "tags",
            DataType::List(item),
            true,
        )])));
        let name = DatasetName::parse("lake.gold.t").unwrap();
        let keys = order::parse("tags").unwrap();
        let page = select(&name, &columns, &Ask::default(), Some(&keys), None);
        // The keys of a page were made by us; nobody may ask for this order.
        assert!(page.is_ok_and(|page| {
            page.query
                .sql
                .ends_with("ORDER BY order_key(\"tags\") ASC NULLS LAST")
        }));
    }

    #[test]
    fn a_later_page_begins_at_its_position() {
        let schema = Schema::new(vec![
            Field::new("name", DataType::Utf8, true),
            Field::new("id", DataType::Int64, false),
        ]);
        let names = StringArray::from(vec![None::<&str>]);
        let values = RecordBatch::try_new(
            Arc::new(schema),
            vec![Arc::new(names), Arc::new(Int64Array::from(vec![7]))],
        );
        let position = Position {
            values: values.unwrap(),
            ties: 1,
        };
        let page = written(&Ask::default(), Some("name,id"), Some(&position)).unwrap();
        assert!(
            page.query.sql.ends_with(
                "WHERE ((\"name\" IS NULL AND \"id\" > $1) OR (\"name\" IS NULL AND \"id\" = $1)) \
             ORDER BY \"name\" ASC NULLS LAST, \"id\" ASC NULLS LAST OFFSET 1"
            ),
            "{}",
            page.query.sql
        );
        assert_eq!(page.query.parameters.unwrap().num_columns(), 1);
    }

    #[test]
    fn columns_are_checked() {
        for bad in [
            json!({"columns": []}),
            json!({"columns": ["id", "id"]}),
            json!({"columns": ["nam"]}),
        ] {
            assert!(written(&ask(bad), None, None).is_err());
        }
    }
}
