//! Names and values of every shape reach the server as they are, bound and as literals.

use crate::Connector;
use crate::postgres::fixture::{Database, ask, context, open};
use crate::postgres::sql::Sql;
use crate::postgres::value::ValueType;
use datafusion::common::ScalarValue;
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config as TestConfig, RngAlgorithm, TestRng, TestRunner};

fn runner() -> TestRunner {
    let seed: [u8; 32] = *uuid::Uuid::new_v4().as_bytes().repeat(2).first_chunk().unwrap();
    println!("seed {seed:?}");
    TestRunner::new_with_rng(
        TestConfig::default(),
        TestRng::from_seed(RngAlgorithm::ChaCha, &seed),
    )
}

/// Texts made of what breaks quoting.
fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        Just("'".to_owned()),
        Just("\\".to_owned()),
        Just("\"".to_owned()),
        Just("''".to_owned()),
        Just("$1".to_owned()),
        Just("$$".to_owned()),
        Just("--".to_owned()),
        Just("/*".to_owned()),
        Just(";".to_owned()),
        Just("\n".to_owned()),
        Just("\u{2028}".to_owned()),
        Just("{".to_owned()),
        Just(",".to_owned()),
        Just("NULL".to_owned()),
        Just("?".to_owned()),
        Just(" OR true --".to_owned()),
        Just("E'".to_owned()),
        "[^\u{0}]{1,3}",
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

#[tokio::test]
async fn a_text_comes_back_as_it_was_sent() {
    let db = Database::new().await;
    let mut runner = runner();
    for _ in 0..300 {
        let sent = text().new_tree(&mut runner).unwrap().current();
        let value = ScalarValue::from(sent.as_str());
        let mut sql = Sql::word("SELECT ");
        sql.value(&value, ValueType::Text).unwrap();
        sql.push(" AS one, ")
            .array(&[value.clone(), value], ValueType::Text)
            .unwrap();
        let check = |row: &tokio_postgres::Row, how: &str| {
            assert_eq!(row.get::<_, String>(0), sent, "{how}");
            assert_eq!(row.get::<_, Vec<String>>(1), [sent.as_str(), &sent], "{how}");
        };
        check(&db.admin.query_one(&sql.inlined(), &[]).await.unwrap(), "literal");
        let (words, values) = sql.bound();
        let values: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = values.iter().map(|v| v as _).collect();
        check(&db.admin.query_one(&words, &values).await.unwrap(), "bound");
    }
}

#[tokio::test]
async fn a_name_is_the_name_that_it_is() {
    let db = Database::new().await;
    let mut runner = runner();
    for number in 0..40 {
        let mut name = text().new_tree(&mut runner).unwrap().current();
        // As many bytes as a name may have, and at least one.
        while name.len() > 63 {
            name.pop();
        }
        if name.is_empty() {
            name = "é".repeat(31) + "x";
        }
        let quoted = format!("\"{}\"", name.replace('"', "\"\""));
        db.run(&format!(
            "DROP SCHEMA IF EXISTS s CASCADE; DROP SCHEMA IF EXISTS {quoted} CASCADE; CREATE SCHEMA {quoted};
             CREATE TABLE {quoted}.{quoted} ({quoted} int); INSERT INTO {quoted}.{quoted} VALUES ({number})"
        ))
        .await;
        let source = open(&db.config());
        let found = source
            .table(&name, &name, None)
            .await
            .unwrap()
            .unwrap_or_else(|| panic!("no {name:?}"));
        assert_eq!(found.schema.field(0).name(), &name);
        let context = context(&source, &[]).await;
        context.register_table("it", found.provider).unwrap();
        assert_eq!(
            ask(&context, "SELECT * FROM it").await,
            number.to_string(),
            "{name:?}"
        );
        db.run(&format!("DROP SCHEMA {quoted} CASCADE")).await;
    }
}

#[tokio::test]
async fn every_value_reads_back_as_itself() {
    let db = Database::new().await;
    let values = [
        (ScalarValue::from(true), ValueType::Bool, "t"),
        (ScalarValue::from(i16::MIN), ValueType::Int2, "-32768"),
        (ScalarValue::from(i32::MIN), ValueType::Int4, "-2147483648"),
        (
            ScalarValue::from(i64::MIN),
            ValueType::Int8,
            "-9223372036854775808",
        ),
        (
            ScalarValue::Decimal128(Some(-1), 38, 38),
            ValueType::Numeric,
            "-0.00000000000000000000000000000000000001",
        ),
        (ScalarValue::Date32(Some(-719_162)), ValueType::Date, "0001-01-01"),
        (
            ScalarValue::Date32(Some(2_932_896)),
            ValueType::Date,
            "9999-12-31",
        ),
        (
            ScalarValue::TimestampMicrosecond(Some(-1), None),
            ValueType::Timestamp,
            "1969-12-31 23:59:59.999999",
        ),
        (
            ScalarValue::TimestampMicrosecond(Some(1), Some("UTC".into())),
            ValueType::Timestamptz,
            "1970-01-01 00:00:00.000001+00",
        ),
    ];
    db.run("SET TimeZone = 'UTC'").await;
    for (value, of, expected) in values {
        let mut sql = Sql::word("SELECT ");
        sql.value(&value, of).unwrap();
        assert_eq!(db.value(&sql.inlined()).await.as_deref(), Some(expected));
    }
}

#[tokio::test]
async fn a_value_is_in_no_plan_and_no_message() {
    let db = Database::new().await;
    db.run("CREATE TABLE t (a text); INSERT INTO t VALUES ('x')")
        .await;
    let context = context(&db.source(), &["t"]).await;
    let plan = crate::postgres::fixture::remote_sql(&context, "SELECT a FROM t WHERE a = 'S3CRET'").await;
    assert!(plan.contains("$1") && !plan.contains("S3CRET"), "{plan}");
}
