//! roapi: DataFusion behind Flight SQL and REST, without users. It loads a table into memory, which is its default and the
//! faster way, or scans the files for each query; both are measured, for the second is what the gateway does.

use std::fs;

use anyhow::Result;
use tokio::process::Command;

use crate::flight::{Ask, Export, connect, query};
use crate::place::Place;
use crate::process::{Process, free_address};
use crate::python::Python;

/// A running roapi.
#[derive(Debug)]
pub struct Roapi {
    process: Process,
    address: String,
}

/// Where roapi has the rows.
#[derive(Debug, Clone, Copy)]
pub enum Rows {
    /// Loaded before the clock.
    InMemory,
    /// In the Parquet files.
    OnDisk,
}

impl Roapi {
    /// Starts roapi with `table` once in memory and once on disk.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start(place: &Place, python: &Python, table: &str) -> Result<Self> {
        let (http, flight, postgres) = (free_address()?, free_address()?, free_address()?);
        let folder = serde_json::to_string(&format!("{}/", place.parquet().join(table).display()))?;
        let config = format!(
            "addr: {{http: \"{http}\", flight_sql: \"{flight}\", postgres: \"{postgres}\"}}\n\
             tables:\n\
             - {{name: memory, uri: {folder}, option: {{format: parquet, use_memory_table: true}}}}\n\
             - {{name: disk, uri: {folder}, option: {{format: parquet, use_memory_table: false}}}}\n"
        );
        fs::create_dir_all(place.logs())?;
        let file = place.logs().join("roapi.yml");
        fs::write(&file, config)?;
        let mut command = Command::new(python.program("roapi"));
        // It logs a line for every request, which is spared it here.
        command.arg("--config").arg(&file).env("RUST_LOG", "warn");
        let mut process = Process::start("roapi", command, &place.logs(), false)?;
        let address = format!("grpc://{flight}");
        let probe = || async { query(&mut connect(&address, None).await?, "SELECT 1").await };
        process.await_answer(probe).await?;
        Ok(Self { process, address })
    }

    /// An export of the table in one stream, which is all that roapi gives.
    ///
    /// # Errors
    /// When the connection is refused.
    pub async fn export(&self, name: &str, rows: Rows) -> Result<Export> {
        let table = match rows {
            Rows::InMemory => "memory",
            Rows::OnDisk => "disk",
        };
        let ask = Ask::Statement(format!("SELECT * FROM {table}"));
        Export::open(name, self.process.id()?, (&self.address, None), 1, ask).await
    }

    /// Ends roapi.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}
