//! A Postgres server of the bench's own, with the TPC-H tables of the lake, and its own client as the floor.
//!
//! The server's folder is made once for each scale and kept. It listens on loopback and goes with the value: its keeper
//! waits for the end of a pipe. As root it runs as the user `postgres`, whose folder lies in `/var/tmp`.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;
use async_trait::async_trait;
use tokio::process::Command;

use crate::engines::Engine;
use crate::measure::Subject;
use crate::peers::gateway::Gateway;
use crate::place::Place;
use crate::process::{Process, free_address};
use crate::python::{Python, Worker};
use crate::system::cores;

/// The tables with their columns at the server, in an order in which they can be made.
const TABLES: [(&str, &str); 6] = [
    (
        "region",
        "r_regionkey bigint PRIMARY KEY, r_name text, r_comment text",
    ),
    (
        "nation",
        "n_nationkey bigint PRIMARY KEY, n_name text, n_regionkey bigint, n_comment text",
    ),
    (
        "supplier",
        "s_suppkey bigint PRIMARY KEY, s_name text, s_address text, s_nationkey bigint, s_phone text, \
         s_acctbal numeric(15,2), s_comment text",
    ),
    (
        "customer",
        "c_custkey bigint PRIMARY KEY, c_name text, c_address text, c_nationkey bigint, c_phone text, \
         c_acctbal numeric(15,2), c_mktsegment text, c_comment text",
    ),
    (
        "orders",
        "o_orderkey bigint PRIMARY KEY, o_custkey bigint, o_orderstatus text, o_totalprice numeric(15,2), o_orderdate date, \
         o_orderpriority text, o_clerk text, o_shippriority int, o_comment text",
    ),
    (
        "lineitem",
        "l_orderkey bigint, l_partkey bigint, l_suppkey bigint, l_linenumber int, l_quantity numeric(15,2), \
         l_extendedprice numeric(15,2), l_discount numeric(15,2), l_tax numeric(15,2), l_returnflag text, l_linestatus text, \
         l_shipdate date, l_commitdate date, l_receiptdate date, l_shipinstruct text, l_shipmode text, l_comment text",
    ),
];

/// What keeps the server, as its own user, until its input ends.
const KEEPER: &str = r#"
set -e
[ -f "$DIR/data/PG_VERSION" ] || "$BIN/initdb" -D "$DIR/data" -U owner -A trust --no-sync -E UTF8 --locale=C.UTF-8 >/dev/null
rm -f "$DIR/data/postmaster.pid"
"$BIN/pg_ctl" -w -t 60 -D "$DIR/data" -l "$DIR/log" \
  -o "-p $PORT -h 127.0.0.1 -k $DIR -c fsync=off -c shared_buffers=512MB -c max_wal_size=4GB" start >/dev/null
echo ready
read _ || true
"$BIN/pg_ctl" -D "$DIR/data" -m fast stop >/dev/null 2>&1 || true
"#;

/// A running server with the tables.
#[derive(Debug)]
pub struct Postgres {
    process: Process,
    _input: tokio::process::ChildStdin,
    /// `postgres://owner@127.0.0.1:PORT/postgres`
    pub url: String,
    bin: PathBuf,
}

impl Postgres {
    /// Starts the server; the first start of a scale fills it from the lake, through a gateway.
    ///
    /// # Errors
    /// What to install, or what the server says.
    pub async fn start(place: &Place) -> Result<Self> {
        let bin = programs()?;
        let is_root = fs::metadata(place.environments())?.uid() == 0;
        let folder = match is_root {
            true => PathBuf::from(format!("/var/tmp/lakegate-bench-postgres-{}", place.scale)),
            false => place.environments().join(format!("postgres-{}", place.scale)),
        };
        fs::create_dir_all(&folder).with_context(|| folder.display().to_string())?;
        let mut command = match is_root {
            true => {
                let given = Command::new("chown")
                    .arg("postgres")
                    .arg(&folder)
                    .status()
                    .await?;
                if !given.success() {
                    bail!("as root, the server runs as the user `postgres`: make such a user");
                }
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--", "sh", "-c", KEEPER]);
                command
            }
            false => {
                let mut command = Command::new("sh");
                command.args(["-c", KEEPER]);
                command
            }
        };
        let port = free_address()?.port();
        command
            .current_dir(&folder)
            .process_group(0)
            .env("BIN", &bin)
            .env("DIR", &folder)
            .env("PORT", port.to_string());
        let mut process = Process::start("postgres", command, &place.logs(), true)?;
        let (input, output) = process.pipes()?;
        let mut lines = tokio::io::AsyncBufReadExt::lines(output);
        if lines.next_line().await?.as_deref() != Some("ready") {
            bail!(
                "the Postgres server did not start; {} says why",
                folder.join("log").display()
            );
        }
        let server = Self {
            process,
            _input: input,
            url: format!("postgres://owner@127.0.0.1:{port}/postgres"),
            bin,
        };
        let marker = place
            .environments()
            .join(format!("postgres-{}-filled", place.scale));
        if !marker.exists() || !folder.join("data").join("PG_VERSION").exists() {
            server.fill(place).await?;
            fs::write(&marker, "")?;
        }
        Ok(server)
    }

    /// Copies the tables out of the lake.
    async fn fill(&self, place: &Place) -> Result<()> {
        let gateway = Gateway::start(place).await?;
        for (table, columns) in TABLES {
            eprintln!("bench: filling Postgres with {table}");
            self.run(&format!(
                "DROP TABLE IF EXISTS {table}; CREATE TABLE {table} ({columns})"
            ))
            .await?;
            let script = r#""$LAKEGATE" sql --credentials "$CREDENTIALS" --url "$FLIGHT" --user admin --no-timing --format csv \
              -c "SELECT * FROM lake.gold.$TABLE" | "$BIN/psql" -q -v ON_ERROR_STOP=1 -d "$URL" -c "COPY $TABLE FROM STDIN (FORMAT csv, HEADER)""#;
            let copied = Command::new("bash")
                .args(["-o", "pipefail", "-c", script])
                .env("LAKEGATE", &place.gateway)
                .env("CREDENTIALS", place.lake().join("credentials.json"))
                .env("FLIGHT", &gateway.flight)
                .env("TABLE", table)
                .env("BIN", &self.bin)
                .env("URL", &self.url)
                .status()
                .await?;
            if !copied.success() {
                bail!("copying {table} into Postgres failed");
            }
        }
        self.run("CREATE INDEX ON lineitem (l_orderkey)").await?;
        self.run("VACUUM ANALYZE").await?;
        gateway.stop().await
    }

    async fn run(&self, statements: &str) -> Result<()> {
        let mut client = Command::new(self.bin.join("psql"));
        client.args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url]);
        for statement in statements.split(';') {
            client.args(["-c", statement]);
        }
        let done = client.output().await?;
        if !done.status.success() {
            bail!("{statements}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Ok(())
    }

    /// The server's own client as an exporter of a statement's rows, in binary form, to nowhere.
    pub fn copy(&self, sql: &str) -> PsqlCopy {
        PsqlCopy {
            program: self.bin.join("psql"),
            url: self.url.clone(),
            sql: sql.to_owned(),
        }
    }

    /// Ends the server.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        drop(self._input);
        self.process.stop().await
    }
}

/// `psql \copy (...) TO /dev/null (FORMAT binary)`.
#[derive(Debug)]
pub struct PsqlCopy {
    program: PathBuf,
    url: String,
    sql: String,
}

#[async_trait]
impl Subject for PsqlCopy {
    fn name(&self) -> &str {
        "psql \\copy binary"
    }

    fn server(&self) -> Option<u32> {
        None
    }

    async fn run(&mut self) -> Result<u64> {
        let copy = format!("\\copy ({}) TO '/dev/null' (FORMAT binary)", self.sql);
        let done = Command::new(&self.program)
            .args(["-v", "ON_ERROR_STOP=1", "-d", &self.url, "-c", &copy])
            .output()
            .await?;
        if !done.status.success() {
            bail!("{}", String::from_utf8_lossy(&done.stderr));
        }
        let said = String::from_utf8(done.stdout)?;
        let rows = said
            .trim()
            .strip_prefix("COPY ")
            .context("psql says how many rows it copied")?;
        Ok(rows.parse()?)
    }
}

/// A worker that reads from the server: DuckDB's scanner or the ADBC driver.
#[derive(Debug)]
pub struct Reader {
    name: &'static str,
    worker: Worker,
}

impl Reader {
    /// DuckDB with `remote` tables at the server and the others in the lake's files.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn duckdb(place: &Place, python: &Python, server: &Postgres, remote: &str) -> Result<Self> {
        let (folder, threads) = (place.parquet().display().to_string(), cores().to_string());
        let script = place.peer("duckdb_postgres_worker.py");
        let command = python.script(&script, &[&server.url, remote, &folder, &threads]);
        Ok(Self {
            name: "DuckDB Postgres scanner",
            worker: Worker::start("duckdb-postgres", command, &place.logs())?,
        })
    }

    /// The ADBC driver.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn adbc(place: &Place, python: &Python, server: &Postgres) -> Result<Self> {
        let command = python.script(&place.peer("adbc_postgres_worker.py"), &[&server.url]);
        Ok(Self {
            name: "ADBC postgresql",
            worker: Worker::start("adbc-postgres", command, &place.logs())?,
        })
    }

    /// Ends the worker.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        self.worker.stop().await
    }
}

#[async_trait]
impl Engine for Reader {
    fn name(&self) -> &str {
        self.name
    }

    fn server(&self) -> Option<u32> {
        self.worker.id().ok()
    }

    async fn answer(&mut self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.worker.ask(sql, true).await.map(|(_, rows)| rows)
    }

    async fn count(&mut self, sql: &str) -> Result<u64> {
        self.worker.ask(sql, false).await.map(|(rows, _)| rows)
    }
}

/// The folder of the newest server's programs.
fn programs() -> Result<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten()
        .filter_map(|entry| {
            let entry = entry.ok()?;
            let version = entry.file_name().to_str()?.parse().ok()?;
            Some((version, entry.path().join("bin")))
        })
        .filter(|(_, bin)| bin.join("initdb").exists())
        .collect();
    found.sort();
    found
        .pop()
        .map(|(_, bin)| bin)
        .context("no Postgres server; tests/install installs one")
}
