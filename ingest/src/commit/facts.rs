//! What a snapshot of ours says about itself, as keys of its summary, and how it is read back.

use std::collections::BTreeMap;

use iceberg::spec::{SnapshotRef, TableMetadata};

use super::history;

/// Who wrote last: grows with each claim of the table, and a writer with a smaller one is refused.
pub const EPOCH_KEY: &str = "ingest.writer-epoch";
/// How far each source has been read, as a JSON object of texts. Every snapshot of ours carries the newest ones.
pub const POSITIONS_KEY: &str = "ingest.positions";
/// The pipeline that a snapshot belongs to.
pub const PIPELINE_KEY: &str = "ingest.pipeline";

/// How far each source has been read, by the source's name.
pub type Positions = BTreeMap<String, String>;

/// The step of one source that a commit takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advance {
    /// The source, such as `bronze.events` or `kafka:orders/0`.
    pub source: String,
    /// Where the rows of the commit begin: what the table must have recorded.
    pub from: Option<String>,
    /// Where they end.
    pub to: String,
}

/// A value of the newest snapshot of the main branch that has `key`. Snapshots of other writers carry none of our keys.
pub(crate) fn newest<'a>(metadata: &'a TableMetadata, key: &str) -> Option<&'a str> {
    history(metadata)
        .find_map(|snapshot| fact(snapshot, key))
        // A table whose snapshots have all expired keeps the last word as a property.
        .or_else(|| metadata.properties().get(key).map(String::as_str))
}

/// A value of one snapshot's summary.
pub(crate) fn fact<'a>(snapshot: &'a SnapshotRef, key: &str) -> Option<&'a str> {
    let properties = &snapshot.summary().additional_properties;
    properties.get(key).map(String::as_str)
}

/// A number of one snapshot's summary; what is not there is zero, as Iceberg leaves zeros out.
pub(crate) fn number(snapshot: &SnapshotRef, key: &str) -> u64 {
    fact(snapshot, key)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The table's epoch; 0 for a table that nobody has claimed.
pub(crate) fn epoch(metadata: &TableMetadata) -> u64 {
    newest(metadata, EPOCH_KEY)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// The table's positions.
pub(crate) fn positions(metadata: &TableMetadata) -> Positions {
    newest(metadata, POSITIONS_KEY)
        .and_then(|text| serde_json::from_str(text).ok())
        .unwrap_or_default()
}

/// Positions as they stand in a summary.
pub(crate) fn printed(positions: &Positions) -> String {
    serde_json::to_string(positions).unwrap_or_else(|_| "{}".to_owned())
}
