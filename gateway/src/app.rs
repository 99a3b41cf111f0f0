//! What every room of the gateway shares.

use std::sync::Arc;

use planner::Engine;
use policies::{Identity, PolicyStore, Seal};

use crate::admission::{Admission, RateLimit};
use crate::audit::Audit;
use crate::config::Config;
use crate::metrics::Metrics;
use crate::reload::Documents;
use crate::running::RunningQueries;

/// The house, shared by its listeners.
#[derive(Debug)]
pub struct App {
    /// Plans and runs.
    pub engine: Engine,
    /// Proves who calls.
    pub identity: Arc<Identity>,
    /// Closes and opens what travels with the client.
    pub seal: Arc<Seal>,
    /// The rules in force.
    pub policies: Arc<dyn PolicyStore>,
    /// The files behind `identity` and `policies`, to be read again.
    pub documents: Documents,
    /// Where every request is recorded.
    pub audit: Audit,
    /// How many requests a minute who may make.
    pub(crate) rates: RateLimit,
    /// Places for queries.
    pub admission: Admission,
    /// Queries of this process that can be cancelled by name.
    pub running: RunningQueries,
    /// What is counted.
    pub metrics: Metrics,
    /// As it was at the start.
    pub config: Config,
}
