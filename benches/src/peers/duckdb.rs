//! DuckDB over the same Parquet files, with as many threads as there are processors and its footer cache on.

use anyhow::Result;
use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::engines::Engine;
use crate::place::Place;
use crate::python::{Python, Worker};
use crate::system::cores;

/// A DuckDB process.
#[derive(Debug)]
pub struct DuckDb(Worker);

impl DuckDb {
    /// Starts DuckDB with a view on each table.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(place: &Place, python: &Python) -> Result<Self> {
        let (folder, threads) = (place.parquet().display().to_string(), cores().to_string());
        let command = python.script(&place.peer("duckdb_worker.py"), &[&folder, &threads]);
        Worker::start("duckdb", command, &place.logs()).map(Self)
    }

    /// Ends DuckDB.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        self.0.stop().await
    }
}

#[async_trait]
impl Engine for DuckDb {
    fn name(&self) -> &str {
        "DuckDB"
    }

    fn server(&self) -> Option<u32> {
        self.0.id().ok()
    }

    async fn answer(&mut self, sql: &str) -> Result<Vec<RecordBatch>> {
        self.0.ask(sql, true).await.map(|(_, rows)| rows)
    }

    async fn count(&mut self, sql: &str) -> Result<u64> {
        self.0.ask(sql, false).await.map(|(rows, _)| rows)
    }
}
