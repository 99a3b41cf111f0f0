//! From files to the partitions of a scan.
//!
//! Invariants:
//! - The same files and the same target give the same partitions, in every process: a ticket names one by its number.
//! - Files are cut at their row groups only, so that no partition comes out empty by the cut.
//! - Every part carries its range, which keeps the engine from cutting again.

use super::files::{PlannedFile, Snapshot};
use super::reader::Expected;
use super::statistics;
use datafusion::common::{Result, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::FileGroup;
use object_store::ObjectMeta;
use std::sync::Arc;

/// The least that a partition of its own is worth, in bytes on disk.
const PARTITION_BYTES_MIN: u64 = 1 << 20;

/// A run of row groups of one file.
struct Part {
    file: usize,
    start: u64,
    end: u64,
}

/// The partitions of a scan over `files`, at most `target`, and the statistics of all files together.
pub(super) fn group(
    of: &Snapshot,
    files: &[PlannedFile],
    target: usize,
) -> Result<(Vec<FileGroup>, Statistics)> {
    let each: Vec<Arc<Statistics>> = files
        .iter()
        .map(|file| Arc::new(statistics::of_file(of, file)))
        .collect();
    let whole = Statistics::try_merge_iter(each.iter().map(AsRef::as_ref), &of.schema)?;
    let groups = cut(files, target)
        .into_iter()
        .map(|parts| {
            let parts = parts
                .into_iter()
                .map(|part| partitioned(&files[part.file], &part, &each[part.file]));
            FileGroup::new(parts.collect())
        })
        .collect();
    Ok((groups, whole))
}

/// Deals the row groups, in order, into runs of about the same size.
fn cut(files: &[PlannedFile], target: usize) -> Vec<Vec<Part>> {
    let parts: Vec<Part> = files
        .iter()
        .enumerate()
        .flat_map(|(place, file)| row_groups(place, file))
        .collect();
    let total: u64 = parts.iter().map(|part| part.end - part.start).sum();
    let worth = (total / PARTITION_BYTES_MIN).max(1);
    let count = u64::try_from(target.max(1)).unwrap_or(u64::MAX).min(worth);
    let mut groups: Vec<Vec<Part>> = Vec::new();
    let (mut before, mut current) = (0_u128, None);
    for part in parts {
        // A row group belongs to the share that its middle falls into.
        let size = u128::from(part.end - part.start);
        let share = (before + size / 2) * u128::from(count) / u128::from(total.max(1));
        before += size;
        if current != Some(share) {
            current = Some(share);
            groups.push(Vec::new());
        }
        let Some(group) = groups.last_mut() else { continue };
        match group.last_mut() {
            Some(last) if last.file == part.file && last.end == part.start => last.end = part.end,
            _ => group.push(part),
        }
    }
    groups
}

/// The row groups of a file by their offsets in the manifest; the whole file where those are missing or make no sense.
fn row_groups(place: usize, file: &PlannedFile) -> Vec<Part> {
    let size = file.data().file_size_in_bytes();
    let offsets: Option<Vec<u64>> = file.data().split_offsets().map(|all| {
        all.iter()
            .filter_map(|offset| u64::try_from(*offset).ok())
            .collect()
    });
    let starts = match offsets {
        Some(starts)
            if starts.is_sorted_by(|a, b| a < b) && starts.last().is_some_and(|last| *last < size) =>
        {
            starts
        }
        _ => vec![0],
    };
    let ends = starts.iter().skip(1).copied().chain(std::iter::once(size));
    let mut parts: Vec<Part> = starts
        .iter()
        .zip(ends)
        .map(|(start, end)| Part {
            file: place,
            start: *start,
            end,
        })
        .collect();
    // The first one begins where the file does, magic number included.
    if let Some(first) = parts.first_mut() {
        first.start = 0;
    }
    parts
}

fn partitioned(file: &PlannedFile, part: &Part, statistics: &Arc<Statistics>) -> PartitionedFile {
    let meta = ObjectMeta {
        location: file.path.clone(),
        // Data files never change, so that caches need not look at the clock.
        last_modified: chrono::DateTime::UNIX_EPOCH,
        size: file.data().file_size_in_bytes(),
        e_tag: None,
        version: None,
    };
    let bound = |offset: u64| i64::try_from(offset).unwrap_or(i64::MAX);
    let part = PartitionedFile::new_from_meta(meta)
        .with_range(bound(part.start), bound(part.end))
        .with_statistics(Arc::clone(statistics))
        .with_extension(Expected::of(file));
    match &file.deletes {
        Some(deletes) => part.with_extension(Arc::clone(deletes)),
        None => part,
    }
}
