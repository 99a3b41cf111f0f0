//! A real `lakegate-ingest` process over a folder of its own.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::AsArray as _;
use arrow::datatypes::DataType;
use connectors::Connector as _;
use connectors::iceberg::Iceberg;
use datafusion::prelude::SessionContext;

/// How long a thing that is waited for may take, on a loaded machine.
pub const ARRIVAL: Duration = Duration::from_secs(90);

/// The service while it runs.
#[derive(Debug)]
pub struct Dock {
    process: Child,
    /// `http://127.0.0.1:PORT`
    pub url: String,
    /// Whether it has a point at which it ends.
    pub armed: bool,
    log: PathBuf,
}

impl Dock {
    /// Starts the service with an armed point; none when it died before it was ready.
    pub fn start(config: &Path, point: Option<&str>) -> Option<Self> {
        let text = fs::read_to_string(config).expect("a config");
        let stem = config.file_stem().unwrap_or_default().to_string_lossy();
        let name = format!("armed-{stem}.toml");
        let armed = config.with_file_name(name);
        let line = format!(
            "fault_point = \"{}\"\n",
            point.map_or(String::new(), |point| format!("{point}:1"))
        );
        fs::write(&armed, format!("{line}{text}")).expect("a config");
        let log = config.with_file_name("log");
        let words = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .expect("a log");
        let mut process = Command::new(binary())
            .args(["--config", armed.to_str().expect("a UTF-8 path"), "serve"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(words)
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
                log,
            }),
            None => {
                // At its point it ends by an abort; any other end is a failure.
                let ended = process.wait().expect("an end");
                let said = fs::read_to_string(&log).unwrap_or_default();
                assert_eq!(
                    ended.signal(),
                    Some(6),
                    "lakegate-ingest ended with {ended}:\n{said}"
                );
                assert!(point.is_some(), "lakegate-ingest aborted:\n{said}");
                None
            }
        }
    }

    /// Whether it has ended.
    pub fn died(&mut self) -> bool {
        !matches!(self.process.try_wait(), Ok(None))
    }

    /// Ends it as a power cut would.
    pub fn kill(&mut self) {
        // Both fail only when it has ended already.
        drop(self.process.kill());
        drop(self.process.wait());
    }

    /// Stops or continues the process, as a machine does that has no time for it.
    pub fn signal(&self, signal: &str) {
        let id = self.process.id().to_string();
        let sent = Command::new("kill").args([signal, &id]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{signal}");
    }

    /// What it has said, with those before it in the same folder.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// A page of its metrics.
    pub async fn metrics(&self) -> String {
        let page = reqwest::get(format!("{}/metrics", self.url))
            .await
            .expect("a page");
        page.text().await.expect("text")
    }

    /// Waits until a metric has a value, named with its labels as the page has it.
    pub async fn await_metric(&self, name: &str, wanted: impl Fn(f64) -> bool) {
        let deadline = Instant::now() + ARRIVAL;
        loop {
            let page = self.metrics().await;
            let line = page.lines().find(|line| line.starts_with(name));
            let value: Option<f64> = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
            if value.is_some_and(&wanted) {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{name}: {value:?}\n{page}\n{}",
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }
}

impl Drop for Dock {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The program beside the gateway under test.
pub fn binary() -> PathBuf {
    crate::gateway::binary().with_file_name("lakegate-ingest")
}

/// Runs a command to its end, whatever that is.
pub fn output(config: &Path, arguments: &[&str]) -> Output {
    Command::new(binary())
        .args(["--config", config.to_str().expect("a UTF-8 path")])
        .args(arguments)
        .output()
        .expect("lakegate-ingest")
}

/// Runs a command that must succeed, and gives what it printed.
pub fn run(config: &Path, arguments: &[&str]) -> String {
    let output = output(config, arguments);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The values of a column of a lake's table that are not null, as texts, read by the gateway's own reader.
pub async fn column(lake: &Path, schema: &str, name: &str, column: &str) -> Vec<String> {
    let config = connectors::iceberg::Config::new(
        lake.join("catalog.sqlite"),
        lake.join("warehouse").display().to_string(),
    );
    let lake = Iceberg::open("lake", &config, tokio::runtime::Handle::current())
        .await
        .expect("a lake");
    let table = lake.table(schema, name, None).await;
    let table = table.expect("an answer").expect("a table");
    let context = SessionContext::new();
    for (url, store) in &table.object_stores {
        context
            .runtime_env()
            .register_object_store(url.as_ref(), Arc::clone(store));
    }
    let read = context.read_table(table.provider).expect("a scan");
    let read = read.select_columns(&[column]).expect("a column");
    let mut values = Vec::new();
    for batch in read.collect().await.expect("rows") {
        let texts = arrow::compute::cast(batch.column(0), &DataType::Utf8).expect("texts");
        values.extend(texts.as_string::<i32>().iter().flatten().map(str::to_owned));
    }
    values
}
