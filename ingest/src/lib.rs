//! The loading dock of the lake: record batches become Parquet files, and files become Iceberg snapshots.
//!
//! Rooms: [`contract`] says what a dataset is, [`zone`] where it lives, [`append`] writes its files, [`commit`] publishes them exactly once,
//! [`progress`] tells how far a long load is, [`lake`] opens an embedded lake, [`sample`] makes the lake of the quickstart.
//!
//! Invariants:
//! 1. Rows are visible only through a committed snapshot, and a snapshot holds all rows of its append or is not there.
//! 2. One commit token gives at most one snapshot of a table, however often the append is retried ([`commit`]).
//! 3. No row is dropped in silence: the rows read, the rows in the files and the rows in the snapshot are counted and compared.
//! 4. Memory is bounded by the config, not by the data ([`append`]).
//! 5. This crate knows no gateway, no planner and no principal.

pub mod append;
pub mod commit;
pub mod config;
pub mod contract;
pub mod error;
pub mod lake;
pub mod progress;
pub mod sample;
mod storage;
#[cfg(test)]
mod testing;
pub mod zone;

pub use append::{Appender, Batches};
pub use commit::{CatalogCommitter, Committer, Receipt, Token};
pub use config::Config;
pub use contract::{Column, Contract};
pub use error::{Error, ErrorKind, Result};
pub use progress::{Progress, Silent};
pub use zone::Zone;
