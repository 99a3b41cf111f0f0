//! Puts written files into a table exactly once.
//!
//! Invariants, checked in the same words by the tests:
//! 1. *No double*: a token that is in the history of the table's main branch is never committed again.
//! 2. *No blind rebase*: the snapshot is built on exactly the table in whose history the token was looked up ([`fence`]); if another writer
//!    gets between, the catalog's compare-and-swap refuses and the lookup is made again on the new table.
//! 3. *No guess*: when the catalog fails while publishing, the table is loaded again and the token decides; if it is not there the outcome is
//!    [`Error::Unknown`], and no file is removed.

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use iceberg::spec::{DataFile, SnapshotRef, TableMetadata};
use iceberg::table::Table;
use iceberg::transaction::{ApplyTransactionAction, Transaction};
use iceberg::{Catalog, TableIdent};

use crate::error::{Error, Result};

pub mod facts;
mod fence;
pub mod kernel;
pub(crate) mod snapshot;
pub mod tables;
pub use facts::Advance;
use fence::Fence;
pub use kernel::{Change, Commit, Kernel, Removal};
pub use tables::Tables;

/// The key of the token in a snapshot's summary.
pub const TOKEN_KEY: &str = "ingest.commit-id";

/// Names one append for ever. The same rows must come with the same token, other rows with another.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Token(String);

impl Token {
    /// Any text of 1 to 256 printable ASCII characters; none for another text.
    pub fn new(text: impl Into<String>) -> Option<Self> {
        let text = text.into();
        let printable = text.bytes().all(|byte| byte.is_ascii_graphic());
        ((1..=256).contains(&text.len()) && printable).then_some(Self(text))
    }

    /// A token that nobody has had, for an append that is not retried across processes.
    pub fn unique() -> Self {
        Self(uuid::Uuid::now_v7().to_string())
    }

    /// The token as it stands in the summary.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// A snapshot that carries a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    /// The snapshot.
    pub snapshot_id: i64,
    /// Rows that it added.
    pub rows: u64,
    /// Data files that it added.
    pub files: u64,
    /// Bytes of these files.
    pub bytes: u64,
    /// False when an earlier call had committed it.
    pub fresh: bool,
}

/// What is to be published, all or nothing.
#[derive(Debug, Clone)]
pub struct Intent {
    /// The table.
    pub table: TableIdent,
    /// The table's uuid when the files were written: a table dropped and made anew is another table.
    pub table_uuid: uuid::Uuid,
    /// The token of this append.
    pub token: Token,
    /// The files, written and closed. May be empty: the token is recorded all the same.
    pub files: Vec<DataFile>,
}

/// Publishes files in a table, at most once for a token.
#[async_trait]
pub trait Committer: std::fmt::Debug + Send + Sync {
    /// Commits the intent, or finds that it has been committed.
    async fn commit(&self, intent: &Intent) -> Result<Receipt>;

    /// The snapshot that carries `token`, if the table has one.
    async fn find(&self, table: &TableIdent, token: &Token) -> Result<Option<Receipt>>;
}

/// The committer on any Iceberg catalog that swaps a table's metadata atomically.
#[derive(Debug, Clone)]
pub struct CatalogCommitter {
    catalog: Arc<dyn Catalog>,
    attempts_max: usize,
}

/// How one try to publish ended.
enum Attempt {
    Done(Box<Table>),
    Overtaken,
    NotPublished(iceberg::Error),
    Unknown(iceberg::Error),
}

impl CatalogCommitter {
    /// A committer that tries at most `attempts_max` times when others commit at the same time.
    pub fn new(catalog: Arc<dyn Catalog>, attempts_max: usize) -> Self {
        Self {
            catalog,
            attempts_max,
        }
    }

    async fn load(&self, table: &TableIdent) -> Result<Table> {
        self.catalog
            .load_table(table)
            .await
            .map_err(|source| Error::Catalog {
                action: "load",
                subject: table.to_string(),
                source: Box::new(source),
            })
    }

    async fn publish(&self, base: &Table, intent: &Intent) -> Attempt {
        let fence = Fence::new(Arc::clone(&self.catalog), base.clone());
        let transaction = Transaction::new(base);
        let summary = HashMap::from([(TOKEN_KEY.to_owned(), intent.token.as_str().to_owned())]);
        let append = transaction
            .fast_append()
            // It reads every manifest of the table on each commit. File names carry a fresh uuid, and the token guards the rest.
            .with_check_duplicate(false)
            .set_snapshot_properties(summary)
            .add_data_files(intent.files.iter().cloned());
        let committed = match append.apply(transaction) {
            Ok(transaction) => transaction.commit(&fence).await,
            Err(error) => return Attempt::NotPublished(error),
        };
        match committed {
            Ok(table) => Attempt::Done(Box::new(table)),
            Err(_) if fence.overtaken() => Attempt::Overtaken,
            Err(error) if fence.asked() => Attempt::Unknown(error),
            Err(error) => Attempt::NotPublished(error),
        }
    }

    async fn reconcile(&self, intent: &Intent, failure: iceberg::Error) -> Result<Receipt> {
        match self.find(&intent.table, &intent.token).await {
            Ok(Some(receipt)) => Ok(Receipt {
                fresh: true,
                ..receipt
            }),
            Ok(None) if crate::storage::is_full(&failure) => Err(failed("append to", &intent.table, failure)),
            Ok(None) | Err(_) => Err(Error::Unknown {
                table: intent.table.to_string(),
                token: intent.token.to_string(),
                source: Box::new(failure),
            }),
        }
    }
}

#[async_trait]
impl Committer for CatalogCommitter {
    async fn commit(&self, intent: &Intent) -> Result<Receipt> {
        for _ in 0..self.attempts_max {
            let base = self.load(&intent.table).await?;
            if let Some(receipt) = receipt(base.metadata(), &intent.token, false) {
                return Ok(receipt);
            }
            if base.metadata().uuid() != intent.table_uuid {
                return Err(Error::Differs {
                    table: intent.table.to_string(),
                    aspect: "uuid",
                    found: base.metadata().uuid().to_string(),
                    expected: intent.table_uuid.to_string(),
                });
            }
            match self.publish(&base, intent).await {
                Attempt::Done(table) => return self.confirm(&table, intent),
                Attempt::Overtaken => {}
                Attempt::NotPublished(source) => {
                    return Err(failed("append to", &intent.table, source));
                }
                Attempt::Unknown(failure) => return self.reconcile(intent, failure).await,
            }
        }
        Err(Error::Conflict {
            table: intent.table.to_string(),
            attempts: self.attempts_max,
        })
    }

    async fn find(&self, table: &TableIdent, token: &Token) -> Result<Option<Receipt>> {
        Ok(receipt(self.load(table).await?.metadata(), token, false))
    }
}

impl CatalogCommitter {
    /// The receipt of a table that a commit gave back; a table without the token is a lie of the catalog.
    fn confirm(&self, table: &Table, intent: &Intent) -> Result<Receipt> {
        receipt(table.metadata(), &intent.token, true).ok_or_else(|| Error::Unknown {
            table: intent.table.to_string(),
            token: intent.token.to_string(),
            source: Box::new(iceberg::Error::new(
                iceberg::ErrorKind::Unexpected,
                "the catalog confirmed a commit that its table does not hold",
            )),
        })
    }
}

/// The failure of `action` on a table; a full disk keeps its own name.
pub(crate) fn failed(action: &'static str, table: &TableIdent, source: iceberg::Error) -> Error {
    if crate::storage::is_full(&source) {
        return crate::storage::failed("write", &table.to_string(), None, source);
    }
    Error::Catalog {
        action,
        subject: table.to_string(),
        source: Box::new(source),
    }
}

/// The snapshot with `token` in the history of the main branch, newest first. Snapshots that were rolled back do not count: their rows are
/// not in the table.
fn receipt(metadata: &TableMetadata, token: &Token, fresh: bool) -> Option<Receipt> {
    receipt_of(metadata, token, None, fresh)
}

/// The same, by the snapshot's id as well.
fn receipt_of(metadata: &TableMetadata, token: &Token, id: Option<i64>, fresh: bool) -> Option<Receipt> {
    history(metadata)
        .find(|snapshot| token_of(snapshot) == Some(token.as_str()) || Some(snapshot.snapshot_id()) == id)
        .map(|snapshot| Receipt {
            snapshot_id: snapshot.snapshot_id(),
            rows: facts::number(snapshot, "added-records"),
            files: facts::number(snapshot, "added-data-files"),
            bytes: facts::number(snapshot, "added-files-size"),
            fresh,
        })
}

/// The snapshots of the main branch, newest first.
pub(crate) fn history(metadata: &TableMetadata) -> impl Iterator<Item = &SnapshotRef> {
    std::iter::successors(metadata.current_snapshot(), |snapshot| {
        snapshot
            .parent_snapshot_id()
            .and_then(|id| metadata.snapshot_by_id(id))
    })
}

/// The token of a snapshot, if this crate wrote it.
pub(crate) fn token_of(snapshot: &SnapshotRef) -> Option<&str> {
    snapshot
        .summary()
        .additional_properties
        .get(TOKEN_KEY)
        .map(String::as_str)
}

#[cfg(test)]
mod tests;
