//! The path of a query between the door and the rows.
//!
//! `engine.rs` is the one door. A statement goes through `parse.rs` (one statement, an allowed kind, bounded),
//! `resolve.rs` (names become tables that the principal may know), `enforce.rs` (the decision at every scan; the
//! only maker of a `GuardedPlan`), `cache.rs` (a plan made before), `physical.rs` (optimise, choose partitions) and
//! `execute.rs` (run on the CPU runtime; dropping the stream stops it).
//!
//! Invariants
//! * Nothing executes except a [`enforce::guard::GuardedPlan`], and only `enforce.rs` can make one.
//! * No protocol is known here: the crate takes SQL and Arrow values and gives Arrow batches.
//! * No code outside `session.rs` makes a DataFusion session.

mod arithmetic;
pub mod cache;
pub mod catalog;
mod comparisons;
pub mod config;
mod cooperate;
pub mod enforce;
pub mod engine;
pub mod error;
pub mod execute;
mod explain;

mod fleet;
mod functions;
mod information_schema;
mod logical;
mod membership;
mod memory;
mod optimize;
mod origins;
pub mod parameters;
pub mod parse;
mod physical;
mod pushdown;
mod reads;
mod report;
pub mod request;
mod resolve;
mod resolved;
mod review;
mod rows_bound;
mod rules;
pub mod runtime;
mod scalar_subqueries;
mod session;
mod shadow;
mod slices;
mod steps;
mod stores;
mod suggest;

pub use cache::{CacheConfig, FleetCache, ResultCounts};
pub use catalog::{Pattern, Table, TableFilter};
pub use config::Config;
pub use connectors::TableKind;
pub use connectors::iceberg::COMMENT_KEY;
pub use connectors::{ForeignKey, KeyRule, SourceConfig};
pub use engine::Engine;
pub use error::{Error, ErrorKind, Result};
pub use execute::Running;
pub use fleet::{FleetRedis, Words};
pub use functions::has_order_key;
pub use information_schema::type_name;
pub use parse::StatementKind;
pub use parse::shape;
pub use reads::{Reads, TableRead};
pub use report::{CacheReport, CacheStatus, Freshness, Read, Report, Residual, SourceReport};
pub use request::{
    CacheMode, Described, Origin, Partition, Pins, PushdownRule, Query, Request, Session, SourceRules,
};
pub use review::{Closed, Review};
pub use rules::TooManyRows;

/// The database that the gateways of a fleet share.
pub mod database {
    pub use connectors::postgres::{Config, Newest, Password, Published, TlsMode, Versions};
}
