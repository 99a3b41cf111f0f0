//! The rows of one data file that are deleted, and how its reader leaves them out.
//!
//! Invariant: rows are counted from the start of the file, so that every part of a split file skips the same ones.

use super::roaring::Positions;
use arrow::buffer::{BooleanBuffer, Buffer};
use datafusion::datasource::physical_plan::parquet::{ParquetAccessPlan, RowGroupAccess};
use parquet::arrow::arrow_reader::{RowSelection, RowSelector};
use parquet::file::metadata::{ParquetMetaData, RowGroupMetaData};

/// The most rows that a file with deletes may have: a mask of 256 MiB.
const ROWS_MAX: u64 = 1 << 31;

/// One bit a row; a set one is a deleted row.
#[derive(Debug)]
pub(in crate::iceberg) struct Mask {
    deleted: BooleanBuffer,
}

/// A mask while it is made.
#[derive(Debug)]
pub(super) struct MaskBuilder {
    words: Vec<u64>,
    rows: u64,
}

impl MaskBuilder {
    /// A mask over `rows` rows, none of them deleted.
    pub(super) fn new(rows: u64) -> Result<Self, String> {
        if rows > ROWS_MAX {
            return Err(format!("{rows} rows are above {ROWS_MAX}, the most with deletes"));
        }
        let words = usize::try_from(rows.div_ceil(64)).map_err(|error| error.to_string())?;
        Ok(Self {
            words: vec![0; words],
            rows,
        })
    }

    /// The finished mask.
    pub(super) fn finish(self) -> Result<Mask, String> {
        let rows = usize::try_from(self.rows).map_err(|error| error.to_string())?;
        let deleted = BooleanBuffer::new(Buffer::from_vec(self.words), 0, rows);
        Ok(Mask { deleted })
    }

    /// Deletes one row.
    pub(super) fn delete(&mut self, row: u64) -> Result<(), String> {
        self.add(row, 1)
    }
}

impl Positions for MaskBuilder {
    fn add(&mut self, first: u64, count: u64) -> Result<(), String> {
        let end = first.checked_add(count).filter(|end| *end <= self.rows);
        let Some(end) = end else {
            return Err(format!("row {first} is deleted of a file of {} rows", self.rows));
        };
        let mut row = first;
        while row < end {
            let bit = row % 64;
            let many = (64 - bit).min(end - row);
            let bits = if many == 64 {
                u64::MAX
            } else {
                ((1 << many) - 1) << bit
            };
            let word = usize::try_from(row / 64)
                .ok()
                .and_then(|word| self.words.get_mut(word));
            let Some(word) = word else {
                return Err(format!("row {row} has no place in the mask"));
            };
            *word |= bits.to_le();
            row += many;
        }
        Ok(())
    }
}

impl Mask {
    /// The memory behind the mask, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.deleted.inner().len()
    }

    /// How many rows are deleted.
    #[cfg(test)]
    pub(super) fn count(&self) -> usize {
        self.deleted.count_set_bits()
    }

    /// What to read of the row groups of the file.
    pub(in crate::iceberg) fn access_plan(&self, footer: &ParquetMetaData) -> ParquetAccessPlan {
        let mut first = 0;
        let groups = footer.row_groups().iter().map(|group| {
            let access = self.access(first, group);
            first += rows(group);
            access
        });
        ParquetAccessPlan::new(groups.collect())
    }

    fn access(&self, first: usize, group: &RowGroupMetaData) -> RowGroupAccess {
        let deleted = self.deleted.slice(first, rows(group));
        let count = deleted.count_set_bits();
        if count == 0 {
            return RowGroupAccess::Scan;
        }
        if count == deleted.len() {
            return RowGroupAccess::Skip;
        }
        let mut selectors = Vec::new();
        let mut read = 0;
        for (start, end) in deleted.set_slices() {
            if start > read {
                selectors.push(RowSelector::select(start - read));
            }
            selectors.push(RowSelector::skip(end - start));
            read = end;
        }
        if read < deleted.len() {
            selectors.push(RowSelector::select(deleted.len() - read));
        }
        RowGroupAccess::Selection(RowSelection::from(selectors))
    }
}

/// The rows of a row group; its footer has been held against the manifest before.
pub(super) fn rows(group: &RowGroupMetaData) -> usize {
    usize::try_from(group.num_rows()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_set_exactly_their_bits() {
        for (first, count) in [
            (0, 1),
            (63, 1),
            (63, 2),
            (0, 64),
            (5, 130),
            (64, 64),
            (199, 1),
            (0, 200),
        ] {
            let mut builder = MaskBuilder::new(200).unwrap();
            builder.add(first, count).unwrap();
            let mask = builder.finish().unwrap();
            let set: Vec<u64> = mask.deleted.set_indices().map(|row| row as u64).collect();
            assert_eq!(set, (first..first + count).collect::<Vec<_>>());
        }
    }

    #[test]
    fn a_row_that_the_file_does_not_have_is_an_error() {
        let mut builder = MaskBuilder::new(200).unwrap();
        for (first, count) in [(200, 1), (199, 2), (u64::MAX, 1), (1, u64::MAX)] {
            assert!(builder.add(first, count).is_err());
        }
        assert!(MaskBuilder::new(u64::MAX).is_err());
        assert_eq!(builder.finish().unwrap().count(), 0);
    }
}
