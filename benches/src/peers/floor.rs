//! The floor as a peer: this program once more, in the role of a bare Flight server (`floor_server.rs`).

use anyhow::Result;
use tokio::process::Command;

use crate::flight::{Ask, Export};
use crate::floor_server::{SQL, TOKEN};
use crate::peers::gateway::Gateway;
use crate::place::Place;
use crate::process::Process;

/// How the floor gives its batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Encoded for each request, by arrow-flight's own encoder.
    Fresh,
    /// Messages that were encoded once, before the clock.
    Kept,
}

/// A running floor.
#[derive(Debug)]
pub struct Floor {
    process: Process,
    /// `grpc://HOST:PORT`.
    pub address: String,
}

impl Floor {
    /// Starts a floor that answers unary calls and has no rows.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn bare(place: &Place) -> Result<Self> {
        Self::start(place, command()?).await
    }

    /// Starts a floor that holds the rows of `sql`, in the very batches in which `gateway` sends them.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn with_rows(place: &Place, gateway: &Gateway, sql: &str) -> Result<Self> {
        let client = gateway.connect().await?;
        let mut command = command()?;
        command.args(["--source", &gateway.flight]);
        command
            .env(SQL, sql)
            .env(TOKEN, client.token().cloned().unwrap_or_default());
        Self::start(place, command).await
    }

    async fn start(place: &Place, command: Command) -> Result<Self> {
        let mut process = Process::start("floor", command, &place.logs(), true)?;
        let address = process
            .await_line(|line| line.strip_prefix("ready ").map(str::to_owned))
            .await?;
        Ok(Self { process, address })
    }

    /// The process's number.
    ///
    /// # Errors
    /// When it has ended.
    pub fn id(&self) -> Result<u32> {
        self.process.id()
    }

    /// An export of all rows in `streams` parts.
    ///
    /// # Errors
    /// When a connection is refused.
    pub async fn export(&self, name: &str, streams: usize, encoding: Encoding) -> Result<Export> {
        let word = if encoding == Encoding::Fresh {
            "rows"
        } else {
            "messages"
        };
        let tickets = (0..streams)
            .map(|part| format!("{word} {part}/{streams}").into())
            .collect();
        Export::open(
            name,
            self.id()?,
            (&self.address, None),
            streams,
            Ask::Tickets(tickets),
        )
        .await
    }

    /// Ends the floor.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// This program in its other role.
fn command() -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("floor");
    Ok(command)
}
