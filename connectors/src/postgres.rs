//! The tables and views of one Postgres database.
//!
//! Path of a table: `catalog` says what it is, `types` maps its columns, `table` plans a scan of it with what `filter`
//! and `matrix` find exact, `sql` writes the statement, `exec` runs it. `compose` puts whole parts of a plan into one statement. Path of a row: `pool` and `session` give a
//! connection, `snapshot` a transaction on it, `read` sends the statement, `copy` takes the stream apart, `decode` makes
//! columns of it.
//!
//! A database keeps no past: [`crate::Version`] of a table is a fingerprint of its columns and says nothing of its rows.
//!
//! Invariants:
//! - Nothing is written to a source: every connection and every transaction of one is read only. What writes are the
//!   catalog of a lake and `versions`, which are no sources.
//! - A source that is down fails its own queries, by name, and nothing else.

mod bind;
mod breaker;
mod catalog;
mod compose;
mod config;
mod copy;
mod decode;
mod estimate;
mod exec;
mod failure;
mod filter;
#[cfg(test)]
mod fixture;
mod matrix;
mod password;
mod plain;
mod pool;
mod read;
mod session;
mod snapshot;
mod sql;
mod table;
mod tls;
mod types;
mod value;
mod versions;

pub use compose::{Aggregate, Composed, Key, Meeting, Statement};
pub use config::{Config, TlsMode, Unconstrained, Unrepresentable};
pub use estimate::Estimate;
pub use exec::{Remote, RemoteExec};
pub use matrix::Matrix;
pub use password::Password;
pub(crate) use plain::Plain;
pub use read::{RemoteQuery, Transfer};
pub use sql::{Sql, Unwritable, relation};
pub use table::PostgresTable;
pub use value::ValueType;
pub use versions::{Newest, Published, Versions};

use crate::{Capabilities, Connector, ForeignKey, Pushdown, Result, SourceTable, TableEntry, Version};
use async_trait::async_trait;
use catalog::Catalog;
use pool::Pool;
use std::sync::Arc;
use tokio::runtime::Handle;

/// What this connector does.
pub const CAPABILITIES: Capabilities = Capabilities {
    kind: "postgres",
    projection: Pushdown::Exact,
    filter: Pushdown::Exact,
    limit: Pushdown::Exact,
    aggregate: Pushdown::No,
    join: Pushdown::No,
    versions: false,
    partitions: false,
};

/// The connector.
#[derive(Debug)]
pub struct Postgres {
    pool: Pool,
    catalog: Catalog,
}

impl Postgres {
    /// Opens the source `name` without asking the server anything. Sockets are waited for on `io`.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] naming a bad key.
    pub fn open(name: &str, config: &Config, io: Handle) -> Result<Self> {
        config.validate()?;
        catalog::check_names(config)?;
        let pool = Pool::new(name, config, io)?;
        Ok(Self {
            catalog: Catalog::new(pool.clone()),
            pool,
        })
    }

    /// The source as one that runs statements.
    #[must_use]
    pub fn remote(&self) -> Remote {
        Remote(self.pool.clone())
    }
}

#[async_trait]
impl Connector for Postgres {
    fn capabilities(&self) -> &Capabilities {
        &CAPABILITIES
    }

    async fn schemas(&self) -> Result<Vec<String>> {
        self.catalog.schemas().await
    }

    async fn tables(&self) -> Result<Vec<TableEntry>> {
        self.catalog.tables().await
    }

    async fn table(&self, schema: &str, name: &str, at: Option<&Version>) -> Result<Option<SourceTable>> {
        let Some(table) = self.catalog.table(schema, name, at).await? else {
            return Ok(None);
        };
        Ok(Some(SourceTable {
            without_views: None,
            version: table.version.clone(),
            comment: table.comment.clone(),
            primary_key: table.primary_key.clone(),
            schema: Arc::clone(&table.schema),
            object_stores: Vec::new(),
            provider: Arc::new(PostgresTable {
                remote: self.remote(),
                table,
            }),
        }))
    }

    async fn foreign_keys(&self) -> Result<Vec<ForeignKey>> {
        self.catalog.foreign_keys().await
    }

    async fn check(&self) -> Result<()> {
        let pool = self.pool.clone();
        let task = self.pool.spawn(async move {
            catalog::answering(&pool).await?.release();
            Ok(())
        });
        task.done().await
    }
}

#[cfg(test)]
mod tests;
