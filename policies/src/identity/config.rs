//! The config section `[identity]`.

use super::certificate::Certificate;
use super::issuer::Issuer;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(60 * 60);
const SESSION_MAX: std::ops::RangeInclusive<Duration> =
    Duration::from_secs(60)..=Duration::from_secs(30 * 24 * 60 * 60);

/// Issuers, and names of certificates.
const ENTRIES_MAX: usize = 1_000;

/// Who may come in, and how hard they may knock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The users file (TOML, see [`super::Users`]). A missing or bad file stops the start.
    pub users: PathBuf,
    /// The file of API keys (TOML, see [`super::ApiKeys`]). A missing file holds none, a bad one stops the start.
    pub keys: PathBuf,
    /// The file of revoked tokens of issuers (TOML, see [`super::Revocations`]). As for keys.
    pub revocations: PathBuf,
    /// How often the three files are looked at for a change, 100 ms to 1 hour; this bounds how long a revocation takes.
    #[serde(with = "humantime_serde")]
    pub reread: Duration,
    /// How long a session token is good after its last use, 1 second to `session_max`.
    #[serde(with = "humantime_serde")]
    pub session_idle: Duration,
    /// How long a session lasts at most, however busy, 1 minute to 30 days.
    #[serde(with = "humantime_serde")]
    pub session_max: Duration,
    /// How many password hashes are computed at a time, 1 to 64. Each takes about 19 MiB and a core.
    pub password_checks_max: usize,
    /// How many more may wait for their turn, up to 10000; the next one is refused at once.
    pub password_queue_max: usize,
    /// How long a pair of user and password that was right is not computed again, at most 1 hour; 0 turns it off.
    #[serde(with = "humantime_serde")]
    pub password_remembered: Duration,
    /// How many wrong passwords one user name may have within the window, 1 to `failures_max`.
    pub failures_per_user: u32,
    /// How many wrong passwords one address may send within the window, 1 to `failures_max`. An IPv6 address stands for
    /// its /64.
    pub failures_per_address: u32,
    /// How many wrong passwords may come in all within the window, up to 100000.
    pub failures_max: u32,
    /// The window, 1 second to 1 hour. Room comes back evenly over it.
    #[serde(with = "humantime_serde")]
    pub failures_window: Duration,
    /// The issuers whose tokens are taken, by a name that becomes the prefix of their subjects.
    pub issuers: BTreeMap<String, Issuer>,
    /// The client certificates that are taken, by the name of the caller.
    pub certificates: BTreeMap<String, Certificate>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            users: PathBuf::from("users.toml"),
            keys: PathBuf::from("keys.toml"),
            revocations: PathBuf::from("revocations.toml"),
            reread: Duration::from_secs(1),
            session_idle: Duration::from_secs(15 * 60),
            session_max: 12 * HOUR,
            password_checks_max: 4,
            password_queue_max: 64,
            password_remembered: Duration::from_secs(60),
            failures_per_user: 10,
            failures_per_address: 100,
            failures_max: 1_000,
            failures_window: Duration::from_secs(5 * 60),
            issuers: BTreeMap::new(),
            certificates: BTreeMap::new(),
        }
    }
}

impl Config {
    /// Checks the bounds of each value.
    ///
    /// # Errors
    /// [`Error::Setting`] with the key at fault.
    pub fn validate(&self) -> Result<()> {
        if !(Duration::from_millis(100)..=HOUR).contains(&self.reread) {
            return fault("reread", "must be between 100ms and 1 hour");
        }
        if !SESSION_MAX.contains(&self.session_max) {
            return fault("session_max", "must be between 1 minute and 30 days");
        }
        if !(Duration::from_secs(1)..=self.session_max).contains(&self.session_idle) {
            return fault("session_idle", "must be between 1 second and session_max");
        }
        if !(1..=64).contains(&self.password_checks_max) {
            return fault("password_checks_max", "must be between 1 and 64");
        }
        if self.password_queue_max > 10_000 {
            return fault("password_queue_max", "must be at most 10000");
        }
        if self.password_remembered > HOUR {
            return fault("password_remembered", "must be at most 1 hour");
        }
        if !(1..=100_000).contains(&self.failures_max) {
            return fault("failures_max", "must be between 1 and 100000");
        }
        for (key, value) in [
            ("failures_per_user", self.failures_per_user),
            ("failures_per_address", self.failures_per_address),
        ] {
            if !(1..=self.failures_max).contains(&value) {
                return fault(key, "must be between 1 and failures_max");
            }
        }
        if !(Duration::from_secs(1)..=HOUR).contains(&self.failures_window) {
            return fault("failures_window", "must be between 1 second and 1 hour");
        }
        self.validate_entries()
    }

    fn validate_entries(&self) -> Result<()> {
        if self.issuers.len().max(self.certificates.len()) > ENTRIES_MAX {
            return fault("issuers", "there are more than 1000 entries");
        }
        let mut urls = BTreeSet::new();
        for (name, issuer) in &self.issuers {
            // These prefixes belong to callers of other kinds.
            if ["service", "certificate"].contains(&name.as_str()) {
                return fault("issuers", "`service` and `certificate` are prefixes of the house");
            }
            issuer.validate(name)?;
            if !urls.insert(&issuer.issuer) {
                return fault("issuers", "two entries have the same `issuer`");
            }
        }
        let mut names = BTreeSet::new();
        for (name, certificate) in &self.certificates {
            certificate.validate(name)?;
            if !names.insert(&certificate.san) {
                return fault("certificates", "two entries have the same `san`");
            }
        }
        Ok(())
    }
}

fn fault(key: &'static str, reason: &str) -> Result<()> {
    Err(Error::Setting {
        key: key.into(),
        reason: reason.to_owned(),
    })
}
