//! Where the policies come from: a file of this gateway's own, or one table for a fleet.
//!
//! Invariants: what is in force stays so until a good document is found, and counts as known for `staleness_max` after the
//! last look that reached its source. A version of the table older than one that was in force is not taken.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use planner::database::{Newest, Versions};
use policies::store::{FileStore, Held, PolicyStore, Seen};
use policies::{PolicySet, Secret};

use crate::config::{Config, Environment, Fault, PolicyDatabase};
use crate::error::{Error, Result};

/// What errors call the text of a version.
const TABLE: &str = "lakegate_policies";

/// The policies in force, and their source.
#[derive(Debug)]
pub(crate) struct PolicySource(Source);

#[derive(Debug)]
enum Source {
    File(Arc<FileStore>),
    Table(Table),
}

#[derive(Debug)]
struct Table {
    versions: Versions,
    held: Held,
    /// The number of the newest version that was seen.
    number: AtomicI64,
}

impl PolicySource {
    /// Reads the policies that a config names. Must run on the runtime that waits for sockets.
    ///
    /// # Errors
    /// Whatever is wrong with the file, the table, the document in it or the key of masks.
    pub(crate) async fn open(config: &Config, environment: &Environment) -> Result<Self> {
        Ok(Self(match &config.fleet.policies {
            None => Source::File(Arc::new(FileStore::of(&config.policies)?)),
            Some(database) => {
                Source::Table(Table::open(database, environment, config.policies.key()?).await?)
            }
        }))
    }

    /// The key of the config that says where they are, for messages.
    pub(crate) fn key(config: &Config) -> &'static str {
        match &config.fleet.policies {
            None => "policies.file",
            Some(_) => "fleet.policies",
        }
    }

    /// Where they are, with what is in force.
    pub(crate) fn told(&self) -> String {
        let epoch = self.current().epoch().to_owned();
        match &self.0 {
            Source::File(file) => format!("{}, epoch {epoch}", file.path().display()),
            Source::Table(table) => {
                format!(
                    "{TABLE}, version {}, epoch {epoch}",
                    table.number.load(Ordering::Relaxed)
                )
            }
        }
    }

    /// Looks whether the policies have become others, and takes them if so.
    ///
    /// # Errors
    /// When the source cannot be reached.
    pub(crate) async fn look(&self, staleness_max: Duration) -> Result<Seen> {
        match &self.0 {
            Source::File(file) => {
                let file = Arc::clone(file);
                let look = tokio::task::spawn_blocking(move || file.look(staleness_max)).await;
                Ok(look.map_err(|error| not_looked_at(&error))??)
            }
            Source::Table(table) => {
                let known = table.number.load(Ordering::Relaxed);
                let read = table.read(Some(known)).await;
                table.held.look(read, staleness_max)
            }
        }
    }

    /// Reads the policies again, also those that were refused before.
    ///
    /// # Errors
    /// When the source cannot be reached, or holds no policies; then those in force stay.
    pub(crate) async fn reload(&self) -> Result<()> {
        match &self.0 {
            Source::File(file) => {
                let file = Arc::clone(file);
                let read = tokio::task::spawn_blocking(move || file.reload()).await;
                Ok(read.map_err(|error| not_looked_at(&error))??)
            }
            Source::Table(table) => match table.read(None).await? {
                Some(text) => Ok(table.held.replace(&text)?),
                None => Ok(()),
            },
        }
    }
}

impl PolicyStore for PolicySource {
    fn current(&self) -> Arc<PolicySet> {
        match &self.0 {
            Source::File(file) => file.current(),
            Source::Table(table) => table.held.current(),
        }
    }

    fn is_fresh(&self) -> bool {
        match &self.0 {
            Source::File(file) => file.is_fresh(),
            Source::Table(table) => table.held.is_fresh(),
        }
    }
}

impl Table {
    async fn open(database: &PolicyDatabase, environment: &Environment, key: Option<Secret>) -> Result<Self> {
        let versions = database.open(environment)?;
        match versions.newest(None).await.map_err(planner::Error::from)? {
            Newest::Version { number, text } => Ok(Self {
                held: Held::new(&text, TABLE, key)?,
                number: AtomicI64::new(number),
                versions,
            }),
            Newest::Nothing | Newest::Same => Err(empty().into()),
        }
    }

    /// The text of the newest version; none where it is the one that the caller has.
    async fn read(&self, held: Option<i64>) -> Result<Option<String>> {
        let seen = self.number.load(Ordering::Relaxed);
        match self.versions.newest(held).await.map_err(planner::Error::from)? {
            Newest::Same => Ok(None),
            Newest::Nothing => Err(empty().into()),
            Newest::Version { number, .. } if number < seen => {
                let reason =
                    format!("its newest version is {number}, and {seen} was in force: was it restored?");
                Err(Fault::at("fleet.policies", reason).into())
            }
            Newest::Version { number, text } => {
                self.number.store(number, Ordering::Relaxed);
                Ok(Some(text))
            }
        }
    }
}

fn not_looked_at(error: &tokio::task::JoinError) -> Error {
    Error::Internal {
        message: format!("the policies were not looked at: {error}"),
    }
}

fn empty() -> Fault {
    Fault::at("fleet.policies", "no policies are published there")
        .with_hint("publish them with `lakegate policies publish --config FILE DOCUMENT`")
}
