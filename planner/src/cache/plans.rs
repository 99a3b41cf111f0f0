//! Plans made before. A prepared statement is planned at prepare, at GetFlightInfo and at DoGet of every part; the
//! guarded plan is the same each time, so it is kept, keyed by everything that it depends on.
//!
//! What is kept is the plan after the policy step and before any optimiser rule, so that `now()` and statistics are
//! always those of the run. Tables without a version are never kept.
//!
//! The operators of a result that is fetched in parts are kept too, for a moment: GetFlightInfo and each DoGet would
//! otherwise plan the same files again. Only plans that are a function of their key are (see
//! [`crate::physical::is_pure`]).

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arrow::datatypes::FieldRef;
use datafusion::physical_plan::execution_plan::reset_plan_states;
use datafusion::scalar::ScalarValue;
use moka::sync::Cache;

use crate::enforce::guard::GuardedPlan;
use crate::parse::StatementKind;
use crate::physical::Planned;
use crate::reads::Columns;
use crate::request::{Origin, Pins, Session};
use crate::resolve::{Resolution, Rights};

/// Everything a guarded plan depends on. Not who asks: two principals to whom the policies show the same of each table
/// share a plan.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct PlanKey {
    sql: String,
    session: Session,
    pins: Pins,
    epoch: String,
    rights: Rights,
}

impl PlanKey {
    pub(crate) fn new(sql: &str, session: &Session, resolution: &Resolution, epoch: &str) -> Self {
        Self {
            sql: sql.to_owned(),
            session: session.clone(),
            pins: resolution.pins.clone(),
            epoch: epoch.to_owned(),
            rights: resolution.rights.clone(),
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
    /// The columns that it looks at.
    pub(crate) columns: Columns,
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

    /// How many plans are kept now.
    pub(crate) fn entries(&self) -> u64 {
        self.plans.run_pending_tasks();
        self.plans.entry_count()
    }

    pub(crate) fn put(&self, key: PlanKey, prepared: &Arc<Prepared>) {
        self.plans.insert(key, Arc::clone(prepared));
    }
}

/// How long operators are kept after their last use: as long as a client takes from one ticket to the next.
const OPERATORS_IDLE: Duration = Duration::from_secs(60);
/// Plans of operators that are kept at most. Each holds the list of its files.
const OPERATORS_MAX: u64 = 200;
/// Runs of one plan of operators. Each leaves its metrics in the plan, so a plan that is kept for ever grows for ever.
const OPERATORS_USES_MAX: usize = 64;

/// Everything that operators depend on.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct OperatorsKey {
    pub(crate) plan: PlanKey,
    pub(crate) values: Vec<ScalarValue>,
    pub(crate) rows_max: Option<u64>,
    /// Partitions that were asked for.
    pub(crate) target: Option<usize>,
}

#[derive(Debug)]
struct Operators {
    planned: Planned,
    uses: AtomicUsize,
}

/// Operators planned a moment ago.
#[derive(Debug)]
pub(crate) struct OperatorsCache {
    plans: Cache<OperatorsKey, Arc<Operators>>,
}

impl OperatorsCache {
    pub(crate) fn new() -> Self {
        Self {
            plans: Cache::builder()
                .max_capacity(OPERATORS_MAX)
                .time_to_idle(OPERATORS_IDLE)
                .build(),
        }
    }

    /// The operators, without what earlier runs left in them.
    pub(crate) fn get(&self, key: &OperatorsKey) -> Option<Planned> {
        let kept = self.plans.get(key)?;
        if kept.uses.fetch_add(1, Ordering::Relaxed) >= OPERATORS_USES_MAX {
            self.plans.invalidate(key);
            return None;
        }
        Some(Planned {
            operators: reset_plan_states(Arc::clone(&kept.planned.operators)).ok()?,
            notes: Arc::clone(&kept.planned.notes),
        })
    }

    pub(crate) fn put(&self, key: OperatorsKey, planned: &Planned) {
        let kept = Operators {
            planned: planned.clone(),
            uses: AtomicUsize::new(0),
        };
        self.plans.insert(key, Arc::new(kept));
    }
}
