//! Sail: Spark SQL on DataFusion, with a Flight SQL server.

use anyhow::Result;
use tokio::process::Command;

use crate::flight::{Ask, Export, connect, query};
use crate::place::Place;
use crate::process::{Process, free_address};
use crate::python::Python;

/// A running Sail.
#[derive(Debug)]
pub struct Sail {
    process: Process,
    address: String,
}

impl Sail {
    /// Starts Sail.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(place: &Place, python: &Python) -> Result<Self> {
        let address = free_address()?;
        let mut command = Command::new(python.program("sail"));
        command.args([
            "flight",
            "server",
            "--ip",
            &address.ip().to_string(),
            "--port",
            &address.port().to_string(),
        ]);
        let mut process = Process::start("sail", command, &place.logs(), false)?;
        let address = format!("grpc://{address}");
        let probe = || async { query(&mut connect(&address, None).await?, "SELECT 1").await };
        process.await_answer(probe).await?;
        Ok(Self { process, address })
    }

    /// An export of the Parquet files of `table` in one stream, which is all that Sail gives.
    ///
    /// # Errors
    /// When the connection is refused.
    pub async fn export(&self, name: &str, place: &Place, table: &str) -> Result<Export> {
        let ask = Ask::Statement(format!(
            "SELECT * FROM parquet.`{}`",
            place.parquet().join(table).display()
        ));
        Export::open(name, self.process.id()?, (&self.address, None), 1, ask).await
    }

    /// Ends Sail.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}
