//! From a snapshot and a predicate to the data files to read.
//!
//! Invariants:
//! - Files come in the order of their paths, whatever the order of the manifests, so that every process that plans the
//!   same snapshot and predicate gets the same list.
//! - A live file that this reader cannot read right is refused by the name of the feature, never left out.

use super::bounds::{Range, Side, bound, preimage};
use super::deletes::{DeleteIndex, FileDeletes};
use super::metadata::MetadataStore;
use super::pruning::Pruner;
use super::schema::field_id;
use super::warehouse::Warehouse;
use crate::{Error, Result};
use arrow::datatypes::SchemaRef;
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{
    DataContentType, DataFile, DataFileFormat, Datum, FieldSummary, Literal, Manifest, ManifestContentType,
    ManifestEntryRef, ManifestFile, PartitionSpec, PrimitiveLiteral, PrimitiveType, SnapshotRef,
    TableMetadata, Transform, Type,
};
use object_store::path::Path;
use std::sync::Arc;

/// How many manifests are read at a time.
const MANIFESTS_AT_ONCE: usize = 8;

/// A data file to read.
#[derive(Clone, Debug)]
pub(super) struct PlannedFile {
    /// Where it lies in the warehouse's store.
    pub(super) path: Path,
    /// Its entry in `manifest`.
    pub(super) entry: ManifestEntryRef,
    /// The manifest, for the partition spec.
    pub(super) manifest: Arc<Manifest>,
    /// What is to be left out of it; `None` for nothing.
    pub(super) deletes: Option<Arc<FileDeletes>>,
}

impl PlannedFile {
    /// What the manifest says of the file.
    pub(super) fn data(&self) -> &DataFile {
        self.entry.data_file()
    }
}

/// What a plan left out, for the log and the tests.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Pruned {
    /// Manifests not read.
    pub(super) manifests: usize,
    /// Files of the manifests read that are not scanned.
    pub(super) files: usize,
    /// Whether the predicate picks rows by a column that files have Bloom filters for.
    pub(super) is_by_key: bool,
}

/// One table at one snapshot, as the planning of its files needs it.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    /// `schema.table`, for errors.
    pub(super) table: Arc<str>,
    /// The table's metadata.
    pub(super) metadata: Arc<TableMetadata>,
    /// The pinned snapshot; `None` for an empty table.
    pub(super) snapshot: Option<SnapshotRef>,
    /// The columns at this snapshot.
    pub(super) schema: SchemaRef,
}

/// The files of `of` that may hold rows to keep.
pub(super) async fn plan(
    of: &Snapshot,
    store: &MetadataStore,
    warehouse: &Warehouse,
    pruner: &Pruner,
) -> Result<(Vec<PlannedFile>, Pruned)> {
    let mut pruned = Pruned::default();
    let Some(snapshot) = &of.snapshot else {
        return Ok((Vec::new(), pruned));
    };
    if snapshot.encryption_key_id().is_some() {
        return Err(unsupported(of, "encryption"));
    }
    let list = store
        .list(&of.table, snapshot.manifest_list(), of.metadata.format_version())
        .await?;
    let live = list
        .entries()
        .iter()
        .filter(|file| file.has_added_files() || file.has_existing_files());
    let (deletes, live): (Vec<&ManifestFile>, Vec<&ManifestFile>) =
        live.partition(|file| file.content == ManifestContentType::Deletes);
    if live
        .iter()
        .chain(&deletes)
        .any(|file| file.key_metadata.is_some())
    {
        return Err(unsupported(of, "encryption"));
    }
    let deletes = DeleteIndex::load(&of.table, store, warehouse, &deletes).await?;
    let keep = pruner.keep(
        live.len(),
        |at, column| summary_range(of, live[at], column),
        |at| manifest_rows(live[at]),
    );
    let kept = live.iter().zip(&keep).filter(|(_, keep)| **keep);
    let wanted: Vec<&ManifestFile> = kept.map(|(file, _)| *file).collect();
    pruned.manifests = live.len() - wanted.len();
    let mut files = read(of, store, warehouse, &wanted, &deletes).await?;
    let keep = pruner.keep(
        files.len(),
        |at, column| file_range(of, &files[at], column),
        |at| Some(files[at].data().record_count()),
    );
    let all = files.len();
    let mut flags = keep.into_iter();
    files.retain(|_| flags.next().unwrap_or(true));
    pruned.files = all - files.len();
    files.sort_by(|left, right| left.path.cmp(&right.path));
    Ok((files, pruned))
}

/// The live files of some manifests, each with what is deleted of it.
async fn read(
    of: &Snapshot,
    store: &MetadataStore,
    warehouse: &Warehouse,
    wanted: &[&ManifestFile],
    deletes: &DeleteIndex,
) -> Result<Vec<PlannedFile>> {
    let paths: Vec<String> = wanted.iter().map(|file| file.manifest_path.clone()).collect();
    let manifests: Vec<Arc<Manifest>> = futures::stream::iter(paths)
        .map(|path| async move { store.manifest(&of.table, &path).await })
        .buffered(MANIFESTS_AT_ONCE)
        .try_collect()
        .await?;
    let mut files = Vec::new();
    for (listed, manifest) in wanted.iter().zip(&manifests) {
        for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
            check(of, entry.data_file())?;
            files.push(PlannedFile {
                path: warehouse.path(&of.table, entry.file_path())?,
                deletes: deletes.of(&of.table, entry, listed)?,
                entry: Arc::clone(entry),
                manifest: Arc::clone(manifest),
            });
        }
    }
    Ok(files)
}

/// Refuses a live file that would be read wrong.
fn check(of: &Snapshot, file: &DataFile) -> Result<()> {
    match file.content_type() {
        DataContentType::Data => {}
        DataContentType::PositionDeletes | DataContentType::EqualityDeletes => {
            return Err(unsupported(of, "delete files among its data files"));
        }
    }
    match file.file_format() {
        DataFileFormat::Parquet => {}
        DataFileFormat::Avro => return Err(unsupported(of, "Avro data files")),
        DataFileFormat::Orc => return Err(unsupported(of, "ORC data files")),
        DataFileFormat::Puffin => return Err(unsupported(of, "Puffin data files")),
    }
    if file.key_metadata().is_some() {
        return Err(unsupported(of, "encryption"));
    }
    Ok(())
}

fn unsupported(of: &Snapshot, feature: &str) -> Error {
    Error::Unsupported {
        table: of.table.to_string(),
        feature: feature.to_owned(),
    }
}

/// What a file's metrics alone say of a column.
pub(super) fn metrics_range(of: &Snapshot, file: &DataFile, column: usize) -> Range {
    let field = of.schema.field(column);
    let Some(id) = field_id(field) else {
        return Range::default();
    };
    let nulls = file.null_value_counts().get(&id).copied();
    if field.data_type().is_floating() && file.nan_value_counts().get(&id) != Some(&0) {
        return Range {
            nulls,
            ..Range::default()
        };
    }
    let side = |bounds: &std::collections::HashMap<i32, Datum>, side| {
        bounds
            .get(&id)
            .and_then(|datum| bound(datum.literal(), datum.data_type(), field.data_type(), side))
    };
    Range {
        min: side(file.lower_bounds(), Side::Min),
        max: side(file.upper_bounds(), Side::Max),
        nulls,
    }
}

/// What a file's metrics and its partition say of a column.
fn file_range(of: &Snapshot, file: &PlannedFile, column: usize) -> Range {
    let mut range = metrics_range(of, file.data(), column);
    let Some(id) = field_id(of.schema.field(column)) else {
        return range;
    };
    let target = of.schema.field(column).data_type();
    let spec = &file.manifest.metadata().partition_spec;
    let Ok(types) = spec.partition_type(&file.manifest.metadata().schema) else {
        return range;
    };
    for (place, field) in spec.fields().iter().enumerate() {
        // A void transform is NULL for every value, an unknown one may be.
        if field.source_id != id || matches!(field.transform, Transform::Void | Transform::Unknown) {
            continue;
        }
        let value = file.data().partition().fields().get(place);
        let derived = match (
            value,
            types.fields().get(place).map(|field| field.field_type.as_ref()),
        ) {
            // Every transform keeps NULL, and nothing else becomes NULL.
            (Some(None), _) => Range {
                nulls: Some(file.data().record_count()),
                ..Range::default()
            },
            (Some(Some(Literal::Primitive(value))), Some(Type::Primitive(of))) => {
                let side = |side| preimage(field.transform, value, of, target, side);
                Range {
                    min: side(Side::Min),
                    max: side(Side::Max),
                    nulls: Some(0),
                }
            }
            _ => continue,
        };
        range = range.intersect(derived);
    }
    range
}

/// What the partition summaries of a manifest say of a column.
fn summary_range(of: &Snapshot, file: &ManifestFile, column: usize) -> Range {
    let mut range = Range::default();
    let Some(id) = field_id(of.schema.field(column)) else {
        return range;
    };
    let (Some(summaries), Some(spec)) = (
        &file.partitions,
        of.metadata.partition_spec_by_id(file.partition_spec_id),
    ) else {
        return range;
    };
    for (place, field) in spec.fields().iter().enumerate() {
        if field.source_id == id
            && !matches!(field.transform, Transform::Void | Transform::Unknown)
            && let Some(summary) = summaries.get(place)
        {
            range = range.intersect(summary_side(of, spec, place, summary, column));
        }
    }
    range
}

fn summary_side(
    of: &Snapshot,
    spec: &PartitionSpec,
    place: usize,
    summary: &FieldSummary,
    column: usize,
) -> Range {
    let nulls = (!summary.contains_null).then_some(0);
    let open = Range {
        nulls,
        ..Range::default()
    };
    let field = &spec.fields()[place];
    let source = of.metadata.current_schema().field_by_id(field.source_id);
    let Some(Ok(Type::Primitive(result))) =
        source.map(|source| field.transform.result_type(&source.field_type))
    else {
        return open;
    };
    let float = matches!(result, PrimitiveType::Float | PrimitiveType::Double);
    if float && summary.contains_nan != Some(false) {
        return open;
    }
    let target = of.schema.field(column).data_type();
    let side = |bytes: Option<&[u8]>, side| {
        let value: PrimitiveLiteral = Datum::try_from_bytes(bytes?, result.clone())
            .ok()?
            .literal()
            .clone();
        preimage(field.transform, &value, &result, target, side)
    };
    Range {
        min: side(
            summary.lower_bound.as_ref().map(|bytes| bytes.as_slice()),
            Side::Min,
        ),
        max: side(
            summary.upper_bound.as_ref().map(|bytes| bytes.as_slice()),
            Side::Max,
        ),
        nulls,
    }
}

fn manifest_rows(file: &ManifestFile) -> Option<u64> {
    file.added_rows_count?.checked_add(file.existing_rows_count?)
}
