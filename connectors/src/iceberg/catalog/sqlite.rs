//! The catalog in a SQLite file: a bounded pool of connections and the statements on the two tables of the layout.
//!
//! Invariants:
//! - No statement runs on an async thread; each runs on the blocking pool of the `io` runtime.
//! - At most `connections_max` connections exist. A call that is dropped gives its place back when its statement ends.
//! - A missing file is never made by opening it.

use super::rows::Rows;
use crate::iceberg::Config;
use crate::{Error, Result};
use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags, OptionalExtension};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

/// The tables as Iceberg's Java `JdbcUtil` makes them, with `iceberg_type` of layout V1.
const CREATE: &str = "
CREATE TABLE IF NOT EXISTS iceberg_tables (
  catalog_name VARCHAR(255) NOT NULL,
  table_namespace VARCHAR(255) NOT NULL,
  table_name VARCHAR(255) NOT NULL,
  metadata_location VARCHAR(1000),
  previous_metadata_location VARCHAR(1000),
  iceberg_type VARCHAR(5),
  PRIMARY KEY (catalog_name, table_namespace, table_name)
);
CREATE TABLE IF NOT EXISTS iceberg_namespace_properties (
  catalog_name VARCHAR(255) NOT NULL,
  namespace VARCHAR(255) NOT NULL,
  property_key VARCHAR(255),
  property_value VARCHAR(1000),
  PRIMARY KEY (catalog_name, namespace, property_key)
);";

/// A connection and what its file holds.
#[derive(Debug)]
struct Session {
    /// The open connection.
    connection: Connection,
    /// The condition that leaves views out; files of layout V0 have no column for it.
    tables_only: &'static str,
}

/// The pool over one catalog file.
#[derive(Debug)]
pub(super) struct Pool {
    file: PathBuf,
    source_name: String,
    busy_timeout: Duration,
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Session>>>,
    io: Handle,
}

impl Pool {
    /// A pool over `file` with the bounds of `config`; opens nothing yet.
    pub(super) fn new(source_name: &str, file: PathBuf, config: &Config, io: Handle) -> Self {
        Self {
            file,
            source_name: source_name.to_owned(),
            busy_timeout: Duration::from_millis(config.busy_timeout_ms),
            places: Arc::new(Semaphore::new(config.connections_max)),
            idle: Arc::new(Mutex::new(Vec::new())),
            io,
        }
    }

    /// Runs `work` on a connection, after waiting for a free one.
    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Session) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|e| internal(e.into()))?;
        let (file, busy, idle) = (self.file.clone(), self.busy_timeout, Arc::clone(&self.idle));
        let done = self.io.spawn_blocking(move || {
            // The place lives as long as the statement, also when nobody waits for the answer any more.
            let _place = place;
            let free = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut session = match free {
                Some(session) => session,
                None => open(&file, busy)?,
            };
            let answer = work(&mut session);
            // A session whose statement failed is not reused.
            if answer.is_ok() {
                idle.lock().unwrap_or_else(PoisonError::into_inner).push(session);
            }
            answer
        });
        let answer = done.await.map_err(|e| internal(e.into()))?;
        answer.map_err(|e| {
            if self.file.exists() {
                self.unavailable(e)
            } else {
                Error::NotFound {
                    what: "catalog file",
                    name: self.file.display().to_string(),
                }
            }
        })
    }

    fn unavailable(&self, cause: rusqlite::Error) -> Error {
        Error::Unavailable {
            source_name: self.source_name.clone(),
            path: self.file.display().to_string(),
            cause: Box::new(cause),
        }
    }
}

fn internal(cause: crate::error::Cause) -> Error {
    Error::Internal {
        doing: "asking the catalog file",
        cause,
    }
}

fn open(file: &Path, busy: Duration) -> rusqlite::Result<Session> {
    let connection = connect(
        file,
        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX,
        busy,
    )?;
    let typed: bool = connection.query_row(
        "SELECT EXISTS (SELECT 1 FROM pragma_table_info('iceberg_tables') WHERE name = 'iceberg_type')",
        [],
        |row| row.get(0),
    )?;
    let tables_only = if typed {
        "(iceberg_type = 'TABLE' OR iceberg_type IS NULL)"
    } else {
        "1 = 1"
    };
    Ok(Session {
        connection,
        tables_only,
    })
}

fn connect(file: &Path, flags: OpenFlags, busy: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(busy)?;
    let mode: String = connection.query_row("PRAGMA journal_mode", [], |row| row.get(0))?;
    // Readers must not block writers. A file that is already so is left alone, as switching takes its write lock.
    if !mode.eq_ignore_ascii_case("wal") {
        connection.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(()))?;
    }
    // A commit that returned is on the disk, also after a power cut.
    connection.execute_batch("PRAGMA synchronous = FULL")?;
    Ok(connection)
}

impl Session {
    /// Where the table's metadata lies; `None` when there is no such table.
    fn location(&self, catalog: &str, namespace: &str, table: &str) -> rusqlite::Result<Option<String>> {
        let sql = format!(
            "SELECT metadata_location FROM iceberg_tables \
             WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND {}",
            self.tables_only
        );
        let found = self
            .connection
            .prepare_cached(&sql)?
            .query_row((catalog, namespace, table), |row| row.get(0));
        Ok(found.optional()?.flatten())
    }

    /// All tables as (namespace, name), sorted; of one namespace where it is given.
    fn tables(&self, catalog: &str, namespace: Option<&str>) -> rusqlite::Result<Vec<(String, String)>> {
        let sql = format!(
            "SELECT table_namespace, table_name FROM iceberg_tables \
             WHERE catalog_name = ?1 AND (?2 IS NULL OR table_namespace = ?2) AND {} ORDER BY 1, 2",
            self.tables_only
        );
        let mut statement = self.connection.prepare_cached(&sql)?;
        let rows = statement.query_map((catalog, namespace), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    /// All namespaces that were made or hold a table, sorted.
    fn namespaces(&self, catalog: &str) -> rusqlite::Result<Vec<String>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT namespace FROM iceberg_namespace_properties WHERE catalog_name = ?1 \
             UNION SELECT table_namespace FROM iceberg_tables WHERE catalog_name = ?1 ORDER BY 1",
        )?;
        let rows = statement.query_map([catalog], |row| row.get(0))?;
        rows.collect()
    }

    /// The properties of a namespace, the marker `exists` among them.
    fn properties(&self, catalog: &str, namespace: &str) -> rusqlite::Result<Vec<(String, String)>> {
        let mut statement = self.connection.prepare_cached(
            "SELECT property_key, coalesce(property_value, '') FROM iceberg_namespace_properties \
             WHERE catalog_name = ?1 AND namespace = ?2 AND property_key IS NOT NULL",
        )?;
        let rows = statement.query_map((catalog, namespace), |row| Ok((row.get(0)?, row.get(1)?)))?;
        rows.collect()
    }

    /// Replaces the properties of a namespace; with none it ends to exist unless it holds a table.
    fn put_properties(
        &mut self,
        catalog: &str,
        namespace: &str,
        properties: &[(String, String)],
    ) -> rusqlite::Result<()> {
        let change = self.connection.transaction()?;
        change.execute(
            "DELETE FROM iceberg_namespace_properties WHERE catalog_name = ?1 AND namespace = ?2",
            (catalog, namespace),
        )?;
        for (key, value) in properties {
            change.execute(
                "INSERT INTO iceberg_namespace_properties (catalog_name, namespace, property_key, property_value) \
                 VALUES (?1, ?2, ?3, ?4)",
                (catalog, namespace, key, value),
            )?;
        }
        change.commit()
    }

    /// Adds a table; false when the name is taken.
    fn insert(&self, catalog: &str, namespace: &str, table: &str, location: &str) -> rusqlite::Result<bool> {
        let typed = self.tables_only.contains("iceberg_type");
        let sql = if typed {
            "INSERT OR IGNORE INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, \
             previous_metadata_location, iceberg_type) VALUES (?1, ?2, ?3, ?4, NULL, 'TABLE')"
        } else {
            "INSERT OR IGNORE INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, \
             previous_metadata_location) VALUES (?1, ?2, ?3, ?4, NULL)"
        };
        Ok(self
            .connection
            .execute(sql, (catalog, namespace, table, location))?
            == 1)
    }

    /// Points a table from `old` to `new`; false when it no longer points to `old`. This is the commit.
    fn swap(
        &self,
        catalog: &str,
        namespace: &str,
        table: &str,
        (old, new): (&str, &str),
    ) -> rusqlite::Result<bool> {
        let sql = format!(
            "UPDATE iceberg_tables SET metadata_location = ?5, previous_metadata_location = ?4 \
             WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND metadata_location = ?4 AND {}",
            self.tables_only
        );
        Ok(self
            .connection
            .execute(&sql, (catalog, namespace, table, old, new))?
            == 1)
    }

    /// Takes a table out of the catalog; false when it is not there.
    fn delete(&self, catalog: &str, namespace: &str, table: &str) -> rusqlite::Result<bool> {
        let sql = format!(
            "DELETE FROM iceberg_tables WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND {}",
            self.tables_only
        );
        Ok(self.connection.execute(&sql, (catalog, namespace, table))? == 1)
    }

    /// Gives a table another name; false when it is not there. Fails when the new name is taken.
    fn rename(&self, catalog: &str, from: (&str, &str), to: (&str, &str)) -> rusqlite::Result<bool> {
        let sql = format!(
            "UPDATE iceberg_tables SET table_namespace = ?4, table_name = ?5 \
             WHERE catalog_name = ?1 AND table_namespace = ?2 AND table_name = ?3 AND {}",
            self.tables_only
        );
        Ok(self
            .connection
            .execute(&sql, (catalog, from.0, from.1, to.0, to.1))?
            == 1)
    }
}

#[async_trait]
impl Rows for Pool {
    async fn create(&self) -> Result<()> {
        let file = self.file.clone();
        let busy = self.busy_timeout;
        let made = self.io.spawn_blocking(move || {
            let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
                | OpenFlags::SQLITE_OPEN_CREATE
                | OpenFlags::SQLITE_OPEN_NO_MUTEX;
            let connection = connect(&file, flags, busy)?;
            connection.execute_batch(CREATE)
        });
        made.await
            .map_err(|e| internal(e.into()))?
            .map_err(|e| self.unavailable(e))
    }

    async fn location(&self, catalog: &str, namespace: &str, table: &str) -> Result<Option<String>> {
        let [catalog, namespace, table] = owned([catalog, namespace, table]);
        self.run(move |session| session.location(&catalog, &namespace, &table))
            .await
    }

    async fn tables(&self, catalog: &str, namespace: Option<&str>) -> Result<Vec<(String, String)>> {
        let (catalog, namespace) = (catalog.to_owned(), namespace.map(str::to_owned));
        self.run(move |session| session.tables(&catalog, namespace.as_deref()))
            .await
    }

    async fn namespaces(&self, catalog: &str) -> Result<Vec<String>> {
        let catalog = catalog.to_owned();
        self.run(move |session| session.namespaces(&catalog)).await
    }

    async fn properties(&self, catalog: &str, namespace: &str) -> Result<Vec<(String, String)>> {
        let [catalog, namespace] = owned([catalog, namespace]);
        self.run(move |session| session.properties(&catalog, &namespace))
            .await
    }

    async fn put_properties(
        &self,
        catalog: &str,
        namespace: &str,
        properties: &[(String, String)],
    ) -> Result<()> {
        let ([catalog, namespace], properties) = (owned([catalog, namespace]), properties.to_vec());
        self.run(move |session| session.put_properties(&catalog, &namespace, &properties))
            .await
    }

    async fn insert(&self, catalog: &str, namespace: &str, table: &str, location: &str) -> Result<bool> {
        let [catalog, namespace, table, location] = owned([catalog, namespace, table, location]);
        self.run(move |session| session.insert(&catalog, &namespace, &table, &location))
            .await
    }

    async fn swap(
        &self,
        catalog: &str,
        namespace: &str,
        table: &str,
        (old, new): (&str, &str),
    ) -> Result<bool> {
        let [catalog, namespace, table, old, new] = owned([catalog, namespace, table, old, new]);
        self.run(move |session| session.swap(&catalog, &namespace, &table, (&old, &new)))
            .await
    }

    async fn delete(&self, catalog: &str, namespace: &str, table: &str) -> Result<bool> {
        let [catalog, namespace, table] = owned([catalog, namespace, table]);
        self.run(move |session| session.delete(&catalog, &namespace, &table))
            .await
    }

    async fn rename(&self, catalog: &str, from: (&str, &str), to: (&str, &str)) -> Result<bool> {
        let [catalog, from_namespace, from_table, to_namespace, to_table] =
            owned([catalog, from.0, from.1, to.0, to.1]);
        self.run(move |session| {
            session.rename(
                &catalog,
                (&from_namespace, &from_table),
                (&to_namespace, &to_table),
            )
        })
        .await
    }
}

/// Texts that go to another thread.
fn owned<const N: usize>(texts: [&str; N]) -> [String; N] {
    texts.map(str::to_owned)
}
