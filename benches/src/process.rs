//! Processes that the bench starts: gateways, peers, workers.
//!
//! Invariants: all listen on loopback and on free ports; a start has a deadline; the end is SIGTERM first and SIGKILL
//! after a while; none outlives this program, because dropping one kills it.

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// How long a start may take. The gateway's first one makes the lake, roapi's loads every table into memory.
pub const START: Duration = Duration::from_secs(900);

/// How long a process may take to end when it is asked to.
const END: Duration = Duration::from_secs(10);

/// A running process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command`. Whatever it prints goes to `name.log` under `logs`, its standard output too unless it is piped.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(name: &str, mut command: Command, logs: &Path, pipes: bool) -> Result<Self> {
        fs::create_dir_all(logs)?;
        let log = logs.join(format!("{name}.log"));
        let file = File::create(&log).with_context(|| format!("make {}", log.display()))?;
        command.kill_on_drop(true);
        match pipes {
            true => command.stdin(Stdio::piped()).stdout(Stdio::piped()),
            false => command.stdin(Stdio::null()).stdout(file.try_clone()?),
        };
        let child = command
            .stderr(file)
            .spawn()
            .with_context(|| format!("start {name}"))?;
        Ok(Self {
            name: name.to_owned(),
            child,
            log,
        })
    }

    /// The process's number.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> Result<u32> {
        self.child
            .id()
            .with_context(|| format!("{} has ended:\n{}", self.name, self.last_words()))
    }

    /// The ends of its pipes.
    ///
    /// # Errors
    /// When it was started without, or they are taken.
    pub fn pipes(&mut self) -> Result<(tokio::process::ChildStdin, BufReader<tokio::process::ChildStdout>)> {
        let input = self.child.stdin.take().context("no pipe to the process")?;
        let output = self.child.stdout.take().context("no pipe from the process")?;
        Ok((input, BufReader::new(output)))
    }

    /// Waits for a line of its standard output that `wanted` takes, and lets the rest of the output go.
    ///
    /// # Errors
    /// When the process ends or the deadline passes before, with what it said last.
    pub async fn await_line<T>(&mut self, wanted: impl Fn(&str) -> Option<T>) -> Result<T> {
        let (_, output) = self.pipes()?;
        let mut lines = output.lines();
        let search = async {
            while let Some(line) = lines.next_line().await? {
                if let Some(found) = wanted(&line) {
                    return Ok(found);
                }
            }
            bail!("{} ended before it was ready:\n{}", self.name, self.last_words())
        };
        let found = tokio::time::timeout(START, search)
            .await
            .with_context(|| format!("{} was not ready in time:\n{}", self.name, self.last_words()))??;
        // A full pipe would stop the process.
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        Ok(found)
    }

    /// Asks `probe` until it succeeds.
    ///
    /// # Errors
    /// The probe's last failure, when the process ends or the deadline passes before.
    pub async fn await_answer<T, F: Future<Output = Result<T>>>(
        &mut self,
        probe: impl Fn() -> F,
    ) -> Result<T> {
        let deadline = Instant::now() + START;
        loop {
            let failure = match tokio::time::timeout(Duration::from_secs(60), probe()).await {
                Ok(Ok(found)) => return Ok(found),
                Ok(Err(error)) => error,
                Err(_) => anyhow::anyhow!("no answer"),
            };
            if self.child.try_wait()?.is_some() || Instant::now() > deadline {
                return Err(failure.context(format!("{} is not there:\n{}", self.name, self.last_words())));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    /// Ends the process and waits until it is gone.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(mut self) -> Result<()> {
        if let Some(id) = self.child.id() {
            // Without `kill` on this machine the process is killed below.
            let asked = Command::new("kill")
                .args(["-TERM", &id.to_string()])
                .status()
                .await;
            if asked.is_ok_and(|status| status.success())
                && tokio::time::timeout(END, self.child.wait()).await.is_ok()
            {
                return Ok(());
            }
        }
        self.child
            .kill()
            .await
            .with_context(|| format!("end {}", self.name))
    }

    fn last_words(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text[text.len().saturating_sub(2000)..]).into_owned();
        text.trim().to_owned()
    }
}

/// A loopback address whose port was free a moment ago.
///
/// # Errors
/// When there is none.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}
