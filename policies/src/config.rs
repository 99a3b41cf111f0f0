//! The config section `[policies]`.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// Where the policy document is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// The policy document (TOML, see [`crate::document`]). A missing or bad file stops the start.
    pub file: PathBuf,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            file: PathBuf::from("policies.toml"),
        }
    }
}
