//! What is kept so that it is not made twice: plans of statements (`plans.rs`), and rows of answers (`results.rs`).

mod plans;
mod results;

pub use results::{CacheConfig, FleetCache, ResultCounts};

pub(crate) use plans::{OperatorsCache, OperatorsKey, PlanCache, PlanKey, Prepared};
pub(crate) use results::{Found, Recording, Results, Sought, statement_digest};
