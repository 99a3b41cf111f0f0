use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::common::ScalarValue;
use datafusion::functions::expr_fn::{lower, random};
use datafusion::logical_expr::{Expr, cast, col, lit, try_cast};

use super::is_leakproof;

fn allowed(predicate: &Expr) -> bool {
    let fields = [
        ("n", DataType::Int32),
        ("s", DataType::Utf8),
        ("b", DataType::Boolean),
        ("t", DataType::Timestamp(TimeUnit::Microsecond, None)),
        ("d", DataType::Decimal128(15, 2)),
        ("secret", DataType::Int32),
        ("flag", DataType::Boolean),
    ];
    let fields: Vec<Field> = fields.map(|(name, of)| Field::new(name, of, true)).into();
    // The last two columns are masked.
    is_leakproof(predicate, &Arc::new(Schema::new(fields)), &|place| place < 5)
}

#[test]
fn a_plain_column_against_a_literal_of_its_type_passes() {
    let micros = lit(ScalarValue::TimestampMicrosecond(Some(0), None));
    for predicate in [
        col("n").eq(lit(1_i32)),
        lit(1_i32).lt(col("n")),
        col("s").not_eq(lit("x")),
        col("n").between(lit(1_i32), lit(9_i32)),
        col("n").in_list(vec![lit(1_i32), lit(2_i32)], true),
        col("b"),
        !col("b"),
        col("s").is_null().or(col("n").is_not_null()),
        col("t").gt(micros),
        col("d").eq(lit(ScalarValue::Decimal128(Some(100), 15, 2))),
    ] {
        assert!(allowed(&predicate), "{predicate}");
    }
}

#[test]
fn whatever_could_speak_of_a_hidden_value_stays_above() {
    let deep = (0..100).fold(col("n").eq(lit(1_i32)), |inner, _| !inner);
    for predicate in [
        col("secret").eq(lit(1_i32)),
        col("flag"),
        col("secret").is_null(),
        col("n").eq(lit(1_i32)).and(col("secret").gt(lit(0_i32))),
        (lit(1_i32) / (col("n") - lit(100_000_i32))).eq(lit(1_i32)),
        cast(col("s"), DataType::Int32).gt(lit(0_i32)),
        try_cast(col("s"), DataType::Int32).gt(lit(0_i32)),
        col("n").eq(lit(1_i64)),
        col("n").eq(cast(lit("1"), DataType::Int32)),
        col("n").eq(col("secret")),
        col("n").eq(col("n")),
        col("s").like(lit("%x%")),
        lower(col("s")).eq(lit("x")),
        (col("n") + lit(1_i32)).eq(lit(1_i32)),
        random().lt(lit(0.5)),
        lit(true),
        lit(1_i32).eq(lit(1_i32)),
        col("gone").eq(lit(1_i32)),
        col("s"),
        deep,
    ] {
        assert!(!allowed(&predicate), "{predicate}");
    }
}
