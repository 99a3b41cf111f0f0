//! Earlier states by number, name and time, and the tables that tell a table's metadata.

use crate::iceberg::fixture::{Lake, SCHEMA, answer, column, printed, register, schema};
use crate::{AsOf, Connector, ErrorKind, Version};
use ::iceberg::spec::{PrimitiveType, SnapshotReference, SnapshotRetention, Transform};
use datafusion::prelude::SessionContext;
use std::collections::BTreeSet;

async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Long)]))
        .await;
    lake.append("t", "VALUES (1), (2)").await;
    lake
}

async fn as_of(lake: &Lake, at: AsOf) -> crate::Result<Option<Version>> {
    lake.source.version_as_of(SCHEMA, "t", &at).await
}

async fn count(lake: &Lake, version: &Version) -> String {
    let context = SessionContext::new();
    register(&context, "t", &lake.table("t", Some(version)).await);
    printed(&answer(&context, "SELECT count(*) FROM t").await)
}

async fn name(lake: &Lake, name: &str, snapshot: i64, retention: SnapshotRetention) {
    let reference = SnapshotReference::new(snapshot, retention);
    lake.change("t", |metadata| metadata.set_ref(name, reference).unwrap())
        .await;
}

fn branch() -> SnapshotRetention {
    SnapshotRetention::branch(Some(3), None, Some(9))
}

fn tag() -> SnapshotRetention {
    SnapshotRetention::Tag {
        max_ref_age_ms: Some(77),
    }
}

async fn snapshot(lake: &Lake) -> i64 {
    lake.load("t").await.metadata().current_snapshot_id().unwrap()
}

#[tokio::test]
async fn a_number_a_branch_and_a_tag_name_a_state() {
    let lake = lake().await;
    let first = snapshot(&lake).await;
    lake.append("t", "VALUES (3)").await;
    let second = snapshot(&lake).await;
    name(&lake, "work", first, branch()).await;
    name(&lake, "done", first, tag()).await;
    // A name that looks like a number is a name.
    name(&lake, "7", second, tag()).await;
    for (asked, rows) in [
        (first.to_string(), "2"),
        (second.to_string(), "3"),
        ("work".to_owned(), "2"),
        ("done".to_owned(), "2"),
        ("main".to_owned(), "3"),
        ("7".to_owned(), "3"),
    ] {
        let version = as_of(&lake, AsOf::Version(asked.clone())).await.unwrap().unwrap();
        assert_eq!(count(&lake, &version).await, rows, "{asked}");
    }
    for gone in ["8", "", "nobody", "empty", "1:0"] {
        let error = as_of(&lake, AsOf::Version(gone.to_owned())).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::VersionGone, "{gone}");
    }
    let none = lake
        .source
        .version_as_of(SCHEMA, "none", &AsOf::Timestamp(0))
        .await;
    assert_eq!(none.unwrap(), None);
}

#[tokio::test]
async fn a_branch_has_the_newest_columns_and_a_tag_those_of_its_time() {
    let lake = lake().await;
    let first = snapshot(&lake).await;
    name(&lake, "work", first, branch()).await;
    name(&lake, "done", first, tag()).await;
    lake.evolve(
        "t",
        [
            column(1, "a", PrimitiveType::Long),
            column(2, "b", PrimitiveType::Long),
        ],
    )
    .await;
    lake.append("t", "VALUES (3, 4)").await;
    for (asked, columns) in [("work", 2), ("done", 1), ("main", 2)] {
        let version = as_of(&lake, AsOf::Version(asked.to_owned()))
            .await
            .unwrap()
            .unwrap();
        let table = lake.table("t", Some(&version)).await;
        assert_eq!(table.schema.fields().len(), columns, "{asked}");
        assert_eq!(table.version, version);
    }
}

#[tokio::test]
async fn an_instant_names_the_state_that_was_the_newest_then() {
    let lake = lake().await;
    lake.append("t", "VALUES (3)").await;
    let loaded = lake.load("t").await;
    let log = loaded.metadata().history();
    let (first, second) = (log[0].timestamp_ms, log[1].timestamp_ms);
    assert!(first <= second);
    let at = |millis: i64, micros: i64| as_of(&lake, AsOf::Timestamp(millis * 1_000 + micros));
    assert_eq!(count(&lake, &at(second, 0).await.unwrap().unwrap()).await, "3");
    assert_eq!(
        count(&lake, &at(i64::MAX / 1_000, 0).await.unwrap().unwrap()).await,
        "3"
    );
    if first < second {
        assert_eq!(count(&lake, &at(first, 0).await.unwrap().unwrap()).await, "2");
        assert_eq!(count(&lake, &at(second, -1).await.unwrap().unwrap()).await, "2");
    }
    let error = at(first, -1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::VersionGone);
}

async fn told(lake: &Lake, kind: &str, sql: &str) -> String {
    let context = SessionContext::new();
    let table = lake
        .source
        .table(SCHEMA, &format!("t${kind}"), None)
        .await
        .unwrap()
        .unwrap();
    register(&context, "m", &table);
    printed(&answer(&context, sql).await)
}

/// Two partitions, a delete file, a second snapshot and a branch.
async fn rich() -> Lake {
    let lake = Lake::new().await;
    let fields = [
        column(1, "p", PrimitiveType::Long),
        column(2, "s", PrimitiveType::String),
    ];
    lake.create_partitioned("t", schema(fields), &[(1, Transform::Identity)])
        .await;
    lake.append("t", "VALUES (1, 'a'), (1, 'b'), (2, 'c')").await;
    let one = lake
        .live("t")
        .await
        .into_iter()
        .find(|file| file.location.contains("=1/"))
        .unwrap();
    let mut file = lake
        .write_positions("t", &[(&one.location, 0)])
        .file(::iceberg::spec::DataContentType::PositionDeletes);
    file.partition(one.partition);
    lake.commit_deletes("t", vec![(file.build().unwrap(), -1)]).await;
    let id = snapshot(&lake).await;
    name(&lake, "work", id, branch()).await;
    lake
}

#[tokio::test]
async fn snapshots_history_and_refs_are_told() {
    let lake = rich().await;
    let second = snapshot(&lake).await;
    let all = told(
        &lake,
        "snapshots",
        "SELECT operation, parent_id IS NULL, snapshot_id FROM m",
    )
    .await;
    let lines: Vec<&str> = all.lines().collect();
    assert!(lines[0].starts_with("append,true,"), "{all}");
    assert_eq!(lines[1], format!("overwrite,false,{second}"));
    let sql =
        "SELECT count(*) FROM m WHERE committed_at > TIMESTAMP '2020-01-01' AND manifest_list LIKE '%.avro'";
    assert_eq!(told(&lake, "snapshots", sql).await, "2");
    assert_eq!(
        told(
            &lake,
            "snapshots",
            "SELECT summary['added-records'] FROM m LIMIT 1"
        )
        .await,
        "3"
    );
    let sql = "SELECT is_current_ancestor, count(*) FROM m GROUP BY 1";
    assert_eq!(told(&lake, "history", sql).await, "true,2");
    let sql = "SELECT name, type, max_reference_age_in_ms, min_snapshots_to_keep, max_snapshot_age_in_ms FROM m ORDER BY name";
    assert_eq!(told(&lake, "refs", sql).await, "main,BRANCH,,,\nwork,BRANCH,9,3,");
    assert_eq!(
        told(&lake, "refs", "SELECT DISTINCT snapshot_id FROM m").await,
        second.to_string()
    );
}

#[tokio::test]
async fn files_manifests_and_partitions_are_told() {
    let lake = rich().await;
    let sql =
        "SELECT content, file_format, spec_id, partition['p1_0'], record_count FROM m ORDER BY content, 4";
    assert_eq!(
        told(&lake, "files", sql).await,
        "0,PARQUET,0,1,2\n0,PARQUET,0,2,1\n1,PARQUET,0,1,1"
    );
    let sql = "SELECT readable_metrics['s']['lower_bound'], readable_metrics['s']['upper_bound'],
               readable_metrics['p']['value_count'], null_value_counts[arrow_cast(1, 'Int32')] FROM m WHERE content = 0 ORDER BY 1";
    assert_eq!(told(&lake, "files", sql).await, "a,b,2,0\nc,c,1,0");
    assert_eq!(
        told(&lake, "all_files", "SELECT count(*), sum(record_count) FROM m").await,
        "3,4"
    );
    let sql = "SELECT content, added_data_files_count, added_delete_files_count, partition_summaries[1]['lower_bound'],
               partition_summaries[1]['upper_bound'] FROM m ORDER BY content";
    assert_eq!(told(&lake, "manifests", sql).await, "0,2,0,1,2\n1,0,1,1,1");
    let sql = "SELECT partition['p1_0'], record_count, file_count, position_delete_record_count, position_delete_file_count,
               equality_delete_file_count, last_updated_snapshot_id FROM m ORDER BY 1";
    let rows = told(&lake, "partitions", sql).await;
    let second = snapshot(&lake).await;
    let lines: Vec<&str> = rows.lines().collect();
    assert_eq!(lines[0], format!("1,2,1,1,1,0,{second}"));
    assert!(lines[1].starts_with("2,1,1,0,0,0,"), "{rows}");
}

/// The names and order of PyIceberg 0.12's `inspect`.
#[tokio::test]
async fn columns_are_named_as_pyiceberg_names_them() {
    let lake = rich().await;
    let files = "content,file_path,file_format,spec_id,partition,record_count,file_size_in_bytes,column_sizes,value_counts,\
        null_value_counts,nan_value_counts,lower_bounds,upper_bounds,key_metadata,split_offsets,equality_ids,sort_order_id,\
        readable_metrics";
    for (kind, columns) in [
        (
            "snapshots",
            "committed_at,snapshot_id,parent_id,operation,manifest_list,summary",
        ),
        (
            "history",
            "made_current_at,snapshot_id,parent_id,is_current_ancestor",
        ),
        (
            "refs",
            "name,type,snapshot_id,max_reference_age_in_ms,min_snapshots_to_keep,max_snapshot_age_in_ms",
        ),
        ("files", files),
        ("all_files", files),
        (
            "partitions",
            "partition,spec_id,record_count,file_count,total_data_file_size_in_bytes,position_delete_record_count,\
             position_delete_file_count,equality_delete_record_count,equality_delete_file_count,last_updated_at,\
             last_updated_snapshot_id",
        ),
        (
            "manifests",
            "content,path,length,partition_spec_id,added_snapshot_id,added_data_files_count,existing_data_files_count,\
             deleted_data_files_count,added_delete_files_count,existing_delete_files_count,deleted_delete_files_count,\
             partition_summaries",
        ),
    ] {
        let table = lake
            .source
            .table(SCHEMA, &format!("t${kind}"), None)
            .await
            .unwrap()
            .unwrap();
        let names: Vec<&str> = table
            .schema
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        assert_eq!(names.join(","), columns, "{kind}");
    }
}

#[tokio::test]
async fn a_metadata_table_is_pinned_to_a_metadata_file() {
    let lake = lake().await;
    let table = async |kind: &str, at: Option<&Version>| lake.source.table(SCHEMA, kind, at).await;
    let before = table("t$snapshots", None).await.unwrap().unwrap();
    lake.append("t", "VALUES (3)").await;
    let now = table("t$snapshots", None).await.unwrap().unwrap();
    assert_ne!(before.version, now.version);
    for (version, rows) in [(&before.version, "1"), (&now.version, "2")] {
        let context = SessionContext::new();
        let pinned = table("t$snapshots", Some(version)).await.unwrap().unwrap();
        assert_eq!(pinned.version, *version);
        register(&context, "m", &pinned);
        assert_eq!(printed(&answer(&context, "SELECT count(*) FROM m").await), rows);
    }
    let error = table("t$files", Some(&Version::new("../../x.metadata.json")))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::VersionGone);
    let past = lake
        .source
        .version_as_of(SCHEMA, "t$files", &AsOf::Timestamp(i64::MAX))
        .await;
    assert_eq!(past.unwrap_err().kind(), ErrorKind::Unsupported);
    assert!(table("t$nothing", None).await.unwrap().is_none());
    assert!(table("none$files", None).await.unwrap().is_none());
}

#[tokio::test]
async fn an_empty_table_has_metadata_too() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Long)]))
        .await;
    let kinds = [
        "snapshots",
        "history",
        "refs",
        "files",
        "all_files",
        "partitions",
        "manifests",
    ];
    let mut counts = BTreeSet::new();
    for kind in kinds {
        counts.insert(told(&lake, kind, "SELECT count(*) FROM m").await);
    }
    assert_eq!(counts, BTreeSet::from(["0".to_owned()]));
}
