//! The section `[audit]`.

use super::environment::Environment;
use super::fault::Fault;
use super::seal::SecretReference;
use crate::audit::SigningKey;
use bytesize::ByteSize;
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;

/// What is kept of a statement.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Statements {
    /// Its digest alone, with the tables and columns that were read.
    None,
    /// The statement with `?` in the place of every literal, and without comments.
    #[default]
    Redacted,
    /// The same with a keyed hash in the place of every literal: equal ones are seen to be equal.
    Hashed,
    /// The statement as it came. Its literals may be anybody's data.
    Text,
}

/// What becomes of a call whose record cannot be written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhenFull {
    /// It waits for `wait_max` and is refused then.
    #[default]
    Refuse,
    /// It waits until its caller goes away.
    Block,
}

/// What becomes of the oldest file when the files have reached their bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Oldest {
    /// It stays, and nothing more is written until somebody moves it away.
    #[default]
    Keep,
    /// It is removed.
    Remove,
}

/// Where every request is recorded.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Trail {
    /// The folder of the trail, which one gateway writes; nothing is recorded without one.
    pub folder: Option<PathBuf>,
    /// A reference to the base64 of 32 random bytes: the key that the end of the trail is signed with.
    pub key: Option<SecretReference>,
    /// The name of this gateway in its records.
    pub node: Option<String>,
    /// What is kept of a statement.
    pub statements: Statements,
    /// The most bytes that are kept of one.
    pub statement_bytes_max: ByteSize,
    /// What becomes of a call whose record cannot be written.
    pub when_full: WhenFull,
    /// How long a call waits for its record to be written before it is refused.
    #[serde(with = "humantime_serde")]
    pub wait_max: Duration,
    /// How many records may wait to be written.
    pub queue_max: usize,
    /// How many requests may be open at a time; each has room for its end.
    pub requests_max: usize,
    /// How often what is written is forced to disk; 0 means before any call goes on.
    #[serde(with = "humantime_serde")]
    pub sync: Duration,
    /// The bytes after which a new file is begun.
    pub file_bytes_max: ByteSize,
    /// The most bytes of all files.
    pub folder_bytes_max: ByteSize,
    /// What becomes of the oldest file when they are reached.
    pub oldest: Oldest,
}

impl Default for Trail {
    fn default() -> Self {
        Self {
            folder: None,
            key: None,
            node: None,
            statements: Statements::default(),
            statement_bytes_max: ByteSize::kib(16),
            when_full: WhenFull::default(),
            wait_max: Duration::from_secs(10),
            queue_max: 1_024,
            requests_max: 16_384,
            sync: Duration::from_secs(1),
            file_bytes_max: ByteSize::mib(64),
            folder_bytes_max: ByteSize::gib(16),
            oldest: Oldest::default(),
        }
    }
}

impl Trail {
    /// Reads the key.
    ///
    /// # Errors
    /// A [`Fault`] that names the key of the config.
    pub(crate) fn signing_key(&self, environment: &Environment) -> Result<SigningKey, Fault> {
        let fault = |reason: String| Fault::at("audit.key", reason);
        let Some(reference) = &self.key else {
            return Err(fault("is not set".to_owned()).with_hint(
                "write one with `openssl rand -base64 32 > FILE` and refer to it as `file:FILE`",
            ));
        };
        let written = reference.resolve(environment).map_err(fault)?;
        SigningKey::new(&written).map_err(|reason| fault(reason.to_owned()))
    }

    /// Checks that each bound leaves room to work.
    ///
    /// # Errors
    /// A [`Fault`] with the key.
    pub(super) fn validate(&self) -> Result<(), Fault> {
        let within = |key: &str, value: u64, least: u64, most: u64| match (least..=most).contains(&value) {
            true => Ok(()),
            false => Err(Fault::at(
                format!("audit.{key}"),
                format!("must be between {least} and {most}"),
            )),
        };
        let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
        if self.folder.is_none() && self.key.is_some() {
            return Err(Fault::at("audit.folder", "is not set, and `audit.key` is"));
        }
        within(
            "statement_bytes_max",
            self.statement_bytes_max.as_u64(),
            0,
            1 << 20,
        )?;
        within("wait_max", millis(self.wait_max), 1, 3_600_000)
            .map_err(|_| Fault::at("audit.wait_max", "must be between 1ms and 1h"))?;
        within("queue_max", self.queue_max as u64, 1, 1_000_000)?;
        within("requests_max", self.requests_max as u64, 1, 100_000)?;
        within("sync", millis(self.sync), 0, 60_000)
            .map_err(|_| Fault::at("audit.sync", "must be at most 1 minute"))?;
        within("file_bytes_max", self.file_bytes_max.as_u64(), 4 << 10, 16 << 30)?;
        let least = self.file_bytes_max.as_u64().saturating_mul(2);
        match self.folder_bytes_max.as_u64() >= least {
            true => Ok(()),
            false => Err(Fault::at(
                "audit.folder_bytes_max",
                "must be at least twice `audit.file_bytes_max`",
            )),
        }
    }
}
