//! Deletes by key: exactly the older rows whose key is equal go, whatever the query reads.

use crate::Error;
use crate::iceberg::fixture::deletes::{field, partition};
use crate::iceberg::fixture::{Lake, column, schema};
use ::iceberg::spec::{Literal, PrimitiveType, Transform};
use arrow::datatypes::DataType;

/// `a` 0 to 1999 over four row groups, `k` = a % 10 with NULL for 9, `s` a text.
async fn lake() -> Lake {
    let lake = Lake::new().await;
    let fields = [
        column(1, "a", PrimitiveType::Long),
        column(2, "k", PrimitiveType::Int),
        column(3, "s", PrimitiveType::String),
    ];
    lake.create("t", schema(fields)).await;
    lake.append("t", ROWS).await;
    lake
}

const ROWS: &str =
    "SELECT value, CASE WHEN value % 10 = 9 THEN NULL ELSE value % 10 END, concat('s', value % 3)
                    FROM generate_series(0, 1999)";

fn k() -> arrow::datatypes::Field {
    field(2, "k", DataType::Int32)
}

#[tokio::test]
async fn rows_with_a_deleted_key_are_gone_from_every_query() {
    let lake = lake().await;
    lake.delete_keys("t", vec![k()], "VALUES (3), (4), (3), (77)")
        .await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t").await, "1600");
    // The key is not among the columns read.
    assert_eq!(
        lake.ask("t", "SELECT min(a), max(a), count(s) FROM t WHERE a > 3")
            .await,
        "5,1999,1597"
    );
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE k = 3").await, "0");
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE k = 5").await, "200");
    assert_eq!(
        lake.ask(
            "t",
            "SELECT count(*) FROM (SELECT a FROM t WHERE a >= 0 LIMIT 1500)"
        )
        .await,
        "1500"
    );
    assert_eq!(
        lake.ask("t", "SELECT * FROM t ORDER BY a LIMIT 1 OFFSET 3").await,
        "5,5,s2"
    );
}

#[tokio::test]
async fn null_equals_null() {
    let lake = lake().await;
    lake.delete_keys("t", vec![k()], "SELECT NULL::int").await;
    assert_eq!(
        lake.ask("t", "SELECT count(*), count(k) FROM t").await,
        "1800,1800"
    );
    lake.delete_keys(
        "t",
        vec![k(), field(3, "s", DataType::Utf8)],
        "VALUES (1, NULL), (0, 's0')",
    )
    .await;
    // Of the 200 rows with k = 0 those with s = 's0'; none has k = 1 and no s.
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE k <= 1").await, "333");
}

#[tokio::test]
async fn nan_equals_nan() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "x", PrimitiveType::Double),
            column(2, "y", PrimitiveType::Float),
        ]),
    )
    .await;
    lake.append(
        "t",
        "VALUES ('NaN'::double, 1.0), (1.5, 'NaN'::double), (2.5, 2.0)",
    )
    .await;
    let x = field(1, "x", DataType::Float64);
    lake.delete_keys("t", vec![x], "SELECT -('NaN'::double)").await;
    assert_eq!(lake.ask("t", "SELECT x FROM t ORDER BY x").await, "1.5\n2.5");
    lake.delete_keys(
        "t",
        vec![field(2, "y", DataType::Float32)],
        "SELECT 'NaN'::double",
    )
    .await;
    assert_eq!(lake.ask("t", "SELECT x FROM t").await, "2.5");
}

#[tokio::test]
async fn a_key_counts_for_older_files_only() {
    // The data file has sequence number 1.
    for (sequence, rows) in [(0, 200), (1, 200), (2, 0)] {
        let lake = lake().await;
        let file = lake
            .write_keys("t", vec![k()], "VALUES (3)")
            .await
            .build()
            .unwrap();
        lake.commit_deletes("t", vec![(file, sequence)]).await;
        let sql = "SELECT count(*) FROM t WHERE k = 3";
        assert_eq!(lake.ask("t", sql).await, rows.to_string(), "{sequence}");
    }
    let lake = lake().await;
    lake.delete_keys("t", vec![k()], "VALUES (3)").await;
    lake.append("t", "VALUES (5000, 3, 'again')").await;
    assert_eq!(
        lake.ask("t", "SELECT a, s FROM t WHERE k = 3").await,
        "5000,again"
    );
    lake.delete_keys("t", vec![k()], "VALUES (3)").await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE k = 3").await, "0");
}

#[tokio::test]
async fn keys_follow_columns_through_rename_promotion_and_drop() {
    let lake = lake().await;
    lake.delete_keys("t", vec![k()], "VALUES (3)").await;
    lake.evolve(
        "t",
        [
            column(3, "k", PrimitiveType::String),
            column(2, "key", PrimitiveType::Long),
            column(1, "a", PrimitiveType::Long),
        ],
    )
    .await;
    lake.append("t", "VALUES ('x', 5000000000, 1), ('y', 3, 2)").await;
    assert_eq!(
        lake.ask("t", "SELECT count(*), count(*) FILTER (WHERE key = 3) FROM t")
            .await,
        "1802,1"
    );
    // An old writer's type and name, and the new one's.
    lake.delete_keys("t", vec![field(2, "old", DataType::Int32)], "VALUES (4)")
        .await;
    lake.delete_keys(
        "t",
        vec![field(2, "key", DataType::Int64)],
        "VALUES (5000000000), (5)",
    )
    .await;
    assert_eq!(
        lake.ask(
            "t",
            "SELECT count(*), count(*) FILTER (WHERE key IN (4, 5)) FROM t"
        )
        .await,
        "1401,0"
    );
    // A key that is no longer a column still deletes.
    lake.evolve("t", [column(1, "a", PrimitiveType::Long)]).await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t").await, "1401");
}

#[tokio::test]
async fn a_key_that_old_files_lack_is_null_in_them() {
    let lake = lake().await;
    lake.evolve(
        "t",
        [
            column(1, "a", PrimitiveType::Long),
            column(9, "n", PrimitiveType::Long),
        ],
    )
    .await;
    lake.append("t", "VALUES (5000, 1), (5001, NULL)").await;
    let n = || field(9, "n", DataType::Int64);
    lake.delete_keys("t", vec![n()], "SELECT 1::bigint").await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t").await, "2001");
    lake.delete_keys("t", vec![n()], "SELECT NULL::bigint").await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t").await, "0");
}

#[tokio::test]
async fn keys_count_within_their_partition() {
    let lake = Lake::new().await;
    let fields = [
        column(1, "p", PrimitiveType::Long),
        column(2, "k", PrimitiveType::Int),
    ];
    lake.create_partitioned("t", schema(fields), &[(1, Transform::Identity)])
        .await;
    lake.append("t", "VALUES (1, 3), (1, 4), (2, 3), (2, 4)").await;
    let mut file = lake.write_keys("t", vec![k()], "VALUES (3)").await;
    let file = file
        .partition(partition(vec![Some(Literal::long(1))]))
        .build()
        .unwrap();
    lake.commit_deletes("t", vec![(file, -1)]).await;
    assert_eq!(
        lake.ask("t", "SELECT p, k FROM t ORDER BY p, k").await,
        "1,4\n2,3\n2,4"
    );
}

#[tokio::test]
async fn both_kinds_of_deletes_count_together() {
    let lake = lake().await;
    lake.delete_rows("t", &lake.location("t"), &[0, 3, 5]).await;
    lake.delete_keys("t", vec![k()], "VALUES (3)").await;
    lake.delete_keys("t", vec![field(1, "a", DataType::Int64)], "VALUES (7), (3)")
        .await;
    assert_eq!(
        lake.ask("t", "SELECT a FROM t WHERE a < 10 ORDER BY a").await,
        "1\n2\n4\n6\n8\n9"
    );
}

#[tokio::test]
async fn damaged_or_unknown_keys_are_an_error() {
    let lake = lake().await;
    // The manifest names a key that the file does not have.
    let mut file = lake.write_keys("t", vec![k()], "VALUES (3)").await;
    let file = file.equality_ids(Some(vec![1, 2])).build().unwrap();
    lake.commit_deletes("t", vec![(file, -1)]).await;
    let error = lake.refusal("t", "SELECT a FROM t").await;
    assert!(
        matches!(Error::find(&error), Some(Error::Corrupt { .. })),
        "{error}"
    );
    for ids in [None, Some(vec![]), Some(vec![77])] {
        let lake = self::lake().await;
        let mut file = lake.write_keys("t", vec![k()], "VALUES (3)").await;
        let file = file.equality_ids(ids.clone()).build().unwrap();
        lake.commit_deletes("t", vec![(file, -1)]).await;
        let error = lake.refusal("t", "SELECT a FROM t").await;
        let kind = Error::find(&error).map(Error::kind);
        let wanted = if ids.is_some_and(|ids| !ids.is_empty()) {
            crate::ErrorKind::Unsupported
        } else {
            crate::ErrorKind::Corrupt
        };
        assert_eq!(kind, Some(wanted), "{error}");
    }
}

#[tokio::test]
async fn keys_above_the_bound_are_refused_by_name() {
    let lake = lake().await;
    lake.delete_keys("t", vec![k()], "SELECT value FROM generate_series(1, 1000)")
        .await;
    let mut config = lake.config.clone();
    config.delete_cache_bytes = 1000;
    let source = crate::iceberg::Iceberg::open("lake", &config, tokio::runtime::Handle::current())
        .await
        .unwrap();
    let lake = Lake { source, ..lake };
    let error = lake.refusal("t", "SELECT a FROM t").await;
    assert!(
        matches!(Error::find(&error), Some(Error::Unsupported { feature, .. }) if feature.contains("delete_cache_bytes")),
        "{error}"
    );
}

#[tokio::test]
async fn a_partition_is_the_same_after_its_column_was_promoted() {
    let lake = Lake::new().await;
    let fields = |kind| [column(1, "p", kind), column(2, "k", PrimitiveType::Int)];
    lake.create_partitioned(
        "t",
        schema(fields(PrimitiveType::Int)),
        &[(1, Transform::Identity)],
    )
    .await;
    lake.append("t", "VALUES (1, 3), (1, 4), (2, 3)").await;
    lake.evolve("t", fields(PrimitiveType::Long)).await;
    // The data file's partition is an int in its manifest, that of the delete file a long.
    let mut file = lake.write_keys("t", vec![k()], "VALUES (3)").await;
    let file = file
        .partition(partition(vec![Some(Literal::long(1))]))
        .build()
        .unwrap();
    lake.commit_deletes("t", vec![(file, -1)]).await;
    assert_eq!(lake.ask("t", "SELECT p, k FROM t ORDER BY p").await, "1,4\n2,3");
}
