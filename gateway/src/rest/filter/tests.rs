use std::sync::Arc;

use arrow::datatypes::{Schema, TimeUnit};
use serde_json::json;

use super::*;

fn columns() -> Columns {
    let tags = DataType::List(Arc::new(Field::new("item", DataType::Utf8, true)));
    Columns(Arc::new(Schema::new(vec![
        Field::new("l_orderkey", DataType::Int64, false),
        Field::new("l_quantity", DataType::Decimal128(15, 2), true),
        Field::new("l_shipdate", DataType::Date32, true),
        Field::new("l_comment", DataType::Utf8View, true),
        Field::new("l_weight", DataType::Float64, true),
        Field::new("l_seen", DataType::Timestamp(TimeUnit::Microsecond, None), true),
        Field::new("od\"d", DataType::Int8, true),
        Field::new("tags", tags, true),
    ])))
}

fn compiled(filters: Value) -> Result<(String, Vec<DataType>)> {
    let mut bound = Bound::default();
    let sql = condition(&Filters(filters), &columns(), &mut bound)?;
    let batch = bound.batch()?;
    let types = batch
        .iter()
        .flat_map(|batch| batch.columns())
        .map(|array| array.data_type().clone())
        .collect();
    Ok((sql, types))
}

#[test]
fn conditions_hold_quoted_names_and_bound_values() {
    for (filters, expected) in [
        (
            json!({"column": "l_orderkey", "op": "eq", "value": 1}),
            "\"l_orderkey\" = $1",
        ),
        (
            json!({"column": "od\"d", "op": "ne", "value": "7"}),
            "\"od\"\"d\" <> $1",
        ),
        (
            json!({"column": "l_quantity", "op": "lt", "value": 24.5}),
            "\"l_quantity\" < $1",
        ),
        (
            json!({"column": "l_shipdate", "op": "ge", "value": "1998-09-02"}),
            "\"l_shipdate\" >= $1",
        ),
        (
            json!({"column": "l_orderkey", "op": "in", "value": [1, "2", 3]}),
            "\"l_orderkey\" IN ($1, $2, $3)",
        ),
        (json!({"column": "l_orderkey", "op": "in", "value": []}), "FALSE"),
        (
            json!({"column": "l_quantity", "op": "between", "value": [1, 2]}),
            "(\"l_quantity\" >= $1 AND \"l_quantity\" <= $2)",
        ),
        (
            json!({"column": "l_comment", "op": "like", "value": "%x'; DROP%"}),
            "\"l_comment\" LIKE $1",
        ),
        (
            json!({"column": "l_comment", "op": "starts_with", "value": "a%"}),
            "starts_with(\"l_comment\", $1)",
        ),
        (json!({"column": "tags", "op": "is_null"}), "\"tags\" IS NULL"),
        (
            json!({"column": "l_weight", "op": "eq", "value": "NaN"}),
            "isnan(\"l_weight\")",
        ),
        (
            json!({"column": "l_weight", "op": "lt", "value": "Infinity"}),
            "\"l_weight\" < $1",
        ),
        (json!({"and": []}), "TRUE"),
        (json!({"or": []}), "FALSE"),
        (json!([]), "TRUE"),
        (
            json!([{"column": "l_orderkey", "op": "gt", "value": 1}, {"column": "tags", "op": "is_not_null"}]),
            "(\"l_orderkey\" > $1 AND \"tags\" IS NOT NULL)",
        ),
        (
            json!({"or": [
                {"not": {"column": "l_orderkey", "op": "le", "value": 5}},
                {"and": [{"column": "l_comment", "op": "eq", "value": "x"}]},
            ]}),
            "(NOT (\"l_orderkey\" <= $1) OR (\"l_comment\" = $2))",
        ),
    ] {
        let text = filters.to_string();
        assert_eq!(compiled(filters).unwrap().0, expected, "{text}");
    }
}

#[test]
fn values_are_typed_by_their_columns() {
    let filters = json!([
        {"column": "l_quantity", "op": "eq", "value": "0.05"},
        {"column": "l_comment", "op": "eq", "value": "0.05"},
        {"column": "l_seen", "op": "lt", "value": "1998-09-02T00:00:00"},
    ]);
    let types = compiled(filters).unwrap().1;
    let expected = [
        DataType::Decimal128(15, 2),
        DataType::Utf8,
        DataType::Timestamp(TimeUnit::Microsecond, None),
    ];
    assert_eq!(types, expected);
}

#[test]
fn a_fault_names_its_node() {
    for (filters, expected) in [
        (
            json!({"column": "l_orderky", "op": "eq", "value": 1}),
            "at /filters: column 'l_orderky' not found",
        ),
        (
            json!({"and": [{"or": []}, {"column": "l_shipdate", "op": "eq", "value": "soon"}]}),
            "filter is malformed: at /filters/and/1: column 'l_shipdate': \"soon\" is not a date such as \"1998-09-02\"",
        ),
        (
            json!([{"not": {"column": "l_orderkey", "op": "eql", "value": 1}}]),
            "filter is malformed: at /filters/0/not: operator 'eql' is unknown, did you mean 'eq'?",
        ),
        (
            json!({"column": "l_orderkey", "op": "eq", "value": null}),
            "filter is malformed: at /filters: null compares with nothing: use is_null or is_not_null",
        ),
        (
            json!({"column": "l_orderkey", "op": "like", "value": "1%"}),
            "filter is malformed: at /filters: operator 'like' takes a text column, 'l_orderkey' is BIGINT",
        ),
        (
            json!({"column": "l_weight", "op": "gt", "value": "NaN"}),
            "filter is malformed: at /filters: NaN goes with eq and ne only",
        ),
    ] {
        assert_eq!(compiled(filters).unwrap_err().to_string(), expected);
    }
}

#[test]
fn what_is_no_condition_is_refused() {
    for filters in [
        json!(1),
        json!({}),
        json!({"and": {}}),
        json!({"and": [], "or": []}),
        json!({"column": "l_orderkey", "op": "eq"}),
        json!({"column": "l_orderkey", "op": "eq", "value": 1, "extra": 2}),
        json!({"column": "l_orderkey", "op": "between", "value": [1]}),
        json!({"column": "l_orderkey", "op": "in", "value": 1}),
        json!({"column": "l_orderkey", "op": "in", "value": [1, null]}),
        json!({"column": "l_orderkey", "op": "is_null", "value": 1}),
        json!({"column": "tags", "op": "eq", "value": ["x"]}),
        json!({"column": 1, "op": "eq", "value": 1}),
    ] {
        let text = filters.to_string();
        assert!(compiled(filters).is_err(), "{text}");
    }
}

#[test]
fn too_many_values_are_refused() {
    let values: Vec<u32> = (0..70_000).collect();
    let outcome = compiled(json!({"column": "l_orderkey", "op": "in", "value": values}));
    assert!(matches!(outcome, Err(Error::TooLarge { .. })));
}
