//! From the deletes of a data file to the rows that its reader leaves out.
//!
//! All three kinds of deletes become one mask of the file's rows, and the mask an access plan of the Parquet source. So
//! row groups and pages are pruned as ever, filters and limits see only rows that live, and a file read in parts skips
//! the same rows in each. Equality deletes cost one more pass over the key columns, once while the mask is in memory.

use super::cache::{DeleteCache, Entry, Key};
use super::equality::Keys;
use super::mask::{Mask, MaskBuilder, rows};
use super::{DeleteFile, FileDeletes, corrupt, positions, vector};
use crate::iceberg::adapter::FieldIdAdapterFactory;
use crate::iceberg::reader::{Expected, ReaderFactory};
use crate::iceberg::warehouse::Warehouse;
use crate::{Error, Result};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::ParquetAccessPlan;
use datafusion::physical_plan::metrics::ExecutionPlanMetricsSet;
use iceberg::spec::TableMetadata;
use parquet::file::metadata::ParquetMetaData;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Reads the deletes of one table's files.
#[derive(Clone, Debug)]
pub(in crate::iceberg) struct DeleteReader {
    /// The table's metadata.
    pub(in crate::iceberg) metadata: Arc<TableMetadata>,
    /// Where its files lie.
    pub(in crate::iceberg) warehouse: Warehouse,
    /// Opens its files.
    pub(in crate::iceberg) readers: ReaderFactory,
    /// Fits its files to its columns.
    pub(in crate::iceberg) adapters: FieldIdAdapterFactory,
    /// What was read before.
    pub(in crate::iceberg) cache: DeleteCache,
}

impl DeleteReader {
    /// What to read of a data file.
    ///
    /// # Errors
    /// Of the file or of a delete file; [`Error::Corrupt`] when a delete names a row that the file does not have.
    pub(in crate::iceberg) async fn access_plan(
        &self,
        file: &PartitionedFile,
        deletes: &FileDeletes,
        partition: usize,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<ParquetAccessPlan> {
        let footer = self.readers.open(file, partition, metrics).footer().await?;
        let key = Key::Mask(
            Arc::clone(&self.adapters.table),
            Arc::clone(&deletes.location),
            names(deletes),
        );
        let read = async {
            let mask = self.mask(file, deletes, &footer, partition, metrics).await?;
            Ok(Entry::Mask(Arc::new(mask)))
        };
        match self.cache.get(key, Box::pin(read)).await? {
            Entry::Mask(mask) => Ok(mask.access_plan(&footer)),
            Entry::Positions(_) | Entry::Equality(_) => Err(confused()),
        }
    }

    async fn mask(
        &self,
        file: &PartitionedFile,
        deletes: &FileDeletes,
        footer: &ParquetMetaData,
        partition: usize,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Mask> {
        let table = self.adapters.table.as_ref();
        let held = footer.row_groups().iter().map(rows).sum::<usize>();
        let damaged = |problem: String| corrupt(table, &deletes.location, problem);
        let mut mask = MaskBuilder::new(u64::try_from(held).unwrap_or(u64::MAX)).map_err(damaged)?;
        if let Some(delete) = &deletes.vector {
            self.vector(delete, &mut mask).await?;
        }
        for delete in &deletes.positions {
            self.positions(delete, &deletes.location, &mut mask, metrics)
                .await?;
        }
        let mut groups: BTreeMap<Vec<i32>, Vec<&DeleteFile>> = BTreeMap::new();
        for delete in &deletes.equality {
            let mut ids = delete.data().equality_ids().unwrap_or_default();
            ids.sort_unstable();
            ids.dedup();
            if ids.is_empty() {
                let path = delete.data().file_path();
                return Err(corrupt(table, path, "equality deletes by no column"));
            }
            groups.entry(ids).or_default().push(delete);
        }
        for (ids, deletes) in &groups {
            let keys = Keys::new(&self.metadata, ids, &self.adapters)?;
            let mut sets = Vec::new();
            for delete in deletes {
                sets.push(self.equality(delete, &keys, metrics).await?);
            }
            let reader = self.readers.open(file, partition, metrics);
            let path = file.object_meta.location.as_ref();
            keys.mark(path, reader, &sets, &mut mask).await?;
        }
        mask.finish().map_err(damaged)
    }

    async fn vector(&self, delete: &DeleteFile, mask: &mut MaskBuilder) -> Result<()> {
        let (table, file) = (self.adapters.table.as_ref(), delete.data());
        let path = file.file_path();
        let number = |of: Option<i64>| of.and_then(|of| u64::try_from(of).ok());
        let (Some(start), Some(size)) = (
            number(file.content_offset()),
            number(file.content_size_in_bytes()),
        ) else {
            return Err(corrupt(table, path, "a deletion vector without its place"));
        };
        let blob = self.warehouse.read_range(table, path, start, size).await?;
        let count = vector::read(&blob, mask).map_err(|problem| corrupt(table, path, problem))?;
        if count != file.record_count() {
            let told = file.record_count();
            let problem = format!("holds {count} deletes where its manifest says {told}");
            return Err(corrupt(table, path, problem));
        }
        Ok(())
    }

    async fn positions(
        &self,
        delete: &DeleteFile,
        location: &str,
        mask: &mut MaskBuilder,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<()> {
        let (table, file) = (self.adapters.table.as_ref(), delete.data());
        let reader = self.open(delete, metrics)?;
        // One that would fill the memory is read for this data file alone, and not kept.
        let large = file.record_count().saturating_mul(positions::ROW_BYTES) > self.cache.bytes_max() / 4;
        let all = if large {
            Arc::new(positions::read(table, delete, reader, Some(location)).await?)
        } else {
            let read = async {
                let read = positions::read(table, delete, reader, None).await?;
                Ok(Entry::Positions(Arc::new(read)))
            };
            let key = Key::Positions(file.file_path().to_owned());
            match self.cache.get(key, Box::pin(read)).await? {
                Entry::Positions(all) => all,
                Entry::Mask(_) | Entry::Equality(_) => return Err(confused()),
            }
        };
        for row in all.of(location) {
            mask.delete(*row)
                .map_err(|problem| corrupt(table, file.file_path(), problem))?;
        }
        Ok(())
    }

    async fn equality(
        &self,
        delete: &DeleteFile,
        keys: &Keys,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<Arc<super::equality::KeySet>> {
        let location = delete.data().file_path().to_owned();
        let key = Key::Equality(Arc::clone(&self.adapters.table), location, keys.types());
        let read = async {
            let reader = self.open(delete, metrics)?;
            let set = keys.read(delete, reader, self.cache.bytes_max()).await?;
            Ok(Entry::Equality(Arc::new(set)))
        };
        match self.cache.get(key, Box::pin(read)).await? {
            Entry::Equality(set) => Ok(set),
            Entry::Mask(_) | Entry::Positions(_) => Err(confused()),
        }
    }

    fn open(
        &self,
        delete: &DeleteFile,
        metrics: &ExecutionPlanMetricsSet,
    ) -> Result<crate::iceberg::reader::Reader> {
        let (table, file) = (self.adapters.table.as_ref(), delete.data());
        self.warehouse
            .check_size(table, file.file_path(), file.file_size_in_bytes())?;
        let path = self.warehouse.path(table, file.file_path())?;
        let file = PartitionedFile::new(path.as_ref(), file.file_size_in_bytes());
        let file = PartitionedFile {
            object_meta: object_store::ObjectMeta {
                location: path,
                ..file.object_meta
            },
            ..file
        };
        Ok(self
            .readers
            .open(&file.with_extension(Expected::nothing()), 0, metrics))
    }
}

/// All that deletes from a file, in one order.
fn names(deletes: &FileDeletes) -> Vec<String> {
    let all = deletes
        .vector
        .iter()
        .chain(&deletes.positions)
        .chain(&deletes.equality);
    let mut names: Vec<String> = all
        .map(|delete| {
            let file = delete.data();
            match file.content_offset() {
                Some(offset) => format!("{}#{offset}", file.file_path()),
                None => file.file_path().to_owned(),
            }
        })
        .collect();
    names.sort_unstable();
    names
}

fn confused() -> Error {
    Error::Internal {
        doing: "keeping what delete files say",
        cause: "an entry is of another kind than its key".into(),
    }
}
