//! The loading dock of the lake: records become bronze, silver and gold, and every step of theirs an Iceberg snapshot, exactly once.
//!
//! The path of a record: [`door`] proves the caller and bounds the body, [`intake`] cuts it into records, [`kafka`] reads them from topics or
//! [`postgres`] from the changes of a table;
//! [`bronze`] keeps them as received,
//! [`silver`] types, checks and dedupes them, [`rejects`] keeps what is set aside, [`gold`] computes the models. [`pipeline`] says for each
//! dataset how, [`service`] runs it, [`cli`] is the program's command line.
//!
//! Beneath: [`contract`] says what a dataset is, [`zone`] where it lives, [`append`] writes its files, [`commit`] publishes them, [`lake`] opens
//! an embedded lake, [`sample`] makes the lake of the quickstart, [`progress`] tells how far a long load is.
//!
//! Invariants:
//! 1. Rows are visible only through a committed snapshot, and a snapshot holds all rows of its append or is not there.
//! 2. One commit token gives at most one snapshot of a table, however often the append is retried ([`commit`]).
//! 3. No row is dropped in silence: the rows read, the rows in the files and the rows in the snapshot are counted and compared.
//! 4. Memory is bounded by the config, not by the data ([`append`]).
//! 5. State lives in the tables. What lies elsewhere can be deleted.
//! 6. This crate knows no gateway and no planner.

pub mod append;
pub mod bronze;
pub mod cli;
pub mod commit;
pub mod config;
pub mod contract;
mod digest;
pub mod door;
pub mod error;
pub mod fault;
pub mod gold;
pub mod intake;
pub mod json;
pub mod kafka;
pub mod lake;
pub mod metrics;
pub mod pipeline;
pub mod postgres;
pub mod progress;
mod read;
mod rejects;
pub mod sample;
pub mod secret;
pub mod service;
pub mod settings;
pub mod silver;
pub mod source;
mod storage;
#[cfg(test)]
mod testing;
mod transform;
pub mod zone;

pub use append::{Appender, Batches};
pub use commit::{CatalogCommitter, Committer, Receipt, Token};
pub use config::Config;
pub use contract::{Column, Contract};
pub use error::{Error, ErrorKind, Result};
pub use pipeline::Pipeline;
pub use progress::{Progress, Silent};
pub use service::Service;
pub use settings::Settings;
pub use zone::Zone;
