//! Tables in an S3 store, read as they are through everything that a network and a busy service do.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tests::{Fault, Faulty, Gateway, Moto, python};

const WHOLE: &str = "SELECT count(*), sum(id), count(DISTINCT name) FROM s3.gold.events";

/// A lake of PyIceberg's in a bucket, its catalog in a file of `folder`; what is in it.
async fn written(moto: &Moto, folder: &Path) -> Value {
    let properties = json!({
        "type": "sql", "uri": format!("sqlite:///{}", folder.join("catalog.db").display()),
        "warehouse": "s3://lake/wh", "s3.endpoint": format!("http://{}", moto.address), "s3.region": "us-east-1",
        "s3.access-key-id": "id", "s3.secret-access-key": "key",
    });
    python::run("pyiceberg_lake.py", &["write", &properties.to_string()])
        .await
        .expect("a lake")
}

/// A gateway that reads the bucket at `endpoint`, with more keys of the source set.
fn gateway(folder: &Path, endpoint: &str, more: &[(&str, &str)]) -> Gateway {
    for (file, text) in [("id", "id"), ("key", "key")] {
        fs::write(folder.join(file), text).expect("a file");
    }
    let catalog = folder.join("catalog.db").display().to_string();
    let secret = |file: &str| format!("file:{}", folder.join(file).display());
    let mut settings: Vec<(String, String)> = [
        ("kind", "iceberg".to_owned()),
        ("catalog", catalog),
        ("warehouse", "s3://lake/wh".to_owned()),
        ("storage.endpoint", format!("http://{endpoint}")),
        ("storage.allow_http", "true".to_owned()),
        ("storage.access_key_id", secret("id")),
        ("storage.secret_access_key", secret("key")),
    ]
    .into_iter()
    .map(|(key, value)| (key.to_owned(), value))
    .collect();
    for (key, value) in more {
        settings.retain(|(known, _)| known != key);
        if !value.is_empty() {
            settings.push(((*key).to_owned(), (*value).to_owned()));
        }
    }
    let named: Vec<(String, String)> = settings
        .into_iter()
        .map(|(key, value)| (format!("planner.sources.s3.{key}"), value))
        .collect();
    let named: Vec<(&str, &str)> = named
        .iter()
        .map(|(key, value)| (key.as_str(), value.as_str()))
        .collect();
    Gateway::quickstart_with(0.01, &named).expect("a gateway")
}

fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::with_prefix("lakegate-s3-").expect("a folder");
    let path = folder.path().to_path_buf();
    (folder, path)
}

async fn answer(gateway: &Gateway, sql: &str) -> Vec<Vec<String>> {
    gateway.rest("admin").query(sql).await.expect(sql).rows()
}

#[tokio::test(flavor = "multi_thread")]
async fn tables_in_s3_are_read_through_failures_and_short_and_slow_answers() {
    let (_keep, folder) = folder();
    let moto = Moto::start().await.expect("moto");
    let said = written(&moto, &folder).await;
    let events = &said["gold.events"];
    let faulty = Faulty::start(&moto.address, |number, line| {
        match (line.starts_with("GET "), number % 6) {
            (true, 0) => Fault::Status(500),
            (true, 2) => Fault::Status(503),
            (true, 3) => Fault::Short,
            (true, 5) => Fault::Slow(Duration::from_millis(5)),
            _ => Fault::None,
        }
    })
    .await
    .expect("a proxy");
    let gateway = gateway(&folder, &faulty.address, &[("storage.retries_max", "10")]);
    let rows = events["rows"].to_string();
    assert_eq!(
        answer(&gateway, WHOLE).await,
        [[rows.clone(), events["sum"].to_string(), rows.clone()]]
    );
    assert_eq!(
        answer(&gateway, "SELECT name FROM s3.gold.events WHERE id = 77777").await,
        [[format!("event 77777 {}", "x".repeat(77777 % 50))]]
    );
    let tagged = "SELECT count(*) FROM s3.gold.events FOR VERSION AS OF 'first'";
    assert_eq!(answer(&gateway, tagged).await, [["40000"]]);
    let files = "SELECT count(*) FROM s3.gold.\"events$files\"";
    assert_ne!(answer(&gateway, files).await, [["0"]]);
    let joined = "SELECT count(*) FROM s3.gold.events e JOIN lake.gold.nation n ON e.id = n.n_nationkey";
    assert_eq!(answer(&gateway, joined).await, [["25"]]);
    assert_eq!(
        answer(&gateway, "SELECT sum(id) FROM s3.\"gold.inner\".notes").await,
        [["6"]]
    );
    let (asked, failed) = faulty.seen();
    assert!(failed > 10 && asked > failed, "{asked} requests, {failed} faults");
    let counted = gateway
        .metric("lakegate_source_counts{source=\"s3\",what=\"store_requests\"}")
        .await;
    assert!(counted.is_some_and(|counted| counted > 5.0), "{counted:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_has_been_read_once_is_read_from_local_disk() {
    let (_keep, folder) = folder();
    let moto = Moto::start().await.expect("moto");
    written(&moto, &folder).await;
    let is_down = Arc::new(AtomicBool::new(false));
    let down = Arc::clone(&is_down);
    let faulty = Faulty::start(&moto.address, move |_, line| {
        match line.contains(".parquet") && down.load(Ordering::Relaxed) {
            true => Fault::Status(503),
            false => Fault::None,
        }
    })
    .await
    .expect("a proxy");
    let cache = folder.join("cache").display().to_string();
    let gateway = gateway(
        &folder,
        &faulty.address,
        &[
            ("storage.cache_dir", &cache),
            ("storage.cache_block_bytes", "65536"),
            ("storage.retries_max", "0"),
        ],
    );
    let first = answer(&gateway, WHOLE).await;
    is_down.store(true, Ordering::Relaxed);
    assert_eq!(
        answer(&gateway, WHOLE).await,
        first,
        "without a single data file from the store"
    );
    let hits = gateway
        .metric("lakegate_source_counts{source=\"s3\",what=\"disk_cache_hits\"}")
        .await;
    assert!(hits.is_some_and(|hits| hits > 3.0), "{hits:?}");
    assert!(
        fs::read_dir(folder.join("cache").join("s3"))
            .expect("a cache")
            .count()
            > 3
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_down_or_silent_fails_its_own_queries_by_name() {
    let (_keep, folder) = folder();
    let moto = Moto::start().await.expect("moto");
    written(&moto, &folder).await;
    for fault in [Fault::Status(503), Fault::Hang] {
        let faulty = Faulty::start(&moto.address, move |_, _| fault)
            .await
            .expect("a proxy");
        let bounds = [
            ("storage.retries_max", "1"),
            ("storage.retry_timeout_ms", "1000"),
            ("storage.request_timeout_ms", "500"),
        ];
        let gateway = gateway(&folder, &faulty.address, &bounds);
        let refusal = gateway
            .rest("admin")
            .query(WHOLE)
            .await
            .expect_err("a store that is down");
        assert!(refusal.message.ends_with("(LG1013)"), "{refusal:?}");
        assert!(
            refusal.message.contains("source s3 cannot be reached"),
            "{refusal:?}"
        );
        assert_eq!(
            answer(&gateway, "SELECT count(*) FROM lake.gold.nation").await,
            [["25"]]
        );
    }
}
