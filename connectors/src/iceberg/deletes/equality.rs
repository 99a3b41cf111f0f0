//! Equality deletes: the rows of a data file whose key columns equal a row of a delete file.
//!
//! Invariants:
//! - Columns are matched by field id and brought to the newest type the table has for them, in both files, so that
//!   renames, promotions, defaults and dropped columns compare right.
//! - NULL equals NULL and NaN equals NaN, as the specification asks.

use super::mask::MaskBuilder;
use super::{DeleteFile, corrupt, unsupported};
use crate::Result;
use crate::iceberg::adapter::FieldIdAdapterFactory;
use crate::iceberg::reader::{Reader, engine, found};
use crate::iceberg::schema::{self, field_id};
use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use arrow::row::{RowConverter, SortField};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr_adapter::PhysicalExprAdapterFactory;
use futures::TryStreamExt;
use iceberg::spec::TableMetadata;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use std::collections::HashSet;
use std::sync::Arc;

/// The memory of one key besides its bytes: its place in the set.
const KEY_BYTES: usize = 32;

/// The keys that one file deletes, as comparable bytes.
#[derive(Debug, Default)]
pub(super) struct KeySet {
    keys: HashSet<Box<[u8]>>,
    held: usize,
}

impl KeySet {
    /// The memory behind it, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.held
    }
}

/// The columns that one group of delete files compares by.
#[derive(Debug)]
pub(super) struct Keys {
    schema: SchemaRef,
    converter: RowConverter,
    adapters: FieldIdAdapterFactory,
}

impl Keys {
    /// The columns `ids` of a table.
    pub(super) fn new(
        metadata: &TableMetadata,
        ids: &[i32],
        adapters: &FieldIdAdapterFactory,
    ) -> Result<Self> {
        let table = adapters.table.as_ref();
        let mut fields = Vec::new();
        for id in ids {
            fields.push(column(table, metadata, *id)?);
        }
        let types = fields
            .iter()
            .map(|field| SortField::new(field.data_type().clone()));
        let converter = RowConverter::new(types.collect())
            .map_err(|error| unsupported(table, &format!("equality deletes by such columns ({error})")))?;
        Ok(Self {
            schema: Arc::new(Schema::new(fields)),
            converter,
            adapters: adapters.clone(),
        })
    }

    /// The types, printed: what a set of keys depends on besides its file.
    pub(super) fn types(&self) -> String {
        let each = self
            .schema
            .fields()
            .iter()
            .map(|field| format!("{:?} {}", field_id(field), field.data_type()));
        each.collect::<Vec<_>>().join(", ")
    }

    /// Reads a delete file.
    pub(super) async fn read(&self, delete: &DeleteFile, reader: Reader, bytes_max: u64) -> Result<KeySet> {
        let (table, path) = (self.adapters.table.as_ref(), delete.data().file_path());
        let mut set = KeySet::default();
        let mut rows = 0;
        let mut batches = self.open(path, reader, true).await?;
        while let Some(keys) = batches.next().await? {
            rows += keys.num_rows();
            for key in &keys {
                let key: Box<[u8]> = key.as_ref().into();
                set.held += key.len() + KEY_BYTES;
                set.keys.insert(key);
            }
            if u64::try_from(set.held).unwrap_or(u64::MAX) > bytes_max {
                let feature = format!("equality deletes above delete_cache_bytes = {bytes_max} in one file");
                return Err(unsupported(table, &feature));
            }
        }
        if u64::try_from(rows) != Ok(delete.data().record_count()) {
            let told = delete.data().record_count();
            let problem = format!("holds {rows} deletes where its manifest says {told}");
            return Err(corrupt(table, path, problem));
        }
        Ok(set)
    }

    /// Marks the rows of a data file whose key is in one of the sets.
    pub(super) async fn mark(
        &self,
        path: &str,
        reader: Reader,
        sets: &[Arc<KeySet>],
        mask: &mut MaskBuilder,
    ) -> Result<()> {
        let mut row = 0;
        let mut batches = self.open(path, reader, false).await?;
        while let Some(keys) = batches.next().await? {
            for key in &keys {
                if sets.iter().any(|set| set.keys.contains(key.as_ref())) {
                    mask.delete(row)
                        .map_err(|problem| corrupt(&self.adapters.table, path, problem))?;
                }
                row += 1;
            }
        }
        Ok(())
    }

    /// Opens a file for its keys; `all` asks that it holds every column.
    async fn open<'a>(&'a self, path: &'a str, reader: Reader, all: bool) -> Result<Batches<'a>> {
        let table = self.adapters.table.as_ref();
        let damaged = |error: &dyn std::fmt::Display| corrupt(table, path, error.to_string());
        let builder = ParquetRecordBatchStreamBuilder::new(reader)
            .await
            .map_err(|error| found(table, path, error))?;
        let wanted: Vec<_> = self.schema.fields().iter().map(|field| field_id(field)).collect();
        let held = builder.schema().fields().iter().enumerate();
        let places: Vec<usize> = held
            .filter(|(_, field)| field_id(field).is_some() && wanted.contains(&field_id(field)))
            .map(|(place, _)| place)
            .collect();
        if all && places.len() != wanted.len() {
            return Err(damaged(&"an equality delete file without all of its key columns"));
        }
        let physical = builder
            .schema()
            .project(&places)
            .map_err(|error| damaged(&error))?;
        // Field ids that the file leaves out altogether are refused by the adapter, which sees all of its columns.
        let seen = if places.is_empty() {
            builder.schema().as_ref().clone()
        } else {
            physical
        };
        let adapter = self
            .adapters
            .create(Arc::clone(&self.schema), Arc::new(seen))
            .map_err(|error| engine(table, path, error))?;
        let mut columns = Vec::new();
        for (place, field) in self.schema.fields().iter().enumerate() {
            let column = Arc::new(Column::new(field.name(), place));
            let column = adapter.rewrite(column);
            columns.push(column.map_err(|error| engine(table, path, error))?);
        }
        let mask = ProjectionMask::roots(builder.parquet_schema(), places);
        let stream = builder
            .with_projection(mask)
            .build()
            .map_err(|error| damaged(&error))?;
        Ok(Batches {
            keys: self,
            path,
            columns,
            stream,
        })
    }
}

/// The keys of one file, a batch at a time.
struct Batches<'a> {
    keys: &'a Keys,
    path: &'a str,
    columns: Vec<Arc<dyn PhysicalExpr>>,
    stream: parquet::arrow::async_reader::ParquetRecordBatchStream<Reader>,
}

impl Batches<'_> {
    async fn next(&mut self) -> Result<Option<arrow::row::Rows>> {
        let table = self.keys.adapters.table.as_ref();
        let batch = self.stream.try_next().await;
        let Some(batch) = batch.map_err(|error| found(table, self.path, error))? else {
            return Ok(None);
        };
        let columns = self.evaluate(&batch);
        let columns = columns.map_err(|error| engine(table, self.path, error))?;
        let rows = self.keys.converter.convert_columns(&columns);
        rows.map(Some)
            .map_err(|error| corrupt(table, self.path, error.to_string()))
    }

    fn evaluate(&self, batch: &RecordBatch) -> datafusion::error::Result<Vec<ArrayRef>> {
        let each = self.columns.iter().map(|column| {
            let values = column.evaluate(batch)?.into_array(batch.num_rows())?;
            Ok(one_nan(values))
        });
        each.collect()
    }
}

/// Brings every NaN to the same bits.
fn one_nan(values: ArrayRef) -> ArrayRef {
    match values.data_type() {
        DataType::Float32 => Arc::new(values.as_primitive::<Float32Type>().unary::<_, Float32Type>(
            |value| {
                if value.is_nan() { f32::NAN } else { value }
            },
        )),
        DataType::Float64 => Arc::new(values.as_primitive::<Float64Type>().unary::<_, Float64Type>(
            |value| {
                if value.is_nan() { f64::NAN } else { value }
            },
        )),
        _ => values,
    }
}

/// A column by its id, of the newest schema that has it: a column may be dropped after rows were deleted by it.
fn column(table: &str, metadata: &TableMetadata, id: i32) -> Result<Field> {
    let mut schemas: Vec<_> = metadata.schemas_iter().collect();
    schemas.sort_by_key(|schema| std::cmp::Reverse(schema.schema_id()));
    schemas.insert(0, metadata.current_schema());
    let fields = schemas.iter().flat_map(|schema| schema.as_struct().fields());
    let field = fields
        .into_iter()
        .find(|field| field.id == id)
        .filter(|field| field.field_type.is_primitive())
        .ok_or_else(|| {
            unsupported(
                table,
                &format!("equality deletes by field {id}, which is no plain column"),
            )
        })?;
    Ok(schema::top_level(field))
}
