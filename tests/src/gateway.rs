//! A `lakegate` process: launched on free ports, waited for by its ready line, killed on drop.
//!
//! Invariants: `start` returns only a gateway that said it is ready, or an error with everything it said instead;
//! dropping the value ends the process and removes the folder made for it, and on a failing test prints the log's end.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex, Weak};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use tempfile::TempDir;

use crate::answer::Refusal;
use crate::flight::Flight;
use crate::rest::Rest;

/// How long a start may take: a debug-free build makes the scale 0.01 lake in seconds, a loaded machine in more.
const READY: Duration = Duration::from_secs(300);

/// How long a command that should end by itself may take.
const END: Duration = Duration::from_secs(120);

/// How long a metric may take to reach what it will.
const METRIC: Duration = Duration::from_secs(30);

/// A `lakegate` command line to be.
#[derive(Debug, Clone)]
pub struct Launch {
    program: OsString,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
}

/// How a command ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// The exit code; `None` after a signal.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it complained about.
    pub stderr: String,
}

impl Launch {
    /// `lakegate` with `arguments`.
    pub fn new<I: IntoIterator<Item = S>, S: Into<OsString>>(arguments: I) -> Self {
        let arguments = arguments.into_iter().map(Into::into).collect();
        Self {
            program: binary().into(),
            arguments,
            environment: Vec::new(),
        }
    }

    /// `lakegate quickstart` over the lake in `directory` on free ports; the admin listener at `admin`.
    pub fn quickstart(directory: &Path, scale: f64, admin: &str) -> Self {
        let directory = directory.to_str().expect("a UTF-8 path");
        let scale = scale.to_string();
        let free = "127.0.0.1:0";
        Self::new([
            "quickstart",
            "--dir",
            directory,
            "--scale",
            &scale,
            "--flight",
            free,
            "--rest",
            free,
            "--ingest",
            free,
            "--admin",
            admin,
        ])
    }

    /// Adds an environment variable.
    pub fn with_environment(mut self, key: &str, value: &str) -> Self {
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Sets a key of the config, such as `limits.queries_max`, by its variable.
    pub fn with_setting(self, key: &str, value: &str) -> Self {
        let variable = format!("LAKEGATE__{}", key.to_uppercase().replace('.', "__"));
        self.with_environment(&variable, value)
    }

    /// The same command, run by bash as `lines`, where `"$0" "$@"` stands for it; for limits that a shell sets.
    pub fn under_shell(self, lines: &str) -> Self {
        let mut arguments = vec!["-c".into(), lines.into(), self.program];
        arguments.extend(self.arguments);
        Self {
            program: "bash".into(),
            arguments,
            environment: self.environment,
        }
    }

    /// Runs the command to its end, which must come within two minutes.
    pub async fn run(&self) -> Result<Ended> {
        let mut command = tokio::process::Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).kill_on_drop(true);
        let output = tokio::time::timeout(END, command.output())
            .await
            .context("the command did not end")??;
        Ok(Ended {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(&self.arguments)
            .envs(self.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }
}

/// A running gateway.
#[derive(Debug)]
pub struct Gateway {
    process: Child,
    /// `grpc://HOST:PORT`, as printed.
    pub flight: String,
    /// `http://HOST:PORT`, as printed.
    pub rest: String,
    /// `http://HOST:PORT` of ingest, as printed; empty for a gateway of `serve`.
    pub ingest: String,
    /// `http://HOST:PORT` of the admin listener.
    pub admin: String,
    users: BTreeMap<String, String>,
    log: PathBuf,
    /// The quickstart's folder; empty for a gateway of `serve`.
    pub directory: PathBuf,
    _own: Vec<TempDir>,
}

impl Gateway {
    /// A quickstart gateway over a new lake of the given TPC-H scale, in a folder that goes away with it.
    pub fn quickstart(scale: f64) -> Result<Self> {
        let own = TempDir::with_prefix("lakegate-test-")?;
        let directory = own.path().join("lake");
        let mut gateway = Self::quickstart_in(&directory, scale)?;
        gateway._own.push(own);
        Ok(gateway)
    }

    /// As [`Gateway::quickstart`], with keys of the config set, such as `planner.sources.pg.url`.
    pub fn quickstart_with(scale: f64, settings: &[(&str, &str)]) -> Result<Self> {
        let own = TempDir::with_prefix("lakegate-test-")?;
        let directory = own.path().join("lake");
        let admin = free_address()?;
        let mut launch = Launch::quickstart(&directory, scale, &admin);
        for (key, value) in settings {
            launch = launch.with_setting(key, value);
        }
        let mut gateway = Self::start(&launch, &admin)?;
        gateway.users = credentials(&directory)?;
        gateway.directory = directory;
        gateway._own.push(own);
        Ok(gateway)
    }

    /// A quickstart gateway over the lake in `directory`, which stays.
    pub fn quickstart_in(directory: &Path, scale: f64) -> Result<Self> {
        let admin = free_address()?;
        let mut gateway = Self::start(&Launch::quickstart(directory, scale, &admin), &admin)?;
        gateway.directory = directory.to_path_buf();
        gateway.users = credentials(directory)?;
        Ok(gateway)
    }

    /// The gateway that tests share which change nothing: a scale 0.01 lake. It ends with the last test holding it.
    pub fn shared() -> Arc<Self> {
        static SHARED: Mutex<Weak<Gateway>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if let Some(running) = shared.upgrade() {
            return running;
        }
        let started = Arc::new(Self::quickstart(0.01).expect("a quickstart gateway"));
        *shared = Arc::downgrade(&started);
        started
    }

    /// Starts `launch`, whose admin listener is at `admin`, and waits for its ready line. It knows no users yet.
    pub fn start(launch: &Launch, admin: &str) -> Result<Self> {
        let logs = TempDir::with_prefix("lakegate-log-")?;
        let log = logs.path().join("log");
        let mut process = launch
            .command()
            .stderr(File::create(&log)?)
            .spawn()
            .context("starting lakegate")?;
        let output = process.stdout.take().context("a piped stdout")?;
        let (sender, printed) = channel();
        std::thread::spawn(move || {
            // The pipe is drained to its end, also when nobody listens any more: a full pipe would stop the gateway.
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                drop(sender.send(line));
            }
        });
        let mut gateway = Self {
            process,
            flight: String::new(),
            rest: String::new(),
            ingest: String::new(),
            admin: format!("http://{admin}"),
            users: BTreeMap::new(),
            log,
            directory: PathBuf::new(),
            _own: vec![logs],
        };
        (gateway.flight, gateway.rest, gateway.ingest) = gateway.await_ready(&printed)?;
        Ok(gateway)
    }

    /// Tells the harness who may come in.
    #[must_use]
    pub fn with_users<const N: usize>(mut self, users: [(&str, &str); N]) -> Self {
        self.users = users
            .into_iter()
            .map(|(user, password)| (user.to_owned(), password.to_owned()))
            .collect();
        self
    }

    /// A user's password.
    pub fn password(&self, user: &str) -> &str {
        self.users
            .get(user)
            .unwrap_or_else(|| panic!("no user {user} among {:?}", self.users.keys()))
    }

    /// A Flight SQL connection as `user`.
    pub async fn flight(&self, user: &str) -> Result<Flight, Refusal> {
        Flight::connect(&self.flight, user, self.password(user)).await
    }

    /// A REST caller as `user`.
    pub fn rest(&self, user: &str) -> Rest {
        Rest::new(&self.rest, user, self.password(user))
    }

    /// The value of the metric whose line begins with `name`, labels included; `None` when the admin listener does
    /// not show it.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        let page = reqwest::get(format!("{}/metrics", self.admin))
            .await
            .expect("the admin listener");
        let text = page.text().await.expect("a metrics page");
        let line = text.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// Asks until the metric `name` reads `wanted`.
    pub async fn await_metric(&self, name: &str, wanted: f64) {
        let deadline = Instant::now() + METRIC;
        loop {
            let seen = self.metric(name).await;
            if seen == Some(wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "{name} is {seen:?}, not {wanted}");
            tokio::time::sleep(Duration::from_millis(25)).await;
        }
    }

    /// Sends the process a signal, such as `HUP`.
    pub async fn signal(&self, name: &str) {
        let kill =
            Launch::new(Vec::<String>::new()).under_shell(&format!("kill -{name} {}", self.process_id()));
        let ended = kill.run().await.expect("an end");
        assert_eq!(ended.code, Some(0), "{ended:?}");
    }

    /// What the gateway has logged so far.
    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Whether the process still runs.
    pub fn is_running(&mut self) -> bool {
        matches!(self.process.try_wait(), Ok(None))
    }

    /// The process, for signals.
    pub fn process_id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until the process has ended by itself; its exit code.
    pub fn await_end(&mut self) -> Result<Option<i32>> {
        Ok(self.process.wait()?.code())
    }

    fn await_ready(&mut self, printed: &Receiver<String>) -> Result<(String, String, String)> {
        let deadline = Instant::now() + READY;
        let mut lines = Vec::new();
        loop {
            let Ok(line) = printed.recv_timeout(deadline.saturating_duration_since(Instant::now())) else {
                bail!(
                    "no ready line; stdout:\n{}\nlog:\n{}",
                    lines.join("\n"),
                    self.log()
                );
            };
            if let Some(addresses) = ready(&line) {
                return Ok(addresses);
            }
            lines.push(line);
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        // Both fail only when the process is gone already.
        drop(self.process.kill());
        drop(self.process.wait());
        if std::thread::panicking() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            let end = &lines[lines.len().saturating_sub(60)..];
            eprintln!("the gateway's log ends with:\n{}", end.join("\n"));
        }
    }
}

/// The addresses in `ready flight=grpc://HOST:PORT rest=http://HOST:PORT ingest=http://HOST:PORT`; the last one is empty where it is not there.
fn ready(line: &str) -> Option<(String, String, String)> {
    let mut words = line.strip_prefix("ready ")?.split_whitespace();
    let flight = words.next()?.strip_prefix("flight=")?;
    let rest = words.next()?.strip_prefix("rest=")?;
    let ingest = words
        .find_map(|word| word.strip_prefix("ingest="))
        .unwrap_or_default();
    Some((flight.to_owned(), rest.to_owned(), ingest.to_owned()))
}

fn credentials(directory: &Path) -> Result<BTreeMap<String, String>> {
    let path = directory.join("credentials.json");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let entries: Vec<Value> = serde_json::from_str(&text)?;
    let field = |entry: &Value, key| entry[key].as_str().map(str::to_owned).context("a text field");
    entries
        .iter()
        .map(|entry| Ok((field(entry, "user")?, field(entry, "password")?)))
        .collect()
}

/// A loopback address whose port was free a moment ago.
pub fn free_address() -> Result<String> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string())
}

/// The gateway under test: `LAKEGATE_BIN`, or the binary beside the test executable in the target folder.
pub fn binary() -> PathBuf {
    if let Some(named) = std::env::var_os("LAKEGATE_BIN") {
        return named.into();
    }
    let test = std::env::current_exe().expect("the path of this test");
    let release = test
        .parent()
        .and_then(Path::parent)
        .expect("target/release above deps");
    let binary = release.join("lakegate");
    assert!(
        binary.exists(),
        "no {}; run `make build` first, or `make test` for all",
        binary.display()
    );
    binary
}
