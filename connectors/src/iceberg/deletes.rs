//! Which delete files apply to which data file.
//!
//! The rules are those of the table format ("Scan Planning" of the Iceberg specification):
//! - A deletion vector or a position delete file applies to data files that are not newer than it (sequence number at
//!   most its own), an equality delete file to those that are strictly older.
//! - One that names its data file applies to that file alone. Others apply within their partition: same spec, same
//!   values. Equality deletes of an unpartitioned spec apply to the whole table.
//! - A deletion vector holds all position deletes of its file, so that position delete files no longer count.
//!
//! Invariant: a delete that cannot be attributed or read is an error, never left out.

pub(super) mod cache;
mod equality;
mod mask;
mod positions;
pub(super) mod reader;
mod roaring;
pub(super) mod vector;

use super::metadata::{MetadataStore, shown};
use super::warehouse::Warehouse;
use crate::{Error, Result};
use futures::{StreamExt, TryStreamExt};
use iceberg::spec::{
    DataContentType, DataFile, DataFileFormat, Datum, Literal, ManifestEntry, ManifestEntryRef, ManifestFile,
    ManifestStatus, PrimitiveLiteral, Struct,
};
use std::collections::HashMap;
use std::sync::Arc;

/// The reserved field id of a position delete's column `file_path`.
pub(super) const FILE_PATH_ID: i32 = 2_147_483_546;
/// The reserved field id of a position delete's column `pos`.
pub(super) const POS_ID: i32 = 2_147_483_545;
/// How many delete manifests are read at a time.
const MANIFESTS_AT_ONCE: usize = 8;

/// A live delete file of the snapshot.
#[derive(Debug)]
pub(super) struct DeleteFile {
    entry: ManifestEntryRef,
    sequence: i64,
}

impl DeleteFile {
    /// What the manifest says of the file.
    pub(super) fn data(&self) -> &DataFile {
        self.entry.data_file()
    }
}

/// All that is to be left out of one data file; travels with the file to its reader.
#[derive(Clone, Debug)]
pub(super) struct FileDeletes {
    /// The data file's location as the manifests write it, which is how position deletes name it.
    pub(super) location: Arc<str>,
    /// The deletion vector. Where there is one, `positions` is empty.
    pub(super) vector: Option<Arc<DeleteFile>>,
    /// Position delete files that may name the data file.
    pub(super) positions: Vec<Arc<DeleteFile>>,
    /// Equality delete files.
    pub(super) equality: Vec<Arc<DeleteFile>>,
}

/// The delete files of a snapshot, by what they may apply to.
#[derive(Debug, Default)]
pub(super) struct DeleteIndex {
    vectors: HashMap<String, Arc<DeleteFile>>,
    positions_by_file: HashMap<String, Vec<Arc<DeleteFile>>>,
    positions_by_partition: HashMap<(i32, Struct), Vec<Arc<DeleteFile>>>,
    equality_by_partition: HashMap<(i32, Struct), Vec<Arc<DeleteFile>>>,
    equality_everywhere: Vec<Arc<DeleteFile>>,
}

impl DeleteIndex {
    /// Reads the delete manifests of a snapshot.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for a delete file that cannot be read, [`Error::Corrupt`] for one that makes no sense.
    pub(super) async fn load(
        table: &str,
        store: &MetadataStore,
        warehouse: &Warehouse,
        manifests: &[&ManifestFile],
    ) -> Result<Self> {
        let mut index = Self::default();
        let wanted = manifests.iter().map(|file| file.manifest_path.clone());
        let read: Vec<_> = futures::stream::iter(wanted.collect::<Vec<_>>())
            .map(|path| async move { store.manifest(table, &path).await })
            .buffered(MANIFESTS_AT_ONCE)
            .try_collect()
            .await?;
        for (file, manifest) in manifests.iter().zip(read) {
            let unpartitioned = manifest.metadata().partition_spec.is_unpartitioned();
            for entry in manifest.entries().iter().filter(|entry| entry.is_alive()) {
                warehouse.path(table, entry.file_path())?;
                let delete = Arc::new(DeleteFile {
                    entry: Arc::clone(entry),
                    sequence: sequence(table, entry, file)?,
                });
                index.add(table, delete, file.partition_spec_id, unpartitioned)?;
            }
        }
        Ok(index)
    }

    fn add(&mut self, table: &str, delete: Arc<DeleteFile>, spec: i32, unpartitioned: bool) -> Result<()> {
        let file = delete.data();
        if file.key_metadata().is_some() {
            return Err(unsupported(table, "encryption"));
        }
        let partition = key(spec, file.partition());
        match (file.content_type(), file.file_format()) {
            (DataContentType::PositionDeletes, DataFileFormat::Puffin) => {
                let missing = || {
                    corrupt(
                        table,
                        file.file_path(),
                        "a deletion vector that names no data file",
                    )
                };
                let of = file.referenced_data_file().ok_or_else(missing)?;
                let two = format!("two deletion vectors for {of}");
                match self.vectors.insert(of, Arc::clone(&delete)) {
                    None => Ok(()),
                    Some(_) => Err(corrupt(table, file.file_path(), two)),
                }
            }
            (DataContentType::PositionDeletes, DataFileFormat::Parquet) => {
                match file.referenced_data_file() {
                    Some(of) => self.positions_by_file.entry(of).or_default().push(delete),
                    None => self
                        .positions_by_partition
                        .entry(partition)
                        .or_default()
                        .push(delete),
                }
                Ok(())
            }
            (DataContentType::EqualityDeletes, DataFileFormat::Parquet) => {
                match unpartitioned {
                    true => self.equality_everywhere.push(delete),
                    false => self
                        .equality_by_partition
                        .entry(partition)
                        .or_default()
                        .push(delete),
                }
                Ok(())
            }
            (DataContentType::Data, _) => Err(corrupt(
                table,
                file.file_path(),
                "a data file in a manifest of deletes",
            )),
            (_, format) => Err(unsupported(
                table,
                &format!("delete files in the format {format}"),
            )),
        }
    }

    /// Whether nothing is deleted.
    pub(super) fn is_empty(&self) -> bool {
        self.vectors.is_empty()
            && self.positions_by_file.is_empty()
            && self.positions_by_partition.is_empty()
            && self.equality_by_partition.is_empty()
            && self.equality_everywhere.is_empty()
    }

    /// What is to be left out of a data file; `None` for nothing.
    pub(super) fn of(
        &self,
        table: &str,
        entry: &ManifestEntry,
        manifest: &ManifestFile,
    ) -> Result<Option<Arc<FileDeletes>>> {
        if self.is_empty() {
            return Ok(None);
        }
        let file = entry.data_file();
        let sequence = sequence(table, entry, manifest)?;
        let location = file.file_path();
        let partition = key(manifest.partition_spec_id, file.partition());
        let vector = self.vectors.get(location);
        let vector = vector.filter(|delete| sequence <= delete.sequence).cloned();
        let mut positions = Vec::new();
        if vector.is_none() {
            let named = self.positions_by_file.get(location).into_iter().flatten();
            let within = self.positions_by_partition.get(&partition).into_iter().flatten();
            let all = named.chain(within.filter(|delete| may_name(delete.data(), location)));
            positions.extend(all.filter(|delete| sequence <= delete.sequence).cloned());
        }
        let within = self.equality_by_partition.get(&partition).into_iter().flatten();
        let equality = self.equality_everywhere.iter().chain(within);
        let equality: Vec<_> = equality
            .filter(|delete| sequence < delete.sequence)
            .cloned()
            .collect();
        if vector.is_none() && positions.is_empty() && equality.is_empty() {
            return Ok(None);
        }
        Ok(Some(Arc::new(FileDeletes {
            location: location.into(),
            vector,
            positions,
            equality,
        })))
    }
}

/// A partition so that equal ones are equal: a column that was promoted has values of both types.
fn key(spec: i32, values: &Struct) -> (i32, Struct) {
    let wide = |value: &Option<Literal>| match value {
        Some(Literal::Primitive(PrimitiveLiteral::Int(narrow))) => Some(Literal::long(i64::from(*narrow))),
        Some(Literal::Primitive(PrimitiveLiteral::Float(narrow))) => {
            Some(Literal::double(f64::from(narrow.0)))
        }
        other => other.clone(),
    };
    (spec, values.fields().iter().map(wide).collect())
}

/// Whether the bounds of a position delete file leave room for a data file's location.
fn may_name(delete: &DataFile, location: &str) -> bool {
    let text = |bound: Option<&Datum>| match bound.map(Datum::literal) {
        Some(PrimitiveLiteral::String(text)) => Some(text.clone()),
        _ => None,
    };
    let low = text(delete.lower_bounds().get(&FILE_PATH_ID));
    let high = text(delete.upper_bounds().get(&FILE_PATH_ID));
    low.is_none_or(|low| low.as_str() <= location) && high.is_none_or(|high| location <= high.as_str())
}

/// The data sequence number of a live entry, inherited from its manifest where the entry leaves it out.
fn sequence(table: &str, entry: &ManifestEntry, manifest: &ManifestFile) -> Result<i64> {
    let inherits = entry.status() == ManifestStatus::Added || manifest.sequence_number == 0;
    entry
        .sequence_number()
        .or(inherits.then_some(manifest.sequence_number))
        .ok_or_else(|| {
            corrupt(
                table,
                &manifest.manifest_path,
                "an entry without its sequence number",
            )
        })
}

fn unsupported(table: &str, feature: &str) -> Error {
    Error::Unsupported {
        table: table.to_owned(),
        feature: feature.to_owned(),
    }
}

fn corrupt(table: &str, path: &str, problem: impl Into<crate::error::Cause>) -> Error {
    Error::Corrupt {
        table: table.to_owned(),
        path: shown(path),
        cause: problem.into(),
    }
}
