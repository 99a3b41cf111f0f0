//! The column metrics of a data file, from its Parquet footer.
//!
//! A bound is written only if it holds for every row group; a wrong bound would hide rows, a missing one only costs a scan. Columns below a
//! list or map get sizes but no counts and no bounds, since the footer counts their elements and not the rows.

use std::collections::HashMap;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{DataType, Float32Type, Float64Type, Schema as ArrowSchema};
use iceberg::spec::{Datum, PrimitiveType, Schema};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData};

use super::bounds;
use super::file::Counts;

/// Metrics by field id.
#[derive(Debug, Default)]
pub(super) struct Metrics {
    /// Compressed bytes.
    pub(super) sizes: Counts,
    /// Values, nulls included.
    pub(super) values: Counts,
    /// Nulls.
    pub(super) nulls: Counts,
    /// No value of the column is smaller.
    pub(super) lower: HashMap<i32, Datum>,
    /// No value of the column is larger.
    pub(super) upper: HashMap<i32, Datum>,
}

/// The bounds of one column over the row groups seen so far.
#[derive(Debug)]
enum Bound {
    /// No row group had a value yet.
    Nothing,
    /// Holds for all row groups so far.
    At(Datum),
    /// A row group had values but no bound.
    Lost,
}

impl Bound {
    fn meet(&mut self, other: Option<Datum>, replaces: impl Fn(&Datum, &Datum) -> bool) {
        *self = match (std::mem::replace(self, Bound::Lost), other) {
            (Bound::Nothing, Some(bound)) => Bound::At(bound),
            (Bound::At(held), Some(bound)) if replaces(&bound, &held) => Bound::At(bound),
            (Bound::At(held), Some(_)) => Bound::At(held),
            (Bound::Lost, _) | (_, None) => Bound::Lost,
        };
    }

    fn into_datum(self) -> Option<Datum> {
        match self {
            Bound::At(datum) => Some(datum),
            Bound::Nothing | Bound::Lost => None,
        }
    }
}

/// Metrics of a file with this footer.
pub(super) fn collect(schema: &Schema, footer: &ParquetMetaData) -> Metrics {
    let mut metrics = Metrics::default();
    let columns = footer.file_metadata().schema_descr().num_columns();
    for index in 0..columns {
        let chunks: Vec<&ColumnChunkMetaData> = footer
            .row_groups()
            .iter()
            .map(|group| group.column(index))
            .collect();
        let Some(first) = chunks.first() else { continue };
        let info = first.column_descr().self_type().get_basic_info();
        if !info.has_id() {
            continue;
        }
        let id = info.id();
        metrics.sizes.insert(
            id,
            chunks
                .iter()
                .map(|chunk| chunk.compressed_size().unsigned_abs())
                .sum(),
        );
        let flat = first.column_descr().max_rep_level() == 0;
        let kind = schema
            .field_by_id(id)
            .and_then(|field| field.field_type.as_primitive_type());
        if let (true, Some(kind)) = (flat, kind) {
            column(&mut metrics, id, kind, &chunks);
        }
    }
    metrics
}

fn column(metrics: &mut Metrics, id: i32, kind: &PrimitiveType, chunks: &[&ColumnChunkMetaData]) {
    let values = |chunk: &ColumnChunkMetaData| chunk.num_values().unsigned_abs();
    metrics
        .values
        .insert(id, chunks.iter().map(|chunk| values(chunk)).sum());
    let nulls: Option<Vec<u64>> = chunks
        .iter()
        .map(|chunk| {
            chunk
                .statistics()
                .and_then(|statistics| statistics.null_count_opt())
        })
        .collect();
    let Some(nulls) = nulls else { return };
    metrics.nulls.insert(id, nulls.iter().sum());
    let (mut lower, mut upper) = (Bound::Nothing, Bound::Nothing);
    for (chunk, nulls) in chunks.iter().zip(nulls) {
        if nulls == values(chunk) {
            continue;
        }
        let statistics = chunk.statistics();
        lower.meet(
            statistics.and_then(|found| bounds::lower(kind, found)),
            |new, held| new < held,
        );
        upper.meet(
            statistics.and_then(|found| bounds::upper(kind, found)),
            |new, held| new > held,
        );
    }
    metrics.lower.extend(lower.into_datum().map(|datum| (id, datum)));
    metrics.upper.extend(upper.into_datum().map(|datum| (id, datum)));
}

/// Counts NaN in float columns, which Parquet's footer does not.
#[derive(Debug)]
pub(super) struct NanCounts {
    /// Column index, field id, NaN so far.
    columns: Vec<(usize, i32, u64)>,
}

impl NanCounts {
    /// For files of `schema`, whose Arrow form has the same columns in the same order.
    pub(super) fn new(schema: &Schema, arrow: &ArrowSchema) -> Self {
        let floats = arrow.fields().iter().enumerate();
        let columns = floats
            .filter(|(_, field)| matches!(field.data_type(), DataType::Float32 | DataType::Float64))
            .filter_map(|(index, field)| schema.field_id_by_name(field.name()).map(|id| (index, id, 0)));
        Self {
            columns: columns.collect(),
        }
    }

    /// Counts the NaN of a batch.
    pub(super) fn add(&mut self, batch: &RecordBatch) {
        for (index, _, count) in &mut self.columns {
            let column = batch.column(*index);
            let found = match column.data_type() {
                DataType::Float32 => column
                    .as_primitive::<Float32Type>()
                    .iter()
                    .flatten()
                    .filter(|value| value.is_nan())
                    .count(),
                _ => column
                    .as_primitive::<Float64Type>()
                    .iter()
                    .flatten()
                    .filter(|value| value.is_nan())
                    .count(),
            };
            *count += found as u64;
        }
    }

    /// The counts by field id.
    pub(super) fn into_counts(self) -> Counts {
        self.columns
            .into_iter()
            .map(|(_, id, count)| (id, count))
            .collect()
    }
}
