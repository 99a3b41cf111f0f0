//! The section `[session]`.

use serde::Deserialize;

/// What a session starts with, before the client sets anything.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Session {
    /// The catalog of names with fewer than three parts.
    pub catalog: String,
    /// The schema of names with one part.
    pub schema: String,
    /// The time zone of `now()` and of timestamps without one: an IANA name or an offset such as `+02:00`.
    pub time_zone: String,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            catalog: "lake".to_owned(),
            schema: "gold".to_owned(),
            time_zone: "UTC".to_owned(),
        }
    }
}
