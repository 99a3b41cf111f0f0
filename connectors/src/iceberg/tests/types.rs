//! Types and transforms of format version 3, and transforms that nobody here knows.

use crate::iceberg::fixture::deletes::{field, partition};
use crate::iceberg::fixture::{Lake, column, schema};
use ::iceberg::spec::{DataContentType, FormatVersion, Literal, PrimitiveType, Transform};
use arrow::datatypes::{DataType, TimeUnit};

/// Instants around 1970, to the nanosecond, and what they are called.
const INSTANTS: [(i64, &str); 4] = [
    (-1, "1969-12-31T23:59:59.999999999"),
    (1, "1970-01-01T00:00:00.000000001"),
    (3_600_000_000_001, "1970-01-01T01:00:00.000000001"),
    (1_600_000_000_123_456_789, "2020-09-13T12:26:40.123456789"),
];

/// The partition of an instant; Iceberg's own writer does not know nanoseconds here.
fn value(by: Transform, nanos: i64) -> Literal {
    let hours = nanos.div_euclid(3_600_000_000_000) as i32;
    let year = if nanos < 0 {
        -1
    } else if nanos < 1_000_000_000_000_000 {
        0
    } else {
        50
    };
    match by {
        Transform::Hour => Literal::int(hours),
        Transform::Day => Literal::date(hours.div_euclid(24)),
        Transform::Month => Literal::int(if year == 50 { 50 * 12 + 8 } else { year }),
        _ => Literal::int(year),
    }
}

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
        let spec: Vec<_> = by.into_iter().map(|by| (1, by)).collect();
        lake.create_version("t", schema(fields), &spec, FormatVersion::V3)
            .await;
        let row = |nanos: i64| {
            format!(
                "VALUES (arrow_cast({nanos}, 'Timestamp(Nanosecond, None)'), arrow_cast({nanos}, 'Timestamp(Nanosecond, Some(\"UTC\"))'))"
            )
        };
        for (nanos, _) in INSTANTS {
            let Some(by) = by else {
                lake.append("t", &row(nanos)).await;
                continue;
            };
            let zone = DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into()));
            let fields = vec![
                field(1, "t", DataType::Timestamp(TimeUnit::Nanosecond, None)),
                field(2, "z", zone),
            ];
            let file = lake.write_query("t", fields, &row(nanos)).await;
            let mut file = file.file(DataContentType::Data);
            file.partition(partition(vec![Some(value(by, nanos))]));
            lake.commit_files("t", vec![file.build().unwrap()]).await;
        }
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
    let fields = || vec![field(1, "a", DataType::Int64)];
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
