//! Snapshots, their history, references to them, and their manifests.

use super::{Column, internal};
use crate::Result;
use crate::iceberg::files::Snapshot;
use crate::iceberg::pin::Reference;
use arrow::array::{
    ArrayRef, BooleanArray, BooleanBuilder, Int8Array, Int32Array, Int64Array, ListBuilder, MapBuilder,
    StringArray, StringBuilder, StructBuilder, TimestampMillisecondArray,
};
use arrow::datatypes::{DataType, Field, Fields};
use iceberg::spec::{
    Datum, Literal, ManifestContentType, ManifestFile, SnapshotLog, SnapshotRef, TableMetadata, Type,
};
use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

/// A column from an array.
pub(super) fn column(name: &str, nullable: bool, values: ArrayRef) -> Column {
    (Field::new(name, values.data_type().clone(), nullable), values)
}

/// A column of longs.
pub(super) fn longs(name: &str, values: impl Iterator<Item = i64>) -> Column {
    column(name, false, Arc::new(Int64Array::from_iter_values(values)))
}

/// A column of ints.
pub(super) fn ints(name: &str, values: impl Iterator<Item = i32>) -> Column {
    column(name, false, Arc::new(Int32Array::from_iter_values(values)))
}

/// A column of texts.
pub(super) fn texts<T: AsRef<str>>(name: &str, values: impl Iterator<Item = T>) -> Column {
    column(name, false, Arc::new(StringArray::from_iter_values(values)))
}

/// A count as the signed number that metadata tables have.
pub(super) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// All snapshots.
pub(super) fn snapshots(all: &[SnapshotRef]) -> Result<Vec<Column>> {
    let mut summary = MapBuilder::new(None, StringBuilder::new(), StringBuilder::new());
    for snapshot in all {
        let properties: BTreeMap<_, _> = snapshot.summary().additional_properties.iter().collect();
        for (key, value) in properties {
            summary.keys().append_value(key);
            summary.values().append_value(value);
        }
        summary.append(true).map_err(internal)?;
    }
    let times = all.iter().map(|snapshot| snapshot.timestamp_ms());
    let parents = all.iter().map(|snapshot| snapshot.parent_snapshot_id());
    let operations = all
        .iter()
        .map(|snapshot| Some(snapshot.summary().operation.as_str()));
    Ok(vec![
        column(
            "committed_at",
            false,
            Arc::new(TimestampMillisecondArray::from_iter_values(times)),
        ),
        longs("snapshot_id", all.iter().map(|snapshot| snapshot.snapshot_id())),
        column("parent_id", true, Arc::new(parents.collect::<Int64Array>())),
        column("operation", true, Arc::new(operations.collect::<StringArray>())),
        texts(
            "manifest_list",
            all.iter().map(|snapshot| snapshot.manifest_list()),
        ),
        column("summary", true, Arc::new(summary.finish())),
    ])
}

/// Which snapshot was the newest one when.
pub(super) fn history(of: &TableMetadata, log: &[SnapshotLog]) -> Vec<Column> {
    let mut ancestors = HashSet::new();
    let mut next = of.current_snapshot();
    // A parent seen before ends a loop that only damaged metadata has.
    while let Some(snapshot) = next.filter(|snapshot| ancestors.insert(snapshot.snapshot_id())) {
        next = snapshot.parent_snapshot_id().and_then(|id| of.snapshot_by_id(id));
    }
    let parent = |entry: &SnapshotLog| of.snapshot_by_id(entry.snapshot_id)?.parent_snapshot_id();
    let times = log.iter().map(|entry| entry.timestamp_ms);
    let current: BooleanArray = log
        .iter()
        .map(|entry| Some(ancestors.contains(&entry.snapshot_id)))
        .collect();
    vec![
        column(
            "made_current_at",
            false,
            Arc::new(TimestampMillisecondArray::from_iter_values(times)),
        ),
        longs("snapshot_id", log.iter().map(|entry| entry.snapshot_id)),
        column(
            "parent_id",
            true,
            Arc::new(log.iter().map(parent).collect::<Int64Array>()),
        ),
        column("is_current_ancestor", false, Arc::new(current)),
    ]
}

/// Branches and tags.
pub(super) fn references(all: &BTreeMap<String, Reference>) -> Vec<Column> {
    let each = || all.values();
    vec![
        texts("name", all.keys()),
        texts("type", each().map(|reference| reference.kind.to_uppercase())),
        longs("snapshot_id", each().map(|reference| reference.snapshot_id)),
        column(
            "max_reference_age_in_ms",
            true,
            Arc::new(
                each()
                    .map(|reference| reference.max_ref_age_ms)
                    .collect::<Int64Array>(),
            ),
        ),
        column(
            "min_snapshots_to_keep",
            true,
            Arc::new(
                each()
                    .map(|reference| reference.min_snapshots_to_keep)
                    .collect::<Int32Array>(),
            ),
        ),
        column(
            "max_snapshot_age_in_ms",
            true,
            Arc::new(
                each()
                    .map(|reference| reference.max_snapshot_age_ms)
                    .collect::<Int64Array>(),
            ),
        ),
    ]
}

/// The manifests of a snapshot.
pub(super) fn manifests(of: &Snapshot, all: &[&ManifestFile]) -> Result<Vec<Column>> {
    let count = |content: ManifestContentType, counts: fn(&ManifestFile) -> Option<u32>| {
        let each = all.iter().map(move |file| match file.content == content {
            true => i32::try_from(counts(file).unwrap_or(0)).unwrap_or(i32::MAX),
            false => 0,
        });
        each.collect::<Vec<_>>()
    };
    let (data, deletes) = (ManifestContentType::Data, ManifestContentType::Deletes);
    let content = all
        .iter()
        .map(|file| i8::from(file.content == ManifestContentType::Deletes));
    Ok(vec![
        column("content", false, Arc::new(Int8Array::from_iter_values(content))),
        texts("path", all.iter().map(|file| file.manifest_path.as_str())),
        longs("length", all.iter().map(|file| file.manifest_length)),
        ints("partition_spec_id", all.iter().map(|file| file.partition_spec_id)),
        longs("added_snapshot_id", all.iter().map(|file| file.added_snapshot_id)),
        ints(
            "added_data_files_count",
            count(data, |file| file.added_files_count).into_iter(),
        ),
        ints(
            "existing_data_files_count",
            count(data, |file| file.existing_files_count).into_iter(),
        ),
        ints(
            "deleted_data_files_count",
            count(data, |file| file.deleted_files_count).into_iter(),
        ),
        ints(
            "added_delete_files_count",
            count(deletes, |file| file.added_files_count).into_iter(),
        ),
        ints(
            "existing_delete_files_count",
            count(deletes, |file| file.existing_files_count).into_iter(),
        ),
        ints(
            "deleted_delete_files_count",
            count(deletes, |file| file.deleted_files_count).into_iter(),
        ),
        column("partition_summaries", false, summaries(of, all)?),
    ])
}

fn summaries(of: &Snapshot, all: &[&ManifestFile]) -> Result<ArrayRef> {
    let fields = Fields::from(vec![
        Field::new("contains_null", DataType::Boolean, false),
        Field::new("contains_nan", DataType::Boolean, true),
        Field::new("lower_bound", DataType::Utf8, true),
        Field::new("upper_bound", DataType::Utf8, true),
    ]);
    let mut lists = ListBuilder::new(StructBuilder::from_fields(fields, 0));
    let damaged = || internal(std::io::Error::other("a builder is of another type"));
    for file in all {
        for (place, summary) in file.partitions.iter().flatten().enumerate() {
            let sides = [&summary.lower_bound, &summary.upper_bound];
            let [low, high] = sides.map(|side| side.as_ref().and_then(|side| human(of, file, place, side)));
            let one = lists.values();
            one.field_builder::<BooleanBuilder>(0)
                .ok_or_else(damaged)?
                .append_value(summary.contains_null);
            one.field_builder::<BooleanBuilder>(1)
                .ok_or_else(damaged)?
                .append_option(summary.contains_nan);
            one.field_builder::<StringBuilder>(2)
                .ok_or_else(damaged)?
                .append_option(low);
            one.field_builder::<StringBuilder>(3)
                .ok_or_else(damaged)?
                .append_option(high);
            one.append(true);
        }
        lists.append(true);
    }
    Ok(Arc::new(lists.finish()))
}

/// A bound of a partition field as people read it.
fn human(of: &Snapshot, file: &ManifestFile, place: usize, bytes: &[u8]) -> Option<String> {
    let spec = of.metadata.partition_spec_by_id(file.partition_spec_id)?;
    let field = spec.fields().get(place)?;
    let source = super::files::source(&of.metadata, field.source_id)?;
    let result = field.transform.result_type(&source.field_type).ok()?;
    let Type::Primitive(primitive) = &result else {
        return None;
    };
    let value = Datum::try_from_bytes(bytes, primitive.clone()).ok()?;
    let value = Literal::Primitive(value.literal().clone());
    Some(field.transform.to_human_string(&result, Some(&value)))
}
