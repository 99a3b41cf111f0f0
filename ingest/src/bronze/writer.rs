//! Writes one bronze table under an epoch of its own: files first, then one snapshot with what the batch says of itself and how far its source
//! has been read.

use std::collections::BTreeMap;

use arrow::array::RecordBatch;
use iceberg::spec::DataFile;
use iceberg::table::Table;
use tokio::sync::watch;
use tokio::time::Instant;

use super::envelope;
use crate::append::Appender;
use crate::commit::facts::PIPELINE_KEY;
use crate::commit::{Advance, Commit, Kernel, Receipt, Token};
use crate::contract::Contract;
use crate::error::Result;
use crate::metrics::Metrics;
use crate::pipeline::Pipeline;

/// Who writes a bronze table.
#[derive(Debug)]
pub struct Writer {
    pipeline: String,
    contract: Contract,
    epoch: u64,
    kernel: Kernel,
    appender: Appender,
    metrics: Metrics,
    committed: watch::Sender<i64>,
}

/// One commit: its rows, if any, and what is said with them.
#[derive(Debug, Default)]
pub struct Batch {
    /// The rows.
    pub rows: Option<RecordBatch>,
    /// Further keys of the summary.
    pub facts: BTreeMap<String, String>,
    /// The steps of the source.
    pub advances: Vec<Advance>,
}

impl Writer {
    /// Makes the table where it is missing and takes it over; gives it as it is then. `committed` is told each snapshot with rows.
    ///
    /// # Errors
    /// The table cannot be made, is another table, or the claim fails.
    pub async fn claim(
        pipeline: &Pipeline,
        kernel: Kernel,
        appender: Appender,
        metrics: Metrics,
        committed: watch::Sender<i64>,
    ) -> Result<(Self, Table)> {
        let contract = envelope::contract(pipeline)?;
        let table = appender.ensure(&contract).await?;
        let epoch = kernel.claim(table.identifier()).await?;
        let table = kernel.load(table.identifier()).await?;
        let writer = Self {
            pipeline: pipeline.name().to_owned(),
            contract,
            epoch,
            kernel,
            appender,
            metrics,
            committed,
        };
        Ok((writer, table))
    }

    /// The table's contract.
    pub fn contract(&self) -> &Contract {
        &self.contract
    }

    /// The table as it is now.
    ///
    /// # Errors
    /// The catalog does not answer.
    pub async fn load(&self) -> Result<Table> {
        self.kernel.load(&self.contract.ident()).await
    }

    /// Publishes a batch; success means that its snapshot is durable.
    ///
    /// # Errors
    /// Nothing of the batch is published and its files are removed.
    pub async fn append(&self, batch: Batch) -> Result<Receipt> {
        let started = Instant::now();
        let table = self.load().await?;
        let mut files: Vec<DataFile> = Vec::new();
        let mut facts = batch.facts;
        facts.insert(PIPELINE_KEY.to_owned(), self.pipeline.clone());
        let has_rows = batch.rows.is_some();
        if let Some(rows) = batch.rows {
            facts.insert("ingest.in".to_owned(), rows.num_rows().to_string());
            files = self.appender.write(&table, &self.contract, vec![rows]).await?;
            crate::fault::point("bronze-files-written");
        }
        let commit = Commit {
            facts,
            advances: batch.advances,
            ..Commit::append(&table, self.epoch, Token::unique(), files.clone())
        };
        let outcome = self.kernel.commit_known(&commit).await;
        match &outcome {
            Ok(receipt) if has_rows => {
                crate::fault::point("bronze-committed");
                self.metrics
                    .committed(&self.contract.to_string(), started.elapsed());
                self.metrics.received(&self.pipeline, receipt.rows);
                self.committed.send_replace(receipt.snapshot_id);
            }
            Ok(_) => {}
            Err(_) => crate::append::remove(&table, &files).await,
        }
        outcome
    }
}
