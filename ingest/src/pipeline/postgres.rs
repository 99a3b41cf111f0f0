//! The `[source]` of kind `postgres` as written, and what must hold of it before the server is asked.

use std::path::PathBuf;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio_postgres::config::Host;

use super::{between, within};
use crate::secret::Reference;

/// The longest name of Postgres, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// The rows of one table of Postgres and every change to them: a first copy, then logical replication. How far it has been read is in the bronze
/// table alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Postgres {
    /// The database as `postgres://USER@HOST:PORT/DATABASE`, without a password. Postgres 14 or newer.
    pub url: String,
    /// A reference to the password, `file:PATH` or `env:NAME`.
    #[schemars(with = "Option<String>")]
    pub password: Option<Reference>,
    /// How the connection is encrypted; `verify-full`, and `prefer` for a server on this machine, when it is not given.
    pub tls: Option<TlsMode>,
    /// The file of the authorities that may sign the server's certificate, in PEM; those of Mozilla when it is not given.
    pub tls_ca: Option<PathBuf>,
    /// The table as `SCHEMA.TABLE`, or `TABLE` in the schema `public`. It needs a primary key or an index as its replica identity.
    pub table: String,
    /// A publication that has the table, with all four kinds of changes.
    pub publication: String,
    /// The replication slot, of this pipeline alone; `lakegate_NAME` when it is not given. It is made where it is missing.
    pub slot: Option<String>,
    /// What is done when the slot no longer has what follows on what was read.
    #[serde(default)]
    pub on_slot_loss: OnSlotLoss,
    /// Bytes of changes that are held at a time, from 4 MiB to 16 GiB. The largest row must fit.
    #[serde(default = "memory_bytes")]
    pub memory_bytes: usize,
    /// How long connecting and each question about the table may take, from 100 milliseconds to 5 minutes.
    #[serde(default = "timeout", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub timeout: Duration,
    /// How often, at most, the position is recorded while other tables change and this one does not, from 1 second to 1 day. It takes an empty
    /// snapshot each time, and lets the server remove its log up to there.
    #[serde(default = "idle", with = "humantime_serde")]
    #[schemars(with = "String")]
    pub idle: Duration,
}

fn memory_bytes() -> usize {
    64 << 20
}

fn timeout() -> Duration {
    Duration::from_secs(10)
}

fn idle() -> Duration {
    Duration::from_secs(60)
}

/// What is done when changes are lost between the table and the slot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnSlotLoss {
    /// The source stops and says why. Nothing is copied again unasked.
    #[default]
    Stop,
    /// A marker in bronze says that the state begins anew, a new slot is made, and the table is copied again.
    Copy,
}

/// How a connection is encrypted, in the words of libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Not at all.
    Disable,
    /// If the server can; nothing is verified.
    Prefer,
    /// Always; nothing is verified.
    Require,
    /// Always, with a certificate from an authority, for whatever name.
    VerifyCa,
    /// Always, with a certificate for the server's name from an authority.
    VerifyFull,
}

/// What it takes to reach the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// A name, an address, or the folder of a socket.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) user: String,
    pub(crate) database: String,
}

impl Address {
    /// Whether the server is reached without leaving this machine.
    fn is_local(&self) -> bool {
        let loopback = |ip: std::net::IpAddr| ip.is_loopback();
        self.host.starts_with('/') || self.host == "localhost" || self.host.parse().is_ok_and(loopback)
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.database)
    }
}

impl Postgres {
    /// Where the server is.
    pub(crate) fn address(&self) -> Result<Address, String> {
        // What the parser says may repeat parts of the URL.
        let fault = || "source.url: must be postgres://USER@HOST:PORT/DATABASE".to_owned();
        let scheme = self.url.starts_with("postgres://") || self.url.starts_with("postgresql://");
        let url: tokio_postgres::Config = self.url.parse().map_err(|_| fault())?;
        if url.get_password().is_some() {
            return Err("source.url: must not hold a password; the key password refers to one".to_owned());
        }
        if !scheme || self.url.contains('?') {
            return Err(fault());
        }
        let host = match url.get_hosts() {
            [Host::Tcp(host)] => host.clone(),
            [Host::Unix(folder)] => folder.to_string_lossy().into_owned(),
            _ => return Err(fault()),
        };
        let user = url.get_user().ok_or_else(fault)?.to_owned();
        Ok(Address {
            host,
            port: url.get_ports().first().copied().unwrap_or(5432),
            database: url.get_dbname().unwrap_or(&user).to_owned(),
            user,
        })
    }

    /// How the connection to `address` is encrypted.
    pub(crate) fn tls(&self, address: &Address) -> TlsMode {
        let default = match address.is_local() && self.tls_ca.is_none() {
            true => TlsMode::Prefer,
            false => TlsMode::VerifyFull,
        };
        self.tls.unwrap_or(default)
    }

    /// The table's schema and name.
    pub(crate) fn relation(&self) -> (&str, &str) {
        self.table.split_once('.').unwrap_or(("public", &self.table))
    }

    /// The slot's name.
    pub(crate) fn slot(&self, pipeline: &str) -> String {
        let mut name = self.slot.clone().unwrap_or_else(|| format!("lakegate_{pipeline}"));
        name.truncate(NAME_BYTES_MAX);
        name
    }

    /// The first key that cannot work, with the reason.
    pub(super) fn check(&self) -> Result<(), String> {
        let address = self.address()?;
        let verifies = matches!(self.tls(&address), TlsMode::VerifyCa | TlsMode::VerifyFull);
        if self.tls_ca.is_some() && !verifies {
            return Err("source.tls_ca: is used by tls = \"verify-full\" or \"verify-ca\" alone".to_owned());
        }
        let (schema, name) = self.relation();
        if [schema, name].iter().any(|name| !named(name)) {
            return Err(format!("source.table: {:?} is no SCHEMA.TABLE", self.table));
        }
        // They go into commands of the replication protocol that quote nothing.
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if !named(&self.publication) || self.publication.contains([',', '\'', '"', ' ', '\t']) {
            return Err(format!(
                "source.publication: {:?} is empty, or has quotes, commas or blanks",
                self.publication
            ));
        }
        if self.slot.as_deref().is_some_and(|slot| !named(slot) || !slot.chars().all(plain)) {
            return Err("source.slot: must have 1 to 63 lower-case letters, digits or _".to_owned());
        }
        between("memory_bytes", self.memory_bytes, 4 << 20, 16 << 30)?;
        let (second, day) = (Duration::from_secs(1), Duration::from_secs(24 * 60 * 60));
        within("timeout", self.timeout, second / 10, second * 300)?;
        within("idle", self.idle, second, day)
    }
}

fn named(name: &str) -> bool {
    (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\0')
}
