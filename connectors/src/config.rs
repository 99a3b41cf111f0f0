//! The config of one source, tagged by its kind.

use crate::{Result, iceberg};
use serde::{Deserialize, Serialize};

/// One source as the config file writes it: `kind = "iceberg"` and that kind's own keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum SourceConfig {
    /// Iceberg tables.
    Iceberg(iceberg::Config),
}

impl SourceConfig {
    /// Checks what can be checked without touching the source.
    ///
    /// # Errors
    /// [`crate::Error::Invalid`] naming the key at fault.
    pub fn validate(&self) -> Result<()> {
        match self {
            Self::Iceberg(config) => config.validate(),
        }
    }
}
