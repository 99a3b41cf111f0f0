//! One session with the server: commands and questions first, then, for one of them, the stream of changes. Everything a source asks goes over
//! the replication protocol, so that one address, one user and one way of encryption serve all of it.

use std::time::Duration;

use bytes::Bytes;
use pgwire_replication::{
    IdentifySystem, Lsn, PgWireError, ReplicationClient, ReplicationConfig, ReplicationEvent, SslMode, TlsConfig,
};

use crate::error::{Error, Result};
use crate::pipeline::postgres::{Postgres, TlsMode};

/// Events between the socket and the reader.
const EVENTS: usize = 256;
/// How soon the server hears of what was committed.
const TELLING: Duration = Duration::from_secs(1);
/// Texts of values that every session agrees on, and no limits of the role's own.
const OPTIONS: &str = "-c datestyle=ISO,MDY -c intervalstyle=postgres -c timezone=UTC -c extra_float_digits=1 -c bytea_output=hex \
     -c standard_conforming_strings=on -c statement_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0";

/// A session.
pub(super) struct Server {
    client: ReplicationClient,
    pipeline: String,
    timeout: Duration,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("pipeline", &self.pipeline)
            .finish_non_exhaustive()
    }
}

/// What the server says of a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Slot {
    pub(super) plugin: String,
    pub(super) database: String,
    /// The process that reads it now.
    pub(super) reader: Option<String>,
    /// What was told to be durable; none for one that was invalidated before.
    pub(super) confirmed: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved` or `lost`.
    pub(super) wal: String,
    /// Bytes of the log that the server keeps for it.
    pub(super) kept: Option<i64>,
}

impl Server {
    /// Opens a session that reads from `from` once it is told to.
    ///
    /// # Errors
    /// [`Error::Source`] when the server refuses the service, [`Error::SourceDown`] when it does not answer.
    pub(super) async fn open(pipeline: &str, postgres: &Postgres, from: Lsn) -> Result<Self> {
        let config = config(pipeline, postgres)?.with_start_lsn(from);
        let client = ReplicationClient::connect_gated(config);
        let client = client.await.map_err(|error| failed(pipeline, "the server", &error))?;
        let mut server = Self {
            client,
            pipeline: pipeline.to_owned(),
            timeout: postgres.timeout,
        };
        // Connects in truth.
        server.ask("SELECT 1").await?;
        Ok(server)
    }

    /// Runs a command and gives its rows as texts.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Vec<Vec<Option<Bytes>>>> {
        match tokio::time::timeout(self.timeout, self.client.simple_query(sql)).await {
            Ok(answer) => answer.map_err(|error| failed(&self.pipeline, "the server", &error)),
            Err(_) => Err(self.late()),
        }
    }

    /// As [`Server::ask`], however long it takes: for what reads many rows or waits for transactions to end.
    ///
    /// # Errors
    /// As there.
    pub(super) async fn ask_patiently(&mut self, sql: &str) -> Result<Vec<Vec<Option<Bytes>>>> {
        let answer = self.client.simple_query(sql).await;
        answer.map_err(|error| failed(&self.pipeline, "the server", &error))
    }

    fn late(&self) -> Error {
        Error::SourceDown {
            pipeline: self.pipeline.clone(),
            part: "the server".to_owned(),
            problem: format!("no answer in {:?} (source.timeout)", self.timeout),
        }
    }

    /// Which server it is, and where its log ends.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub(super) async fn identify(&mut self) -> Result<IdentifySystem> {
        let found = self.client.identify_system().await;
        found.map_err(|error| failed(&self.pipeline, "the server", &error))
    }

    /// Where `timeline`'s ancestor `of` ended; none when it is no ancestor.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub(super) async fn left(&mut self, of: u32, timeline: u32) -> Result<Option<Lsn>> {
        let history = self.client.timeline_history(timeline).await;
        let history = history.map_err(|error| failed(&self.pipeline, "the server", &error))?;
        let text = String::from_utf8_lossy(&history.content).into_owned();
        Ok(text.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let ancestor: u32 = words.next()?.parse().ok()?;
            (ancestor == of).then(|| Lsn::parse(words.next()?).ok())?
        }))
    }

    /// A slot, if it is there.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub(super) async fn slot(&mut self, name: &str) -> Result<Option<Slot>> {
        let sql = format!(
            "SELECT plugin, database, active_pid, confirmed_flush_lsn, wal_status, \
             pg_wal_lsn_diff(pg_current_wal_flush_lsn(), restart_lsn)::bigint \
             FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            literal(name)
        );
        let rows = self.ask(&sql).await?;
        let Some(row) = rows.into_iter().next() else {
            return Ok(None);
        };
        let text = |place: usize| text(&row, place);
        Ok(Some(Slot {
            plugin: text(0).unwrap_or_default(),
            database: text(1).unwrap_or_default(),
            reader: text(2),
            confirmed: text(3).and_then(|text| Lsn::parse(&text).ok()),
            wal: text(4).unwrap_or_default(),
            kept: text(5).and_then(|text| text.parse().ok()),
        }))
    }

    /// Begins the stream; the slot is held from then on.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub(super) async fn start(&mut self) -> Result<()> {
        let fault = |error| failed(&self.pipeline, "the slot", &error);
        self.client.start().await.map_err(fault)?;
        match tokio::time::timeout(self.timeout, self.client.wait_started()).await {
            Ok(started) => started.map_err(|error| failed(&self.pipeline, "the slot", &error)),
            Err(_) => Err(self.late()),
        }
    }

    /// What comes next; none when the stream has ended well. Nothing is lost when the future is dropped.
    ///
    /// # Errors
    /// As [`Server::open`].
    pub(super) async fn next(&mut self) -> Result<Option<ReplicationEvent>> {
        let next = self.client.recv().await;
        next.map_err(|error| failed(&self.pipeline, "the log", &error))
    }

    /// Tells the server that everything before `lsn` is durable.
    pub(super) fn confirm(&self, lsn: Lsn) {
        self.client.update_applied_lsn(lsn);
    }
}

fn config(pipeline: &str, postgres: &Postgres) -> Result<ReplicationConfig> {
    let fault = |problem: String| Error::Source {
        pipeline: pipeline.to_owned(),
        key: "source.url",
        problem,
    };
    let address = postgres.address().map_err(fault)?;
    let password = match &postgres.password {
        Some(reference) => reference.read("source.password")?.expose().to_owned(),
        None => String::new(),
    };
    let mode = match postgres.tls(&address) {
        TlsMode::Disable => SslMode::Disable,
        // A socket of this machine has no encryption.
        TlsMode::Prefer if address.host.starts_with('/') => SslMode::Disable,
        TlsMode::Prefer => SslMode::Prefer,
        TlsMode::Require => SslMode::Require,
        TlsMode::VerifyCa => SslMode::VerifyCa,
        TlsMode::VerifyFull => SslMode::VerifyFull,
    };
    // The replication client would install another provider of cryptography than the rest of the service.
    let _ours_or_theirs = tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default();
    let tls = TlsConfig {
        mode,
        ca_pem_path: postgres.tls_ca.clone(),
        ..TlsConfig::default()
    };
    Ok(ReplicationConfig::new(
        address.host,
        address.user,
        password,
        address.database,
        postgres.slot(pipeline),
        postgres.publication.as_str(),
    )
    .with_port(address.port)
    .with_tls(tls)
    .with_status_interval(TELLING)
    .with_wakeup_interval(TELLING * 10)
    .with_buffer_size(EVENTS)
    .with_options(OPTIONS)
    .with_max_message_size(postgres.memory_bytes)
    .with_application_name(format!("lakegate-ingest {pipeline}")))
}

/// The states of SQL for a role that may not do what it must: a password, a right, a database that is not there.
const REFUSED: [&str; 5] = ["28000", "28P01", "42501", "3D000", "08P01"];

/// A failure of the server with what it says.
fn failed(pipeline: &str, part: &str, error: &PgWireError) -> Error {
    let refused = |key, problem: String| Error::Source {
        pipeline: pipeline.to_owned(),
        key,
        problem,
    };
    match error {
        PgWireError::Auth(problem) => refused("source.password", problem.clone()),
        PgWireError::Tls(problem) => refused("source.tls", problem.clone()),
        PgWireError::Server(said) if REFUSED.iter().any(|state| said.contains(&format!("SQLSTATE {state}"))) => {
            refused("source.url", said.clone())
        }
        PgWireError::MessageTooLarge {
            payload_bytes,
            limit_bytes,
        } => refused(
            "source.memory_bytes",
            format!("a row takes {payload_bytes} bytes, more than {limit_bytes}"),
        ),
        PgWireError::Server(said) => down(pipeline, part, said.clone()),
        other => down(pipeline, part, other.to_string()),
    }
}

pub(super) fn down(pipeline: &str, part: &str, problem: String) -> Error {
    Error::SourceDown {
        pipeline: pipeline.to_owned(),
        part: part.to_owned(),
        problem,
    }
}

/// A value of an answer as a text.
pub(super) fn text(row: &[Option<Bytes>], place: usize) -> Option<String> {
    let value = row.get(place)?.as_ref()?;
    Some(String::from_utf8_lossy(value).into_owned())
}

/// A text as SQL.
pub(super) fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A name as SQL.
pub(super) fn name(text: &str) -> String {
    format!("\"{}\"", text.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_texts_cannot_leave_their_quotes() {
        assert_eq!(literal("a'b\\"), "'a''b\\'");
        assert_eq!(name("a\"b"), "\"a\"\"b\"");
    }
}
