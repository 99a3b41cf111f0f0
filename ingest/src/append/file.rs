//! One Parquet file on its way to the table's storage.
//!
//! The encoder writes into memory; whole row groups are handed on to the storage, so the file never lies in memory as a whole. Column metrics
//! come from our own code ([`super::metrics`]): iceberg 0.10 drops the inexact bounds of single row groups, which makes the bounds of a file
//! with long strings and several row groups too narrow, and too narrow means lost rows.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use iceberg::io::FileWrite;
use iceberg::spec::{DataContentType, DataFile, DataFileBuilder, DataFileFormat, Schema};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_writer::ArrowWriterOptions;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::metadata::{KeyValue, ParquetMetaData};
use parquet::file::properties::WriterProperties;
use parquet::schema::types::ColumnPath;

use super::metrics::{self, NanCounts};
use super::partition::Partition;
use super::write::Plan;
use crate::config::Config;
use crate::contract::Contract;
use crate::error::{Error, Result};
use crate::storage;

/// Longest minimum and maximum kept in the footer for strings and binaries; cut ones are still bounds.
const STATISTICS_BYTES: usize = 128;
/// A column leaves its dictionary when that has this many bytes. Parquet's usual megabyte keeps keys and prices in
/// dictionaries, which made `lineitem` a quarter larger, a quarter slower to write, and its row groups hit the memory
/// bound early.
const DICTIONARY_BYTES: usize = 64 << 10;
/// A Bloom filter lets about one file in a hundred through in vain.
const BLOOM_FALSE: f64 = 0.01;
/// Distinct values that a Bloom filter is made for; with fewer it is folded when the row group ends, with more it lets a little more through.
/// Every open file holds one at full size, half a megabyte each.
const BLOOM_VALUES: u64 = 1 << 18;

/// How the contract's files are encoded.
pub(super) fn properties(contract: &Contract, schema: &Schema, config: &Config) -> Result<WriterProperties> {
    let parquet = |error| Error::parquet(&contract.to_string(), error);
    let level = ZstdLevel::try_new(config.zstd_level).map_err(parquet)?;
    // Other engines read the schema with its ids from here, as Iceberg's own writer puts it.
    let json = serde_json::to_string(schema).map_err(|error| Error::Encode {
        table: contract.to_string(),
        source: Box::new(error),
    })?;
    let mut builder = WriterProperties::builder()
        .set_created_by(concat!("lakegate ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(level))
        .set_max_row_group_row_count(Some(config.row_group_rows_max))
        .set_max_row_group_bytes(Some(config.row_group_bytes_max))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_statistics_truncate_length(Some(STATISTICS_BYTES))
        .set_key_value_metadata(Some(vec![KeyValue::new("iceberg.schema".to_owned(), json)]));
    for name in contract.lookups() {
        let column = ColumnPath::new(vec![name.clone()]);
        builder = builder
            .set_column_bloom_filter_enabled(column.clone(), true)
            .set_column_bloom_filter_fpp(column.clone(), BLOOM_FALSE)
            .set_column_bloom_filter_ndv(column, BLOOM_VALUES);
    }
    Ok(builder.build())
}

/// A file that takes rows.
pub(super) struct OpenFile<'a> {
    plan: &'a Plan,
    path: String,
    values: iceberg::spec::Struct,
    encoder: ArrowWriter<Vec<u8>>,
    sink: Box<dyn FileWrite>,
    size: u64,
    nans: NanCounts,
}

impl std::fmt::Debug for OpenFile<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenFile")
            .field("path", &self.path)
            .field("size", &self.size)
            .finish_non_exhaustive()
    }
}

impl<'a> OpenFile<'a> {
    /// Creates an empty file for a partition.
    pub(super) fn create(plan: &'a Plan, partition: &Arc<Partition>) -> Result<Self> {
        let path = plan.litter.add(|number| {
            let name = format!("{}-{number:05}.parquet", plan.attempt);
            if partition.folder.is_empty() {
                format!("{}/{name}", plan.folder)
            } else {
                format!("{}/{}/{name}", plan.folder, partition.folder)
            }
        });
        let opened = plan
            .runtime
            .block_on(async { plan.io.new_output(&path)?.writer().await });
        let sink = opened.map_err(|error| storage::failed("create", &path, None, error))?;
        let options = ArrowWriterOptions::new()
            .with_properties(plan.properties.clone())
            .with_skip_arrow_metadata(true);
        let encoder = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&plan.arrow), options)
            .map_err(|error| Error::parquet(&plan.table, error))?;
        Ok(Self {
            plan,
            path,
            values: partition.values.clone(),
            encoder,
            sink,
            size: 0,
            nans: NanCounts::new(&plan.schema, &plan.arrow),
        })
    }

    /// Encodes rows; a row group that is full goes to the storage.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        self.nans.add(batch);
        self.encoder
            .write(batch)
            .map_err(|error| Error::parquet(&self.plan.table, error))?;
        self.drain()
    }

    /// Ends the row group.
    pub(super) fn flush(&mut self) -> Result<()> {
        self.encoder
            .flush()
            .map_err(|error| Error::parquet(&self.plan.table, error))?;
        self.drain()
    }

    /// Bytes that the encoder holds.
    pub(super) fn memory(&self) -> usize {
        self.encoder.memory_size()
    }

    /// Bytes of the file so far, the open row group estimated.
    pub(super) fn bytes(&self) -> usize {
        self.encoder.bytes_written() + self.encoder.in_progress_size()
    }

    /// Writes the footer, closes and syncs the file, and describes it.
    pub(super) fn close(mut self) -> Result<DataFile> {
        let footer = self
            .encoder
            .finish()
            .map_err(|error| Error::parquet(&self.plan.table, error))?;
        self.drain()?;
        let closed = self.plan.runtime.block_on(self.sink.close());
        closed.map_err(|error| storage::failed("close", &self.path, None, error))?;
        self.describe(&footer)
    }

    /// Hands what is encoded to the storage.
    fn drain(&mut self) -> Result<()> {
        let encoded = self.encoder.inner_mut();
        if encoded.is_empty() {
            return Ok(());
        }
        let bytes = Bytes::from(std::mem::take(encoded));
        let length = bytes.len() as u64;
        self.size += length;
        let written = self.plan.runtime.block_on(self.sink.write(bytes));
        written.map_err(|error| storage::failed("write", &self.path, Some(length), error))
    }

    fn describe(self, footer: &ParquetMetaData) -> Result<DataFile> {
        let metrics = metrics::collect(&self.plan.schema, footer);
        let offsets = footer
            .row_groups()
            .iter()
            .filter_map(|group| group.file_offset())
            .collect();
        let mut builder = DataFileBuilder::default();
        builder
            .content(DataContentType::Data)
            .file_path(self.path)
            .file_format(DataFileFormat::Parquet)
            .partition(self.values)
            .partition_spec_id(self.plan.spec.spec_id())
            .record_count(u64::try_from(footer.file_metadata().num_rows()).unwrap_or_default())
            .file_size_in_bytes(self.size)
            .column_sizes(metrics.sizes)
            .value_counts(metrics.values)
            .null_value_counts(metrics.nulls)
            .nan_value_counts(self.nans.into_counts())
            .lower_bounds(metrics.lower)
            .upper_bounds(metrics.upper)
            .split_offsets(Some(offsets))
            .equality_ids(None::<Vec<i32>>)
            .key_metadata(None);
        if let Some(order) = self.plan.order_id {
            builder.sort_order_id(order);
        }
        builder.build().map_err(|error| Error::Encode {
            table: self.plan.table.clone(),
            source: Box::new(error),
        })
    }
}

/// Counts by field id.
pub(super) type Counts = HashMap<i32, u64>;
