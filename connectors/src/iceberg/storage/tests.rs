use super::*;
use crate::iceberg::FilesWithin;
use crate::iceberg::storage::lent::{Lender, Loan};
use async_trait::async_trait;

fn opened(config: &SourceConfig) -> Storage {
    Storage::open("lake", config, Handle::current()).unwrap()
}

fn local() -> (tempfile::TempDir, String, Storage) {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().to_str().unwrap().to_owned();
    let storage = opened(&SourceConfig::new("/c.db", root.as_str()));
    (dir, root, storage)
}

fn remote(warehouse: &str) -> SourceConfig {
    let mut config = SourceConfig::new("/c.db", warehouse);
    config.storage.credentials = Credentials::Anonymous;
    config
}

#[derive(Debug)]
struct Nobody;

#[async_trait]
impl Lender for Nobody {
    async fn lend(&self) -> Result<Loan> {
        Ok(Loan::default())
    }
}

fn lent() -> Arc<LentProvider> {
    let keys = [("s3.access-key-id", "id"), ("s3.secret-access-key", "key")];
    let keys = keys.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Arc::new(LentProvider::new(Loan(keys.into()), Arc::new(Nobody)))
}

#[tokio::test]
async fn a_location_below_the_tables_folder_is_found_in_every_spelling() {
    let (_dir, root, storage) = local();
    let metadata = format!("{root}/t/metadata/1.metadata.json");
    let warehouse = storage.warehouse("t", &metadata, None).await.unwrap();
    for location in [
        format!("{root}/t/a.parquet"),
        format!("file://{root}//t/./a.parquet"),
        format!("file:{root}/t/a.parquet"),
    ] {
        assert_eq!(
            warehouse.path("t", &location).unwrap().as_ref(),
            "t/a.parquet",
            "{location}"
        );
    }
    let odd = warehouse
        .path("t", &format!("{root}/t/a%20b=c d.parquet"))
        .unwrap();
    assert_eq!(odd.as_ref(), "t/a%20b=c d.parquet");
}

#[tokio::test]
async fn a_location_that_leaves_the_tables_folder_is_refused() {
    let (_dir, root, storage) = local();
    let metadata = format!("file:{root}/t/metadata/1.metadata.json");
    let warehouse = storage.warehouse("gold.t", &metadata, None).await.unwrap();
    for location in [
        "/etc/passwd".to_owned(),
        format!("{root}/../secret"),
        format!("{root}/t/../u/a.parquet"),
        format!("{root}/u/a.parquet"),
        format!("{root}/t2/a.parquet"),
        format!("{root}2/t/a.parquet"),
        "s3://bucket/t".to_owned(),
        "t/a.parquet".to_owned(),
    ] {
        let error = warehouse.path("gold.t", &location).unwrap_err();
        assert!(matches!(error, Error::Outside { .. }), "{location}: {error}");
    }
    for metadata in [
        "/etc/metadata/1.metadata.json",
        "s3://b/t/metadata/1.metadata.json",
    ] {
        let error = storage.warehouse("t", metadata, None).await.unwrap_err();
        assert!(matches!(error, Error::Outside { .. }), "{metadata}: {error}");
    }
}

#[tokio::test]
async fn where_the_config_says_so_a_table_names_files_of_the_whole_warehouse() {
    let (dir, root, _) = local();
    let mut config = SourceConfig::new("/c.db", root.as_str());
    config.files_within = FilesWithin::Warehouse;
    let metadata = format!("{root}/t/metadata/1.metadata.json");
    let warehouse = opened(&config).warehouse("t", &metadata, None).await.unwrap();
    assert_eq!(
        warehouse
            .path("t", &format!("{root}/u/a.parquet"))
            .unwrap()
            .as_ref(),
        "u/a.parquet"
    );
    assert!(warehouse.path("t", "/etc/passwd").is_err());
    drop(dir);
}

#[tokio::test]
async fn a_bucket_is_read_below_its_root_and_the_tables_folder() {
    let storage = opened(&remote("s3://b/wh"));
    let metadata = "s3a://b/wh/gold/t/metadata/1.metadata.json";
    let warehouse = storage.warehouse("t", metadata, None).await.unwrap();
    let path = warehouse
        .path("t", "s3://b/wh/gold/t/data/x=1/a.parquet")
        .unwrap();
    assert_eq!(path.as_ref(), "wh/gold/t/data/x=1/a.parquet");
    for outside in [
        "s3://b/wh/gold/u/a.parquet",
        "s3://other/wh/gold/t/a.parquet",
        "gs://b/wh/gold/t/a.parquet",
        "/wh/gold/t/a.parquet",
    ] {
        assert!(warehouse.path("t", outside).is_err(), "{outside}");
    }
    assert!(
        storage
            .warehouse("t", "s3://b/elsewhere/t/metadata/1.json", None)
            .await
            .is_err()
    );
    let again = storage
        .warehouse("u", "s3://b/wh/gold/u/metadata/1.json", None)
        .await
        .unwrap();
    assert!(
        Arc::ptr_eq(again.store(), warehouse.store()),
        "one bucket is one store"
    );
    assert_eq!(again.url(), warehouse.url());
}

#[tokio::test]
async fn a_loan_opens_the_folder_of_its_table_alone() {
    let mut config = remote("analytics");
    config.catalog = "https://catalog/iceberg".to_owned();
    let storage = opened(&config);
    let (metadata, lent) = ("s3://b/wh/gold/t/metadata/1.metadata.json", lent());
    assert!(
        storage.warehouse("t", metadata, None).await.is_err(),
        "no loan and no root"
    );
    let warehouse = storage.warehouse("t", metadata, Some(&lent)).await.unwrap();
    assert!(warehouse.path("t", "s3://b/wh/gold/t/data/a.parquet").is_ok());
    assert!(warehouse.path("t", "s3://b/wh/gold/u/data/a.parquet").is_err());
    for never in [
        "/etc/metadata/1.metadata.json",
        "s3://b/metadata/1.metadata.json",
        "s3://b/1.json",
    ] {
        assert!(
            storage.warehouse("t", never, Some(&lent)).await.is_err(),
            "{never}"
        );
    }
    let other = storage
        .warehouse("u", "s3://b/wh/gold/u/metadata/1.json", Some(&lent))
        .await
        .unwrap();
    assert_ne!(other.url(), warehouse.url(), "another table has another loan");
    // Where the config names buckets, a loan opens no other.
    let mut rooted = config.clone();
    rooted.locations = vec!["s3://b/other".to_owned()];
    assert!(
        opened(&rooted)
            .warehouse("t", metadata, Some(&lent))
            .await
            .is_err()
    );
}

#[tokio::test]
async fn a_store_without_keys_is_refused_when_a_table_lies_in_it() {
    let storage = opened(&SourceConfig::new("/c.db", "s3://b/wh"));
    let error = storage
        .warehouse("t", "s3://b/wh/t/metadata/1.json", None)
        .await
        .unwrap_err();
    assert!(
        error.to_string().starts_with("key storage.access_key_id: "),
        "{error}"
    );
}
