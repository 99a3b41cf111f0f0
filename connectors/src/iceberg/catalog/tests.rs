use crate::iceberg::fixture::{Lake, SCHEMA, column, ident, schema};
use crate::iceberg::{Config, create_catalog, open_catalog};
use crate::{Error, ErrorKind as Kind};
use iceberg::spec::PrimitiveType;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, ErrorKind, NamespaceIdent, TableCreation, TableIdent};
use std::collections::HashMap;

#[tokio::test]
async fn a_missing_catalog_file_is_named_and_not_made() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("nothing.db");
    let config = Config::new(&file, dir.path().to_str().unwrap());
    let error = open_catalog(&config).await.unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(error.to_string().contains("nothing.db"), "{error}");
    assert!(!file.exists());
}

#[tokio::test]
async fn a_file_that_is_no_catalog_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("text.db");
    std::fs::write(&file, "this is not a database, by far not").unwrap();
    let error = open_catalog(&Config::new(&file, dir.path().to_str().unwrap()))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Unavailable { .. }), "{error}");
}

#[tokio::test]
async fn creating_twice_keeps_what_is_there() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    let again = create_catalog(&lake.config).await.unwrap();
    assert!(again.table_exists(&ident("t")).await.unwrap());
}

#[tokio::test]
async fn the_layout_is_that_of_the_jdbc_catalog_v1() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    lake.append("t", "SELECT 1").await;
    let file = rusqlite::Connection::open(&lake.config.catalog).unwrap();
    let row: (String, String, String, String, String, String) = file
        .query_row(
            "SELECT catalog_name, table_namespace, table_name, metadata_location, previous_metadata_location, \
             iceberg_type FROM iceberg_tables",
            [],
            |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?)),
        )
        .unwrap();
    assert_eq!(
        (row.0.as_str(), row.1.as_str(), row.2.as_str(), row.5.as_str()),
        ("lakegate", SCHEMA, "t", "TABLE")
    );
    let name = |path: &str| path.rsplit('/').next().unwrap()[..6].to_owned();
    assert_eq!(
        (name(&row.3), name(&row.4)),
        ("00001-".to_owned(), "00000-".to_owned())
    );
    let mode: String = file
        .query_row("PRAGMA journal_mode", [], |row| row.get(0))
        .unwrap();
    assert_eq!(mode, "wal");
    let exists: String = file
        .query_row(
            "SELECT property_value FROM iceberg_namespace_properties WHERE property_key = 'exists'",
            [],
            |row| row.get(0),
        )
        .unwrap();
    assert_eq!(exists, "true");
}

#[tokio::test]
async fn a_file_of_layout_v0_is_read_and_written() {
    let dir = tempfile::tempdir().unwrap();
    let config = Config::new(dir.path().join("v0.db"), dir.path().join("w").to_str().unwrap());
    std::fs::create_dir(dir.path().join("w")).unwrap();
    let file = rusqlite::Connection::open(&config.catalog).unwrap();
    file.execute_batch(
        "CREATE TABLE iceberg_tables (catalog_name, table_namespace, table_name, metadata_location,
           previous_metadata_location, PRIMARY KEY (catalog_name, table_namespace, table_name));
         CREATE TABLE iceberg_namespace_properties (catalog_name, namespace, property_key, property_value,
           PRIMARY KEY (catalog_name, namespace, property_key));",
    )
    .unwrap();
    let catalog = open_catalog(&config).await.unwrap();
    let gold = NamespaceIdent::new("gold".into());
    catalog.create_namespace(&gold, HashMap::new()).await.unwrap();
    let creation = TableCreation::builder()
        .name("t".into())
        .schema(schema([column(1, "a", PrimitiveType::Int)]))
        .build();
    catalog.create_table(&gold, creation).await.unwrap();
    assert_eq!(catalog.list_tables(&gold).await.unwrap(), [ident("t")]);
}

#[tokio::test]
async fn namespaces_keep_levels_and_properties() {
    let lake = Lake::new().await;
    let catalog = &lake.catalog;
    let inner = NamespaceIdent::from_strs(["a", "b"]).unwrap();
    let properties = HashMap::from([("owner".to_owned(), "me".to_owned())]);
    catalog
        .create_namespace(&inner, properties.clone())
        .await
        .unwrap();
    assert_eq!(
        catalog.get_namespace(&inner).await.unwrap().properties(),
        &properties
    );
    let top = catalog.list_namespaces(None).await.unwrap();
    assert_eq!(
        top,
        [
            NamespaceIdent::new("a".into()),
            NamespaceIdent::new(SCHEMA.into())
        ]
    );
    let below = catalog
        .list_namespaces(Some(&NamespaceIdent::new("a".into())))
        .await
        .unwrap();
    assert_eq!(below, std::slice::from_ref(&inner));
    let twice = catalog
        .create_namespace(&inner, HashMap::new())
        .await
        .unwrap_err();
    assert_eq!(twice.kind(), ErrorKind::NamespaceAlreadyExists);
    catalog.drop_namespace(&inner).await.unwrap();
    assert!(!catalog.namespace_exists(&inner).await.unwrap());
}

#[tokio::test]
async fn a_namespace_with_tables_is_not_dropped() {
    let lake = Lake::new().await;
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    assert!(
        lake.catalog
            .drop_namespace(&NamespaceIdent::new(SCHEMA.into()))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn tables_are_renamed_dropped_and_registered() {
    let lake = Lake::new().await;
    let table = lake
        .create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    lake.create("other", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    let taken = lake
        .catalog
        .rename_table(&ident("t"), &ident("other"))
        .await
        .unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::TableAlreadyExists);
    lake.catalog.rename_table(&ident("t"), &ident("u")).await.unwrap();
    assert_eq!(
        lake.catalog.load_table(&ident("t")).await.unwrap_err().kind(),
        ErrorKind::TableNotFound
    );
    lake.catalog.drop_table(&ident("u")).await.unwrap();
    assert_eq!(
        lake.catalog.drop_table(&ident("u")).await.unwrap_err().kind(),
        ErrorKind::TableNotFound
    );
    let place = table.metadata_location().unwrap().to_owned();
    lake.catalog.register_table(&ident("back"), place).await.unwrap();
    assert!(lake.catalog.table_exists(&ident("back")).await.unwrap());
}

#[tokio::test]
async fn a_name_that_is_a_path_is_refused() {
    let lake = Lake::new().await;
    for bad in ["../x", "a/b", "", "a.b"] {
        let creation = TableCreation::builder()
            .name(bad.into())
            .schema(schema([column(1, "a", PrimitiveType::Int)]))
            .build();
        assert!(
            lake.catalog
                .create_table(&NamespaceIdent::new(SCHEMA.into()), creation)
                .await
                .is_err(),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn of_two_writers_with_one_base_one_swaps_and_the_other_conflicts() {
    let lake = Lake::new().await;
    let base = lake
        .create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    let old = base.metadata_location().unwrap();
    assert!(lake.catalog.point(&ident("t"), old, "first").await.unwrap());
    assert!(!lake.catalog.point(&ident("t"), old, "second").await.unwrap());
    assert_eq!(
        lake.catalog.location(SCHEMA, "t").await.unwrap().as_deref(),
        Some("first")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn writers_that_race_all_commit_and_lose_nothing() {
    let lake = std::sync::Arc::new(Lake::new().await);
    lake.create("t", schema([column(1, "a", PrimitiveType::Int)]))
        .await;
    let writers: Vec<_> = (0..8)
        .map(|number| {
            let lake = std::sync::Arc::clone(&lake);
            // Own pools, as two processes have.
            tokio::spawn(async move {
                let catalog = open_catalog(&lake.config).await.unwrap();
                let files = lake.write("t", &format!("SELECT {number}")).await;
                for _ in 0..20 {
                    let table = catalog.load_table(&ident("t")).await.unwrap();
                    let transaction = Transaction::new(&table);
                    let append = transaction.fast_append().add_data_files(files.clone());
                    match append.apply(transaction).unwrap().commit(catalog.as_ref()).await {
                        Ok(_) => return,
                        Err(error) => assert_eq!(error.kind(), ErrorKind::CatalogCommitConflicts, "{error}"),
                    }
                }
                panic!("writer {number} never won");
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }
    assert_eq!(lake.ask("t", "SELECT count(*), sum(a) FROM t").await, "8,28");
    let left = std::fs::read_dir(lake.dir.path().join("warehouse/gold/t/metadata")).unwrap();
    let metadata = left
        .filter(|entry| {
            entry
                .as_ref()
                .unwrap()
                .path()
                .to_str()
                .unwrap()
                .ends_with("metadata.json")
        })
        .count();
    assert_eq!(metadata, 9, "a lost commit leaves no metadata file");
}

#[tokio::test]
async fn an_unknown_table_is_none_for_the_connector() {
    let lake = Lake::new().await;
    assert!(
        crate::Connector::table(&lake.source, SCHEMA, "no", None)
            .await
            .unwrap()
            .is_none()
    );
    let missing = TableIdent::from_strs([SCHEMA, "no"]).unwrap();
    assert!(!lake.catalog.table_exists(&missing).await.unwrap());
}
