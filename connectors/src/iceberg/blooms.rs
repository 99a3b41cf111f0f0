//! Files that cannot hold a value, by the Bloom filters in them. Bounds say nothing of a key that every file has a range
//! of; a filter of a few kilobytes does, and kept in memory it costs a question by key no read at all.
//!
//! Invariants:
//! - A filter only ever leaves out a file whose rows the predicate drops. Whatever is unclear (no filter, a column that
//!   the file stores as another kind, a filter that cannot be read) keeps the file.
//! - Filters are asked at planning and only for columns that have some, because each new file costs two small reads.

use super::files::PlannedFile;
use super::reader::ReaderFactory;
use super::schema::field_id;
use super::weight;
use arrow::datatypes::SchemaRef;
use datafusion::common::ScalarValue;
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::utils::{Guarantee, LiteralGuarantee};
use futures::StreamExt;
use moka::future::Cache;
use object_store::ObjectStoreExt;
use object_store::path::Path;
use parquet::basic::{ConvertedType, LogicalType, Type as Physical};
use parquet::bloom_filter::Sbbf;
use parquet::data_type::ByteArray;
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescriptor;
use std::sync::Arc;

/// More files than this are not asked one by one: their filters would push each other out of memory.
const FILES_MAX: usize = 5_000;
/// More values than this are not asked for: a list that long is in most files anyway.
const VALUES_MAX: usize = 64;
/// Files whose filters are read at a time.
const FILES_AT_ONCE: usize = 16;

/// The filters of one column of one file.
#[derive(Debug, Default)]
pub(super) struct Filters {
    /// How the file stores the column; none when nothing can be asked.
    kind: Option<Kind>,
    /// One for each row group; empty when some row group has none.
    groups: Vec<Sbbf>,
}

impl Filters {
    fn can_be_asked(&self) -> bool {
        self.kind.is_some() && !self.groups.is_empty()
    }
}

/// The filters of one source's data files, by store, path and field id.
pub(super) type Blooms = Cache<(Arc<str>, Path, i32), Arc<Filters>>;

/// A memory for filters with room for `bytes_max`.
pub(super) fn blooms(bytes_max: u64) -> Blooms {
    Cache::builder()
        .max_capacity(bytes_max)
        .weigher(|(_, path, _): &(Arc<str>, Path, i32), filters: &Arc<Filters>| {
            let blocks: usize = filters.groups.iter().map(Sbbf::num_blocks).sum();
            // A block is 256 bits (Parquet format, "Bloom Filter").
            weight::bytes(blocks * 32 + path.as_ref().len() + 128)
        })
        .build()
}

/// What a predicate wants of a column: one of these values, and nothing else passes.
#[derive(Debug)]
pub(super) struct Wanted {
    field_id: i32,
    values: Vec<ScalarValue>,
}

impl Wanted {
    /// The columns of `schema` that `conjuncts` pin to a few values.
    pub(super) fn of(schema: &SchemaRef, conjuncts: &[Arc<dyn PhysicalExpr>]) -> Vec<Self> {
        let guarantees = conjuncts.iter().flat_map(LiteralGuarantee::analyze);
        guarantees
            .filter(|found| found.guarantee == Guarantee::In && found.literals.len() <= VALUES_MAX)
            .filter_map(|found| {
                let field = schema.field_with_name(found.column.name()).ok()?;
                Some(Self {
                    field_id: field_id(field)?,
                    values: found.literals.into_iter().collect(),
                })
            })
            .collect()
    }
}

/// Asks the filters of one table's files.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    pub(super) readers: &'a ReaderFactory,
    pub(super) blooms: &'a Blooms,
}

impl Asked<'_> {
    /// Leaves out the files that hold none of the values wanted. Tells whether there were filters to ask: then the
    /// predicate is one that picks few rows.
    pub(super) async fn retain(&self, files: &mut Vec<PlannedFile>, wanted: &[Wanted]) -> bool {
        if wanted.is_empty() || files.is_empty() || files.len() > FILES_MAX {
            return false;
        }
        // One file tells whether the column has filters at all, before every file is opened for it.
        let mut with_filters = Vec::new();
        for wanted in wanted {
            if self.filters(&files[0], wanted.field_id).await.can_be_asked() {
                with_filters.push(wanted);
            }
        }
        if with_filters.is_empty() {
            return false;
        }
        let verdicts: Vec<bool> = futures::stream::iter(0..files.len())
            .map(|at| self.may_hold(&files[at], &with_filters))
            .buffered(FILES_AT_ONCE)
            .collect()
            .await;
        let mut verdicts = verdicts.into_iter();
        files.retain(|_| verdicts.next().unwrap_or(true));
        true
    }

    async fn may_hold(&self, file: &PlannedFile, wanted: &[&Wanted]) -> bool {
        for wanted in wanted {
            let filters = self.filters(file, wanted.field_id).await;
            let (Some(kind), false) = (filters.kind, filters.groups.is_empty()) else {
                continue;
            };
            let may = wanted
                .values
                .iter()
                .any(|value| filters.groups.iter().any(|filter| kind.may_hold(filter, value)));
            if !may {
                return false;
            }
        }
        true
    }

    /// The filters of a column. Those that cannot be read are none: the scan will say better what is wrong.
    async fn filters(&self, file: &PlannedFile, field_id: i32) -> Arc<Filters> {
        let key = (Arc::clone(self.readers.store_id()), file.path.clone(), field_id);
        if let Some(known) = self.blooms.get(&key).await {
            return known;
        }
        let Ok(footer) = self.readers.footer(file).await else {
            return Arc::default();
        };
        let filters = Arc::new(self.read(file, &footer, field_id).await.unwrap_or_default());
        self.blooms.insert(key, Arc::clone(&filters)).await;
        filters
    }

    /// Reads the filters; none when a row group has no filter or says not how long it is.
    async fn read(&self, file: &PlannedFile, footer: &ParquetMetaData, field_id: i32) -> Option<Filters> {
        let (place, column) = leaf(footer, field_id)?;
        let kind = Kind::of(column)?;
        let mut groups = Vec::with_capacity(footer.num_row_groups());
        for group in footer.row_groups() {
            let column = group.column(place);
            let offset = u64::try_from(column.bloom_filter_offset()?).ok()?;
            let length = u64::try_from(column.bloom_filter_length()?).ok()?;
            let end = offset
                .checked_add(length)
                .filter(|end| *end <= file.data().file_size_in_bytes())?;
            let bytes = self
                .readers
                .store()
                .get_range(&file.path, offset..end)
                .await
                .ok()?;
            groups.push(Sbbf::from_bytes(&bytes).ok()?);
        }
        Some(Filters {
            kind: Some(kind),
            groups,
        })
    }
}

/// The top-level column of a field id, with its place among the leaves.
fn leaf(footer: &ParquetMetaData, field_id: i32) -> Option<(usize, &ColumnDescriptor)> {
    let columns = footer.file_metadata().schema_descr().columns();
    let mut found = columns.iter().enumerate().filter(|(_, column)| {
        let info = column.self_type().get_basic_info();
        column.path().parts().len() == 1 && info.has_id() && info.id() == field_id
    });
    let first = found.next().map(|(place, column)| (place, column.as_ref()));
    first.filter(|_| found.next().is_none())
}

/// How a file stores values, which is how a filter has hashed them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Int32,
    Int64,
    Date,
    Text,
    Bytes,
}

impl Kind {
    fn of(column: &ColumnDescriptor) -> Option<Self> {
        let (logical, converted) = (column.logical_type_ref(), column.converted_type());
        let is_bare = logical.is_none() && converted == ConvertedType::NONE;
        let is_signed = is_bare
            || matches!(logical, Some(LogicalType::Integer { is_signed: true, .. }))
            || matches!(converted, ConvertedType::INT_32 | ConvertedType::INT_64);
        match column.physical_type() {
            Physical::INT32
                if matches!(logical, Some(LogicalType::Date)) || converted == ConvertedType::DATE =>
            {
                Some(Self::Date)
            }
            Physical::INT32 if is_signed => Some(Self::Int32),
            Physical::INT64 if is_signed => Some(Self::Int64),
            Physical::BYTE_ARRAY if matches!(logical, Some(LogicalType::String)) => Some(Self::Text),
            Physical::BYTE_ARRAY if converted == ConvertedType::UTF8 => Some(Self::Text),
            Physical::BYTE_ARRAY if is_bare => Some(Self::Bytes),
            _ => None,
        }
    }

    /// Whether a row group may hold `value`; `true` for a value of another kind.
    fn may_hold(self, filter: &Sbbf, value: &ScalarValue) -> bool {
        match (self, value) {
            (Self::Int32, ScalarValue::Int32(Some(value)))
            | (Self::Date, ScalarValue::Date32(Some(value))) => filter.check(value),
            // The column has been widened since; a value out of the old range is in no old file.
            (Self::Int32, ScalarValue::Int64(Some(value))) => {
                i32::try_from(*value).is_ok_and(|value| filter.check(&value))
            }
            (Self::Int64, ScalarValue::Int64(Some(value))) => filter.check(value),
            (
                Self::Text,
                ScalarValue::Utf8(Some(value))
                | ScalarValue::Utf8View(Some(value))
                | ScalarValue::LargeUtf8(Some(value)),
            ) => filter.check(&value.as_str()),
            (Self::Bytes, ScalarValue::Binary(Some(value)) | ScalarValue::BinaryView(Some(value))) => {
                filter.check(&ByteArray::from(value.clone()))
            }
            _ => true,
        }
    }
}
