//! Which snapshot and which columns a version stands for.
//!
//! A version is the snapshot's id, or `empty` for a table that has none. Columns may change without a new snapshot; then
//! the id of the schema follows after a colon, so that one version always means the same columns too.

use crate::{AsOf, Error, Result, Version};
use ::iceberg::spec::{SchemaId, SchemaRef, SnapshotRef, TableMetadata};
use std::collections::BTreeMap;

/// The version of a table without a snapshot.
const EMPTY: &str = "empty";
/// The schema that a new table has.
const FIRST_SCHEMA: SchemaId = 0;

/// What a version stands for.
#[derive(Clone, Debug)]
pub(super) struct Pin {
    /// The snapshot to read; `None` for no rows.
    pub(super) snapshot: Option<SnapshotRef>,
    /// The columns to show.
    pub(super) columns: SchemaRef,
    /// The version, printed.
    pub(super) version: Version,
}

/// A branch or a tag.
#[derive(Clone, Debug, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Reference {
    /// The snapshot it names.
    pub(super) snapshot_id: i64,
    /// `branch` or `tag`.
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) max_ref_age_ms: Option<i64>,
    pub(super) min_snapshots_to_keep: Option<i32>,
    pub(super) max_snapshot_age_ms: Option<i64>,
}

/// The branches and tags of a table by their names.
///
/// Taken from the printed form: Iceberg's own look-up ends the process when a reference names no snapshot.
pub(super) fn references(table: &str, metadata: &TableMetadata) -> Result<BTreeMap<String, Reference>> {
    let read = |mut printed: serde_json::Value| match printed.get_mut("refs").map(serde_json::Value::take) {
        Some(refs) if !refs.is_null() => serde_json::from_value(refs),
        _ => Ok(BTreeMap::new()),
    };
    serde_json::to_value(metadata)
        .and_then(read)
        .map_err(|cause| Error::Corrupt {
            table: table.to_owned(),
            path: "refs".to_owned(),
            cause: Box::new(cause),
        })
}

/// The version that an earlier state has now. A branch has the newest columns, everything else those of its time.
pub(super) fn as_of(table: &str, metadata: &TableMetadata, at: &AsOf) -> Result<Version> {
    let gone = || Error::VersionGone {
        table: table.to_owned(),
        version: Version::new(at.to_string()),
    };
    let (id, branch) = match at {
        AsOf::Version(name) => match references(table, metadata)?.get(name) {
            Some(reference) => (reference.snapshot_id, reference.kind == "branch"),
            None => (name.parse::<i64>().map_err(|_| gone())?, false),
        },
        AsOf::Timestamp(micros) => {
            let mut log = metadata.history().iter().rev();
            let last = log.find(|entry| entry.timestamp_ms.saturating_mul(1_000) <= *micros);
            (last.ok_or_else(gone)?.snapshot_id, false)
        }
    };
    let snapshot = metadata.snapshot_by_id(id).ok_or_else(gone)?;
    let columns = if branch {
        metadata.current_schema_id()
    } else {
        implied(Some(snapshot))
    };
    Ok(print(Some(snapshot), columns))
}

/// The table as it is now.
pub(super) fn newest(metadata: &TableMetadata) -> Pin {
    let snapshot = metadata.current_snapshot().cloned();
    let columns = SchemaRef::clone(metadata.current_schema());
    Pin {
        version: print(snapshot.as_ref(), columns.schema_id()),
        snapshot,
        columns,
    }
}

/// The printed form of a snapshot with some columns.
fn print(snapshot: Option<&SnapshotRef>, columns: SchemaId) -> Version {
    let name = snapshot.map_or_else(|| EMPTY.to_owned(), |snapshot| snapshot.snapshot_id().to_string());
    if columns == implied(snapshot) {
        Version::new(name)
    } else {
        Version::new(format!("{name}:{columns}"))
    }
}

/// The table as it was at `version`.
pub(super) fn at(table: &str, metadata: &TableMetadata, version: &Version) -> Result<Pin> {
    let gone = || Error::VersionGone {
        table: table.to_owned(),
        version: version.clone(),
    };
    let (name, schema) = match version.as_str().split_once(':') {
        Some((name, schema)) => (name, Some(schema.parse::<SchemaId>().map_err(|_| gone())?)),
        None => (version.as_str(), None),
    };
    let snapshot = if name == EMPTY {
        None
    } else {
        let id = name.parse::<i64>().map_err(|_| gone())?;
        Some(metadata.snapshot_by_id(id).cloned().ok_or_else(gone)?)
    };
    let id = schema.unwrap_or_else(|| implied(snapshot.as_ref()));
    let columns = metadata.schema_by_id(id).cloned().ok_or_else(gone)?;
    Ok(Pin {
        snapshot,
        columns,
        version: version.clone(),
    })
}

/// The schema that a version without one means. Snapshots of format V1 need not name theirs.
fn implied(snapshot: Option<&SnapshotRef>) -> SchemaId {
    snapshot
        .and_then(|snapshot| snapshot.schema_id())
        .unwrap_or(FIRST_SCHEMA)
}
