//! Predicates: what goes down means the same there, what does not stays above, and none is lost.
//!
//! Each claim of the matrix is asked three ways and must give the same rows: by the server alone (pushed), by the engine
//! alone (the same rows without the pushdown), and it must show in the statement.

use crate::postgres::fixture::{Database, ask, context, remote_plan, remote_sql, try_ask};
use datafusion::datasource::MemTable;
use datafusion::prelude::SessionContext;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as TestConfig, RngAlgorithm, TestRng, TestRunner};
use std::sync::Arc;

const SETUP: &str = "
CREATE COLLATION blind (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE t (n int, b bool, b2 bool, i2 int2, i4 int4, i4b int4, i8 int8, d numeric(12, 3), d2 numeric(12, 3), day date,
  day2 date, ts timestamp, tz timestamptz, u uuid, x text, v varchar(9), y text COLLATE blind, c char(3), f float8, j jsonb);
INSERT INTO t VALUES
 (0, true, false, 1, 10, 10, 100, 1.500, 1.5, '2020-01-01', '2020-01-01', '2020-01-01 00:00:00', '2020-01-01 00:00:00+00',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'a', 'a', 'a', 'a', 0.0, '{}'),
 (1, false, false, -32768, -2147483648, 10, -9223372036854775808, -999999999.999, 0, '0001-01-01', '2020-01-01',
  '0001-01-01 00:00:00', '0001-01-01 00:00:00+00', '00000000-0000-0000-0000-000000000000', 'A', 'A', 'A', 'A', '-0.0', '1'),
 (2, NULL, true, 32767, 2147483647, NULL, 9223372036854775807, 999999999.999, 999999999.999, '9999-12-31', NULL,
  '9999-12-31 23:59:59.999999', '9999-12-31 23:59:59.999999+00', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'a ', 'a ', 'ä', 'a ',
  'NaN', 'null'),
 (3, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL),
 (4, true, true, 0, 0, 0, 0, 0, 0, '1970-01-01', '1969-12-31', '1969-12-31 23:59:59.999999', '1970-01-01 00:00:00.000001+00',
  'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12', 'a''b\\c$1', '', 'b', 'zz', 'Infinity', '[]');
ANALYZE t";

/// The table as the source gives it, and the same rows kept by the engine, as `t` and `kept`.
async fn both(db: &Database) -> SessionContext {
    db.run(SETUP).await;
    let context = context(&db.source(), &["t"]).await;
    let rows = try_ask(&context, "SELECT * FROM t").await.unwrap();
    let kept = MemTable::try_new(rows[0].schema(), vec![rows]).unwrap();
    context.register_table("kept", Arc::new(kept)).unwrap();
    context
}

/// The numbers of the rows that a predicate keeps, which must be those that the engine keeps.
async fn kept(context: &SessionContext, predicate: &str) -> String {
    let pushed = ask(context, &format!("SELECT n FROM t WHERE {predicate} ORDER BY n")).await;
    let own = ask(
        context,
        &format!("SELECT n FROM kept WHERE {predicate} ORDER BY n"),
    )
    .await;
    assert_eq!(pushed, own, "{predicate}");
    pushed
}

/// Predicates that go down whole.
const PUSHED: [&str; 62] = [
    "i2 = 1",
    "d >= CAST(0 AS DECIMAL(12, 3))",
    "b",
    "NOT b",
    "b = true",
    "b < true",
    "b = b2",
    "i2 = arrow_cast(1, 'Int16')",
    "i2 < arrow_cast(0, 'Int16')",
    "i4 = 10",
    "i4 <> 10",
    "10 < i4",
    "i4 >= -2147483648",
    "i4 = i4b",
    "i4 < i4b",
    "NOT (i4 = i4b)",
    "i8 = 9223372036854775807",
    "i8 <= -9223372036854775808",
    "i4 BETWEEN 0 AND 10",
    "i4 NOT BETWEEN 0 AND 10",
    "i4 IN (0, 10, 7, 8, 9)",
    "i4 NOT IN (0, 10, 7, 8, 9)",
    "d = arrow_cast('1.5', 'Decimal128(12, 3)')",
    "d > arrow_cast('-0.001', 'Decimal128(12, 3)')",
    "d = d2",
    "day = DATE '2020-01-01'",
    "day < DATE '1970-01-02'",
    "day >= DATE '0001-01-01'",
    "day <= day2",
    "ts = arrow_cast('1969-12-31T23:59:59.999999', 'Timestamp(Microsecond, None)')",
    "ts < arrow_cast('2020-01-01T00:00:00.000001', 'Timestamp(Microsecond, None)')",
    "tz > arrow_cast('1970-01-01T00:00:00Z', 'Timestamp(Microsecond, Some(\"UTC\"))')",
    "u = 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    "u > 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'",
    "u IN ('a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', 'ffffffff-ffff-ffff-ffff-ffffffffffff', '00000000-0000-0000-0000-000000000000', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a12')",
    "x = 'a'",
    "x <> 'a'",
    "x = 'a''b\\c$1'",
    "v = ''",
    "y = 'a'",
    "y <> 'a'",
    "y IN ('a', 'b', 'c', 'd')",
    "y NOT IN ('a', 'b', 'c', 'd')",
    "x < 'b'",
    "x >= 'a '",
    "y > 'A'",
    "x BETWEEN 'A' AND 'a'",
    "x = y",
    "x < y",
    "v <> x",
    "x LIKE 'a%'",
    "x NOT LIKE 'a%'",
    "x LIKE '_'",
    "y LIKE '_'",
    "x LIKE '%$1'",
    "v LIKE ''",
    "NOT (x LIKE '%a%' AND b)",
    "x IS NULL",
    "f IS NOT NULL",
    "i4 = 10 OR x IS NULL AND b",
    "NOT (i4 = 10 AND (x = 'A' OR b))",
    "(i4 > 0 OR b2) AND NOT (day < DATE '2000-01-01')",
];

#[tokio::test]
async fn what_is_exact_goes_down_and_means_the_same() {
    let db = Database::new().await;
    let context = both(&db).await;
    for predicate in PUSHED {
        kept(&context, predicate).await;
        let query = format!("SELECT n FROM t WHERE {predicate}");
        let plan = remote_plan(&context, &query).await;
        assert!(!plan.contains("FilterExec"), "{predicate} stays above:\n{plan}");
        assert!(
            remote_sql(&context, &query).await.contains(" WHERE "),
            "{predicate}:\n{plan}"
        );
    }
}

/// Predicates that stay above whole, and a reason each: what would be wrong if they did not.
const KEPT: [(&str, &str); 13] = [
    ("f = 0.0", "the server takes -0.0 for it"),
    ("f > 1.0", "NaN"),
    ("c = 'a'", "blanks at its end"),
    ("x LIKE 'a\\%'", "escapes"),
    ("x ILIKE 'A%'", "letters by a locale"),
    ("upper(x) = 'A'", "letters by a locale"),
    ("i4 + 1 > 0", "it overflows elsewhere"),
    ("CAST(i4 AS DOUBLE) > 0.5", "casts"),
    ("u = 'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'", "no uuid prints so"),
    ("i4 = i8", "two types"),
    ("day < arrow_cast(2932897, 'Date32')", "a year of five digits"),
    ("j = '{}'", "json has no equality"),
    ("i4 IN (10, 11, 12, 13, i4b)", "a column in the list"),
];

#[tokio::test]
async fn what_is_not_exact_stays_above_and_is_not_lost() {
    let db = Database::new().await;
    let context = both(&db).await;
    for (predicate, why) in KEPT {
        let query = format!("SELECT n FROM t WHERE {predicate}");
        assert!(
            !remote_sql(&context, &query).await.contains("WHERE"),
            "{predicate}: {why}"
        );
        let plan = remote_plan(&context, &query).await;
        assert!(plan.contains("FilterExec"), "{predicate} is gone:\n{plan}");
        kept(&context, predicate).await;
    }
    let mixed = "SELECT n FROM t WHERE i4 = 10 AND f = 0.0";
    let plan = remote_plan(&context, mixed).await;
    assert!(
        plan.contains("FilterExec: f@") && remote_sql(&context, mixed).await.contains("(c4 = "),
        "{plan}"
    );
    assert_eq!(kept(&context, "i4 = 10 AND f = 0.0").await, "0");
}

#[tokio::test]
async fn a_time_as_people_write_it_goes_down() {
    let db = Database::new().await;
    db.run("CREATE TABLE t AS SELECT timestamp '2020-01-01 00:00:00' + i * interval '1 day' AS ts, i FROM generate_series(1, 9) i")
        .await;
    let context = context(&db.source(), &["t"]).await;
    let query = "SELECT i FROM t WHERE ts < TIMESTAMP '2020-01-03 00:00:00'";
    let sql = remote_sql(&context, query).await;
    assert!(sql.contains("c0 < "), "{sql}");
    assert_eq!(ask(&context, query).await, "1");
}

#[tokio::test]
async fn filters_over_joins_and_limits_stay_right() {
    let db = Database::new().await;
    let context = both(&db).await;
    let join = |kind: &str, left: &str, right: &str, tail: &str| {
        format!("SELECT a.n, b.n FROM {left} a {kind} JOIN {right} b ON a.i4b = b.i4 {tail} ORDER BY 1, 2")
    };
    for kind in ["INNER", "LEFT", "RIGHT", "FULL"] {
        for tail in [
            "WHERE a.i4 > 0",
            "WHERE b.b",
            "WHERE a.x = 'a' AND b.d < 2",
            "AND a.n > 0",
            "AND b.x = 'A'",
        ] {
            let expected = ask(&context, &join(kind, "kept", "kept", tail)).await;
            for (left, right) in [("t", "kept"), ("kept", "t"), ("t", "t")] {
                let found = ask(&context, &join(kind, left, right, tail)).await;
                assert_eq!(found, expected, "{kind} {left} {right} {tail}");
            }
        }
    }
    for word in ["IN", "NOT IN"] {
        let query = |table: &str| {
            format!(
                "SELECT n FROM {table} WHERE i4 {word} (SELECT i4b FROM {table} WHERE b2 IS NOT NULL) ORDER BY n"
            )
        };
        assert_eq!(
            ask(&context, &query("t")).await,
            ask(&context, &query("kept")).await,
            "{word}"
        );
    }
    let sql = remote_sql(&context, "SELECT n FROM t WHERE i4 = 10 LIMIT 1").await;
    assert!(sql.ends_with(" LIMIT 1"), "{sql}");
    let sql = remote_sql(&context, "SELECT n FROM t WHERE f = 0.0 LIMIT 1").await;
    assert!(!sql.contains("LIMIT"), "a limit below a filter loses rows: {sql}");
    assert_eq!(
        ask(&context, "SELECT n FROM t WHERE f = 'Infinity' LIMIT 1").await,
        "4"
    );
    assert_eq!(ask(&context, "SELECT count(*) FROM t WHERE i4 = 10").await, "1");
    assert_eq!(
        ask(&context, "SELECT count(*) FROM t").await,
        "5",
        "an estimate is no count"
    );
}

/// Predicates at random over the columns of `t`.
fn predicate() -> impl Strategy<Value = String> {
    let int = prop_oneof![
        Just("0"),
        Just("10"),
        Just("2147483647"),
        Just("-2147483648"),
        Just("7")
    ];
    let text = prop_oneof![
        Just("a"),
        Just("A"),
        Just("a "),
        Just("ä"),
        Just(""),
        Just("a''b\\c$1"),
        Just("é\u{2028}")
    ];
    let day = prop_oneof![
        Just("2020-01-01"),
        Just("1970-01-01"),
        Just("0001-01-01"),
        Just("9999-12-31")
    ];
    let op = prop_oneof![
        Just("="),
        Just("<>"),
        Just("<"),
        Just("<="),
        Just(">"),
        Just(">=")
    ];
    let leaf = prop_oneof![
        (
            prop_oneof![Just("i4"), Just("i4b"), Just("n")],
            op.clone(),
            int.clone()
        )
            .prop_map(|(c, o, v)| format!("{c} {o} {v}")),
        (
            prop_oneof![Just("x"), Just("v"), Just("y"), Just("c")],
            op.clone(),
            text.clone()
        )
            .prop_map(|(c, o, v)| format!("{c} {o} '{v}'")),
        (op.clone(), day).prop_map(|(o, v)| format!("day {o} DATE '{v}'")),
        (op.clone(), int.clone()).prop_map(|(o, v)| format!("d {o} {v}")),
        op.clone().prop_map(|o| format!("i4 {o} i4b")),
        op.prop_map(|o| format!("f {o} 0.0")),
        prop_oneof![
            Just("b"),
            Just("b2"),
            Just("b IS NULL"),
            Just("u IS NOT NULL"),
            Just("c IS NULL"),
            Just("b = b2")
        ]
        .prop_map(str::to_owned),
        prop::collection::vec(int, 1..6).prop_map(|v| format!("i4 IN ({})", v.join(", "))),
        prop::collection::vec(text, 1..6).prop_map(|v| format!("y NOT IN ('{}')", v.join("', '"))),
    ];
    leaf.prop_recursive(4, 16, 2, |inner| {
        prop_oneof![
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} AND {b})")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("({a} OR {b})")),
            inner.prop_map(|a| format!("NOT ({a})")),
        ]
    })
}

#[tokio::test]
async fn random_predicates_keep_the_rows_that_the_engine_keeps() {
    let db = Database::new().await;
    let context = both(&db).await;
    let seed: [u8; 32] = *uuid::Uuid::new_v4().as_bytes().repeat(2).first_chunk().unwrap();
    println!("seed {seed:?}");
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(TestConfig::default(), rng);
    let mut pushed = 0;
    for _ in 0..200 {
        let predicate = predicate().new_tree(&mut runner).unwrap().current();
        kept(&context, &predicate).await;
        let plan = remote_plan(&context, &format!("SELECT n FROM t WHERE {predicate}")).await;
        pushed += usize::from(plan.contains(" WHERE "));
    }
    assert!(pushed > 20, "only {pushed} of 200 went down in part or whole");
}
