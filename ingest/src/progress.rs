//! Who wants to know how far a load is.
//!
//! Calls come from the task that awaits the load, in order for one table: `start`, any number of `advance`, `finish`. A table that was
//! complete already gets `start` and `finish` only. Calls must return at once.

/// A listener of a load, such as a progress bar.
pub trait Progress: Send + Sync {
    /// A table begins; `rows_total` rows will come.
    fn start(&self, table: &str, rows_total: u64);
    /// `rows` more rows were encoded.
    fn advance(&self, table: &str, rows: u64);
    /// All rows of the table are in a committed snapshot.
    fn finish(&self, table: &str);
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {
    fn start(&self, _table: &str, _rows_total: u64) {}
    fn advance(&self, _table: &str, _rows: u64) {}
    fn finish(&self, _table: &str) {}
}
