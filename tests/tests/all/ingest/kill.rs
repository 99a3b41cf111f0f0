//! Kills of the real service at named points of the protocol, with a client that retries by its key. The judge is the lake: every record that
//! was acknowledged is there, and none is there twice.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The points, as `ingest/src/fault.rs` names them.
const POINTS: [&str; 9] = [
    "bronze-files-written",
    "bronze-committed",
    "silver-judged",
    "rejects-committed",
    "silver-files-written",
    "silver-committed",
    "index-written",
    "gold-files-written",
    "gold-committed",
];
/// Kills in one run of the tests.
const KILLS: usize = 20;
/// Uploads between two kills.
const UPLOADS: usize = 3;
/// How long the way to a point may take, on a loaded machine.
const MEETING: Duration = Duration::from_secs(60);
/// Records of an upload; one of them is bad.
const RECORDS: usize = 10;

struct Service {
    process: Child,
    url: String,
    armed: bool,
}

impl Service {
    /// Starts the service with an armed point; none when it died before it was ready.
    fn start(config: &Path, point: Option<&str>) -> Option<Self> {
        let text = fs::read_to_string(config).expect("a config");
        let armed = config.with_file_name("armed.toml");
        let line = format!(
            "fault_point = \"{}\"\n",
            point.map_or(String::new(), |point| format!("{point}:1"))
        );
        fs::write(&armed, format!("{line}{text}")).expect("a config");
        let mut process = Command::new(binary())
            .args(["--config", armed.to_str().expect("a UTF-8 path"), "serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("lakegate-ingest");
        let mut line = String::new();
        let output = process.stdout.take().expect("a pipe");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let url = line.trim().strip_prefix("ready ingest=").map(str::to_owned);
        match url {
            Some(url) => Some(Self {
                process,
                url,
                armed: point.is_some(),
            }),
            None => {
                drop(process.wait());
                None
            }
        }
    }

    fn died(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

fn binary() -> PathBuf {
    let gateway = std::env::var_os("LAKEGATE_BIN").map(PathBuf::from);
    let beside = std::env::current_exe().expect("the path of this test");
    let release = match &gateway {
        Some(gateway) => gateway.parent().expect("a folder").to_path_buf(),
        None => beside
            .ancestors()
            .nth(2)
            .expect("target/release above deps")
            .to_path_buf(),
    };
    release.join("lakegate-ingest")
}

fn body(upload: usize) -> String {
    let mut lines = String::new();
    for record in 0..RECORDS {
        let kind = if record == 7 { "wave" } else { "view" };
        lines += &format!(
            "{{\"event_id\":\"u{upload}-{record}\",\"ts\":\"2026-01-0{}T09:00:00Z\",\"user_id\":{upload},\"kind\":\"{kind}\"}}\n",
            1 + upload % 9
        );
    }
    lines
}

/// Posts one upload until it is acknowledged; a service that died on the way is started again without a point.
async fn post(service: &mut Option<Service>, config: &Path, upload: usize) {
    let client = reqwest::Client::new();
    loop {
        if service.as_mut().is_none_or(Service::died) {
            *service = Service::start(config, None);
        }
        let Some(running) = service.as_ref() else { continue };
        let sent = client
            .post(format!("{}/v1/ingest/events", running.url))
            .basic_auth("writer", Some(PASSWORD))
            .header("Idempotency-Key", format!("upload-{upload}"))
            .header("Content-Type", "application/x-ndjson")
            .timeout(Duration::from_secs(60))
            .body(body(upload))
            .send()
            .await;
        match sent {
            Ok(response) if response.status().is_success() => return,
            Ok(response) => assert_eq!(
                response.status().as_u16(),
                503,
                "only a lost commit may be refused"
            ),
            Err(_) => {}
        }
    }
}

const PASSWORD: &str = "a password of the tests";

pub(super) fn lake(folder: &Path) -> PathBuf {
    fs::create_dir(folder.join("pipelines")).expect("a folder");
    let pipeline = include_str!("../../../../deploy/pipelines/events.toml")
        .replace("interval = \"2s\"", "interval = \"100ms\"");
    fs::write(folder.join("pipelines/events.toml"), pipeline).expect("a pipeline");
    let hash = policies::hash_password(&policies::Secret::new(PASSWORD)).expect("a hash");
    fs::write(
        folder.join("users.toml"),
        format!("[[user]]\nname = \"writer\"\npassword_hash = \"{hash}\"\nroles = [\"writer\"]\n"),
    )
    .expect("users");
    let config = folder.join("ingest.toml");
    fs::write(
        &config,
        "[listen]\nhttp = \"127.0.0.1:0\"\n[writers]\nroles = [\"writer\"]\n",
    )
    .expect("a config");
    config
}

/// Runs the command once, and gives what it printed.
pub(crate) fn run(config: &Path, arguments: &[&str]) -> String {
    let output = Command::new(binary())
        .args(["--config", config.to_str().expect("a UTF-8 path")])
        .args(arguments)
        .output()
        .expect("lakegate-ingest");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[tokio::test]
async fn no_kill_loses_a_record_or_doubles_one() {
    let folder = TempDir::with_prefix("lakegate-kill-").expect("a folder");
    let config = lake(folder.path());
    assert!(run(&config, &["plan"]).contains("+ bronze.events"));
    let (mut upload, mut met) = (0, BTreeSet::new());
    for kill in 0..KILLS {
        let point = POINTS[kill % POINTS.len()];
        // A point on the way may be met before the service says that it is ready: what waited from the last time is taken up at once.
        let mut service = Service::start(&config, Some(point));
        for _ in 0..UPLOADS {
            post(&mut service, &config, upload).await;
            upload += 1;
        }
        // One that is armed still has not come to its point: it does, as records are on their way.
        let deadline = Instant::now() + MEETING;
        while let Some(running) = service.as_mut().filter(|running| running.armed)
            && !running.died()
        {
            assert!(Instant::now() < deadline, "{point} is not met");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        met.insert(point);
    }
    assert_eq!(met.len(), POINTS.len());
    run(&config, &["run"]);
    let status: serde_json::Value =
        serde_json::from_str(run(&config, &["status", "--json"]).trim()).expect("JSON");
    let records = (upload * RECORDS) as u64;
    assert_eq!(status["received"], records, "{status}");
    assert_eq!(status["published"], (upload * (RECORDS - 1)) as u64, "{status}");
    assert_eq!(status["rejected"], upload as u64, "{status}");
    assert_eq!(
        (&status["duplicate"], &status["pending"]),
        (&0.into(), &0.into()),
        "{status}"
    );
    judged_by_the_gateway(folder.path(), upload).await;
}

/// What the tables themselves hold, read by the gateway's own reader.
async fn judged_by_the_gateway(folder: &Path, uploads: usize) {
    use connectors::Connector as _;
    let config = connectors::iceberg::Config::new(
        folder.join("catalog.sqlite"),
        folder.join("warehouse").display().to_string(),
    );
    let lake = connectors::iceberg::Iceberg::open("lake", &config, tokio::runtime::Handle::current())
        .await
        .expect("a lake");
    let rows = |schema: &'static str, name: &'static str, column: &'static str| {
        let lake = &lake;
        async move {
            let table = lake
                .table(schema, name, None)
                .await
                .expect("an answer")
                .expect("a table");
            let context = datafusion::prelude::SessionContext::new();
            for (url, store) in &table.object_stores {
                context
                    .runtime_env()
                    .register_object_store(url.as_ref(), std::sync::Arc::clone(store));
            }
            let read = context.read_table(table.provider).expect("a scan");
            let batches = read
                .select_columns(&[column])
                .expect("a column")
                .collect()
                .await
                .expect("rows");
            let mut values = Vec::new();
            for batch in batches {
                let texts =
                    arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8).expect("texts");
                values.extend(
                    arrow::array::AsArray::as_string::<i32>(&texts)
                        .iter()
                        .flatten()
                        .map(str::to_owned),
                );
            }
            values
        }
    };
    let bronze = rows("bronze", "events", "payload").await;
    let distinct: BTreeSet<&String> = bronze.iter().collect();
    assert_eq!(
        (bronze.len(), distinct.len()),
        (uploads * RECORDS, uploads * RECORDS)
    );
    let silver = rows("silver", "events", "event_id").await;
    let distinct: BTreeSet<&String> = silver.iter().collect();
    assert_eq!(
        (silver.len(), distinct.len()),
        (uploads * (RECORDS - 1), uploads * (RECORDS - 1))
    );
    assert_eq!(rows("system", "rejects", "payload").await.len(), uploads);
    let counted: u64 = rows("gold", "events_by_kind", "events")
        .await
        .iter()
        .map(|text| text.parse::<u64>().expect("a number"))
        .sum();
    assert_eq!(counted, (uploads * (RECORDS - 1)) as u64);
}
