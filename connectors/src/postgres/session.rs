//! One connection: how it is opened, what is set on it, how its statement is cancelled.
//!
//! Invariants:
//! - No statement runs on a connection before these hold: read only, `search_path` is `pg_catalog` alone, a backslash in
//!   a string is a backslash, text is UTF-8, times are in UTC.
//! - What the server says of itself is asked once for each connection.

use super::config::{Address, Config};
use super::failure::Origin;
use super::pool::{Connection, no_subject};
use super::tls::Tls;
use crate::{Error, Result};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, NoTls, SimpleQueryMessage};

/// The name under which an operator finds us in `pg_stat_activity`.
pub(super) const APPLICATION: &str = "lakegate";

/// What a server says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Facts {
    /// As 150004 for 15.4.
    pub(super) version: u32,
    /// Whether the database keeps text as UTF-8, so that its byte order is that of ours.
    pub(super) is_utf8: bool,
}

/// Settings of every connection. Text that the server makes of values must not depend on the database's own settings.
const SETTINGS: &str = "SET search_path = pg_catalog;
SET default_transaction_read_only = on;
SET standard_conforming_strings = on;
SET TimeZone = 'UTC';
SET DateStyle = 'ISO, YMD';
SET IntervalStyle = 'postgres';
SET extra_float_digits = 1;
SET bytea_output = 'hex';
SET client_min_messages = 'error'";

const QUESTIONS: &str = "SELECT pg_catalog.current_setting('standard_conforming_strings'),
 pg_catalog.current_setting('server_version_num'), pg_catalog.current_setting('server_encoding')";

/// The oldest server that is spoken to, as in [`Facts::version`].
const VERSION_MIN: u32 = 120_000;

/// Opens a connection and sets it up. Must run on the runtime that waits for sockets.
///
/// # Errors
/// [`Error::Unavailable`] when the server does not answer or refuses us, [`Error::Invalid`] for a password that cannot
/// be read.
pub(super) async fn open(
    config: &Config,
    address: &Address,
    tls: &Tls,
    origin: &Origin,
) -> Result<Connection> {
    let mut target = tokio_postgres::Config::new();
    target
        .host(&address.host)
        .port(address.port)
        .dbname(&address.database)
        .user(&address.user)
        .application_name(APPLICATION)
        .connect_timeout(config.connect_timeout())
        .keepalives_idle(Duration::from_secs(30));
    if let Some(password) = &config.password {
        target.password(password.read().await?);
    }
    let failed = |error| origin.failure(&no_subject(), error);
    let (client, driver) = match tls {
        Tls::Plain => {
            target.ssl_mode(SslMode::Disable);
            let (client, connection) = target.connect(NoTls).await.map_err(failed)?;
            (client, drive(connection))
        }
        Tls::Rustls(mode, tls) => {
            target.ssl_mode(*mode);
            let (client, connection) = target.connect(tls.as_ref().clone()).await.map_err(failed)?;
            (client, drive(connection))
        }
    };
    let mut setup = SETTINGS.to_owned();
    // Writing into a String cannot fail.
    write!(
        setup,
        ";\nSET statement_timeout = {};\n{QUESTIONS}",
        config.statement_timeout_ms
    )
    .ok();
    let answers = client.simple_query(&setup).await.map_err(failed)?;
    let facts = Arc::new(facts(&answers, origin)?);
    Ok(Connection {
        cancel: client.cancel_token(),
        client,
        driver,
        facts,
    })
}

/// Moves the bytes of a connection until it is closed. Its failure reaches whoever waits for a statement.
fn drive<S, T>(connection: tokio_postgres::Connection<S, T>) -> tokio::task::JoinHandle<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(state = error.code().map(|code| code.code()), "a connection ended");
        }
    })
}

fn facts(answers: &[SimpleQueryMessage], origin: &Origin) -> Result<Facts> {
    let row = answers.iter().find_map(|answer| match answer {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    let answer = |place: usize| {
        row.and_then(|row| row.try_get(place).ok().flatten())
            .unwrap_or_default()
    };
    if answer(0) != "on" {
        return Err(origin.unavailable("the server does not read strings as the standard says"));
    }
    let version = answer(1).parse::<u32>().unwrap_or_default();
    if version < VERSION_MIN {
        return Err(Error::Unsupported {
            table: format!("all of {}", origin.source),
            feature: format!("a Postgres server of version {version}"),
        });
    }
    Ok(Facts {
        version,
        is_utf8: answer(2) == "UTF8",
    })
}

/// Asks the server to stop what a connection is doing.
///
/// # Errors
/// When the request cannot be sent; the server never says whether it was heard.
pub(super) async fn cancel(token: &CancelToken, tls: &Tls) -> std::result::Result<(), tokio_postgres::Error> {
    match tls {
        Tls::Plain => token.cancel_query(NoTls).await,
        Tls::Rustls(_, tls) => token.cancel_query(tls.as_ref().clone()).await,
    }
}
