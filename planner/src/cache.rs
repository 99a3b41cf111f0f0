//! Plans made before. A prepared statement is planned at prepare, at GetFlightInfo and at DoGet of every part; the
//! guarded plan is the same each time, so it is kept, keyed by everything that it depends on.
//!
//! What is kept is the plan after the policy step and before any optimiser rule, so that `now()` and statistics are
//! always those of the run. Tables without a version are never kept.

use std::sync::Arc;

use arrow::datatypes::FieldRef;
use moka::sync::Cache;
use policies::Principal;

use crate::enforce::guard::GuardedPlan;
use crate::parse::StatementKind;
use crate::request::{Origin, Pins, Session};
use crate::resolve::Resolution;

/// Everything a guarded plan depends on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlanKey {
    sql: String,
    session: Session,
    pins: Pins,
    epoch: String,
    subject: String,
    roles: Vec<String>,
}

impl PlanKey {
    pub(crate) fn new(
        sql: &str,
        session: &Session,
        resolution: &Resolution,
        epoch: &str,
        principal: &Principal,
    ) -> Self {
        Self {
            sql: sql.to_owned(),
            session: session.clone(),
            pins: resolution.pins.clone(),
            epoch: epoch.to_owned(),
            subject: principal.subject().to_owned(),
            roles: principal.roles().iter().cloned().collect(),
        }
    }
}

/// A statement that has passed parse, resolve and policy.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) kind: StatementKind,
    pub(crate) guard: GuardedPlan,
    pub(crate) parameters: Vec<FieldRef>,
    pub(crate) origins: Vec<Option<Origin>>,
}

/// Kept plans, least recently used first to go.
#[derive(Debug)]
pub(crate) struct PlanCache {
    plans: Cache<PlanKey, Arc<Prepared>>,
}

impl PlanCache {
    pub(crate) fn new(entries_max: u64) -> Self {
        Self {
            plans: Cache::new(entries_max),
        }
    }

    pub(crate) fn get(&self, key: &PlanKey) -> Option<Arc<Prepared>> {
        self.plans.get(key)
    }

    pub(crate) fn put(&self, key: PlanKey, prepared: &Arc<Prepared>) {
        self.plans.insert(key, Arc::clone(prepared));
    }
}
