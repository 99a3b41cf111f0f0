//! Splits a batch by the table's partition transforms.
//!
//! Partition values are computed by iceberg's own transforms and grouped by their row encoding, so one batch costs one hash a row and one
//! gather a partition. Rows keep their order inside a partition.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take_record_batch;
use arrow::row::{RowConverter, SortField};
use iceberg::arrow::{PartitionValueCalculator, arrow_struct_to_literal};
use iceberg::spec::{Literal, PartitionKey, Struct};

use super::write::Plan;
use crate::error::{Error, Result};

/// One partition of the table, as far as an append has met it.
#[derive(Debug)]
pub(super) struct Partition {
    /// Counts from zero in order of first meeting.
    pub(super) ordinal: usize,
    /// Its values; empty for a table without partitioning.
    pub(super) values: Struct,
    /// Its folder below the table's data, without slashes at the ends; empty for a table without partitioning.
    pub(super) folder: String,
}

/// Rows of one partition.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) partition: Arc<Partition>,
    pub(super) batch: RecordBatch,
}

/// Splits the batches of one append.
#[derive(Debug)]
pub(super) struct Splitter<'a> {
    plan: &'a Plan,
    /// None for a table without partitioning.
    by: Option<By>,
    known: HashMap<Box<[u8]>, Arc<Partition>>,
}

struct By {
    calculator: PartitionValueCalculator,
    rows: RowConverter,
}

impl std::fmt::Debug for By {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("By")
            .field("rows", &self.rows)
            .finish_non_exhaustive()
    }
}

impl<'a> Splitter<'a> {
    /// A splitter for the plan's partitioning.
    pub(super) fn new(plan: &'a Plan) -> Result<Self> {
        if plan.spec.is_unpartitioned() {
            return Ok(Self {
                plan,
                by: None,
                known: HashMap::new(),
            });
        }
        let model = |error| Error::model(&plan.table, error);
        let calculator = PartitionValueCalculator::try_new(&plan.spec, &plan.schema).map_err(model)?;
        let arrow::datatypes::DataType::Struct(fields) = calculator.partition_arrow_type() else {
            return Err(model(iceberg::Error::new(
                iceberg::ErrorKind::Unexpected,
                "partition values are not a struct",
            )));
        };
        let kinds = fields
            .iter()
            .map(|field| SortField::new(field.data_type().clone()))
            .collect();
        let rows = RowConverter::new(kinds).map_err(|error| Error::arrow(&plan.table, error))?;
        Ok(Self {
            plan,
            by: Some(By { calculator, rows }),
            known: HashMap::new(),
        })
    }

    /// The rows of each partition that the batch has. A batch without rows has none.
    pub(super) fn split(&mut self, batch: &RecordBatch) -> Result<Vec<Piece>> {
        let Some(by) = &self.by else {
            let partition = self.known.entry(Box::default()).or_insert_with(|| {
                Arc::new(Partition {
                    ordinal: 0,
                    values: Struct::empty(),
                    folder: String::new(),
                })
            });
            return Ok(vec![Piece {
                partition: Arc::clone(partition),
                batch: batch.clone(),
            }]);
        };
        let table = &self.plan.table;
        let values = by
            .calculator
            .calculate(batch)
            .map_err(|error| Error::model(table, error))?;
        let rows = by
            .rows
            .convert_columns(values.as_struct().columns())
            .map_err(|error| Error::arrow(table, error))?;
        let mut groups: HashMap<&[u8], Vec<u32>> = HashMap::new();
        let mut order: Vec<&[u8]> = Vec::new();
        let encoded: Vec<_> = rows.iter().collect();
        for (index, row) in (0_u32..).zip(&encoded) {
            let group = groups.entry(row.as_ref()).or_insert_with(|| {
                order.push(row.as_ref());
                Vec::new()
            });
            group.push(index);
        }
        let mut pieces = Vec::with_capacity(order.len());
        for key in order {
            let indices = groups.remove(key).unwrap_or_default();
            let partition = match self.known.get(key) {
                Some(partition) => Arc::clone(partition),
                None => {
                    let first = indices.first().map_or(0, |&index| index as usize);
                    let partition = Arc::new(describe(self.plan, self.known.len(), &values.slice(first, 1))?);
                    self.known.insert(key.into(), Arc::clone(&partition));
                    partition
                }
            };
            let rows = take_record_batch(batch, &UInt32Array::from(indices))
                .map_err(|error| Error::arrow(table, error))?;
            pieces.push(Piece {
                partition,
                batch: rows,
            });
        }
        Ok(pieces)
    }
}

fn describe(plan: &Plan, ordinal: usize, value: &Arc<dyn Array>) -> Result<Partition> {
    let model = |error| Error::model(&plan.table, error);
    let kind = plan.spec.partition_type(&plan.schema).map_err(model)?;
    let literals = arrow_struct_to_literal(value, &kind).map_err(model)?;
    let Some(Some(Literal::Struct(values))) = literals.into_iter().next() else {
        return Err(model(iceberg::Error::new(
            iceberg::ErrorKind::Unexpected,
            "a partition value is not a struct",
        )));
    };
    let key = PartitionKey::new(
        plan.spec.as_ref().clone(),
        Arc::clone(&plan.schema),
        values.clone(),
    );
    Ok(Partition {
        ordinal,
        values,
        folder: key.to_path(),
    })
}
