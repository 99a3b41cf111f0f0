//! The config of one source, tagged by its kind.

use crate::{Result, iceberg, postgres};
use serde::{Deserialize, Serialize};

/// One source as the config file writes it: `kind = "iceberg"` and that kind's own keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// Iceberg tables.
    Iceberg(iceberg::Config),
    /// The tables and views of one Postgres database.
    Postgres(postgres::Config),
}

impl SourceConfig {
    /// Checks what can be checked without touching the source.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] naming the key at fault.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Iceberg(config) => config.validate(),
            Self::Postgres(config) => config.validate(),
        }
    }

    /// Replaces references to variables of the environment by what `variable` says: this crate reads no environment.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] naming the key and the variable that is not set.
    pub fn fill_secrets(&mut self, variable: impl Fn(&str) -> Option<String>) -> Result<()> {
        match self {
            Self::Iceberg(config) => config.fill_secrets(variable),
            Self::Postgres(config) => config.fill_secrets(variable),
        }
    }
}
