//! The Python environment of the peers, made once for each content of the list of pinned packages, and workers in it.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;
use arrow::ipc::reader::StreamReader;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::place::Place;
use crate::process::Process;

/// An environment with the pinned packages.
#[derive(Debug, Clone)]
pub struct Python {
    folder: PathBuf,
    /// The pinned packages, `name==version`.
    pub packages: Vec<String>,
}

impl Python {
    /// Finds the environment, or makes it, which fetches the packages from PyPI.
    ///
    /// # Errors
    /// When there is no Python 3 with `venv`, or a package cannot be had.
    pub async fn prepare(place: &Place) -> Result<Self> {
        Self::prepare_list(place, "requirements.txt").await
    }

    /// As [`Python::prepare`], for another list of the `peers` folder.
    ///
    /// # Errors
    /// As there.
    pub async fn prepare_list(place: &Place, name: &str) -> Result<Self> {
        let list = place.peer(name);
        let text = fs::read_to_string(&list).with_context(|| list.display().to_string())?;
        let packages = text
            .lines()
            .filter(|line| line.contains("=="))
            .map(str::to_owned)
            .collect();
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let folder = place
            .environments()
            .join(format!("python-{:016x}", hasher.finish()));
        let marker = folder.join("complete");
        let python = Self { folder, packages };
        if !marker.exists() {
            eprintln!("bench: fetching the peers {}", python.packages.join(" "));
            let folder = python.folder.to_str().context("a UTF-8 path")?;
            done(Command::new("python3").args(["-m", "venv", "--clear", folder])).await?;
            let mut pip = Command::new(python.program("pip"));
            pip.args([
                "install",
                "--quiet",
                "--disable-pip-version-check",
                "--requirement",
            ])
            .arg(&list);
            done(&mut pip).await?;
            fs::write(&marker, "")?;
        }
        Ok(python)
    }

    /// A program of the environment.
    pub fn program(&self, name: &str) -> PathBuf {
        self.folder.join("bin").join(name)
    }

    /// A command that runs `script` with `arguments`.
    pub fn script(&self, script: &Path, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.program("python"));
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .env("PYTHONWARNINGS", "ignore");
        command.arg(script).args(arguments);
        command
    }
}

async fn done(command: &mut Command) -> Result<()> {
    let output = command
        .output()
        .await
        .with_context(|| format!("run {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed:\n{}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

/// A process that answers one line of JSON for each one it is given.
#[derive(Debug)]
pub struct Worker {
    process: Process,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Worker {
    /// Starts a worker.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, command: Command, logs: &Path) -> Result<Self> {
        let mut process = Process::start(name, command, logs, true)?;
        let (input, output) = process.pipes()?;
        Ok(Self {
            process,
            input,
            output,
        })
    }

    /// The process's number.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> Result<u32> {
        self.process.id()
    }

    /// Asks for `sql` and gives the number of rows, and the rows themselves when they are wanted.
    ///
    /// # Errors
    /// What the worker says is wrong, or that it has ended.
    pub async fn ask(&mut self, sql: &str, answer: bool) -> Result<(u64, Vec<RecordBatch>)> {
        let line = json!({ "sql": sql, "answer": answer }).to_string() + "\n";
        self.input.write_all(line.as_bytes()).await?;
        self.input.flush().await?;
        let mut reply = String::new();
        self.output.read_line(&mut reply).await?;
        if reply.is_empty() {
            self.process.id()?;
            bail!("the worker went silent");
        }
        let reply: Value = serde_json::from_str(&reply).context("the worker's reply")?;
        if let Some(error) = reply["error"].as_str() {
            bail!("{error}");
        }
        let length = reply["bytes"]
            .as_u64()
            .and_then(|length| usize::try_from(length).ok())
            .context("a length")?;
        let mut body = vec![0_u8; length];
        self.output.read_exact(&mut body).await?;
        let batches = match answer {
            true => StreamReader::try_new(body.as_slice(), None)?.collect::<Result<Vec<_>, _>>()?,
            false => Vec::new(),
        };
        Ok((reply["rows"].as_u64().context("a number of rows")?, batches))
    }

    /// Ends the worker.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        drop(self.input);
        self.process.stop().await
    }
}
