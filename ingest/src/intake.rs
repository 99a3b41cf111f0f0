//! Bodies into records: what a caller sends is unpacked within bounds and cut into records, each kept as it came.
//!
//! Invariants:
//! 1. Nothing is lost: every byte of a body that is not blank is in a record, or the whole body is refused with a reason.
//! 2. A bad record does not touch its neighbours: it is a record with a problem.
//! 3. Nothing grows beyond [`Bounds`], whatever the body says of itself.

use bytes::Bytes;

use crate::pipeline::Format;

pub mod body;
mod columnar;
mod csv;
mod json;

/// What a body may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Bounds {
    /// Bytes of a body as sent.
    pub body_bytes_max: usize,
    /// Bytes of a body unpacked, and of the records made from it.
    pub unpacked_bytes_max: usize,
    /// Bytes of one record; a larger one is kept with its first 64 KiB and rejected.
    pub record_bytes_max: usize,
    /// Records of one body.
    pub records_max: usize,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            body_bytes_max: 64 << 20,
            unpacked_bytes_max: 256 << 20,
            record_bytes_max: 1 << 20,
            records_max: 1_000_000,
        }
    }
}

/// Bytes that are kept of a record that is too large.
pub(crate) const KEPT_OF_LARGE: usize = 64 << 10;

/// One record as received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Its bytes; of a file's row the JSON form.
    pub payload: Bytes,
    /// Where it stood: the line of a text, the number of the row otherwise, counted from 1.
    pub place: u64,
    /// Why it cannot be understood, where that is known already.
    pub problem: Option<String>,
}

impl Record {
    pub(crate) fn good(payload: Bytes, place: u64) -> Self {
        Self {
            payload,
            place,
            problem: None,
        }
    }

    fn bad(payload: Bytes, place: u64, problem: String) -> Self {
        Self {
            payload,
            place,
            problem: Some(problem),
        }
    }

    /// The record within the bound: a larger one keeps its beginning and says so.
    pub(crate) fn bounded(self, bounds: &Bounds) -> Self {
        let length = self.payload.len();
        if length <= bounds.record_bytes_max {
            return self;
        }
        let kept = self.payload.slice(..KEPT_OF_LARGE.min(length));
        // A copy, so that the rest of the body need not stay in memory for it.
        let kept = Bytes::copy_from_slice(&kept);
        let problem = format!(
            "a record of {length} bytes, more than {}; the first {} are kept",
            bounds.record_bytes_max,
            kept.len()
        );
        Self::bad(kept, self.place, problem)
    }
}

/// Why a whole body is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Larger than a bound.
    #[error("{what} is larger than {max}")]
    TooLarge {
        /// What of it.
        what: &'static str,
        /// The bound.
        max: usize,
    },
    /// The encoding is not one of ours, or its bytes are damaged.
    #[error("the body cannot be unpacked as {encoding}: {problem}")]
    Encoding {
        /// `gzip`, `zstd`, or what was asked for.
        encoding: String,
        /// What is wrong.
        problem: String,
    },
    /// A file that cannot be read as what it says it is. It is set aside as a whole.
    #[error("the body is no readable {format} file: {problem}")]
    File {
        /// The format.
        format: &'static str,
        /// What is wrong.
        problem: String,
    },
    /// Nothing in it.
    #[error("the body has no records")]
    Empty,
}

/// Cuts an unpacked body into records. Takes as long as the body is large: not for an async thread.
///
/// # Errors
/// [`Refused`] when no record can be told from the others, or a bound is passed.
pub fn records(body: Bytes, format: Format, bounds: &Bounds) -> Result<Vec<Record>, Refused> {
    let records = match format {
        Format::Ndjson => json::lines(&body, bounds)?,
        Format::Json => json::values(&body, bounds)?,
        Format::Csv => csv::rows(&body, bounds)?,
        Format::Parquet => columnar::parquet(body, bounds)?,
        Format::Avro => columnar::avro(&body, bounds)?,
    };
    if records.is_empty() {
        return Err(Refused::Empty);
    }
    Ok(records.into_iter().map(|record| record.bounded(bounds)).collect())
}

/// Collects records up to the bounds.
struct Collected<'a> {
    records: Vec<Record>,
    bytes: usize,
    bounds: &'a Bounds,
}

impl<'a> Collected<'a> {
    fn new(bounds: &'a Bounds) -> Self {
        Self {
            records: Vec::new(),
            bytes: 0,
            bounds,
        }
    }

    fn push(&mut self, record: Record) -> Result<(), Refused> {
        if self.records.len() >= self.bounds.records_max {
            return Err(Refused::TooLarge {
                what: "the number of records",
                max: self.bounds.records_max,
            });
        }
        self.bytes += record.payload.len();
        if self.bytes > self.bounds.unpacked_bytes_max {
            return Err(too_large(self.bounds));
        }
        self.records.push(record);
        Ok(())
    }
}

fn too_large(bounds: &Bounds) -> Refused {
    Refused::TooLarge {
        what: "the unpacked body",
        max: bounds.unpacked_bytes_max,
    }
}

#[cfg(test)]
mod tests;
