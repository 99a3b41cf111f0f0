//! The section `[telemetry]`.

use super::fault::Fault;
use serde::Deserialize;
use tracing_subscriber::EnvFilter;

/// What is logged, and how. Logs go to the standard error output.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Telemetry {
    /// Levels by target, such as `info,gateway=debug`.
    pub log: String,
    /// The form of a line.
    pub format: Format,
}

/// The form of a log line.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self {
            log: "info".to_owned(),
            format: Format::Text,
        }
    }
}

impl Telemetry {
    /// The filter that `log` describes.
    ///
    /// # Errors
    /// A [`Fault`] with the key.
    pub fn filter(&self) -> Result<EnvFilter, Fault> {
        EnvFilter::try_new(&self.log).map_err(|error| Fault::at("telemetry.log", error.to_string()))
    }

    /// Checks that `log` describes a filter.
    ///
    /// # Errors
    /// As [`Telemetry::filter`].
    pub fn validate(&self) -> Result<(), Fault> {
        self.filter().map(|_| ())
    }
}
