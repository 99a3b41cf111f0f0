//! The append path: record batches become Parquet files, and all files of an append one snapshot.
//!
//! One blocking thread draws batches, checks them against the table and splits them by partition ([`conform`], [`partition`]); a few lanes
//! encode, each owning its partitions ([`lane`], [`file`]). What a lane may hold is bounded by the config, and the queues between them are
//! short, so a fast source waits for the disk. Files are closed and synced before the commit is asked for.
//!
//! If anything fails before the commit, or the caller goes away, the files of this append are removed. After an unknown outcome nothing is.

use std::sync::Arc;

use arrow::array::RecordBatch;
use iceberg::Catalog;
use iceberg::spec::DataFile;
use iceberg::table::Table;
use tokio::sync::mpsc;

use crate::commit::{CatalogCommitter, Committer, Intent, Receipt, Token};
use crate::config::Config;
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::progress::Progress;

mod bounds;
mod conform;
mod file;
mod lane;
mod metrics;
mod partition;
mod sort;
mod write;

/// Where rows come from. Drawn on a blocking thread, one batch at a time; the first error ends the append.
pub type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// Turns a stream into batches for [`Appender::append`]. The stream is polled from the append's own thread with the runtime of the caller.
///
/// # Errors
/// The items' own errors pass through. Must be called inside a Tokio runtime.
pub fn from_stream<S>(stream: S) -> Batches
where
    S: futures::Stream<Item = Result<RecordBatch>> + Send + 'static,
{
    let runtime = tokio::runtime::Handle::current();
    let mut stream = Box::pin(stream);
    Box::new(std::iter::from_fn(move || {
        runtime.block_on(futures::StreamExt::next(&mut stream))
    }))
}

/// Appends batches to tables of one catalog.
#[derive(Debug, Clone)]
pub struct Appender {
    catalog: Arc<dyn Catalog>,
    committer: Arc<dyn Committer>,
    config: Config,
}

impl Appender {
    /// An appender with bounds. Fails on bounds that cannot work.
    pub fn new(catalog: Arc<dyn Catalog>, config: Config) -> Result<Self> {
        config.validate()?;
        let committer = CatalogCommitter::new(Arc::clone(&catalog), config.commit_attempts_max);
        Ok(Self {
            catalog,
            committer: Arc::new(committer),
            config,
        })
    }

    /// The same with another committer, such as one that keeps intents in a ledger.
    #[must_use]
    pub fn with_committer(self, committer: Arc<dyn Committer>) -> Self {
        Self { committer, ..self }
    }

    /// The table of the contract: created if it is not there, compared with the contract if it is. The zone's namespace must exist.
    pub async fn ensure(&self, contract: &Contract) -> Result<Table> {
        let ident = contract.ident();
        let failed = |action| move |source| crate::commit::failed(action, &contract.ident(), source);
        if !self
            .catalog
            .table_exists(&ident)
            .await
            .map_err(failed("look for"))?
        {
            let created = self
                .catalog
                .create_table(ident.namespace(), contract.creation()?)
                .await;
            match created {
                Ok(table) => return Ok(table),
                // Another writer was faster: its table is compared like any other.
                Err(error) if error.kind() == iceberg::ErrorKind::TableAlreadyExists => {}
                Err(error) => return Err(failed("create")(error)),
            }
        }
        let table = self.catalog.load_table(&ident).await.map_err(failed("load"))?;
        contract.check(table.metadata())?;
        Ok(table)
    }

    /// Appends all `batches` to the contract's table as one snapshot that carries `token`, and gives its receipt. If the table has the token
    /// already, nothing is drawn from `batches`. Dropping the future stops the append and removes its files; while the commit itself runs the
    /// outcome is then open, and a retry with the same token finds out.
    pub async fn append(
        &self,
        contract: &Contract,
        token: &Token,
        batches: Batches,
        progress: &dyn Progress,
    ) -> Result<Receipt> {
        let table = self.ensure(contract).await?;
        if let Some(receipt) = self.committer.find(&contract.ident(), token).await? {
            return Ok(receipt);
        }
        let (counted, mut counts) = mpsc::unbounded_channel();
        let plan = write::Plan::new(&table, contract, self.config.clone(), counted)?;
        let mut writing = write::start(plan, batches);
        let written = loop {
            tokio::select! {
                biased;
                Some(rows) = counts.recv() => progress.advance(contract.name(), rows),
                written = writing.finished() => break written?,
            }
        };
        while let Ok(rows) = counts.try_recv() {
            progress.advance(contract.name(), rows);
        }
        self.publish(contract, token, &table, written).await
    }

    /// Writes `batches` as files of `table`, closed, synced and counted, and publishes nothing. Whoever asks owns the files: they go into a
    /// commit or are removed.
    pub async fn write(
        &self,
        table: &Table,
        contract: &Contract,
        batches: Vec<RecordBatch>,
    ) -> Result<Vec<DataFile>> {
        let (counted, _counts) = mpsc::unbounded_channel();
        let plan = write::Plan::new(table, contract, self.config.clone(), counted)?;
        let written = write::start(plan, Box::new(batches.into_iter().map(Ok)))
            .finished()
            .await?;
        let stored: u64 = written.files.iter().map(DataFile::record_count).sum();
        let checked = match count(contract, "in its files", stored, written.rows) {
            Ok(()) => synced(&written.files).await,
            Err(error) => Err(error),
        };
        if let Err(error) = checked {
            remove(table, &written.files).await;
            return Err(error);
        }
        Ok(written.files)
    }

    async fn publish(
        &self,
        contract: &Contract,
        token: &Token,
        table: &Table,
        written: write::Written,
    ) -> Result<Receipt> {
        let stored: u64 = written.files.iter().map(DataFile::record_count).sum();
        let intent = Intent {
            table: contract.ident(),
            table_uuid: table.metadata().uuid(),
            token: token.clone(),
            files: written.files,
        };
        let outcome = match count(contract, "in its files", stored, written.rows) {
            Ok(()) => self.committer.commit(&intent).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(receipt) if receipt.fresh => {
                count(contract, "in its snapshot", receipt.rows, written.rows).map(|()| receipt)
            }
            Ok(receipt) => {
                // Another writer with this token was faster; our files belong to nobody.
                remove(table, &intent.files).await;
                Ok(receipt)
            }
            // A disk that was full while publishing does not prove that nothing took place either.
            Err(error @ (Error::Unknown { .. } | Error::DiskFull { .. })) => Err(error),
            Err(error) => {
                remove(table, &intent.files).await;
                Err(error)
            }
        }
    }
}

fn count(contract: &Contract, place: &'static str, found: u64, expected: u64) -> Result<()> {
    if found == expected {
        Ok(())
    } else {
        Err(Error::Count {
            table: contract.to_string(),
            place,
            found,
            expected,
        })
    }
}

/// Waits until the folders know the files; the files themselves are synced when they are closed.
async fn synced(files: &[DataFile]) -> Result<()> {
    for file in files {
        crate::storage::sync(file.file_path()).await?;
    }
    Ok(())
}

/// Removes files that no snapshot will ever name. What cannot be removed is logged and left to the orphan sweep.
pub(crate) async fn remove(table: &Table, files: &[DataFile]) {
    for file in files {
        if let Err(error) = table.file_io().delete(file.file_path()).await {
            tracing::warn!(path = file.file_path(), %error, "an orphan file stays");
        }
    }
}

#[cfg(test)]
mod tests;
