//! The connector over real tables, by what a query answers.

mod blooms;
mod damage;
mod deletes;
mod equality;
mod evolution;
mod foreign;
mod history;
mod law;
mod model;
mod naming;
mod nested;
mod partitions;
mod pruning;
mod types;

use super::fixture::{Lake, SCHEMA, answer, column, printed, register, schema};
use crate::{Connector, Error, ErrorKind, TableEntry, TableKind, Version};
use ::iceberg::spec::{NestedField, PrimitiveType, Schema, Type};
use datafusion::prelude::SessionContext;

#[tokio::test]
async fn a_table_is_listed_and_read() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Int),
            column(2, "b", PrimitiveType::String),
        ]),
    )
    .await;
    lake.append("t", "VALUES (1, 'x'), (2, NULL)").await;
    assert_eq!(lake.source.schemas().await.unwrap(), [SCHEMA]);
    let entry = TableEntry {
        schema: SCHEMA.into(),
        name: "t".into(),
        kind: TableKind::Table,
    };
    assert_eq!(lake.source.tables().await.unwrap(), [entry]);
    assert_eq!(lake.ask("t", "SELECT * FROM t ORDER BY a").await, "1,x\n2,");
    lake.source.check().await.unwrap();
}

/// Every primitive type with its Arrow type and a predicate that the one row meets and that reaches the file.
fn primitives() -> Vec<(PrimitiveType, &'static str, &'static str)> {
    use PrimitiveType as P;
    vec![
        (P::Boolean, "Boolean", "c1"),
        (P::Int, "Int32", "c2 = 1"),
        (P::Long, "Int64", "c3 > 1"),
        (P::Float, "Float32", "c4 < 2"),
        (P::Double, "Float64", "c5 >= 2.5"),
        (
            P::Decimal {
                precision: 12,
                scale: 2,
            },
            "Decimal128(12, 2)",
            "c6 = 3.25",
        ),
        (P::Date, "Date32", "c7 < DATE '2020-03-01'"),
        (
            P::Time,
            "Time64(µs)",
            "c8 > arrow_cast('01:00:00', 'Time64(Microsecond)')",
        ),
        (
            P::Timestamp,
            "Timestamp(µs)",
            "c9 > TIMESTAMP '2020-01-01 00:00:00'",
        ),
        (
            P::Timestamptz,
            "Timestamp(µs, \"UTC\")",
            "c10 = TIMESTAMP '2020-01-01 00:00:00Z'",
        ),
        (P::String, "Utf8View", "c11 = 'é'"),
        (P::Binary, "BinaryView", "c12 = X'00ff'"),
        (P::Fixed(2), "FixedSizeBinary(2)", "c13 IS NOT NULL"),
    ]
}

#[tokio::test]
async fn every_primitive_type_comes_back_as_it_was() {
    let lake = Lake::new().await;
    let fields = primitives()
        .into_iter()
        .zip(1..)
        .map(|((of, _, _), id)| column(id, &format!("c{id}"), of));
    lake.create("t", schema(fields)).await;
    lake.append(
        "t",
        "SELECT true, 1, 2, 1.5, 2.5, 3.25, DATE '2020-02-29', TIME '01:02:03', TIMESTAMP '2020-01-01 00:00:00.000001',
         TIMESTAMP '2020-01-01 00:00:00', 'é', X'00ff', X'0102'",
    )
    .await;
    let table = lake.table("t", None).await;
    let row = "true,1,2,1.5,2.5,3.25,2020-02-29,01:02:03,2020-01-01T00:00:00.000001,2020-01-01T00:00:00Z,é,00ff,0102";
    assert_eq!(lake.ask("t", "SELECT * FROM t").await, row);
    for (field, (_, name, predicate)) in table.schema.fields().iter().zip(primitives()) {
        assert_eq!(field.data_type().to_string(), name);
        let answer = lake
            .ask("t", &format!("SELECT count(*) FROM t WHERE {predicate}"))
            .await;
        assert_eq!(answer, "1", "{predicate}");
    }
}

#[tokio::test]
async fn nested_columns_are_read() {
    let lake = Lake::new().await;
    let list = ::iceberg::spec::ListType::new(
        NestedField::list_element(2, Type::Primitive(PrimitiveType::String), true).into(),
    );
    let pair = ::iceberg::spec::StructType::new(vec![
        column(4, "x", PrimitiveType::Int),
        column(5, "y", PrimitiveType::String),
    ]);
    lake.create(
        "t",
        schema([
            NestedField::optional(1, "tags", Type::List(list)).into(),
            NestedField::optional(3, "pair", Type::Struct(pair)).into(),
        ]),
    )
    .await;
    lake.append("t", "SELECT make_array('a', 'b'), named_struct('x', 7, 'y', 'z')")
        .await;
    assert_eq!(
        lake.ask("t", "SELECT tags, pair['x'], pair['y'] FROM t").await,
        "[a, b],7,z"
    );
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM t WHERE pair['x'] = 7").await,
        "1"
    );
}

#[tokio::test]
async fn comments_and_keys_are_told() {
    let lake = Lake::new().await;
    let id = NestedField::required(1, "id", Type::Primitive(PrimitiveType::Long)).with_doc("the key");
    let fields = Schema::builder()
        .with_fields([id.into(), column(2, "b", PrimitiveType::Int)])
        .with_identifier_field_ids([1])
        .build()
        .unwrap();
    lake.create("t", fields).await;
    lake.change("t", |metadata| {
        metadata
            .set_properties([("comment".to_owned(), "all of it".to_owned())].into())
            .unwrap()
    })
    .await;
    let table = lake.table("t", None).await;
    assert_eq!(table.comment.as_deref(), Some("all of it"));
    assert_eq!(table.primary_key, ["id"]);
    assert!(!table.schema.field(0).is_nullable());
    assert_eq!(table.schema.field(0).metadata()[super::COMMENT_KEY], "the key");
    assert_eq!(table.schema.field(0).metadata()[super::FIELD_ID_KEY], "1");
}

#[tokio::test]
async fn a_table_without_a_snapshot_is_empty() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    let table = lake.table("t", None).await;
    assert_eq!(table.version.as_str(), "empty");
    assert_eq!(lake.ask("t", "SELECT count(*), max(a) FROM t").await, "0,");
    lake.append("t", "SELECT 1").await;
    let context = SessionContext::new();
    register(&context, "t", &lake.table("t", Some(&table.version)).await);
    let rows = answer(&context, "SELECT count(*) FROM t").await;
    assert_eq!(printed(&rows), "0", "the pin keeps the table empty");
}

#[tokio::test]
async fn a_pin_reads_its_snapshot_and_no_pin_the_newest() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    lake.append("t", "VALUES (1), (2)").await;
    let first = lake.table("t", None).await;
    lake.append("t", "VALUES (3)").await;
    let second = lake.table("t", None).await;
    assert_ne!(first.version, second.version);
    let context = SessionContext::new();
    register(&context, "old", &lake.table("t", Some(&first.version)).await);
    register(&context, "new", &lake.table("t", Some(&second.version)).await);
    let sql = "SELECT (SELECT count(*) FROM old) AS x, (SELECT count(*) FROM new) AS y, (SELECT sum(a) FROM old) AS z";
    assert_eq!(printed(&answer(&context, sql).await), "2,3,3");
}

#[tokio::test]
async fn a_pin_that_is_gone_says_so() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    for version in ["7", "x", "", "7:x", "empty:9"] {
        let error = lake
            .source
            .table(SCHEMA, "t", Some(&Version::new(version)))
            .await
            .unwrap_err();
        assert_eq!(error.kind(), ErrorKind::VersionGone, "{version}");
        assert!(matches!(error, Error::VersionGone { ref table, .. } if table == "gold.t"));
    }
}

#[tokio::test]
async fn counts_and_bounds_are_answered_right() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Long),
            column(2, "s", PrimitiveType::String),
            column(3, "d", PrimitiveType::Double),
        ]),
    )
    .await;
    let long = "z".repeat(200);
    lake.append(
        "t",
        &format!("VALUES (5, '{long}', 1.5), (NULL, 'b', 'NaN'::double)"),
    )
    .await;
    lake.append("t", "VALUES (-3, NULL, -0.0), (9, 'a', 0.0)").await;
    assert_eq!(
        lake.ask("t", "SELECT count(*), count(a), count(s), min(a), max(a) FROM t")
            .await,
        "4,3,3,-3,9"
    );
    assert_eq!(
        lake.ask("t", "SELECT min(s), max(s) FROM t").await,
        format!("a,{long}")
    );
    assert_eq!(lake.ask("t", "SELECT max(d) FROM t").await, "NaN");
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE a > 0").await, "2");
    let plan = lake.ask("t", "EXPLAIN SELECT count(*), min(a) FROM t").await;
    assert!(
        !plan.contains("DataSourceExec"),
        "answered from the manifest: {plan}"
    );
    let plan = lake.ask("t", "EXPLAIN SELECT min(s) FROM t").await;
    assert!(
        plan.contains("DataSourceExec"),
        "a cut bound is no answer: {plan}"
    );
}

#[tokio::test]
async fn a_limit_reads_few_files_and_gives_its_rows() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Long)]))
        .await;
    for part in 0..5 {
        lake.append(
            "t",
            &format!(
                "SELECT value FROM generate_series({}, {})",
                part * 10,
                part * 10 + 9
            ),
        )
        .await;
    }
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM (SELECT * FROM t LIMIT 15)")
            .await,
        "15"
    );
    assert_eq!(
        lake.ask(
            "t",
            "SELECT count(*) FROM (SELECT * FROM t WHERE a >= 5 LIMIT 40)"
        )
        .await,
        "40"
    );
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM (SELECT * FROM t LIMIT 5 OFFSET 48)")
            .await,
        "2"
    );
    let plan = lake.ask("t", "EXPLAIN SELECT * FROM t LIMIT 15").await;
    assert_eq!(plan.matches(".parquet").count(), 2, "{plan}");
}
