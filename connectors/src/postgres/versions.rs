//! The versions of one text in a table of a database, for what a fleet has in common: whoever publishes appends, every
//! process reads the newest.
//!
//! Invariants:
//! - A version is never changed and never taken back; an older text comes back as a newer version.
//! - Two publishers do not overwrite each other: one says which version it replaces, and the key of the table lets one of
//!   two through.
//! - A standby is not believed: it may not know the newest version yet.
//! - Each call ends within [`CALL`], whatever the server does. Nothing is asked before the first call.

use super::{Config, Plain};
use crate::{Error, Result};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

/// How long one call may take, a connection for it counted.
const CALL: Duration = Duration::from_secs(5);

/// The most versions that a history tells.
const HISTORY_MAX: i64 = 1_000;

/// The table.
const TABLE: &str = "lakegate_policies";

/// What [`Versions::create`] makes.
const CREATE: &str = "
CREATE TABLE IF NOT EXISTS lakegate_policies (
  version BIGINT PRIMARY KEY CHECK (version > 0),
  document TEXT NOT NULL,
  note TEXT NOT NULL DEFAULT '',
  published_by TEXT NOT NULL DEFAULT session_user,
  published_at TIMESTAMPTZ NOT NULL DEFAULT now()
)";

/// The text is not sent again to whoever has it.
const NEWEST: &str = "
SELECT pg_catalog.pg_is_in_recovery(), version, CASE WHEN version = $1 THEN NULL ELSE document END
FROM (SELECT 1) one LEFT JOIN
  (SELECT version, document FROM lakegate_policies ORDER BY version DESC LIMIT 1) newest ON true";

const APPEND: &str = "
INSERT INTO lakegate_policies (version, document, note)
SELECT $1::bigint + 1, $2, $3
WHERE $1::bigint = (SELECT coalesce(max(version), 0) FROM lakegate_policies)";

const HISTORY: &str = "
SELECT version, length(document)::bigint, note, published_by,
  to_char(published_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS\"Z\"')
FROM lakegate_policies ORDER BY version DESC LIMIT $1";

const ONE: &str = "SELECT document FROM lakegate_policies WHERE version = $1";

/// The newest version of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Newest {
    /// Nothing has been published.
    Nothing,
    /// The one that the caller has.
    Same,
    /// Another one.
    Version {
        /// Its number, from one.
        number: i64,
        /// The text.
        text: String,
    },
}

/// What is told of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its number, from one.
    pub number: i64,
    /// The characters of its text.
    pub length: i64,
    /// What its publisher said of it.
    pub note: String,
    /// The role of the database that published it.
    pub by: String,
    /// When, as `2026-01-31T12:00:00Z`.
    pub at: String,
}

/// The table in one database.
#[derive(Debug, Clone)]
pub struct Versions {
    shared: Arc<Shared>,
    io: Handle,
}

#[derive(Debug)]
struct Shared {
    plain: Plain,
    /// The connection, taken by one call at a time; none before the first and after a failure.
    client: Mutex<Option<Client>>,
}

impl Versions {
    /// The table in the database of `config`, whose failures are those of `name`. Sockets are waited for on `io`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key at fault.
    pub fn new(name: &str, config: &Config, io: Handle) -> Result<Self> {
        Ok(Self {
            shared: Arc::new(Shared {
                plain: Plain::new(name, config)?,
                client: Mutex::default(),
            }),
            io,
        })
    }

    /// Makes the table where it is not there.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without an answer, [`Error::Remote`] when the server refuses.
    pub async fn create(&self) -> Result<()> {
        self.call(|client| async move {
            let made = client.batch_execute(CREATE).await;
            (client, made)
        })
        .await
    }

    /// The newest version, with its text unless it is `known`.
    ///
    /// # Errors
    /// [`Error::Unavailable`] without an answer and from a standby, [`Error::Remote`] when the server refuses.
    pub async fn newest(&self, known: Option<i64>) -> Result<Newest> {
        let row = self
            .call(move |client| async move {
                let row = client.query_one(NEWEST, &[&known]).await;
                (client, row)
            })
            .await?;
        if row.get(0) {
            return Err(self
                .shared
                .plain
                .unavailable("it is a standby, which may be behind"));
        }
        Ok(match (row.get(1), row.get(2)) {
            (Some(number), Some(text)) => Newest::Version { number, text },
            (Some(_), None) => Newest::Same,
            (None, _) => Newest::Nothing,
        })
    }

    /// Publishes a text as the version after `replaced`, zero for the first one: the number of the new version, or none
    /// when another one than `replaced` is the newest by now.
    ///
    /// # Errors
    /// As [`Versions::newest`].
    pub async fn publish(&self, text: String, note: String, replaced: i64) -> Result<Option<i64>> {
        let appended = self
            .call(move |client| async move {
                let appended = match client.execute(APPEND, &[&replaced, &text, &note]).await {
                    // Somebody else was faster by less than a statement.
                    Err(error) if error.code() == Some(&SqlState::UNIQUE_VIOLATION) => Ok(0),
                    other => other,
                };
                (client, appended)
            })
            .await?;
        Ok((appended == 1).then_some(replaced + 1))
    }

    /// The newest thousand versions, the newest first.
    ///
    /// # Errors
    /// As [`Versions::newest`].
    pub async fn history(&self) -> Result<Vec<Published>> {
        let rows = self
            .call(|client| async move {
                let rows = client.query(HISTORY, &[&HISTORY_MAX]).await;
                (client, rows)
            })
            .await?;
        let told = rows.iter().map(|row| Published {
            number: row.get(0),
            length: row.get(1),
            note: row.get(2),
            by: row.get(3),
            at: row.get(4),
        });
        Ok(told.collect())
    }

    /// The text of one version; none where there is no such version.
    ///
    /// # Errors
    /// As [`Versions::newest`].
    pub async fn text(&self, number: i64) -> Result<Option<String>> {
        let row = self
            .call(move |client| async move {
                let row = client.query_opt(ONE, &[&number]).await;
                (client, row)
            })
            .await?;
        Ok(row.map(|row| row.get(0)))
    }

    /// Runs `work` on the connection, on the runtime that waits for sockets. A connection whose statement failed is not
    /// used again.
    async fn call<T, W, F>(&self, work: W) -> Result<T>
    where
        T: Send + 'static,
        W: FnOnce(Client) -> F + Send + 'static,
        F: Future<Output = (Client, std::result::Result<T, tokio_postgres::Error>)> + Send,
    {
        let shared = Arc::clone(&self.shared);
        let done = self.io.spawn(async move {
            let bounded = async {
                let mut place = shared.client.lock().await;
                let client = match place.take().filter(|client| !client.is_closed()) {
                    Some(client) => client,
                    None => shared.plain.connect().await?,
                };
                let (client, outcome) = work(client).await;
                let outcome = outcome.map_err(|error| shared.plain.failure_at(TABLE, error))?;
                *place = Some(client);
                Ok(outcome)
            };
            let late = |_| shared.plain.unavailable("no answer in time");
            tokio::time::timeout(CALL, bounded).await.map_err(late)?
        });
        done.await.map_err(|cause| Error::Internal {
            doing: "asking for a version",
            cause: Box::new(cause),
        })?
    }
}
