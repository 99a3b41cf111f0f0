//! Reads position delete files: Parquet files of pairs of a data file's location and a row of it.
//!
//! Invariant: a pair that is NULL or negative makes the file damaged; it is never passed over.

use super::{DeleteFile, FILE_PATH_ID, POS_ID, corrupt};
use crate::Result;
use crate::iceberg::reader::Reader;
use crate::iceberg::schema::field_id;
use arrow::array::{Array, AsArray};
use arrow::datatypes::{DataType, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use futures::TryStreamExt;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use std::collections::HashMap;
use std::sync::Arc;

/// The memory of one deleted row, in bytes.
pub(super) const ROW_BYTES: u64 = 8;

/// The rows that one file deletes, by the location of their data file.
#[derive(Debug, Default)]
pub(super) struct PositionFile {
    rows: HashMap<Arc<str>, Vec<u64>>,
}

impl PositionFile {
    /// The memory behind it, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let each = self
            .rows
            .iter()
            .map(|(location, rows)| location.len() + rows.capacity() * 8 + 96);
        each.sum()
    }

    /// The rows that are deleted of a data file.
    pub(super) fn of(&self, location: &str) -> &[u64] {
        self.rows.get(location).map_or(&[], Vec::as_slice)
    }

    fn add(&mut self, table: &str, batch: &RecordBatch, only: Option<&str>) -> Result<(), String> {
        let column = |id, name, data_type: &DataType| {
            let place = place(batch.schema_ref(), id, name);
            let place = place.ok_or_else(|| format!("table {table} has position deletes without {name}"))?;
            arrow::compute::cast(batch.column(place), data_type).map_err(|error| error.to_string())
        };
        let locations = column(FILE_PATH_ID, "file_path", &DataType::Utf8)?;
        let rows = column(POS_ID, "pos", &DataType::Int64)?;
        if locations.null_count() + rows.null_count() > 0 {
            return Err("a position delete is NULL".to_owned());
        }
        let (locations, rows) = (locations.as_string::<i32>(), rows.as_primitive::<Int64Type>());
        // Files are sorted by location, so that most rows go where the one before went.
        let mut start = 0;
        while start < batch.num_rows() {
            let location = locations.value(start);
            let end = (start..batch.num_rows())
                .find(|at| locations.value(*at) != location)
                .unwrap_or(batch.num_rows());
            if only.is_none_or(|only| only == location) {
                self.extend(location, &rows.values()[start..end])?;
            }
            start = end;
        }
        Ok(())
    }

    fn extend(&mut self, location: &str, rows: &[i64]) -> Result<(), String> {
        if !self.rows.contains_key(location) {
            self.rows.insert(location.into(), Vec::new());
        }
        let Some(held) = self.rows.get_mut(location) else {
            return Ok(());
        };
        for row in rows {
            held.push(u64::try_from(*row).map_err(|_| format!("row {row} is deleted"))?);
        }
        Ok(())
    }
}

/// The place of a reserved column: by its id, else by its name.
fn place(schema: &Schema, id: i32, name: &str) -> Option<usize> {
    let by_id = schema
        .fields()
        .iter()
        .position(|field| field_id(field) == Some(id));
    by_id.or_else(|| schema.index_of(name).ok())
}

/// Reads a delete file; where `only` is given, what it says of that data file alone.
pub(super) async fn read(
    table: &str,
    delete: &DeleteFile,
    reader: Reader,
    only: Option<&str>,
) -> Result<PositionFile> {
    let path = delete.data().file_path();
    let damaged = |error: &dyn std::fmt::Display| corrupt(table, path, error.to_string());
    let builder = ParquetRecordBatchStreamBuilder::new(reader)
        .await
        .map_err(|error| crate::iceberg::reader::found(table, path, error))?;
    let wanted = [(FILE_PATH_ID, "file_path"), (POS_ID, "pos")];
    let places: Vec<usize> = wanted
        .iter()
        .filter_map(|(id, name)| place(builder.schema(), *id, name))
        .collect();
    let mask = ProjectionMask::roots(builder.parquet_schema(), places);
    let mut batches = builder
        .with_projection(mask)
        .build()
        .map_err(|error| damaged(&error))?;
    let (mut file, mut rows) = (PositionFile::default(), 0);
    while let Some(batch) = batches
        .try_next()
        .await
        .map_err(|error| crate::iceberg::reader::found(table, path, error))?
    {
        file.add(table, &batch, only)
            .map_err(|problem| damaged(&problem))?;
        rows += batch.num_rows();
    }
    if u64::try_from(rows) != Ok(delete.data().record_count()) {
        let told = delete.data().record_count();
        return Err(damaged(&format!(
            "holds {rows} deletes where its manifest says {told}"
        )));
    }
    Ok(file)
}
