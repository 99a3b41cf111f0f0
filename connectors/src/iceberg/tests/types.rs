//! Types and transforms of format version 3, and transforms that nobody here knows.

use crate::iceberg::fixture::deletes::partition;
use crate::iceberg::fixture::{Lake, column, schema};
use ::iceberg::spec::{DataContentType, FormatVersion, Literal, PrimitiveType, Transform};
use arrow::datatypes::DataType;

/// Instants around 1970, to the nanosecond, and what they are called.
const INSTANTS: [(i64, &str); 4] = [
    (-1, "1969-12-31T23:59:59.999999999"),
    (1, "1970-01-01T00:00:00.000000001"),
    (3_600_000_000_001, "1970-01-01T01:00:00.000000001"),
    (1_600_000_000_123_456_789, "2020-09-13T12:26:40.123456789"),
];

#[tokio::test]
async fn nanoseconds_are_read_and_pruned_by_under_every_transform() {
    let by = [
        None,
        Some(Transform::Hour),
        Some(Transform::Day),
        Some(Transform::Month),
        Some(Transform::Year),
    ];
    for by in by {
        let lake = Lake::new().await;
        let fields = [
            column(1, "t", PrimitiveType::TimestampNs),
            column(2, "z", PrimitiveType::TimestamptzNs),
        ];
        let by: Vec<_> = by.into_iter().map(|by| (1, by)).collect();
        lake.create_version("t", schema(fields), &by, FormatVersion::V3)
            .await;
        let values = INSTANTS.map(|(nanos, _)| {
            format!("(arrow_cast({nanos}, 'Timestamp(Nanosecond, None)'), arrow_cast({nanos}, 'Timestamp(Nanosecond, Some(\"UTC\"))'))")
        });
        lake.append("t", &format!("VALUES {}", values.join(", "))).await;
        let rows = INSTANTS.map(|(_, name)| format!("{name},{name}Z")).join("\n");
        assert_eq!(
            lake.ask("t", "SELECT t, z FROM t ORDER BY t").await,
            rows,
            "{by:?}"
        );
        for (place, (nanos, name)) in INSTANTS.iter().enumerate() {
            for (predicate, count) in [
                (
                    format!("t = arrow_cast({nanos}, 'Timestamp(Nanosecond, None)')"),
                    1,
                ),
                (format!("t < TIMESTAMP '{name}'"), place),
                (format!("z >= TIMESTAMP '{name}Z'"), 4 - place),
            ] {
                let sql = format!("SELECT count(*) FROM t WHERE {predicate}");
                assert_eq!(lake.ask("t", &sql).await, count.to_string(), "{predicate} {by:?}");
            }
        }
        assert_eq!(lake.ask("t", "SELECT max(t) FROM t").await, INSTANTS[3].1);
    }
}

#[tokio::test]
async fn uuids_are_sixteen_bytes() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "u", PrimitiveType::Uuid)]))
        .await;
    let uuid =
        |last: &str| format!("arrow_cast(X'0000000000000000000000000000000{last}', 'FixedSizeBinary(16)')");
    lake.append("t", &format!("VALUES ({}), ({})", uuid("1"), uuid("2")))
        .await;
    let table = lake.table("t", None).await;
    assert_eq!(*table.schema.field(0).data_type(), DataType::FixedSizeBinary(16));
    let sql = format!("SELECT u FROM t WHERE u = {}", uuid("2"));
    assert_eq!(lake.ask("t", &sql).await, "00000000000000000000000000000002");
}

#[tokio::test]
async fn an_unknown_transform_prunes_nothing() {
    let lake = Lake::new().await;
    lake.create_partitioned(
        "t",
        schema([column(1, "a", PrimitiveType::Long)]),
        &[(1, Transform::Unknown)],
    )
    .await;
    let fields = || vec![crate::iceberg::fixture::deletes::field(1, "a", DataType::Int64)];
    for (value, sql) in [("x", "VALUES (1), (2)"), ("y", "VALUES (3)")] {
        let file = lake.write_query("t", fields(), sql).await;
        let mut file = file.file(DataContentType::Data);
        file.partition(partition(vec![Some(Literal::string(value))]));
        lake.commit_files("t", vec![file.build().unwrap()]).await;
    }
    for (predicate, rows) in [("a = 1", 1), ("a > 1", 2), ("a IS NULL", 0), ("a IN (2, 3)", 2)] {
        let sql = format!("SELECT count(*) FROM t WHERE {predicate}");
        assert_eq!(lake.ask("t", &sql).await, rows.to_string(), "{predicate}");
    }
}
