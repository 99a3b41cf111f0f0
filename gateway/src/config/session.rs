//! The section `[session]`.

use std::time::Duration;

use planner::{CacheMode, PushdownRule};
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
    /// Whether sources must do what they could be asked for.
    pub pushdown: PushdownRule,
    /// The most rows that one source gives to one query.
    pub max_rows_from_source: Option<u64>,
    /// The oldest state of a table that is read.
    #[serde(with = "humantime_serde")]
    pub max_staleness: Option<Duration>,
    /// Whether rows that were made before may answer.
    pub cache: CacheMode,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            catalog: "lake".to_owned(),
            schema: "gold".to_owned(),
            time_zone: "UTC".to_owned(),
            pushdown: PushdownRule::default(),
            max_rows_from_source: None,
            max_staleness: None,
            cache: CacheMode::default(),
        }
    }
}
