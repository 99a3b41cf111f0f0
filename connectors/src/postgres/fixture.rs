//! A real Postgres server for the tests of this crate: one for the process, a database for each test.
//!
//! Invariants:
//! - The server listens on a free port of loopback and on a socket in a folder of its own; nothing else is touched.
//! - It goes when the test process goes, however that ends: a shell waits for the end of a pipe, stops it and removes
//!   its folder.
//! - Without a Postgres on the machine every test fails and says what to install; none is skipped.

use super::{Config, Postgres, Sql};
use crate::{Connector, SourceTable};
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use datafusion::prelude::{SessionConfig, SessionContext};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::runtime::Handle;
use tokio_postgres::{Client, NoTls};

/// What runs as the server's user. The certificate is its own authority.
const SCRIPT: &str = r#"
set -e
"$BIN/initdb" -D "$DIR/data" -U owner -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$DIR/initdb.log" 2>&1 || { cat "$DIR/initdb.log" >&2; exit 1; }
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj /CN=localhost \
  -addext subjectAltName=DNS:localhost -addext basicConstraints=critical,CA:FALSE \
  -keyout "$DIR/server.key" -out "$DIR/server.crt" >"$DIR/openssl.log" 2>&1 || { cat "$DIR/openssl.log" >&2; exit 1; }
chmod 600 "$DIR/server.key"
cat >"$DIR/data/pg_hba.conf" <<END
local all all trust
host all locked 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
END
"$BIN/pg_ctl" -w -t 60 -D "$DIR/data" -l "$DIR/log" -o "-p $PORT -h 127.0.0.1 -k $DIR -c fsync=off \
  -c full_page_writes=off -c synchronous_commit=off -c autovacuum=off -c max_connections=300 -c ssl=on \
  -c ssl_cert_file=$DIR/server.crt -c ssl_key_file=$DIR/server.key" start >"$DIR/start.log" 2>&1 || { cat "$DIR/start.log" "$DIR/log" >&2; exit 1; }
echo ready
read _ || true
"$BIN/pg_ctl" -D "$DIR/data" -m immediate stop >/dev/null 2>&1 || true
rm -rf "$DIR"
"#;

/// A running server.
#[derive(Debug)]
pub(super) struct Server {
    pub(super) folder: PathBuf,
    pub(super) port: u16,
    /// Closed by the end of the process.
    _guard: ChildStdin,
    _shell: Child,
}

/// The server of this process.
pub(super) fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(start)
}

fn programs() -> PathBuf {
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path().join("bin")))
        .filter(|bin| bin.join("initdb").exists())
        .collect();
    let number = |bin: &PathBuf| {
        let version = bin
            .parent()
            .and_then(Path::file_name)
            .and_then(|name| name.to_str());
        version.and_then(|version| version.parse::<u32>().ok())
    };
    found.sort_by_key(number);
    if let Some(bin) = found.pop() {
        return bin;
    }
    let which = Command::new("sh")
        .args(["-c", "dirname \"$(command -v initdb)\""])
        .output();
    let bin = which
        .map(|out| PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()))
        .unwrap_or_default();
    assert!(
        bin.join("initdb").exists(),
        "these tests need a Postgres server: install the package `postgresql` (Debian) or put initdb into PATH"
    );
    bin
}

fn start() -> Server {
    let bin = programs();
    let folder = tempfile::Builder::new()
        .prefix("lakegate-pg-")
        .tempdir()
        .unwrap()
        .keep();
    // The server refuses to run as root.
    let is_root = std::fs::metadata(&folder).unwrap().uid() == 0;
    let mut command = if is_root {
        let user = ["postgres", "nobody"].into_iter().find(|user| {
            let known = Command::new("id")
                .arg(user)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            known.is_ok_and(|status| status.success())
        });
        let user = user.expect("these tests run the server as `postgres` or `nobody`: make such a user");
        let owned = Command::new("chown").arg(user).arg(&folder).status().unwrap();
        assert!(owned.success());
        let mut command = Command::new("runuser");
        command.args(["-u", user, "--", "sh", "-c", SCRIPT]);
        command
    } else {
        let mut command = Command::new("sh");
        command.args(["-c", SCRIPT]);
        command
    };
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut shell = command
        .current_dir(&folder)
        // What interrupts the tests must not interrupt the one that cleans up behind them.
        .process_group(0)
        .env("BIN", &bin)
        .env("DIR", &folder)
        .env("PORT", port.to_string())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("these tests need `runuser` (package util-linux) when they run as root");
    let guard = shell.stdin.take().unwrap();
    let mut line = String::new();
    BufReader::new(shell.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    if line.trim() != "ready" {
        let out = shell.wait_with_output().unwrap();
        panic!(
            "the Postgres server did not start: {}",
            String::from_utf8_lossy(&out.stderr)
        );
    }
    Server {
        folder,
        port,
        _guard: guard,
        _shell: shell,
    }
}

impl Server {
    async fn connect(&self, database: &str) -> Client {
        let mut config = tokio_postgres::Config::new();
        config
            .host_path(&self.folder)
            .port(self.port)
            .user("owner")
            .dbname(database);
        let (client, connection) = config.connect(NoTls).await.unwrap();
        tokio::spawn(connection);
        client
    }
}

/// A database of one test.
pub(super) struct Database {
    pub(super) name: String,
    /// A superuser's connection, beside those of the source.
    pub(super) admin: Client,
}

impl Database {
    pub(super) async fn new() -> Self {
        Self::with("").await
    }

    /// A database made with more words, such as an encoding.
    pub(super) async fn with(words: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let name = format!("t{}", NUMBER.fetch_add(1, Ordering::Relaxed));
        let first = server().connect("postgres").await;
        first
            .batch_execute(&format!("CREATE DATABASE {name} {words}"))
            .await
            .unwrap();
        let admin = server().connect(&name).await;
        Self { name, admin }
    }

    pub(super) async fn run(&self, sql: &str) {
        if let Err(error) = self.admin.batch_execute(sql).await {
            panic!("{sql}: {error:?}");
        }
    }

    /// One value as the server prints it.
    pub(super) async fn value(&self, sql: &str) -> Option<String> {
        let rows = self.admin.simple_query(sql).await.unwrap();
        rows.iter().find_map(|row| match row {
            tokio_postgres::SimpleQueryMessage::Row(row) => row.get(0).map(str::to_owned),
            _ => None,
        })
    }

    /// How many connections of sources the server has for this database, in some state.
    pub(super) async fn connections(&self, state: &str) -> usize {
        let sql = format!(
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'lakegate' \
             AND datname = current_database() AND state LIKE '{state}'"
        );
        self.value(&sql).await.unwrap().parse().unwrap()
    }

    pub(super) fn config(&self) -> Config {
        let mut config = Config::new(None);
        config.host = Some(server().folder.to_str().unwrap().to_owned());
        config.port = Some(server().port);
        config.database = Some(self.name.clone());
        config.user = Some("owner".to_owned());
        config
    }

    pub(super) fn source(&self) -> Postgres {
        open(&self.config())
    }
}

pub(super) fn open(config: &Config) -> Postgres {
    Postgres::open("pg", config, Handle::current()).unwrap()
}

/// A table of the schema `public`.
pub(super) async fn table(source: &Postgres, name: &str) -> SourceTable {
    let found = source.table("public", name, None).await.unwrap();
    found.unwrap_or_else(|| panic!("no table {name}"))
}

/// A context with tables of the schema `public` under their names.
pub(super) async fn context(source: &Postgres, names: &[&str]) -> SessionContext {
    context_with(source, names, SessionConfig::new().with_target_partitions(4)).await
}

pub(super) async fn context_with(source: &Postgres, names: &[&str], config: SessionConfig) -> SessionContext {
    let context = SessionContext::new_with_config(config);
    for name in names {
        let found = table(source, name).await;
        context.register_table(*name, found.provider).unwrap();
    }
    context
}

#[expect(clippy::disallowed_methods, reason = "tests of a connector have no planner")]
pub(super) async fn try_ask(
    context: &SessionContext,
    sql: &str,
) -> datafusion::error::Result<Vec<RecordBatch>> {
    context.sql(sql).await?.collect().await
}

/// The rows of a query, a line each, fields by `|`, NULL as nothing.
pub(super) async fn ask(context: &SessionContext, sql: &str) -> String {
    let batches = try_ask(context, sql).await;
    printed(&batches.unwrap_or_else(|error| panic!("{sql}: {error}")))
}

pub(super) fn printed(batches: &[RecordBatch]) -> String {
    let options = FormatOptions::default();
    let mut lines = Vec::new();
    for batch in batches {
        let columns: Vec<_> = batch
            .columns()
            .iter()
            .map(|column| ArrayFormatter::try_new(column, &options).unwrap())
            .collect();
        for row in 0..batch.num_rows() {
            let fields: Vec<_> = columns
                .iter()
                .map(|column| column.value(row).to_string())
                .collect();
            lines.push(fields.join("|"));
        }
    }
    lines.join("\n")
}

/// The one remote statement of a query's plan, as EXPLAIN shows it; panics if there are none or several.
pub(super) async fn remote_sql(context: &SessionContext, sql: &str) -> String {
    let all = remote_plan(context, sql).await;
    let mut found = all
        .split("sql=")
        .skip(1)
        .map(|rest| rest.lines().next().unwrap().to_owned());
    let first = found
        .next()
        .unwrap_or_else(|| panic!("no remote statement in\n{all}"));
    assert!(found.next().is_none(), "several remote statements in\n{all}");
    first
}

/// The physical plan, printed.
#[expect(clippy::disallowed_methods, reason = "tests of a connector have no planner")]
pub(super) async fn remote_plan(context: &SessionContext, sql: &str) -> String {
    let plan = context
        .sql(sql)
        .await
        .unwrap()
        .create_physical_plan()
        .await
        .unwrap();
    datafusion::physical_plan::displayable(plan.as_ref())
        .indent(false)
        .to_string()
}

/// A statement of ours, for tests below the tables.
pub(super) fn words(sql: &'static str) -> Sql {
    Sql::word(sql)
}

/// Waits until something holds; fails after 20 seconds. The server is asked again each time.
pub(super) async fn until<F: Future<Output = bool>>(what: &str, holds: impl Fn() -> F) {
    let wait = async {
        while !holds().await {
            tokio::task::yield_now().await;
        }
    };
    let patience = std::time::Duration::from_secs(20);
    tokio::time::timeout(patience, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}

/// Ends the server's shell politely when a test wants its own; unused handles are closed by the system.
impl Drop for Server {
    fn drop(&mut self) {
        self._guard.write_all(b"\n").ok();
    }
}
