//! What is missing, damaged or not supported is an error that names it.

use crate::iceberg::fixture::{Lake, SCHEMA, column, query, schema};
use crate::{Connector, Error, ErrorKind};
use ::iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, PrimitiveType};

async fn lake() -> Lake {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Long)]))
        .await;
    lake.append("t", "SELECT value FROM generate_series(1, 1000)")
        .await;
    lake
}

fn file(lake: &Lake, format: DataFileFormat, content: DataContentType) -> DataFile {
    let path = lake.dir.path().join("warehouse/gold/t/data/x");
    DataFileBuilder::default()
        .content(content)
        .file_path(path.to_str().unwrap().to_owned())
        .file_format(format)
        .record_count(1)
        .file_size_in_bytes(10)
        .build()
        .unwrap()
}

#[tokio::test]
async fn delete_files_of_other_formats_are_refused_at_the_snapshot_that_has_them() {
    let lake = lake().await;
    let before = lake.table("t", None).await;
    let deletes = file(&lake, DataFileFormat::Avro, DataContentType::PositionDeletes);
    lake.replace_snapshot("t", true, |writer| writer.add_file(deletes, -1).unwrap())
        .await;
    let error = lake.refusal("t", "SELECT * FROM t").await;
    let found = Error::find(&error).unwrap();
    assert_eq!(
        found.to_string(),
        "table gold.t uses delete files in the format avro, which is not supported"
    );
    // The snapshot before them is still readable.
    let context = datafusion::prelude::SessionContext::new();
    crate::iceberg::fixture::register(&context, "t", &lake.table("t", Some(&before.version)).await);
    assert_eq!(
        query(&context, "SELECT a FROM t")
            .await
            .unwrap()
            .count()
            .await
            .unwrap(),
        1000
    );
}

#[tokio::test]
async fn a_delete_manifest_without_live_entries_does_no_harm() {
    let lake = lake().await;
    let deletes = file(&lake, DataFileFormat::Parquet, DataContentType::PositionDeletes);
    lake.replace_snapshot("t", true, |writer| {
        writer.add_delete_file(deletes, 1, Some(1)).unwrap()
    })
    .await;
    assert_eq!(lake.ask("t", "SELECT count(*) FROM t").await, "0");
}

#[tokio::test]
async fn other_formats_are_refused() {
    for (format, name) in [
        (DataFileFormat::Orc, "ORC data files"),
        (DataFileFormat::Avro, "Avro data files"),
    ] {
        let lake = lake().await;
        let data = file(&lake, format, DataContentType::Data);
        lake.replace_snapshot("t", false, |writer| writer.add_file(data, -1).unwrap())
            .await;
        let error = lake.refusal("t", "SELECT * FROM t").await;
        assert!(
            matches!(Error::find(&error), Some(Error::Unsupported { feature, .. }) if feature == name),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_data_file_outside_of_the_warehouse_is_refused() {
    let lake = lake().await;
    for path in ["/etc/passwd", "s3://bucket/x.parquet"] {
        let data = DataFileBuilder::default()
            .content(DataContentType::Data)
            .file_path(path.to_owned())
            .file_format(DataFileFormat::Parquet)
            .record_count(1)
            .file_size_in_bytes(10)
            .build()
            .unwrap();
        lake.replace_snapshot("t", false, |writer| writer.add_file(data, -1).unwrap())
            .await;
        let error = lake.refusal("t", "SELECT * FROM t").await;
        assert!(
            matches!(Error::find(&error), Some(Error::Outside { path: told, .. }) if told == path),
            "{error}"
        );
    }
}

#[tokio::test]
async fn metadata_outside_of_the_warehouse_is_refused() {
    let lake = lake().await;
    let location = lake.catalog.location(SCHEMA, "t").await.unwrap().unwrap();
    let outside = lake.dir.path().join("00009-x.metadata.json");
    std::fs::copy(&location, &outside).unwrap();
    let ident = crate::iceberg::fixture::ident("t");
    assert!(
        lake.catalog
            .point(&ident, &location, outside.to_str().unwrap())
            .await
            .unwrap()
    );
    let error = lake.source.table(SCHEMA, "t", None).await.unwrap_err();
    assert!(matches!(error, Error::Outside { .. }), "{error}");
}

#[tokio::test]
async fn damaged_metadata_is_named() {
    let lake = lake().await;
    let location = lake.catalog.location(SCHEMA, "t").await.unwrap().unwrap();
    std::fs::write(&location, "{").unwrap();
    let error = lake.source.table(SCHEMA, "t", None).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("metadata.json"), "{error}");
    std::fs::remove_file(&location).unwrap();
    assert_eq!(
        lake.source.table(SCHEMA, "t", None).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
}

fn metadata_files(lake: &Lake, starts: impl Fn(&str) -> bool) -> Vec<std::path::PathBuf> {
    let all = std::fs::read_dir(lake.dir.path().join("warehouse/gold/t/metadata")).unwrap();
    all.map(|entry| entry.unwrap().path())
        .filter(|path| starts(path.file_name().unwrap().to_str().unwrap()))
        .collect()
}

#[tokio::test]
async fn a_missing_or_damaged_manifest_is_named() {
    for damage in [true, false] {
        let lake = lake().await;
        let manifests = metadata_files(&lake, |name| name.ends_with("avro") && !name.starts_with("snap"));
        assert_eq!(manifests.len(), 1);
        if damage {
            std::fs::write(&manifests[0], "junk").unwrap()
        } else {
            std::fs::remove_file(&manifests[0]).unwrap()
        }
        let error = lake.refusal("t", "SELECT a FROM t").await;
        let found = Error::find(&error).unwrap();
        assert!(
            matches!(found, Error::Corrupt { path, .. } | Error::Missing { path, .. } if path.ends_with(manifests[0].file_name().unwrap().to_str().unwrap())),
            "{found}"
        );
    }
}

#[tokio::test]
async fn a_missing_manifest_list_is_named() {
    let lake = lake().await;
    let lists = metadata_files(&lake, |name| name.starts_with("snap"));
    std::fs::remove_file(&lists[0]).unwrap();
    let error = lake.refusal("t", "SELECT a FROM t").await;
    assert!(
        matches!(Error::find(&error), Some(Error::Corrupt { path, .. } | Error::Missing { path, .. }) if path.contains("snap")),
        "{error}"
    );
}

#[tokio::test]
async fn a_missing_cut_or_changed_data_file_is_named() {
    let cut: fn(&std::path::Path) = |path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
    };
    let junk: fn(&std::path::Path) = |path| {
        let bytes = std::fs::read(path).unwrap();
        std::fs::write(path, vec![7_u8; bytes.len()]).unwrap();
    };
    let gone: fn(&std::path::Path) = |path| std::fs::remove_file(path).unwrap();
    for damage in [cut, junk, gone] {
        let lake = lake().await;
        let path = &lake.data_files("t")[0];
        damage(path);
        let error = lake.refusal("t", "SELECT a FROM t").await;
        let name = path.file_name().unwrap().to_str().unwrap();
        let found = Error::find(&error).unwrap_or_else(|| panic!("{error}"));
        assert!(
            matches!(found, Error::Corrupt { path, .. } | Error::Missing { path, .. } if path.contains(name)),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn damaged_pages_are_told_with_their_file() {
    let lake = lake().await;
    let path = &lake.data_files("t")[0];
    let mut bytes = std::fs::read(path).unwrap();
    let pages = bytes.len() / 3;
    bytes[4..pages].fill(0xff);
    std::fs::write(path, bytes).unwrap();
    let name = path.file_name().unwrap().to_str().unwrap();
    for sql in [
        "SELECT a FROM t",
        "SELECT sum(a) FROM t",
        "SELECT * FROM t ORDER BY a LIMIT 3",
    ] {
        let error = lake.refusal("t", sql).await;
        let found = Error::find(&error).unwrap_or_else(|| panic!("{error}"));
        assert!(
            matches!(found, Error::Corrupt { table, path, .. } if table == "gold.t" && path.ends_with(name)),
            "{found:?}"
        );
    }
}

#[tokio::test]
async fn no_message_tells_where_the_warehouse_lies() {
    let gone: fn(&std::path::Path) = |path| std::fs::remove_file(path).unwrap();
    let junk: fn(&std::path::Path) = |path| std::fs::write(path, "junk").unwrap();
    for damage in [gone, junk] {
        for starts in ["snap", "data", "manifest"] {
            let lake = lake().await;
            let victims = match starts {
                "data" => lake.data_files("t"),
                "snap" => metadata_files(&lake, |name| name.starts_with("snap")),
                _ => metadata_files(&lake, |name| name.ends_with("avro") && !name.starts_with("snap")),
            };
            damage(&victims[0]);
            let error = lake.refusal("t", "SELECT a FROM t").await;
            let told = Error::find(&error).unwrap().to_string();
            assert!(!told.contains(lake.dir.path().to_str().unwrap()), "{told}");
            let name = victims[0].file_name().unwrap().to_str().unwrap();
            assert!(told.contains(name), "{told}");
        }
    }
}

#[tokio::test]
async fn a_file_with_other_rows_than_promised_is_refused() {
    let lake = lake().await;
    let size = std::fs::metadata(&lake.data_files("t")[0]).unwrap().len();
    let data = DataFileBuilder::default()
        .content(DataContentType::Data)
        .file_path(lake.data_files("t")[0].to_str().unwrap().to_owned())
        .file_format(DataFileFormat::Parquet)
        .record_count(999)
        .file_size_in_bytes(size)
        .build()
        .unwrap();
    lake.replace_snapshot("t", false, |writer| writer.add_file(data, -1).unwrap())
        .await;
    let error = lake.refusal("t", "SELECT a FROM t").await;
    assert!(
        matches!(Error::find(&error), Some(Error::Corrupt { .. })),
        "{error}"
    );
}

#[tokio::test]
async fn a_metadata_file_above_the_bound_is_refused() {
    let lake = lake().await;
    let mut config = lake.config.clone();
    config.metadata_file_bytes_max = 10;
    let small = crate::iceberg::Iceberg::open("lake", &config, tokio::runtime::Handle::current())
        .await
        .unwrap();
    assert_eq!(
        small.table(SCHEMA, "t", None).await.unwrap_err().kind(),
        ErrorKind::Corrupt
    );
}
