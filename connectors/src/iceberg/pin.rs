//! Which snapshot and which columns a version stands for.
//!
//! A version is the snapshot's id, or `empty` for a table that has none. Columns may change without a new snapshot; then
//! the id of the schema follows after a colon, so that one version always means the same columns too.

use crate::{Error, Result, Version};
use ::iceberg::spec::{SchemaId, SchemaRef, SnapshotRef, TableMetadata};

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

/// The table as it is now.
pub(super) fn newest(metadata: &TableMetadata) -> Pin {
    let snapshot = metadata.current_snapshot().cloned();
    let columns = SchemaRef::clone(metadata.current_schema());
    let name = snapshot
        .as_ref()
        .map_or_else(|| EMPTY.to_owned(), |snapshot| snapshot.snapshot_id().to_string());
    let version = if columns.schema_id() == implied(snapshot.as_ref()) {
        name
    } else {
        format!("{name}:{}", columns.schema_id())
    };
    Pin {
        snapshot,
        columns,
        version: Version::new(version),
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
