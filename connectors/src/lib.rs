//! Outside systems as tables. A [`Connector`] shows one system; the [`Registry`] holds those of the config.
//!
//! Invariants:
//! - This crate knows no principal and no policy: it cannot leak what it does not know, and cannot grant it either.
//! - What a source cannot do right it refuses by name ([`Error::Unsupported`]); it never answers with other rows.
//! - A table handed out is pinned: the same [`Version`] always gives the same rows and the same partitions. Where the
//!   source keeps no versions ([`Capabilities::versions`]) it always gives the same columns.
//! - Every cache, pool and wait has a bound in the source's config.

mod capabilities;
mod config;
mod connector;
mod describe;
mod error;
pub mod iceberg;
pub mod postgres;
mod registry;
mod scope;

pub use capabilities::{Capabilities, Pushdown};
pub use config::SourceConfig;
pub use connector::{AsOf, Connector, ForeignKey, KeyRule, SourceTable, TableEntry, TableKind, Version};
pub use describe::without_values;
pub use error::{Error, ErrorKind, Result};
pub use registry::Registry;
pub use scope::{Observations, Observed, QueryScope};
