//! A connection to a Postgres server for other rooms of this crate, with the same TLS, secrets and failures as a source's.

use super::config::{Address, Config};
use super::failure::{Origin, Subject};
use super::pool::no_subject;
use super::tls::Tls;
use crate::{Error, Result};
use std::time::Duration;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, NoTls};

/// What it takes to connect.
pub(crate) struct Plain {
    config: Config,
    address: Address,
    tls: Tls,
    origin: Origin,
}

impl std::fmt::Debug for Plain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plain")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Plain {
    /// The server of `config`, which is not asked yet. Failures are those of the source `source_name`.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key at fault.
    pub(crate) fn new(source_name: &str, config: &Config) -> Result<Self> {
        config.validate()?;
        let address = config.address()?;
        Ok(Self {
            tls: Tls::new(config, &address)?,
            origin: Origin {
                source: source_name.into(),
                address: address.printed().into(),
            },
            address,
            config: config.clone(),
        })
    }

    /// A new connection. Must run on the runtime that waits for sockets.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the server does not answer or refuses us, [`Error::Invalid`] for a password that cannot
    /// be read.
    pub(crate) async fn connect(&self) -> Result<Client> {
        let mut target = tokio_postgres::Config::new();
        target
            .host(&self.address.host)
            .port(self.address.port)
            .dbname(&self.address.database)
            .user(&self.address.user)
            .application_name(super::session::APPLICATION)
            .connect_timeout(self.config.connect_timeout())
            .keepalives_idle(Duration::from_secs(30));
        if let Some(password) = &self.config.password {
            target.password(password.read().await?);
        }
        // The task that moves the bytes ends with the client.
        match &self.tls {
            Tls::Plain => {
                target.ssl_mode(SslMode::Disable);
                let (client, connection) = target.connect(NoTls).await.map_err(|e| self.failure(e))?;
                drop(tokio::spawn(connection));
                Ok(client)
            }
            Tls::Rustls(mode, tls) => {
                target.ssl_mode(*mode);
                let connected = target.connect(tls.as_ref().clone()).await;
                let (client, connection) = connected.map_err(|e| self.failure(e))?;
                drop(tokio::spawn(connection));
                Ok(client)
            }
        }
    }

    /// What a failure of a connection or a statement means.
    pub(crate) fn failure(&self, error: tokio_postgres::Error) -> Error {
        self.origin.failure(&no_subject(), error)
    }

    /// As [`Plain::failure`], of a statement on one table.
    pub(crate) fn failure_at(&self, table: &str, error: tokio_postgres::Error) -> Error {
        let subject = Subject {
            table: table.into(),
            ..Subject::default()
        };
        self.origin.failure(&subject, error)
    }

    /// The server does not answer.
    pub(crate) fn unavailable(&self, reason: &str) -> Error {
        self.origin.unavailable(reason)
    }
}
