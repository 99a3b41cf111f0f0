//! One lane: the open files of the partitions that it owns, within its share of the bounds.
//!
//! Partitions do not come in order, so a lane keeps many files open. Two bounds hold: when the buffers of all files together pass the memory
//! share, the largest is written out (a smaller row group; a complete sorted file if the contract sorts); when too many files are open, the
//! one that rested longest is closed.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::RecordBatch;
use iceberg::spec::DataFile;

use super::file::OpenFile;
use super::partition::{Partition, Piece};
use super::sort::sorted;
use super::write::Plan;
use crate::error::Result;

/// See the file's head.
#[derive(Debug)]
pub(super) struct Lane<'a> {
    plan: &'a Plan,
    open: HashMap<usize, Open<'a>>,
    done: Vec<DataFile>,
    /// Bytes that all `open` hold.
    held: usize,
    /// Counts writes, to know who rested longest.
    clock: u64,
    memory_max: usize,
    files_max: usize,
}

/// What a lane holds for one partition.
#[derive(Debug)]
struct Open<'a> {
    partition: Arc<Partition>,
    /// Rows that wait to be sorted; always empty for a contract without order.
    pending: Vec<RecordBatch>,
    file: Option<OpenFile<'a>>,
    held: usize,
    touched: u64,
}

impl<'a> Lane<'a> {
    /// A lane with its share of the plan's bounds.
    pub(super) fn new(plan: &'a Plan) -> Self {
        let lanes = plan.config.lanes;
        Self {
            plan,
            open: HashMap::new(),
            done: Vec::new(),
            held: 0,
            clock: 0,
            memory_max: plan.config.memory_max / lanes,
            files_max: plan.config.files_open_max / lanes,
        }
    }

    /// Takes the rows of one partition.
    pub(super) fn write(&mut self, piece: Piece) -> Result<()> {
        if piece.batch.num_rows() == 0 {
            return Ok(());
        }
        let ordinal = piece.partition.ordinal;
        self.clock += 1;
        if !self.open.contains_key(&ordinal) && self.open.len() >= self.files_max {
            self.close_oldest()?;
        }
        let plan = self.plan;
        let open = self
            .open
            .entry(ordinal)
            .or_insert_with(|| Open::new(Arc::clone(&piece.partition)));
        open.touched = self.clock;
        let before = open.held;
        open.write(plan, piece.batch)?;
        self.held = self.held + open.held - before;
        let full = open.bytes() >= plan.config.file_bytes_target;
        if full {
            self.close(ordinal)?;
        }
        while self.held > self.memory_max {
            self.relieve()?;
        }
        Ok(())
    }

    /// Closes all files and gives every file of the lane.
    pub(super) fn finish(mut self) -> Result<Vec<DataFile>> {
        let mut ordinals: Vec<usize> = self.open.keys().copied().collect();
        ordinals.sort_unstable();
        for ordinal in ordinals {
            self.close(ordinal)?;
        }
        Ok(self.done)
    }

    fn close_oldest(&mut self) -> Result<()> {
        let oldest = self
            .open
            .iter()
            .min_by_key(|(_, open)| open.touched)
            .map(|(&ordinal, _)| ordinal);
        oldest.map_or(Ok(()), |ordinal| self.close(ordinal))
    }

    /// Lets go of the largest buffer.
    fn relieve(&mut self) -> Result<()> {
        let Some((&ordinal, open)) = self.open.iter_mut().max_by_key(|(_, open)| open.held) else {
            self.held = 0;
            return Ok(());
        };
        let before = open.held;
        let flushed = match &mut open.file {
            Some(file) if open.pending.is_empty() => {
                file.flush()?;
                open.held = file.memory();
                true
            }
            _ => false,
        };
        // A sorted file cannot be left half sorted, and a writer that keeps its memory after a flush cannot be relieved but by closing.
        if flushed && open.held < before {
            self.held = self.held + open.held - before;
            return Ok(());
        }
        self.close(ordinal)
    }

    fn close(&mut self, ordinal: usize) -> Result<()> {
        let Some(open) = self.open.remove(&ordinal) else {
            return Ok(());
        };
        self.held = self.held.saturating_sub(open.held);
        self.done.extend(open.close(self.plan)?);
        Ok(())
    }
}

impl<'a> Open<'a> {
    fn new(partition: Arc<Partition>) -> Self {
        Self {
            partition,
            pending: Vec::new(),
            file: None,
            held: 0,
            touched: 0,
        }
    }

    fn write(&mut self, plan: &'a Plan, batch: RecordBatch) -> Result<()> {
        if plan.order.is_empty() {
            let file = match &mut self.file {
                Some(file) => file,
                none => none.insert(OpenFile::create(plan, &self.partition)?),
            };
            file.write(&batch)?;
            self.held = file.memory();
        } else {
            self.held += batch.get_array_memory_size();
            self.pending.push(batch);
        }
        Ok(())
    }

    /// Bytes that the file has or will have; for rows that wait to be sorted their size in memory, which is an upper bound.
    fn bytes(&self) -> usize {
        self.file.as_ref().map_or(self.held, OpenFile::bytes)
    }

    fn close(mut self, plan: &'a Plan) -> Result<Option<DataFile>> {
        if !self.pending.is_empty() {
            let mut file = OpenFile::create(plan, &self.partition)?;
            for batch in sorted(plan, std::mem::take(&mut self.pending))? {
                file.write(&batch)?;
            }
            self.file = Some(file);
        }
        self.file.map(OpenFile::close).transpose()
    }
}
