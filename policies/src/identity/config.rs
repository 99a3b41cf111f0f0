//! The config section `[identity]`.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

const LIFETIME_MIN: Duration = Duration::from_secs(60);
const LIFETIME_MAX: Duration = Duration::from_secs(30 * 24 * 60 * 60);
const REMEMBER_MAX: Duration = Duration::from_secs(60 * 60);

/// Who may come in, and how hard they may knock.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The users file (TOML, see [`super::Users`]). A missing or bad file stops the start.
    pub users: PathBuf,
    /// How long a token is good, 1 minute to 30 days.
    #[serde(with = "humantime_serde")]
    pub token_lifetime: Duration,
    /// How many password hashes are computed at a time, 1 to 64. Each takes about 19 MiB and a core.
    pub password_checks_max: usize,
    /// How many more may wait for their turn, up to 10000; the next one is refused at once.
    pub password_queue_max: usize,
    /// How long a pair of user and password that was right is not computed again, at most 1 hour; 0 turns it off.
    #[serde(with = "humantime_serde")]
    pub password_remembered: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            users: PathBuf::from("users.toml"),
            token_lifetime: Duration::from_secs(8 * 60 * 60),
            password_checks_max: 4,
            password_queue_max: 64,
            password_remembered: Duration::from_secs(60),
        }
    }
}

impl Config {
    /// Checks the bounds of each value.
    ///
    /// # Errors
    /// [`Error::Setting`] with the key at fault.
    pub fn validate(&self) -> Result<()> {
        let fault = |key, reason: &str| {
            Err(Error::Setting {
                key,
                reason: reason.to_owned(),
            })
        };
        if !(LIFETIME_MIN..=LIFETIME_MAX).contains(&self.token_lifetime) {
            return fault("token_lifetime", "must be between 1 minute and 30 days");
        }
        if !(1..=64).contains(&self.password_checks_max) {
            return fault("password_checks_max", "must be between 1 and 64");
        }
        if self.password_queue_max > 10_000 {
            return fault("password_queue_max", "must be at most 10000");
        }
        if self.password_remembered > REMEMBER_MAX {
            return fault("password_remembered", "must be at most 1 hour");
        }
        Ok(())
    }
}
