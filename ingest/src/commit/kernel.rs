//! The commit kernel: our own snapshots, published exactly once.
//!
//! Beyond the invariants of [`super`]:
//! 4. *No zombie*: the epoch that a table has recorded is checked on the state that the swap requires; a smaller one is refused for ever.
//! 5. *No gap, no overlap*: a commit says where its rows begin, and the table must have recorded exactly that; two positions are never merged.
//! 6. *The head knows*: each snapshot carries the newest epoch and positions, whatever made it.
//! 7. *Proven or left alone*: metadata of a try is removed only when the catalog said that nothing was published.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use connectors::iceberg::Publication;
use iceberg::TableIdent;
use iceberg::spec::{DataFile, TableMetadata};
use iceberg::table::Table;

use super::facts::{self, Advance};
use super::snapshot::{self, Draft};
use super::tables::Tables;
use super::{Receipt, Token, failed, receipt_of};
use crate::error::{Error, ErrorKind, Result};

/// How long to wait before an unknown outcome is looked for again.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// What a commit does to the table's files.
#[derive(Debug, Clone)]
pub enum Change {
    /// Adds files.
    Append(Vec<DataFile>),
    /// Takes out whole partitions, by the values of the table's default spec, and adds files in their place.
    Overwrite {
        /// What goes.
        remove: Removal,
        /// What comes.
        add: Vec<DataFile>,
    },
    /// Puts files in the place of others that hold the same rows; the counts must be equal.
    Replace {
        /// Paths of the files that go; all of them must be alive.
        remove: Vec<String>,
        /// What comes.
        add: Vec<DataFile>,
    },
}

/// Which files an overwrite takes out.
#[derive(Debug, Clone)]
pub enum Removal {
    /// Every file.
    All,
    /// The files of these partitions.
    Partitions(Vec<iceberg::spec::Struct>),
}

/// One commit, with its snapshot id made beforehand, so that its outcome can be looked up for ever.
#[derive(Debug, Clone)]
pub struct Commit {
    /// The table.
    pub table: TableIdent,
    /// The table's uuid when the files were written.
    pub table_uuid: uuid::Uuid,
    /// Names the commit for ever.
    pub token: Token,
    /// The id that its snapshot will have.
    pub snapshot_id: i64,
    /// The writer's epoch, from [`Kernel::claim`].
    pub epoch: u64,
    /// The steps of the sources.
    pub advances: Vec<Advance>,
    /// What happens to the files.
    pub change: Change,
    /// Further keys of the summary; ours start with `ingest.`.
    pub facts: BTreeMap<String, String>,
}

impl Commit {
    /// A commit to `table` that appends `files`, without positions and facts.
    pub fn append(table: &Table, epoch: u64, token: Token, files: Vec<DataFile>) -> Self {
        Self::new(table, epoch, token, Change::Append(files))
    }

    /// A commit to `table`, without positions and facts.
    pub fn new(table: &Table, epoch: u64, token: Token, change: Change) -> Self {
        Self {
            table: table.identifier().clone(),
            table_uuid: table.metadata().uuid(),
            token,
            snapshot_id: fresh_id(),
            epoch,
            advances: Vec::new(),
            change,
            facts: BTreeMap::new(),
        }
    }

    /// Whether a receipt is of this commit's own snapshot, so that the table holds its files; otherwise the token had been there before.
    pub fn made(&self, receipt: &Receipt) -> bool {
        receipt.snapshot_id == self.snapshot_id
    }

    /// Adds a key to the summary.
    #[must_use]
    pub fn with_fact(mut self, key: &str, value: impl ToString) -> Self {
        self.facts.insert(key.to_owned(), value.to_string());
        self
    }

    /// Adds the step of a source.
    #[must_use]
    pub fn with_advance(mut self, advance: Advance) -> Self {
        self.advances.push(advance);
        self
    }
}

/// A positive random id, as every writer of Iceberg makes it.
fn fresh_id() -> i64 {
    let (high, low) = uuid::Uuid::new_v4().as_u64_pair();
    i64::try_from((high ^ low) >> 1).unwrap_or(i64::MAX)
}

/// The kernel over one catalog. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Kernel {
    tables: Arc<dyn Tables>,
    attempts_max: usize,
    manifests_max: usize,
}

impl Kernel {
    /// A kernel that tries at most `attempts_max` times when others commit at the same time, and merges the manifests of a table that has
    /// more than `manifests_max`.
    pub fn new(tables: Arc<dyn Tables>, attempts_max: usize, manifests_max: usize) -> Self {
        Self {
            tables,
            attempts_max,
            manifests_max,
        }
    }

    /// The table as it is now.
    pub async fn load(&self, table: &TableIdent) -> Result<Table> {
        let loaded = self.tables.load(table).await;
        loaded.map_err(|error| failed("load", table, error))
    }

    /// Takes the table over: from now on a writer with an earlier epoch is refused. The claim is a snapshot without files, since the id of the
    /// newest snapshot is what every catalog can compare and swap by.
    pub async fn claim(&self, table: &TableIdent) -> Result<u64> {
        for _ in 0..self.attempts_max {
            let base = self.load(table).await?;
            let epoch = facts::epoch(base.metadata()) + 1;
            let claim = Commit::append(&base, epoch, Token::unique(), Vec::new());
            match self.attempt(&base, &claim).await? {
                Some(_) => return Ok(epoch),
                None => continue,
            }
        }
        Err(self.conflict(table))
    }

    /// Commits, or finds that it has been committed.
    pub async fn commit(&self, commit: &Commit) -> Result<Receipt> {
        for _ in 0..self.attempts_max {
            let base = self.load(&commit.table).await?;
            if let Some(receipt) = self.standing(base.metadata(), commit)? {
                return Ok(receipt);
            }
            if let Some(receipt) = self.attempt(&base, commit).await? {
                return Ok(receipt);
            }
        }
        Err(self.conflict(&commit.table))
    }

    /// Commits, and after an unknown outcome goes on until it is known, however long that takes: what a writer does next might otherwise
    /// overlap it. An error means that nothing was published and nothing will be.
    pub async fn commit_known(&self, commit: &Commit) -> Result<Receipt> {
        let mut asked = false;
        loop {
            let error = match self.commit(commit).await {
                Ok(receipt) => return Ok(receipt),
                Err(error) => error,
            };
            asked |= matches!(error, Error::Unknown { .. });
            let open = matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Full);
            if !(asked && open) {
                return Err(error);
            }
            tracing::warn!(table = %commit.table, error = %error, "the outcome of a commit is not known yet");
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    fn conflict(&self, table: &TableIdent) -> Error {
        Error::Conflict {
            table: table.to_string(),
            attempts: self.attempts_max,
        }
    }

    /// The receipt of a commit that the table has already; an error when the table must not take it.
    fn standing(&self, metadata: &TableMetadata, commit: &Commit) -> Result<Option<Receipt>> {
        if let Some(receipt) = receipt_of(metadata, &commit.token, Some(commit.snapshot_id), false) {
            return Ok(Some(receipt));
        }
        let table = || commit.table.to_string();
        if metadata.uuid() != commit.table_uuid {
            return Err(Error::Differs {
                table: table(),
                aspect: "uuid",
                found: metadata.uuid().to_string(),
                expected: commit.table_uuid.to_string(),
            });
        }
        let recorded = facts::epoch(metadata);
        if recorded > commit.epoch {
            return Err(Error::Fenced {
                table: table(),
                epoch: commit.epoch,
                recorded,
            });
        }
        let positions = facts::positions(metadata);
        for advance in &commit.advances {
            let recorded = positions.get(&advance.source);
            if recorded != advance.from.as_ref() {
                return Err(Error::Gap {
                    table: table(),
                    origin: advance.source.clone(),
                    recorded: recorded.cloned(),
                    from: advance.from.clone(),
                });
            }
        }
        Ok(None)
    }

    /// One try on exactly `base`; none when another writer was faster.
    async fn attempt(&self, base: &Table, commit: &Commit) -> Result<Option<Receipt>> {
        let draft = match snapshot::draft(base, commit, self.manifests_max).await {
            Ok(draft) => draft,
            Err(error) => return Err(error),
        };
        let Draft {
            requirements,
            updates,
            litter,
        } = draft;
        match self.tables.publish(&commit.table, &requirements, updates).await {
            Publication::Done(table) => {
                match receipt_of(table.metadata(), &commit.token, Some(commit.snapshot_id), true) {
                    Some(receipt) => Ok(Some(receipt)),
                    None => Err(unknown(commit, lie())),
                }
            }
            Publication::Overtaken => {
                snapshot::sweep(base, &litter).await;
                Ok(None)
            }
            Publication::Failed(error) => {
                snapshot::sweep(base, &litter).await;
                Err(failed("append to", &commit.table, error))
            }
            Publication::Unknown(error) => self.reconcile(commit, error).await.map(Some),
        }
    }

    /// Looks whether a commit without an answer took place. Nothing is removed either way.
    async fn reconcile(&self, commit: &Commit, failure: iceberg::Error) -> Result<Receipt> {
        match self.load(&commit.table).await {
            Ok(table) => receipt_of(table.metadata(), &commit.token, Some(commit.snapshot_id), true)
                .ok_or_else(|| unknown(commit, failure)),
            Err(_) => Err(unknown(commit, failure)),
        }
    }
}

fn unknown(commit: &Commit, source: iceberg::Error) -> Error {
    Error::Unknown {
        table: commit.table.to_string(),
        token: commit.token.to_string(),
        source: Box::new(source),
    }
}

fn lie() -> iceberg::Error {
    iceberg::Error::new(
        iceberg::ErrorKind::Unexpected,
        "the catalog confirmed a commit that its table does not hold",
    )
}

#[cfg(test)]
mod tests;
