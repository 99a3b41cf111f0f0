//! Data and delete files, and what partitions they make up.

use super::log::{column, ints, longs, signed, texts};
use super::{Column, MetadataTable, internal};
use crate::iceberg::bounds::{Side, bound};
use crate::iceberg::files::Snapshot;
use crate::iceberg::schema::{primitive_type, top_level};
use crate::iceberg::values;
use crate::{Error, Result};
use arrow::array::{
    Array, ArrayRef, BinaryArray, BinaryBuilder, Int8Array, Int32Array, Int32Builder, Int64Array,
    Int64Builder, ListBuilder, MapBuilder, StructArray, TimestampMillisecondArray, new_empty_array,
};
use arrow::datatypes::{DataType, Field, Fields};
use datafusion::common::ScalarValue;
use iceberg::spec::{
    DataContentType, DataFile, Datum, Literal, Manifest, ManifestEntryRef, ManifestList, NestedFieldRef,
    SnapshotRef, Struct, TableMetadata, Type,
};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

/// The most files that one answer tells.
const FILES_MAX: usize = 5_000_000;

/// A live file of a manifest.
pub(super) struct Entry {
    entry: ManifestEntryRef,
    spec: i32,
    /// The snapshot that added it.
    added: i64,
}

impl Entry {
    fn data(&self) -> &DataFile {
        self.entry.data_file()
    }
}

impl MetadataTable {
    /// The manifest lists of snapshots.
    pub(super) async fn lists(&self, of: &[SnapshotRef]) -> Result<Vec<Arc<ManifestList>>> {
        let mut lists = Vec::new();
        let version = self.of.metadata.format_version();
        for snapshot in of {
            let list = self.store.list(&self.of.table, snapshot.manifest_list(), version);
            lists.push(list.await?);
        }
        Ok(lists)
    }

    /// The live files of all manifests of snapshots, each manifest once.
    pub(super) async fn entries(&self, of: &[SnapshotRef]) -> Result<Vec<Entry>> {
        let (mut seen, mut entries) = (HashSet::new(), Vec::new());
        for list in self.lists(of).await? {
            for file in list.entries() {
                if !seen.insert(file.manifest_path.clone()) {
                    continue;
                }
                let manifest: Arc<Manifest> =
                    self.store.manifest(&self.of.table, &file.manifest_path).await?;
                let live = manifest.entries().iter().filter(|entry| entry.is_alive());
                entries.extend(live.map(|entry| Entry {
                    entry: Arc::clone(entry),
                    spec: file.partition_spec_id,
                    added: entry.snapshot_id().unwrap_or(file.added_snapshot_id),
                }));
                if entries.len() > FILES_MAX {
                    return Err(Error::Unsupported {
                        table: self.of.table.to_string(),
                        feature: format!("more than {FILES_MAX} files in a metadata table"),
                    });
                }
            }
        }
        Ok(entries)
    }
}

/// The files of some entries.
pub(super) fn files(of: &Snapshot, entries: &[Entry]) -> Result<Vec<Column>> {
    let each = || entries.iter().map(Entry::data);
    let content = each().map(|file| file.content_type() as i8);
    let mut columns = vec![
        column("content", false, Arc::new(Int8Array::from_iter_values(content))),
        texts("file_path", each().map(DataFile::file_path)),
        texts(
            "file_format",
            each().map(|file| file.file_format().to_string().to_uppercase()),
        ),
        ints("spec_id", entries.iter().map(|entry| entry.spec)),
    ];
    let tuples: Vec<_> = entries
        .iter()
        .map(|entry| (entry.spec, entry.data().partition()))
        .collect();
    columns.extend(partition_column(of, &tuples)?);
    let keys = each().map(DataFile::key_metadata);
    columns.extend([
        longs("record_count", each().map(|file| signed(file.record_count()))),
        longs(
            "file_size_in_bytes",
            each().map(|file| signed(file.file_size_in_bytes())),
        ),
        counts("column_sizes", each().map(DataFile::column_sizes))?,
        counts("value_counts", each().map(DataFile::value_counts))?,
        counts("null_value_counts", each().map(DataFile::null_value_counts))?,
        counts("nan_value_counts", each().map(DataFile::nan_value_counts))?,
        bytes("lower_bounds", each().map(DataFile::lower_bounds))?,
        bytes("upper_bounds", each().map(DataFile::upper_bounds))?,
        column("key_metadata", true, Arc::new(keys.collect::<BinaryArray>())),
        column("split_offsets", true, offsets(each())),
        column("equality_ids", true, ids(each())),
        column(
            "sort_order_id",
            true,
            Arc::new(each().map(DataFile::sort_order_id).collect::<Int32Array>()),
        ),
        readable(of, entries)?,
    ]);
    Ok(columns)
}

fn offsets<'a>(files: impl Iterator<Item = &'a DataFile>) -> ArrayRef {
    let mut lists = ListBuilder::new(Int64Builder::new());
    for file in files {
        lists.append_option(file.split_offsets().map(|all| all.iter().copied().map(Some)));
    }
    Arc::new(lists.finish())
}

fn ids<'a>(files: impl Iterator<Item = &'a DataFile>) -> ArrayRef {
    let mut lists = ListBuilder::new(Int32Builder::new());
    for file in files {
        lists.append_option(file.equality_ids().map(|all| all.into_iter().map(Some)));
    }
    Arc::new(lists.finish())
}

fn counts<'a>(name: &str, maps: impl Iterator<Item = &'a HashMap<i32, u64>>) -> Result<Column> {
    let mut all = MapBuilder::new(None, Int32Builder::new(), Int64Builder::new());
    for map in maps {
        for (id, count) in map.iter().collect::<BTreeMap<_, _>>() {
            all.keys().append_value(*id);
            all.values().append_value(signed(*count));
        }
        all.append(true).map_err(internal)?;
    }
    Ok(column(name, true, Arc::new(all.finish())))
}

fn bytes<'a>(name: &str, maps: impl Iterator<Item = &'a HashMap<i32, Datum>>) -> Result<Column> {
    let mut all = MapBuilder::new(None, Int32Builder::new(), BinaryBuilder::new());
    for map in maps {
        for (id, datum) in map.iter().collect::<BTreeMap<_, _>>() {
            all.keys().append_value(*id);
            all.values().append_value(datum.to_bytes().map_err(internal)?);
        }
        all.append(true).map_err(internal)?;
    }
    Ok(column(name, true, Arc::new(all.finish())))
}

/// A field of the newest schema that has it.
pub(super) fn source(metadata: &TableMetadata, id: i32) -> Option<NestedFieldRef> {
    let mut schemas: Vec<_> = metadata.schemas_iter().collect();
    schemas.sort_by_key(|schema| std::cmp::Reverse(schema.schema_id()));
    schemas.insert(0, metadata.current_schema());
    schemas
        .into_iter()
        .find_map(|schema| schema.field_by_id(id))
        .cloned()
}

/// The partition values of files, with a child for each partition field of any spec; `None` where there is none.
fn partition_column(of: &Snapshot, tuples: &[(i32, &Struct)]) -> Result<Option<Column>> {
    let mut fields: BTreeMap<i32, (String, Type)> = BTreeMap::new();
    for spec in of.metadata.partition_specs_iter() {
        for field in spec.fields() {
            let source = source(&of.metadata, field.source_id);
            let result = source.and_then(|source| field.transform.result_type(&source.field_type).ok());
            if let Some(result) = result {
                fields.insert(field.field_id, (field.name.clone(), result));
            }
        }
    }
    let mut children = Vec::new();
    for (id, (name, result)) in &fields {
        let Type::Primitive(primitive) = result else {
            continue;
        };
        let target = primitive_type(primitive);
        let null = ScalarValue::try_from(&target).map_err(internal)?;
        let value = |(spec, tuple): &(i32, &Struct)| {
            let spec = of.metadata.partition_spec_by_id(*spec)?;
            let place = spec.fields().iter().position(|field| field.field_id == *id)?;
            match tuple.fields().get(place)? {
                Some(Literal::Primitive(value)) => values::scalar(value, primitive, &target),
                _ => None,
            }
        };
        let scalars = tuples
            .iter()
            .map(|tuple| value(tuple).unwrap_or_else(|| null.clone()));
        let field = Arc::new(Field::new(name, target.clone(), true));
        children.push((field, array(&target, scalars)?));
    }
    let column =
        (!children.is_empty()).then(|| column("partition", false, Arc::new(StructArray::from(children))));
    Ok(column)
}

fn array(of: &DataType, scalars: impl Iterator<Item = ScalarValue>) -> Result<ArrayRef> {
    let mut scalars = scalars.peekable();
    match scalars.peek() {
        None => Ok(new_empty_array(of)),
        Some(_) => ScalarValue::iter_to_array(scalars).map_err(internal),
    }
}

/// The metrics of each column by its name, with bounds of the column's own type.
fn readable(of: &Snapshot, entries: &[Entry]) -> Result<Column> {
    let mut columns = Vec::new();
    for field in of.metadata.current_schema().as_struct().fields() {
        let target = top_level(field).data_type().clone();
        let null = ScalarValue::try_from(&target).map_err(internal)?;
        let count = |counts: fn(&DataFile) -> &HashMap<i32, u64>| -> ArrayRef {
            let each = entries
                .iter()
                .map(|entry| counts(entry.data()).get(&field.id).copied().map(signed));
            Arc::new(each.collect::<Int64Array>())
        };
        let side = |bounds: fn(&DataFile) -> &HashMap<i32, Datum>, side| {
            let each = entries.iter().map(|entry| {
                let datum = bounds(entry.data()).get(&field.id);
                let value = datum.and_then(|datum| bound(datum.literal(), datum.data_type(), &target, side));
                value.unwrap_or_else(|| null.clone())
            });
            array(&target, each)
        };
        let metrics = vec![
            ("column_size", count(DataFile::column_sizes)),
            ("value_count", count(DataFile::value_counts)),
            ("null_value_count", count(DataFile::null_value_counts)),
            ("nan_value_count", count(DataFile::nan_value_counts)),
            ("lower_bound", side(DataFile::lower_bounds, Side::Min)?),
            ("upper_bound", side(DataFile::upper_bounds, Side::Max)?),
        ];
        let metrics: Vec<_> = metrics
            .into_iter()
            .map(|(name, values)| {
                (
                    Arc::new(Field::new(name, values.data_type().clone(), true)),
                    values,
                )
            })
            .collect();
        let metrics: ArrayRef = Arc::new(StructArray::from(metrics));
        columns.push((
            Arc::new(Field::new(&field.name, metrics.data_type().clone(), false)),
            metrics,
        ));
    }
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.into_iter().unzip();
    let all = StructArray::try_new_with_length(Fields::from(fields), arrays, None, entries.len());
    Ok(column("readable_metrics", true, Arc::new(all.map_err(internal)?)))
}

/// What one partition adds up to.
#[derive(Default)]
struct Sum {
    records: u64,
    files: i32,
    bytes: u64,
    position_records: u64,
    position_files: i32,
    equality_records: u64,
    equality_files: i32,
    updated: Option<(i64, i64)>,
}

/// The partitions of some entries, in the order in which they are first met.
pub(super) fn partitions(of: &Snapshot, entries: &[Entry]) -> Result<Vec<Column>> {
    let mut places: HashMap<(i32, &Struct), usize> = HashMap::new();
    let mut sums: Vec<((i32, &Struct), Sum)> = Vec::new();
    for entry in entries {
        let file = entry.data();
        let key = (entry.spec, file.partition());
        let place = *places.entry(key).or_insert_with(|| {
            sums.push((key, Sum::default()));
            sums.len() - 1
        });
        let Some((_, sum)) = sums.get_mut(place) else {
            continue;
        };
        match file.content_type() {
            DataContentType::Data => {
                sum.records += file.record_count();
                sum.files += 1;
                sum.bytes += file.file_size_in_bytes();
            }
            DataContentType::PositionDeletes => {
                sum.position_records += file.record_count();
                sum.position_files += 1;
            }
            DataContentType::EqualityDeletes => {
                sum.equality_records += file.record_count();
                sum.equality_files += 1;
            }
        }
        let added = of.metadata.snapshot_by_id(entry.added);
        let added = added.map(|snapshot| (snapshot.timestamp_ms(), snapshot.snapshot_id()));
        sum.updated = sum.updated.max(added);
    }
    let tuples: Vec<_> = sums.iter().map(|(key, _)| *key).collect();
    let mut columns = Vec::new();
    if let Some(values) = partition_column(of, &tuples)? {
        columns.push(values);
        columns.push(ints("spec_id", tuples.iter().map(|(spec, _)| *spec)));
    }
    let each = || sums.iter().map(|(_, sum)| sum);
    let times: TimestampMillisecondArray = each().map(|sum| sum.updated.map(|(time, _)| time)).collect();
    let ids: Int64Array = each().map(|sum| sum.updated.map(|(_, id)| id)).collect();
    columns.extend([
        longs("record_count", each().map(|sum| signed(sum.records))),
        ints("file_count", each().map(|sum| sum.files)),
        longs(
            "total_data_file_size_in_bytes",
            each().map(|sum| signed(sum.bytes)),
        ),
        longs(
            "position_delete_record_count",
            each().map(|sum| signed(sum.position_records)),
        ),
        ints("position_delete_file_count", each().map(|sum| sum.position_files)),
        longs(
            "equality_delete_record_count",
            each().map(|sum| signed(sum.equality_records)),
        ),
        ints("equality_delete_file_count", each().map(|sum| sum.equality_files)),
        column("last_updated_at", true, Arc::new(times)),
        column("last_updated_snapshot_id", true, Arc::new(ids)),
    ]);
    Ok(columns)
}
