//! Deletes by position, in files and in vectors: no deleted row comes back, and no other goes.

use crate::iceberg::fixture::deletes::{field, partition};
use crate::iceberg::fixture::{Lake, answer, column, printed, query, register, schema};
use crate::{Error, ErrorKind};
use ::iceberg::spec::{DataContentType, Datum, FormatVersion, Literal, PrimitiveType, Transform};
use arrow::array::AsArray;
use arrow::datatypes::{DataType, Int64Type};
use datafusion::physical_plan::ExecutionPlanProperties;
use datafusion::prelude::{SessionConfig, SessionContext};
use futures::TryStreamExt;
use std::collections::BTreeSet;

/// A table of one file: `a` counts from 0 to 1999 in four row groups of five pages each.
async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Long),
            column(2, "s", PrimitiveType::String),
        ]),
    )
    .await;
    lake.append("t", "SELECT value, 's' || value FROM generate_series(0, 1999)")
        .await;
    lake
}

/// Rows at every kind of edge: of the file, of row groups, of pages, and one whole row group.
fn edges() -> Vec<i64> {
    let mut rows = vec![0, 1, 99, 100, 250, 499, 1500, 1999];
    rows.extend(500..1000);
    rows
}

#[tokio::test]
async fn deleted_rows_are_gone_from_every_query() {
    let lake = lake().await;
    lake.delete_rows("t", &lake.location("t"), &edges()).await;
    let left: Vec<i64> = (0..2000).filter(|row| !edges().contains(row)).collect();
    let sum: i64 = left.iter().sum();
    let all = format!("{},{sum},2,1998", left.len());
    assert_eq!(
        lake.ask("t", "SELECT count(*), sum(a), min(a), max(a) FROM t")
            .await,
        all
    );
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM t").await,
        left.len().to_string()
    );
    assert_eq!(
        lake.ask("t", "SELECT min(a), max(a), count(s) FROM t").await,
        format!("2,1998,{}", left.len())
    );
    for (predicate, rows) in [
        ("a = 99", 0),
        ("a = 101", 1),
        ("a BETWEEN 98 AND 101", 2),
        ("a < 3", 1),
        ("a >= 1000", 998),
        ("a BETWEEN 600 AND 700", 0),
        ("a >= 0", left.len()),
        ("s = 's1999'", 0),
        ("s = 's1998'", 1),
        ("a >= 490 AND s <> 's495'", 8 + 998),
    ] {
        let sql = format!("SELECT count(*) FROM t WHERE {predicate}");
        assert_eq!(lake.ask("t", &sql).await, rows.to_string(), "{predicate}");
    }
    let sql = "SELECT a FROM t ORDER BY a LIMIT 4";
    assert_eq!(lake.ask("t", sql).await, "2\n3\n4\n5");
    assert_eq!(
        lake.ask("t", "SELECT a FROM t ORDER BY a DESC LIMIT 1").await,
        "1998"
    );
}

/// DataFusion 54.1 would read whole row groups for a limit that a predicate surely fills (its issue 22941).
#[tokio::test]
async fn a_limit_brings_no_deleted_row_back() {
    let lake = lake().await;
    lake.delete_rows("t", &lake.location("t"), &(0..400).collect::<Vec<_>>())
        .await;
    for predicate in ["true", "a >= 0", "a >= 0 AND s IS NOT NULL", "a < 5000"] {
        for limit in [1, 90, 100, 101, 399, 1600] {
            let sql = format!(
                "SELECT count(*), count(*) FILTER (WHERE a < 400) FROM (SELECT a, s FROM t WHERE {predicate} LIMIT {limit})"
            );
            assert_eq!(
                lake.ask("t", &sql).await,
                format!("{limit},0"),
                "{predicate} {limit}"
            );
        }
        let sql = format!("SELECT count(*) FROM (SELECT a, s FROM t WHERE {predicate} LIMIT 5000)");
        assert_eq!(lake.ask("t", &sql).await, "1600", "{predicate}");
    }
}

#[tokio::test]
async fn a_limit_goes_on_to_the_next_file_when_deletes_leave_too_few() {
    let lake = lake().await;
    let first = lake.location("t");
    lake.append("t", "SELECT value, 's' FROM generate_series(2000, 2999)")
        .await;
    lake.delete_rows("t", &first, &(0..1995).collect::<Vec<_>>())
        .await;
    assert_eq!(
        lake.ask("t", "SELECT count(*) FROM (SELECT * FROM t LIMIT 900)")
            .await,
        "900"
    );
}

#[tokio::test]
async fn a_file_read_in_parts_skips_the_same_rows_in_each() {
    let lake = Lake::new().await;
    lake.create(
        "t",
        schema([
            column(1, "a", PrimitiveType::Long),
            column(2, "s", PrimitiveType::String),
        ]),
    )
    .await;
    let rows = "SELECT value, md5(value::varchar) || md5((value * 7)::varchar) || md5((value * 13)::varchar)
                FROM generate_series(0, 59999) ORDER BY value";
    let fields = vec![field(1, "a", DataType::Int64), field(2, "s", DataType::Utf8)];
    let file = lake.write_query("t", fields, rows).await;
    lake.commit_files("t", vec![file.file(DataContentType::Data).build().unwrap()])
        .await;
    let deleted: Vec<i64> = (0..60_000)
        .filter(|row| row % 7 == 3 || (20_000..31_000).contains(row))
        .collect();
    lake.delete_rows("t", &file.path, &deleted).await;
    let deleted: BTreeSet<i64> = deleted.into_iter().collect();
    for stealing in [false, true] {
        let mut config = SessionConfig::new().with_target_partitions(3);
        config.options_mut().execution.enable_file_stream_work_stealing = stealing;
        let context = SessionContext::new_with_config(config);
        register(&context, "t", &lake.table("t", None).await);
        let frame = query(&context, "SELECT a FROM t WHERE s <> 'x'").await.unwrap();
        let plan = frame.create_physical_plan().await.unwrap();
        assert_eq!(plan.output_partitioning().partition_count(), 3);
        let mut all = Vec::new();
        for index in 0..3 {
            let stream = plan.execute(index, context.task_ctx()).unwrap();
            let batches: Vec<_> = stream.try_collect().await.unwrap();
            all.extend(
                batches
                    .iter()
                    .flat_map(|b| b.column(0).as_primitive::<Int64Type>().values().to_vec()),
            );
        }
        all.sort_unstable();
        let left: Vec<i64> = (0..60_000).filter(|row| !deleted.contains(row)).collect();
        let lost: Vec<_> = left
            .iter()
            .filter(|row| all.binary_search(row).is_err())
            .collect();
        let back: Vec<_> = all
            .iter()
            .filter(|row| left.binary_search(row).is_err())
            .collect();
        assert!(
            lost.is_empty() && back.is_empty(),
            "stealing {stealing}: lost {lost:?}, back {back:?}"
        );
        assert_eq!(all.len(), left.len(), "stealing {stealing}: some rows came twice");
    }
}

#[tokio::test]
async fn counts_and_bounds_are_not_answered_from_a_manifest_when_deletes_apply() {
    let lake = lake().await;
    lake.delete_rows("t", &lake.location("t"), &[0, 1999]).await;
    for sql in [
        "SELECT count(*) FROM t",
        "SELECT min(a) FROM t",
        "SELECT max(a) FROM t",
        "SELECT count(a) FROM t",
    ] {
        let plan = lake.ask("t", &format!("EXPLAIN {sql}")).await;
        assert!(plan.contains("deletes=true"), "{sql}: {plan}");
    }
}

#[tokio::test]
async fn a_table_without_deletes_is_scanned_by_the_plain_source() {
    let lake = lake().await;
    let plan = lake.ask("t", "EXPLAIN SELECT a FROM t WHERE a > 3").await;
    assert!(
        plan.contains("DataSourceExec") && !plan.contains("deletes=true"),
        "{plan}"
    );
    lake.delete_rows("t", &lake.location("t"), &[1]).await;
    lake.append("t", "VALUES (9000, 'x')").await;
    // The new file is scanned alone, and alone it has no deletes.
    let plan = lake.ask("t", "EXPLAIN SELECT a FROM t WHERE a > 5000").await;
    assert!(
        plan.contains("DataSourceExec") && !plan.contains("deletes=true"),
        "{plan}"
    );
}

#[tokio::test]
async fn a_delete_counts_for_files_that_are_not_newer() {
    // The data file has sequence number 1.
    for (sequence, rows) in [(0, 2000), (1, 1999), (2, 1999)] {
        let lake = lake().await;
        let deletes = lake.write_positions("t", &[(&lake.location("t"), 7)]);
        let file = deletes.file(DataContentType::PositionDeletes).build().unwrap();
        lake.commit_deletes("t", vec![(file, sequence)]).await;
        assert_eq!(
            lake.ask("t", "SELECT count(*) FROM t WHERE a >= 0").await,
            rows.to_string(),
            "{sequence}"
        );
    }
}

#[tokio::test]
async fn a_snapshot_before_the_deletes_has_its_rows() {
    let lake = lake().await;
    let before = lake.table("t", None).await;
    lake.delete_rows("t", &lake.location("t"), &[5]).await;
    let context = SessionContext::new();
    register(&context, "old", &lake.table("t", Some(&before.version)).await);
    register(&context, "new", &lake.table("t", None).await);
    let sql =
        "SELECT (SELECT count(*) FROM old WHERE a = 5) AS x, (SELECT count(*) FROM new WHERE a = 5) AS y";
    assert_eq!(printed(&answer(&context, sql).await), "1,0");
}

#[tokio::test]
async fn a_delete_file_counts_within_its_partition_and_its_bounds() {
    let lake = Lake::new().await;
    lake.create_partitioned(
        "t",
        schema([column(1, "a", PrimitiveType::Long)]),
        &[(1, Transform::Identity)],
    )
    .await;
    lake.append("t", "VALUES (1), (1), (2), (2)").await;
    let files = lake.data_files("t");
    let one = files
        .iter()
        .find(|path| path.to_str().unwrap().contains("=1/"))
        .unwrap();
    let one = one.to_str().unwrap();
    let delete = |of: i64| {
        let mut file = lake
            .write_positions("t", &[(one, 0)])
            .file(DataContentType::PositionDeletes);
        file.partition(partition(vec![Some(Literal::long(of))]));
        file
    };
    let bounds = |path: &str| [(crate::iceberg::deletes::FILE_PATH_ID, Datum::string(path))].into();
    // Of another partition: it names the file, and does not count for it.
    lake.commit_deletes("t", vec![(delete(2).build().unwrap(), -1)])
        .await;
    // By its bounds of other files: not even opened, as it is not there.
    for (low, high) in [(Some("~"), None), (None, Some("!")), (Some("~"), Some("~~"))] {
        let mut file = delete(1);
        file.file_path(format!("{one}.gone"));
        low.map(|low| file.lower_bounds(bounds(low)));
        high.map(|high| file.upper_bounds(bounds(high)));
        lake.commit_deletes("t", vec![(file.build().unwrap(), -1)]).await;
    }
    assert_eq!(lake.ask("t", "SELECT count(*), sum(a) FROM t").await, "4,6");
    let mut file = delete(1);
    file.lower_bounds(bounds(one)).upper_bounds(bounds(one));
    lake.commit_deletes("t", vec![(file.build().unwrap(), -1)]).await;
    assert_eq!(lake.ask("t", "SELECT count(*), sum(a) FROM t").await, "3,5");
}

#[tokio::test]
async fn what_delete_files_say_is_read_once() {
    let lake = lake().await;
    lake.delete_rows("t", &lake.location("t"), &[5, 6]).await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE a < 10").await, "8");
    std::fs::remove_dir_all(lake.dir.path().join("warehouse/gold/t/more")).unwrap();
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE a < 10").await, "8");
}

#[tokio::test]
async fn a_delete_file_too_large_to_keep_is_read_for_each_file_alone() {
    let lake = lake().await;
    let first = lake.location("t");
    let other = format!("{first}.other");
    let mut pairs: Vec<(&str, i64)> = (0..1000).map(|row| (other.as_str(), row)).collect();
    pairs.extend([(first.as_str(), 5), (first.as_str(), 6)]);
    let file = lake
        .write_positions("t", &pairs)
        .file(DataContentType::PositionDeletes)
        .build()
        .unwrap();
    lake.commit_deletes("t", vec![(file, -1)]).await;
    let mut config = lake.config.clone();
    config.delete_cache_bytes = 1000;
    let source = crate::iceberg::Iceberg::open("lake", &config, tokio::runtime::Handle::current())
        .await
        .unwrap();
    let lake = Lake { source, ..lake };
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE a < 10").await, "8");
}

#[tokio::test]
async fn damaged_deletes_are_an_error() {
    let gone = |path: &str| std::fs::remove_file(path).unwrap();
    let junk = |path: &str| std::fs::write(path, "junk").unwrap();
    let damages: [&dyn Fn(&str); 2] = [&gone, &junk];
    for damage in damages {
        let lake = lake().await;
        let written = lake.write_positions("t", &[(&lake.location("t"), 5)]);
        let file = written.file(DataContentType::PositionDeletes).build().unwrap();
        lake.commit_deletes("t", vec![(file, -1)]).await;
        damage(&written.path);
        let error = lake.refusal("t", "SELECT a FROM t").await;
        assert!(
            matches!(Error::find(&error), Some(Error::Corrupt { path, .. } | Error::Missing { path, .. }) if written.path.ends_with(path)),
            "{error}"
        );
    }
    for (row, count) in [(2000, 1), (-1, 1), (5, 2)] {
        let lake = lake().await;
        let written = lake.write_positions("t", &[(&lake.location("t"), row)]);
        let mut file = written.file(DataContentType::PositionDeletes);
        let file = file.record_count(count).build().unwrap();
        lake.commit_deletes("t", vec![(file, -1)]).await;
        let error = lake.refusal("t", "SELECT a FROM t").await;
        assert_eq!(
            Error::find(&error).map(Error::kind),
            Some(ErrorKind::Corrupt),
            "{row}: {error}"
        );
    }
}

async fn third() -> Lake {
    let lake = Lake::new().await;
    let fields = schema([
        column(1, "a", PrimitiveType::Long),
        column(2, "s", PrimitiveType::String),
    ]);
    lake.create_version("t", fields, &[], FormatVersion::V3).await;
    lake.append("t", "SELECT value, 's' || value FROM generate_series(0, 1999)")
        .await;
    lake
}

#[tokio::test]
async fn deletion_vectors_are_read() {
    let lake = third().await;
    let first = lake.location("t");
    let rows: BTreeSet<u64> = edges().into_iter().map(|row| row as u64).collect();
    let other = format!("{first}.other");
    // Two vectors in one file: each is read at its own place.
    let files = lake.write_vectors(
        "t",
        &[(&other, BTreeSet::from([1, 2, 3])), (&first, rows.clone())],
    );
    lake.commit_deletes("t", files.into_iter().map(|file| (file, -1)).collect())
        .await;
    let left: Vec<i64> = (0..2000).filter(|row| !rows.contains(&(*row as u64))).collect();
    let all = format!("{},{}", left.len(), left.iter().sum::<i64>());
    assert_eq!(lake.ask("t", "SELECT count(*), sum(a) FROM t").await, all);
    assert_eq!(
        lake.ask(
            "t",
            "SELECT count(*) FROM (SELECT s FROM t WHERE a >= 0 LIMIT 1400)"
        )
        .await,
        "1400"
    );
    assert_eq!(
        lake.ask("t", "SELECT a FROM t WHERE a BETWEEN 98 AND 101").await,
        "98\n101"
    );
}

#[tokio::test]
async fn a_vector_takes_the_place_of_position_deletes() {
    let lake = third().await;
    let first = lake.location("t");
    let old = lake.write_positions("t", &[(&first, 5)]);
    let mut old = old.file(DataContentType::PositionDeletes);
    let old = old.file_path(format!("{first}.gone")).build().unwrap();
    lake.commit_deletes("t", vec![(old, -1)]).await;
    let vector = lake
        .write_vectors("t", &[(&first, BTreeSet::from([5, 6]))])
        .remove(0);
    lake.commit_deletes("t", vec![(vector, -1)]).await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE a < 10").await, "8");
}

#[tokio::test]
async fn a_vector_older_than_its_file_does_not_count() {
    let lake = third().await;
    let vector = lake
        .write_vectors("t", &[(&lake.location("t"), BTreeSet::from([5]))])
        .remove(0);
    lake.commit_deletes("t", vec![(vector, 0)]).await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t WHERE a < 10").await, "10");
}

#[tokio::test]
async fn damaged_vectors_are_an_error() {
    type Change = fn(&mut ::iceberg::spec::DataFileBuilder);
    let changes: [(&str, Change); 6] = [
        ("cut", |file| {
            file.content_size_in_bytes(Some(20));
        }),
        ("elsewhere", |file| {
            file.content_offset(Some(5));
        }),
        ("beyond", |file| {
            file.content_offset(Some(1 << 40));
        }),
        ("no place", |file| {
            file.content_offset(None);
        }),
        ("huge", |file| {
            file.content_size_in_bytes(Some(i64::MAX));
        }),
        ("count", |file| {
            file.record_count(4);
        }),
    ];
    for (name, change) in changes {
        let lake = third().await;
        let vector = lake
            .write_vectors("t", &[(&lake.location("t"), BTreeSet::from([5, 6, 9]))])
            .remove(0);
        let mut file = ::iceberg::spec::DataFileBuilder::default();
        file.content(vector.content_type())
            .file_path(vector.file_path().to_owned())
            .file_format(vector.file_format())
            .record_count(3)
            .file_size_in_bytes(vector.file_size_in_bytes())
            .referenced_data_file(vector.referenced_data_file())
            .content_offset(vector.content_offset())
            .content_size_in_bytes(vector.content_size_in_bytes());
        change(&mut file);
        lake.commit_deletes("t", vec![(file.build().unwrap(), -1)]).await;
        let error = lake.refusal("t", "SELECT a FROM t").await;
        assert!(
            matches!(Error::find(&error), Some(Error::Corrupt { path, .. } | Error::Missing { path, .. }) if vector.file_path().ends_with(path.as_str())),
            "{name}: {error:?}"
        );
    }
}

#[tokio::test]
async fn two_vectors_for_one_file_are_an_error() {
    let lake = third().await;
    let first = lake.location("t");
    let files = lake.write_vectors(
        "t",
        &[(&first, BTreeSet::from([1])), (&first, BTreeSet::from([2]))],
    );
    lake.commit_deletes("t", files.into_iter().map(|file| (file, -1)).collect())
        .await;
    let error = lake.refusal("t", "SELECT a FROM t").await;
    assert_eq!(
        Error::find(&error).map(Error::kind),
        Some(ErrorKind::Corrupt),
        "{error}"
    );
}
