//! The config section `[policies]`.

use crate::error::{Error, Result};
use crate::secret::Secret;
use serde::{Deserialize, Serialize};
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

/// Characters that the key of masks has at least: those of 32 bytes in base64.
const KEY_LENGTH_MIN: usize = 43;

/// Where the policy document is, and how it is kept up with.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The policy document (TOML, see [`crate::document`]). A missing or bad file stops the start.
    pub file: PathBuf,
    /// The file of the key of hashing masks, as `openssl rand -base64 32` writes it. A document that hashes wants it.
    pub mask_key: Option<PathBuf>,
    /// How often the document is looked at, 100 milliseconds to 1 minute.
    #[serde(with = "humantime_serde")]
    pub poll: Duration,
    /// How long the document may be out of reach before tables are refused, at least twice `poll`.
    #[serde(with = "humantime_serde")]
    pub staleness_max: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: PathBuf::from("policies.toml"),
            mask_key: None,
            poll: Duration::from_secs(1),
            staleness_max: Duration::from_secs(30),
        }
    }
}

impl Config {
    /// Checks the bounds.
    ///
    /// # Errors
    /// [`Error::Setting`] with the key at fault.
    pub fn validate(&self) -> Result<()> {
        let bounds = Duration::from_millis(100)..=Duration::from_secs(60);
        if !bounds.contains(&self.poll) {
            return Err(Error::Setting {
                key: "poll".into(),
                reason: "must be from 100ms to 1m".to_owned(),
            });
        }
        if self.staleness_max < self.poll * 2 {
            return Err(Error::Setting {
                key: "staleness_max".into(),
                reason: "must be at least twice `policies.poll`".to_owned(),
            });
        }
        Ok(())
    }

    /// The key of hashing masks, if the config has one.
    ///
    /// # Errors
    /// [`Error::File`] when it cannot be read, [`Error::Setting`] when it is too short.
    pub fn key(&self) -> Result<Option<Secret>> {
        let Some(path) = &self.mask_key else {
            return Ok(None);
        };
        let text = fs::read_to_string(path).map_err(|source| Error::File {
            path: path.clone(),
            action: "read",
            source,
        })?;
        match text.trim() {
            key if key.len() < KEY_LENGTH_MIN => Err(Error::Setting {
                key: "mask_key".into(),
                reason: "the key in the file is shorter than 32 bytes in base64".to_owned(),
            }),
            key => Ok(Some(Secret::new(key))),
        }
    }
}
