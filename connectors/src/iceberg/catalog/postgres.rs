//! The catalog in a Postgres database, for a fleet: a bounded pool of connections and the statements on the two tables of
//! the layout.
//!
//! Invariants:
//! - Nothing is asked before the first call: a server that is down fails queries, not the start.
//! - At most `connections_max` connections exist; one whose statement failed is not used again.
//! - Each call ends within a bound, whatever the server does.

use super::rows::Rows;
use crate::iceberg::Config;
use crate::postgres::{self, Plain};
use crate::{Error, Result};
use async_trait::async_trait;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, Row};

/// How long one statement on the catalog's tables, a connection for it counted, may take.
const STATEMENT: Duration = Duration::from_secs(15);

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

/// Catalogs of layout V0 have no column that tells views from tables.
const HAS_TYPE: &str = "SELECT EXISTS (SELECT 1 FROM pg_catalog.pg_attribute \
  WHERE attrelid = to_regclass('iceberg_tables') AND attname = 'iceberg_type' AND NOT attisdropped)";

/// The pool over one database.
#[derive(Debug)]
pub(super) struct Server {
    shared: Arc<Shared>,
    io: Handle,
}

#[derive(Debug)]
struct Shared {
    plain: Plain,
    places: Arc<Semaphore>,
    idle: Mutex<Vec<Session>>,
}

struct Session {
    client: Client,
    /// The condition that leaves views out.
    tables_only: &'static str,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").finish_non_exhaustive()
    }
}

/// A session in use, with its place in the pool.
struct Lease {
    session: Session,
    _place: OwnedSemaphorePermit,
}

type Values<'a> = &'a [&'a (dyn ToSql + Sync)];

impl Server {
    /// A pool over the database at `url` with the bounds of `config`; opens nothing yet.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no such address.
    pub(super) fn new(source_name: &str, url: &str, config: &Config, io: Handle) -> Result<Self> {
        let mut target = postgres::Config::from_url(url).map_err(|error| match error {
            Error::Invalid { problem, .. } => Error::Invalid {
                key: "catalog".to_owned(),
                problem,
            },
            other => other,
        })?;
        target.password = config.password.clone();
        Ok(Self {
            shared: Arc::new(Shared {
                plain: Plain::new(source_name, &target)?,
                places: Arc::new(Semaphore::new(config.connections_max)),
                idle: Mutex::default(),
            }),
            io,
        })
    }

    /// Runs `work` on a connection, on the runtime that waits for sockets. It ends in time, and goes on to its end when
    /// nobody waits for it any more.
    async fn run<T, F, W>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        F: Future<Output = std::result::Result<(Session, T), tokio_postgres::Error>> + Send,
        W: FnOnce(Session) -> F + Send + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let done = self.io.spawn(async move {
            let bounded = async {
                let Lease { session, _place } = shared.lease().await?;
                let (session, answer) = work(session).await.map_err(|error| shared.plain.failure(error))?;
                shared
                    .idle
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .push(session);
                Ok(answer)
            };
            let late = |_| shared.plain.unavailable("no answer in time");
            tokio::time::timeout(STATEMENT, bounded).await.map_err(late)?
        });
        done.await.map_err(|cause| Error::Internal {
            doing: "asking the catalog",
            cause: Box::new(cause),
        })?
    }

    /// Runs one statement; `{tables_only}` in it becomes the condition that leaves views out.
    async fn query(&self, sql: &'static str, values: Vec<Option<String>>) -> Result<Vec<Row>> {
        self.run(move |session| async move {
            let sql = sql.replace("{tables_only}", session.tables_only);
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            let rows = session
                .client
                .query(&sql, values.as_slice() as Values<'_>)
                .await?;
            Ok((session, rows))
        })
        .await
    }

    /// As [`Server::query`], for a statement that changes rows: whether it changed one.
    async fn changes(&self, sql: &'static str, values: Vec<Option<String>>) -> Result<bool> {
        self.run(move |session| async move {
            let sql = sql.replace("{tables_only}", session.tables_only);
            let values: Vec<&(dyn ToSql + Sync)> = values.iter().map(|value| value as _).collect();
            let changed = session
                .client
                .execute(&sql, values.as_slice() as Values<'_>)
                .await?;
            Ok((session, changed == 1))
        })
        .await
    }
}

impl Shared {
    async fn lease(&self) -> Result<Lease> {
        let place = Arc::clone(&self.places)
            .acquire_owned()
            .await
            .map_err(|cause| Error::Internal {
                doing: "asking the catalog",
                cause: Box::new(cause),
            })?;
        loop {
            let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(session) = idle else { break };
            if !session.client.is_closed() {
                return Ok(Lease {
                    session,
                    _place: place,
                });
            }
        }
        let client = self.plain.connect().await?;
        let typed = client
            .query_one(HAS_TYPE, &[])
            .await
            .map_err(|error| self.plain.failure(error))?;
        let tables_only = match typed.get(0) {
            true => "(iceberg_type = 'TABLE' OR iceberg_type IS NULL)",
            false => "true",
        };
        Ok(Lease {
            session: Session { client, tables_only },
            _place: place,
        })
    }
}

fn values<const N: usize>(texts: [&str; N]) -> Vec<Option<String>> {
    texts.iter().map(|text| Some((*text).to_owned())).collect()
}

fn pairs(rows: &[Row]) -> Vec<(String, String)> {
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

#[async_trait]
impl Rows for Server {
    async fn create(&self) -> Result<()> {
        self.run(|session| async move {
            session.client.batch_execute(CREATE).await?;
            Ok((session, ()))
        })
        .await?;
        // Connections that saw no table know no layout.
        self.shared
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
        Ok(())
    }

    async fn location(&self, catalog: &str, namespace: &str, table: &str) -> Result<Option<String>> {
        let sql = "SELECT metadata_location FROM iceberg_tables \
             WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 AND {tables_only}";
        let rows = self.query(sql, values([catalog, namespace, table])).await?;
        Ok(rows.first().and_then(|row| row.get(0)))
    }

    async fn tables(&self, catalog: &str, namespace: Option<&str>) -> Result<Vec<(String, String)>> {
        let sql = "SELECT table_namespace, table_name FROM iceberg_tables WHERE catalog_name = $1 \
             AND ($2::varchar IS NULL OR table_namespace = $2) AND {tables_only} \
             ORDER BY table_namespace COLLATE \"C\", table_name COLLATE \"C\"";
        let rows = self.query(sql, vec![Some(catalog.to_owned()), namespace.map(str::to_owned)]);
        Ok(pairs(&rows.await?))
    }

    async fn namespaces(&self, catalog: &str) -> Result<Vec<String>> {
        let sql = "SELECT name COLLATE \"C\" FROM (\
             SELECT namespace AS name FROM iceberg_namespace_properties WHERE catalog_name = $1 \
             UNION SELECT table_namespace FROM iceberg_tables WHERE catalog_name = $1) AS names ORDER BY 1";
        let rows = self.query(sql, values([catalog])).await?;
        Ok(rows.iter().map(|row| row.get(0)).collect())
    }

    async fn properties(&self, catalog: &str, namespace: &str) -> Result<Vec<(String, String)>> {
        let sql = "SELECT property_key, coalesce(property_value, '') FROM iceberg_namespace_properties \
             WHERE catalog_name = $1 AND namespace = $2 AND property_key IS NOT NULL";
        Ok(pairs(&self.query(sql, values([catalog, namespace])).await?))
    }

    async fn put_properties(
        &self,
        catalog: &str,
        namespace: &str,
        properties: &[(String, String)],
    ) -> Result<()> {
        let (catalog, namespace, properties) =
            (catalog.to_owned(), namespace.to_owned(), properties.to_vec());
        self.run(move |mut session| async move {
            let change = session.client.transaction().await?;
            let delete =
                "DELETE FROM iceberg_namespace_properties WHERE catalog_name = $1 AND namespace = $2";
            change.execute(delete, &[&catalog, &namespace]).await?;
            for (key, value) in &properties {
                let insert = "INSERT INTO iceberg_namespace_properties \
                     (catalog_name, namespace, property_key, property_value) VALUES ($1, $2, $3, $4)";
                change
                    .execute(insert, &[&catalog, &namespace, key, value])
                    .await?;
            }
            change.commit().await?;
            Ok((session, ()))
        })
        .await
    }

    async fn insert(&self, catalog: &str, namespace: &str, table: &str, location: &str) -> Result<bool> {
        let session = self.run(|session| async move {
            let typed = session.tables_only != "true";
            Ok((session, typed))
        });
        let sql = match session.await? {
            true => {
                "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, \
                 previous_metadata_location, iceberg_type) VALUES ($1, $2, $3, $4, NULL, 'TABLE') ON CONFLICT DO NOTHING"
            }
            false => {
                "INSERT INTO iceberg_tables (catalog_name, table_namespace, table_name, metadata_location, \
                 previous_metadata_location) VALUES ($1, $2, $3, $4, NULL) ON CONFLICT DO NOTHING"
            }
        };
        self.changes(sql, values([catalog, namespace, table, location]))
            .await
    }

    async fn swap(
        &self,
        catalog: &str,
        namespace: &str,
        table: &str,
        (old, new): (&str, &str),
    ) -> Result<bool> {
        let sql = "UPDATE iceberg_tables SET metadata_location = $5, previous_metadata_location = $4 \
             WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 AND metadata_location = $4 \
             AND {tables_only}";
        self.changes(sql, values([catalog, namespace, table, old, new]))
            .await
    }

    async fn delete(&self, catalog: &str, namespace: &str, table: &str) -> Result<bool> {
        let sql = "DELETE FROM iceberg_tables WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 \
             AND {tables_only}";
        self.changes(sql, values([catalog, namespace, table])).await
    }

    async fn rename(&self, catalog: &str, from: (&str, &str), to: (&str, &str)) -> Result<bool> {
        let sql = "UPDATE iceberg_tables SET table_namespace = $4, table_name = $5 \
             WHERE catalog_name = $1 AND table_namespace = $2 AND table_name = $3 AND {tables_only}";
        self.changes(sql, values([catalog, from.0, from.1, to.0, to.1]))
            .await
    }
}
