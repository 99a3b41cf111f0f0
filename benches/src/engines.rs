//! Whoever answers SQL, in one form, so that a query is asked of all of them by the same lines.

use anyhow::Result;
use arrow::array::RecordBatch;
use async_trait::async_trait;

use crate::measure::Subject;

/// An engine, near or far.
#[async_trait]
pub trait Engine: Send {
    /// What the table calls it.
    fn name(&self) -> &str;
    /// The process that does the work; none when it is this one.
    fn server(&self) -> Option<u32>;
    /// Runs a statement and gives its rows.
    async fn answer(&mut self, sql: &str) -> Result<Vec<RecordBatch>>;
    /// Runs a statement, has its rows as Arrow, and gives their number only.
    async fn count(&mut self, sql: &str) -> Result<u64> {
        let rows = self.answer(sql).await?;
        Ok(rows.iter().map(|batch| batch.num_rows() as u64).sum())
    }
}

/// One statement of one engine, under the clock.
pub struct Asked<'a> {
    /// Who is asked.
    pub engine: &'a mut dyn Engine,
    /// For what.
    pub sql: &'a str,
}

impl std::fmt::Debug for Asked<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Asked")
            .field("engine", &self.engine.name())
            .field("sql", &self.sql)
            .finish()
    }
}

#[async_trait]
impl Subject for Asked<'_> {
    fn name(&self) -> &str {
        self.engine.name()
    }

    fn server(&self) -> Option<u32> {
        self.engine.server()
    }

    async fn run(&mut self) -> Result<u64> {
        self.engine.count(self.sql).await
    }
}

/// The gateway as an engine: one connection, planned and fetched as a client does.
#[derive(Debug)]
pub struct Remote {
    /// The process's number.
    pub server: u32,
    /// The connection.
    pub client: crate::flight::Flight,
}

#[async_trait]
impl Engine for Remote {
    fn name(&self) -> &str {
        "gateway, Flight SQL"
    }

    fn server(&self) -> Option<u32> {
        Some(self.server)
    }

    async fn answer(&mut self, sql: &str) -> Result<Vec<RecordBatch>> {
        crate::flight::query(&mut self.client, sql).await
    }
}
