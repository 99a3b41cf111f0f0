//! How much memory cached metadata takes, counted with the heap behind it.
//!
//! The numbers are estimates from the shapes of Iceberg's structs (a `HashMap` entry costs its pair and about one
//! control byte at 7/8 load); they err on the heavy side, as the bound must hold.

use iceberg::spec::{DataFile, Datum, Manifest, ManifestList, PrimitiveLiteral};
use std::mem::size_of;

/// A size as a cache weight.
pub(super) fn bytes(size: usize) -> u32 {
    u32::try_from(size).unwrap_or(u32::MAX)
}

/// The weight of table metadata, from the size of its file: parsed JSON takes about twice its text.
pub(super) fn metadata(file_bytes: u64) -> u32 {
    u32::try_from(file_bytes.saturating_mul(2)).unwrap_or(u32::MAX)
}

/// The weight of a manifest list.
pub(super) fn list(list: &ManifestList) -> u32 {
    let entries = list.entries().iter().map(|file| {
        let summaries = file.partitions.as_ref().map_or(0, |all| {
            all.iter()
                .map(|one| {
                    let bounds = [&one.lower_bound, &one.upper_bound];
                    size_of_val(one)
                        + bounds
                            .iter()
                            .map(|b| b.as_ref().map_or(0, |b| b.len()))
                            .sum::<usize>()
                })
                .sum()
        });
        size_of_val(file) + file.manifest_path.capacity() + summaries
    });
    bytes(entries.sum())
}

/// The weight of a manifest with its entries, bounds and counts.
pub(super) fn manifest(manifest: &Manifest) -> u32 {
    // The schema and the spec are parsed for each manifest.
    let schema = manifest.metadata().schema.field_id_to_fields().len() * 512 + 1_024;
    let entries: usize = manifest
        .entries()
        .iter()
        .map(|entry| 128 + data_file(entry.data_file()))
        .sum();
    bytes(schema + entries)
}

fn data_file(file: &DataFile) -> usize {
    let counts = [
        file.column_sizes(),
        file.value_counts(),
        file.null_value_counts(),
        file.nan_value_counts(),
    ];
    let counts: usize = counts
        .iter()
        .map(|map| map.capacity() * (size_of::<(i32, u64)>() + 1))
        .sum();
    let bounds: usize = [file.lower_bounds(), file.upper_bounds()]
        .iter()
        .map(|map| map.capacity() * (size_of::<(i32, Datum)>() + 1) + map.values().map(datum).sum::<usize>())
        .sum();
    let offsets = file.split_offsets().map_or(0, size_of_val);
    size_of::<DataFile>()
        + file.file_path().len()
        + counts
        + bounds
        + offsets
        + file.partition().fields().len() * 64
}

fn datum(datum: &Datum) -> usize {
    match datum.literal() {
        PrimitiveLiteral::String(text) => text.capacity(),
        PrimitiveLiteral::Binary(binary) => binary.capacity(),
        _ => 0,
    }
}
