//! Parquet decoding on one thread by pyarrow: the rows of a processor second that a scan can hope for.

use anyhow::Result;
use async_trait::async_trait;

use crate::measure::Subject;
use crate::place::Place;
use crate::python::{Python, Worker};

/// A decoder of one table.
#[derive(Debug)]
pub struct Decode(Worker);

impl Decode {
    /// What the table calls it.
    pub const NAME: &str = "pyarrow decoding, 1 thread";

    /// Starts the decoder.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn start(place: &Place, python: &Python, table: &str) -> Result<Self> {
        let folder = place.parquet().join(table).display().to_string();
        let command = python.script(&place.peer("decode_worker.py"), &[&folder]);
        Worker::start("decode", command, &place.logs()).map(Self)
    }

    /// Ends the decoder.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub async fn stop(self) -> Result<()> {
        self.0.stop().await
    }
}

#[async_trait]
impl Subject for Decode {
    fn name(&self) -> &str {
        Self::NAME
    }

    fn server(&self) -> Option<u32> {
        self.0.id().ok()
    }

    async fn run(&mut self) -> Result<u64> {
        self.0.ask("", false).await.map(|(rows, _)| rows)
    }
}
