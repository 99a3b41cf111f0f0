//! The C++ Flight server of pyarrow with the floor's batches in memory: what the transport can give at all.

use anyhow::Result;

use crate::flight::{Ask, Export};
use crate::peers::floor::Floor;
use crate::place::Place;
use crate::process::Process;
use crate::python::Python;

/// A running echo.
#[derive(Debug)]
pub struct Echo {
    process: Process,
    address: String,
}

impl Echo {
    /// Starts an echo of the floor's rows.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(place: &Place, python: &Python, floor: &Floor) -> Result<Self> {
        let command = python.script(&place.peer("echo_server.py"), &[&floor.address]);
        let mut process = Process::start("echo", command, &place.logs(), true)?;
        let address = process
            .await_line(|line| line.strip_prefix("ready ").map(str::to_owned))
            .await?;
        Ok(Self { process, address })
    }

    /// An export of all rows in `streams` parts.
    ///
    /// # Errors
    /// When a connection is refused.
    pub async fn export(&self, name: &str, streams: usize) -> Result<Export> {
        let tickets = (0..streams)
            .map(|part| format!("rows {part}/{streams}").into())
            .collect();
        Export::open(
            name,
            self.process.id()?,
            (&self.address, None),
            streams,
            Ask::Tickets(tickets),
        )
        .await
    }

    /// Ends the echo.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}
