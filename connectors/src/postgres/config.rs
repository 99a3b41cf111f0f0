//! The config of one Postgres source, and its bounds.
//!
//! Invariants:
//! - The password is a reference, never in the URL, and never printed.
//! - Without a word about TLS the server's certificate is verified, unless the server is on this machine.

use super::password::Password;
use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;
use tokio_postgres::config::Host;

/// Where a Postgres database is and what its reader may use.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The database as `postgres://USER@HOST:PORT/DATABASE`, without a password; the keys below win over its parts.
    #[serde(default)]
    pub url: Option<String>,
    /// The server's name or address, or the folder of its Unix socket.
    #[serde(default)]
    pub host: Option<String>,
    /// The server's port.
    #[serde(default)]
    pub port: Option<u16>,
    /// The database.
    #[serde(default)]
    pub database: Option<String>,
    /// The role that reads; it needs no right but to read.
    #[serde(default)]
    pub user: Option<String>,
    /// Where the role's password is; a file is read again for each connection, so that it may change.
    #[serde(default)]
    pub password: Option<Password>,
    /// How the connection is encrypted; by default `verify-full`, and `prefer` on this machine.
    #[serde(default)]
    pub tls: Option<TlsMode>,
    /// The authorities that may sign the server's certificate (PEM); the system's when not set.
    #[serde(default)]
    pub tls_ca: Option<PathBuf>,
    /// The most open connections; further scans wait for one.
    #[serde(default = "pool_max")]
    pub pool_max: usize,
    /// How long a scan waits for a connection, in milliseconds.
    #[serde(default = "pool_wait_ms")]
    pub pool_wait_ms: u64,
    /// How long a connection may stay unused, in milliseconds.
    #[serde(default = "idle_timeout_ms")]
    pub idle_timeout_ms: u64,
    /// How long opening a connection may take, in milliseconds.
    #[serde(default = "connect_timeout_ms")]
    pub connect_timeout_ms: u64,
    /// The longest run of one remote statement, in milliseconds; a query's own deadline makes it shorter.
    #[serde(default = "statement_timeout_ms")]
    pub statement_timeout_ms: u64,
    /// The schemas that are shown; all that the role may use when empty.
    #[serde(default)]
    pub schemas: Vec<String>,
    /// Schemas that are not shown.
    #[serde(default)]
    pub schemas_hidden: Vec<String>,
    /// How long the list of tables and the columns of a table are believed, in milliseconds.
    #[serde(default = "catalog_ttl_ms")]
    pub catalog_ttl_ms: u64,
    /// How many tables' columns are kept.
    #[serde(default = "catalog_entries")]
    pub catalog_entries: u64,
    /// The type of `numeric` columns without a precision: `text` or `decimal(38,S)`.
    #[serde(default)]
    pub numeric: Unconstrained,
    /// What becomes of a value that its column's Arrow type cannot hold, such as `infinity` in a date.
    #[serde(default)]
    pub unrepresentable: Unrepresentable,
    /// The estimated rows from which on a table is read over several connections at once.
    #[serde(default = "parallel_rows")]
    pub parallel_rows: u64,
    /// The most connections that one scan uses.
    #[serde(default = "parallel_max")]
    pub parallel_max: usize,
    /// The bytes after which a batch is closed, whatever its number of rows.
    #[serde(default = "batch_bytes_max")]
    pub batch_bytes_max: usize,
    /// How long a scan waits for the keys of a join's other side, in milliseconds; then it reads without them.
    #[serde(default = "bind_wait_ms")]
    pub bind_wait_ms: u64,
    /// The most keys of a join that are sent to the server; of more only the bounds are.
    #[serde(default = "bind_keys_max")]
    pub bind_keys_max: usize,
    /// The longest that a server which cannot be reached is left alone before one caller tries again, in milliseconds.
    #[serde(default = "breaker_open_ms_max")]
    pub breaker_open_ms_max: u64,
}

/// How a connection is encrypted, in the words of libpq.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TlsMode {
    /// Not at all.
    Disable,
    /// If the server can; nothing is verified.
    Prefer,
    /// Always; nothing is verified.
    Require,
    /// Always, with a certificate for the server's name from an authority.
    VerifyFull,
}

/// What becomes of a value that its column's Arrow type cannot hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unrepresentable {
    /// The query fails and names the column.
    #[default]
    Error,
    /// The value is NULL. Predicates on columns that may hold such values are then not handed down.
    Null,
}

/// The type of `numeric` columns that name no precision.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Unconstrained {
    /// Text, which holds every value.
    #[default]
    Text,
    /// `Decimal128(38, scale)`; a value that does not fit exactly is one that cannot be held.
    Decimal {
        /// Digits behind the point, 0 to 38.
        scale: i8,
    },
}

impl TryFrom<String> for Unconstrained {
    type Error = &'static str;

    fn try_from(text: String) -> std::result::Result<Self, Self::Error> {
        if text == "text" {
            return Ok(Self::Text);
        }
        text.strip_prefix("decimal(38,")
            .and_then(|rest| rest.strip_suffix(')'))
            .and_then(|scale| scale.trim().parse::<i8>().ok())
            .filter(|scale| (0..=38).contains(scale))
            .map(|scale| Self::Decimal { scale })
            .ok_or("must be `text` or `decimal(38,S)` with S from 0 to 38")
    }
}

impl From<Unconstrained> for String {
    fn from(value: Unconstrained) -> Self {
        match value {
            Unconstrained::Text => "text".to_owned(),
            Unconstrained::Decimal { scale } => format!("decimal(38,{scale})"),
        }
    }
}

fn pool_max() -> usize {
    16
}

fn pool_wait_ms() -> u64 {
    10_000
}

fn idle_timeout_ms() -> u64 {
    60_000
}

fn connect_timeout_ms() -> u64 {
    5_000
}

fn statement_timeout_ms() -> u64 {
    3_600_000
}

fn catalog_ttl_ms() -> u64 {
    60_000
}

fn catalog_entries() -> u64 {
    10_000
}

fn parallel_rows() -> u64 {
    500_000
}

fn parallel_max() -> usize {
    4
}

fn batch_bytes_max() -> usize {
    8 << 20
}

fn bind_wait_ms() -> u64 {
    1_000
}

fn bind_keys_max() -> usize {
    10_000
}

fn breaker_open_ms_max() -> u64 {
    8_000
}

/// What it takes to reach the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    pub(super) user: String,
}

impl Address {
    /// Whether the server is reached without leaving this machine.
    pub(super) fn is_local(&self) -> bool {
        let by_address = |ip: std::net::IpAddr| ip.is_loopback();
        self.is_socket() || self.host == "localhost" || self.host.parse().is_ok_and(by_address)
    }

    /// Whether the host is the folder of a Unix socket.
    pub(super) fn is_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The address in messages.
    pub(super) fn printed(&self) -> String {
        format!("{}:{}/{}", self.host, self.port, self.database)
    }
}

impl Config {
    /// A config with the default bounds for `postgres://USER@HOST:PORT/DATABASE`.
    ///
    /// # Errors
    /// [`Error::Invalid`] for what is no such URL, or one with a password.
    pub fn from_url(url: &str) -> Result<Self> {
        let config = Self::new(Some(url.to_owned()));
        config.validate()?;
        Ok(config)
    }

    pub(super) fn new(url: Option<String>) -> Self {
        Self {
            url,
            host: None,
            port: None,
            database: None,
            user: None,
            password: None,
            tls: None,
            tls_ca: None,
            pool_max: pool_max(),
            pool_wait_ms: pool_wait_ms(),
            idle_timeout_ms: idle_timeout_ms(),
            connect_timeout_ms: connect_timeout_ms(),
            statement_timeout_ms: statement_timeout_ms(),
            schemas: Vec::new(),
            schemas_hidden: Vec::new(),
            catalog_ttl_ms: catalog_ttl_ms(),
            catalog_entries: catalog_entries(),
            numeric: Unconstrained::default(),
            unrepresentable: Unrepresentable::default(),
            parallel_rows: parallel_rows(),
            parallel_max: parallel_max(),
            batch_bytes_max: batch_bytes_max(),
            bind_wait_ms: bind_wait_ms(),
            bind_keys_max: bind_keys_max(),
            breaker_open_ms_max: breaker_open_ms_max(),
        }
    }

    /// Checks the keys without touching the network.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key.
    pub fn validate(&self) -> Result<()> {
        self.address()?;
        let within = |key: &str, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(invalid(key, &format!("must be {least} to {most}"))),
        };
        const DAY_MS: u64 = 86_400_000;
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        // Two at least: a query that reads two tables holds its snapshot on one connection and reads on another.
        within("pool_max", count(self.pool_max), 2, 1_024)?;
        within("pool_wait_ms", self.pool_wait_ms, 1, DAY_MS)?;
        within("idle_timeout_ms", self.idle_timeout_ms, 1, DAY_MS)?;
        within("connect_timeout_ms", self.connect_timeout_ms, 1, DAY_MS)?;
        within("statement_timeout_ms", self.statement_timeout_ms, 1, DAY_MS)?;
        within("catalog_ttl_ms", self.catalog_ttl_ms, 0, DAY_MS)?;
        within("catalog_entries", self.catalog_entries, 1, 10_000_000)?;
        within("parallel_rows", self.parallel_rows, 1, u64::MAX)?;
        within("parallel_max", count(self.parallel_max), 1, 64)?;
        within("batch_bytes_max", count(self.batch_bytes_max), 1 << 10, 1 << 30)?;
        within("breaker_open_ms_max", self.breaker_open_ms_max, 1, DAY_MS)?;
        within("bind_wait_ms", self.bind_wait_ms, 0, DAY_MS)?;
        within("bind_keys_max", count(self.bind_keys_max), 0, 20_000)?;
        if self.parallel_max >= self.pool_max {
            return Err(invalid("parallel_max", "must be less than pool_max"));
        }
        if let (Some(_), Some(TlsMode::Disable | TlsMode::Prefer | TlsMode::Require)) =
            (&self.tls_ca, self.tls)
        {
            return Err(invalid("tls_ca", "is used by tls = \"verify-full\" alone"));
        }
        Ok(())
    }

    /// Where the server is.
    ///
    /// # Errors
    /// [`Error::Invalid`] naming the key at fault.
    pub(super) fn address(&self) -> Result<Address> {
        let url = match &self.url {
            Some(url) => parse_url(url)?,
            None => tokio_postgres::Config::new(),
        };
        let host = match (&self.host, url.get_hosts()) {
            (Some(host), _) => host.clone(),
            (None, [Host::Tcp(host)]) => host.clone(),
            (None, [Host::Unix(folder)]) => folder.to_string_lossy().into_owned(),
            (None, []) => return Err(invalid("host", "is missing, and so is url")),
            (None, _) => return Err(invalid("url", "must name one host")),
        };
        let user = self.user.clone().or_else(|| url.get_user().map(str::to_owned));
        let user = user.ok_or_else(|| invalid("user", "is missing"))?;
        let database = self.database.clone();
        let database = database.or_else(|| url.get_dbname().map(str::to_owned));
        let address = Address {
            host,
            port: self.port.or(url.get_ports().first().copied()).unwrap_or(5432),
            database: database.unwrap_or_else(|| user.clone()),
            user,
        };
        for (key, text) in [
            ("host", &address.host),
            ("database", &address.database),
            ("user", &address.user),
        ] {
            if text.is_empty() || text.contains('\0') {
                return Err(invalid(key, "is empty or has a NUL"));
            }
        }
        Ok(address)
    }

    /// How the connection is encrypted.
    ///
    /// # Errors
    /// As [`Config::address`].
    pub(super) fn tls(&self) -> Result<TlsMode> {
        let local = self.address()?.is_local();
        let default = match local && self.tls_ca.is_none() {
            true => TlsMode::Prefer,
            false => TlsMode::VerifyFull,
        };
        Ok(self.tls.unwrap_or(default))
    }

    /// As [`crate::SourceConfig::fill_secrets`].
    pub(crate) fn fill_secrets(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
        if let Some(password) = &mut self.password {
            password.fill(variable)?;
        }
        Ok(())
    }

    pub(super) fn connect_timeout(&self) -> Duration {
        Duration::from_millis(self.connect_timeout_ms)
    }
}

fn parse_url(url: &str) -> Result<tokio_postgres::Config> {
    let schemes = ["postgres://", "postgresql://"];
    let fits = schemes.iter().any(|scheme| url.starts_with(scheme));
    // What the parser says may repeat parts of the URL.
    let parsed = url.parse::<tokio_postgres::Config>().ok().filter(|_| fits);
    let parsed = parsed.ok_or_else(|| invalid("url", "must be postgres://USER@HOST:PORT/DATABASE"))?;
    if parsed.get_password().is_some() {
        return Err(invalid(
            "url",
            "must not hold a password; the key password refers to one",
        ));
    }
    if url.contains('?') {
        return Err(invalid("url", "takes no parameters; each has a key of its own"));
    }
    Ok(parsed)
}

pub(super) fn invalid(key: &str, problem: &str) -> Error {
    Error::Invalid {
        key: key.to_owned(),
        problem: problem.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Result<Config> {
        Config::from_url(text)
    }

    #[test]
    fn a_url_is_taken_apart_and_keys_win_over_it() {
        let mut config = url("postgres://reader@db.example:5433/sales").unwrap();
        let address = config.address().unwrap();
        assert_eq!(address.printed(), "db.example:5433/sales");
        assert_eq!(address.user, "reader");
        config.port = Some(6432);
        config.host = Some("/run/postgresql".to_owned());
        assert_eq!(config.address().unwrap().printed(), "/run/postgresql:6432/sales");
        assert_eq!(
            url("postgres://u@h").unwrap().address().unwrap().printed(),
            "h:5432/u"
        );
        let socket = url("postgresql://u@%2Frun%2Fpg/d").unwrap().address().unwrap();
        assert_eq!(socket.printed(), "/run/pg:5432/d");
    }

    #[test]
    fn a_bad_key_is_named() {
        let problem = |found: Result<Config>| found.unwrap_err().to_string();
        assert!(problem(url("postgres://u:secret@h/d")).starts_with("key url: must not hold a password"));
        assert!(!problem(url("postgres://u:secret@h/d")).contains("secret"));
        assert!(problem(url("postgres://h/d")).starts_with("key user: "));
        assert!(problem(url("postgres://u@h/d?sslmode=disable")).starts_with("key url: takes no"));
        assert!(problem(url("mysql://u@h/d")).starts_with("key url: must be"));
        assert!(problem(url("postgres://u@h,i/d")).starts_with("key url: must name one host"));
        let base = url("postgres://u@h/d").unwrap();
        let wrong = |change: fn(&mut Config)| {
            let mut config = base.clone();
            change(&mut config);
            config.validate().unwrap_err().to_string()
        };
        assert!(wrong(|c| c.pool_max = 1).starts_with("key pool_max: "));
        assert!(wrong(|c| c.parallel_max = 16).starts_with("key parallel_max: "));
        assert!(wrong(|c| c.batch_bytes_max = 0).starts_with("key batch_bytes_max: "));
        assert!(wrong(|c| c.statement_timeout_ms = 0).starts_with("key statement_timeout_ms: "));
        assert!(wrong(|c| c.user = Some(String::new())).starts_with("key user: "));
        assert!(
            wrong(|c| {
                c.tls = Some(TlsMode::Require);
                c.tls_ca = Some("/ca".into());
            })
            .starts_with("key tls_ca: ")
        );
    }

    #[test]
    fn certificates_are_verified_beyond_this_machine() {
        let mode = |text: &str| url(text).unwrap().tls().unwrap();
        assert_eq!(mode("postgres://u@db.example/d"), TlsMode::VerifyFull);
        assert_eq!(mode("postgres://u@10.0.0.1/d"), TlsMode::VerifyFull);
        assert_eq!(mode("postgres://u@localhost/d"), TlsMode::Prefer);
        assert_eq!(mode("postgres://u@127.0.0.1/d"), TlsMode::Prefer);
        assert_eq!(mode("postgres://u@%2Frun%2Fpg/d"), TlsMode::Prefer);
    }

    #[test]
    fn a_numeric_without_precision_is_text_or_a_decimal() {
        let read = |text: &str| Unconstrained::try_from(text.to_owned());
        assert_eq!(read("text"), Ok(Unconstrained::Text));
        assert_eq!(read("decimal(38,10)"), Ok(Unconstrained::Decimal { scale: 10 }));
        for bad in ["decimal(38,39)", "decimal(38,-1)", "decimal(10,2)", "double", ""] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
