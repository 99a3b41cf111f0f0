//! Topics of a real Kafka broker into the lake, by real processes: every record once, whatever happens to brokers, topics, registry or service.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;
use tests::dock::{ARRIVAL, run};
use tests::kafka::Produced;

mod arrival;
mod formats;
mod kill;
mod topics;

/// A pipeline over topics: the contract of `events`, at a short interval. `source` is what stands in its `[source]` beside kind and brokers.
fn pipeline(name: &str, brokers: &str, source: &str) -> String {
    format!(
        r#"
name = "{name}"
interval = "100ms"

[source]
kind = "kafka"
brokers = ["{brokers}"]
{source}

[[contract.column]]
name = "id"
type = "text"
required = true

[[contract.column]]
name = "kind"
type = "text"
required = true

[[contract.column]]
name = "amount"
type = "double"

[quality]
gate = 0.0

[[quality.rule]]
id = "kind_known"
kind = "in_set"
column = "kind"
values = ["view", "click", "buy"]

[[gold]]
name = "{name}_by_kind"
sql = "SELECT kind, count(*) AS records FROM silver.{name} GROUP BY kind"
"#
    )
}

/// A folder with pipelines and the config of a service over them.
struct House {
    folder: TempDir,
    config: PathBuf,
}

impl House {
    fn new(pipelines: &[(&str, String)]) -> Self {
        let folder = TempDir::with_prefix("lakegate-topics-").expect("a folder");
        fs::create_dir(folder.path().join("pipelines")).expect("a folder");
        let config = folder.path().join("ingest.toml");
        fs::write(folder.path().join("users.toml"), "").expect("users");
        fs::write(&config, "[listen]\nhttp = \"127.0.0.1:0\"\n").expect("a config");
        let house = Self { folder, config };
        for (name, text) in pipelines {
            house.write(name, text);
        }
        house
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.folder.path().join(format!("pipelines/{name}.toml"));
        fs::write(path, text).expect("a pipeline");
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// What `status` says of the only pipeline.
    fn status(&self) -> Value {
        serde_json::from_str(run(&self.config, &["status", "--json"]).trim()).expect("JSON")
    }

    /// Waits until the tables hold so many records in all, published and rejected ones among them.
    async fn settled(&self, received: u64, published: u64, rejected: u64) -> Value {
        let deadline = Instant::now() + ARRIVAL;
        loop {
            let status = self.status();
            let counts = ["received", "published", "rejected", "duplicate", "pending"];
            let found = counts.map(|key| status[key].as_u64().unwrap_or_default());
            if found == [received, published, rejected, 0, 0] {
                return status;
            }
            assert!(found[0] <= received, "more than was produced: {status}");
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "{status}\n{log}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the log of its services has these words.
    async fn await_log(&self, words: &str) {
        let deadline = Instant::now() + ARRIVAL;
        loop {
            let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
            if log.contains(words) {
                return;
            }
            assert!(Instant::now() < deadline, "{words}:\n{log}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// The values of a column that are not null, as texts, sorted.
    async fn column(&self, schema: &str, name: &str, column: &str) -> Vec<String> {
        let mut values = tests::dock::column(self.path(), schema, name, column).await;
        values.sort();
        values
    }

    /// What PyIceberg and DuckDB find in the tables of a pipeline, one answer for both.
    async fn judged(&self, pipeline: &str) -> Value {
        let folder = self.path().join("warehouse");
        let folder = folder.to_str().expect("a UTF-8 path");
        let said = tests::python::run("zones.py", &[folder, pipeline])
            .await
            .expect("two readers");
        assert_eq!(said["pyiceberg"], said["duckdb"]);
        said["duckdb"].clone()
    }
}

/// The value of a record.
fn event(id: &str, kind: &str) -> String {
    format!("{{\"id\":\"{id}\",\"kind\":\"{kind}\",\"amount\":1.5}}")
}

/// Records with these values, for one partition.
fn records<'a>(partition: i32, values: &'a [String]) -> Vec<Produced<'a>> {
    let record = |value: &'a String| Produced {
        partition: Some(partition),
        value: Some(value.as_bytes()),
        ..Produced::default()
    };
    values.iter().map(record).collect()
}
