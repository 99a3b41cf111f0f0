//! The rows of a query, taken down while they go to its caller.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, MutableArrayData, RecordBatch, make_array};
use arrow::datatypes::DataType;

use super::far::Claim;
use super::flights::Flight;
use super::key::Sought;
use super::{Kept, Results, now};
use crate::error::Result;

/// Rows that will be kept when all of them have come. Dropped before, nothing is.
#[derive(Debug)]
pub(crate) struct Recording {
    results: Arc<Results>,
    sought: Sought,
    tenant: String,
    flight: Option<Flight>,
    claim: Option<Claim>,
    began: i64,
    batches: Vec<RecordBatch>,
    bytes: u64,
    /// More came than is kept.
    is_over: bool,
}

impl Results {
    pub(super) fn recording(
        self: &Arc<Self>,
        sought: Sought,
        tenant: &str,
        flight: Option<Flight>,
        claim: Option<Claim>,
    ) -> Box<Recording> {
        Box::new(Recording {
            results: Arc::clone(self),
            sought,
            tenant: tenant.to_owned(),
            flight,
            claim,
            began: now(),
            batches: Vec::new(),
            bytes: 0,
            is_over: false,
        })
    }
}

impl Recording {
    /// Takes rows down. Past the limit all are let go, and whoever waits for them makes their own.
    ///
    /// # Errors
    /// What Arrow says of an array that it cannot copy.
    pub(crate) fn take(&mut self, batch: &RecordBatch) -> Result<()> {
        if self.is_over {
            return Ok(());
        }
        let copy = compact(batch)?;
        self.bytes += copy.get_array_memory_size() as u64;
        if self.bytes > self.results.answer_max() {
            self.is_over = true;
            self.batches = Vec::new();
            (self.flight, self.claim) = (None, None);
            return Ok(());
        }
        self.batches.push(copy);
        Ok(())
    }

    /// All rows have come.
    pub(crate) fn finish(self) {
        if self.is_over {
            return;
        }
        let Self {
            results,
            sought,
            tenant,
            flight,
            claim,
            began,
            batches,
            bytes,
            ..
        } = self;
        // The rows are as old as the beginning of their query.
        let ttl = sought
            .ttl
            .map(|ttl| i64::try_from(ttl.as_micros()).unwrap_or(i64::MAX));
        let kept = Arc::new(Kept {
            batches,
            bytes,
            made: began,
            until: ttl.map(|ttl| began.saturating_add(ttl)),
            tenant,
        });
        results.near.put(sought.digest, &kept);
        if let Some(flight) = flight {
            flight.land();
        }
        if let Some(far) = &results.far {
            far.put(sought.digest, kept, claim);
        }
    }
}

/// The rows in buffers of their own size: a slice would keep all that it was cut from.
fn compact(batch: &RecordBatch) -> Result<RecordBatch> {
    let columns = batch.columns().iter().map(own).collect();
    let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        batch.schema(),
        columns,
        &options,
    )?)
}

fn own(array: &ArrayRef) -> ArrayRef {
    match array.data_type() {
        DataType::Utf8View => Arc::new(array.as_string_view().gc()),
        DataType::BinaryView => Arc::new(array.as_binary_view().gc()),
        _ => {
            let data = array.to_data();
            let mut copy = MutableArrayData::new(vec![&data], false, array.len());
            copy.extend(0, 0, array.len());
            make_array(copy.freeze())
        }
    }
}
