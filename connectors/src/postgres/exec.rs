//! Remote statements as a leaf of the engine's plan, one statement a partition.
//!
//! Invariants:
//! - All partitions, and all other scans of the same query, read one snapshot; see [`super::snapshot`].
//! - A filter that is filled at run time narrows the statement and is never claimed: every filter stays above as well.
//! - EXPLAIN shows the statement without its values.

use super::bind::{Bindable, Binding, Decision, RunFilter};
use super::pool::Pool;
use super::read::{RemoteQuery, Surroundings, stream};
use super::snapshot::QuerySnapshot;
use crate::{Error, QueryScope};
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::common::config::ConfigOptions;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::expressions::DynamicFilterPhysicalExpr;
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::filter_pushdown::{
    ChildPushdownResult, FilterPushdownPhase, FilterPushdownPropagation,
};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::OnceCell;

/// A source that runs statements. Clones share its connections.
#[derive(Clone, Debug)]
pub struct Remote(pub(super) Pool);

impl Remote {
    /// The source's name in the config.
    #[must_use]
    pub fn source_name(&self) -> &str {
        &self.0.origin().source
    }

    /// Whether two tables are of the same source, so that one statement may name both.
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.id() == other.0.id()
    }
}

/// The rows of remote statements.
#[derive(Debug)]
pub struct RemoteExec {
    remote: Remote,
    queries: Vec<Arc<RemoteQuery>>,
    statistics: Arc<Statistics>,
    properties: Arc<PlanProperties>,
    metrics: ExecutionPlanMetricsSet,
    /// What the statements do beyond reading, in words without values.
    pushed: Arc<[String]>,
    /// How keys of joins come into the statements; none when they cannot.
    bindable: Option<Bindable>,
    /// Filters that are filled at run time.
    filters: Vec<RunFilter>,
    /// What is asked with them in this run.
    decision: Arc<OnceCell<Decision>>,
    /// The snapshot of a run without a [`QueryScope`], with the run that it belongs to.
    own: Mutex<Option<(Weak<TaskContext>, Arc<QuerySnapshot>)>>,
}

impl RemoteExec {
    /// A leaf whose partitions are the rows of `queries`, each row in one of them. `statistics` are those of all of them
    /// together and never exact.
    ///
    /// # Errors
    /// [`Error::Internal`] for no query, or queries of several schemas.
    pub fn new(remote: Remote, queries: Vec<RemoteQuery>, statistics: Statistics) -> Result<Self, Error> {
        let schema = queries.first().map(|query| Arc::clone(&query.schema));
        let schema = schema.filter(|schema| queries.iter().all(|query| query.schema == *schema));
        let Some(schema) = schema else {
            return Err(Error::Internal {
                doing: "planning a remote scan",
                cause: "its partitions are not of one schema".into(),
            });
        };
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(queries.len()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Ok(Self {
            remote,
            queries: queries.into_iter().map(Arc::new).collect(),
            statistics: Arc::new(statistics.to_inexact()),
            properties: Arc::new(properties),
            metrics: ExecutionPlanMetricsSet::new(),
            pushed: Arc::from([]),
            bindable: None,
            filters: Vec::new(),
            decision: Arc::default(),
            own: Mutex::default(),
        })
    }

    /// The same with what its statements do beyond reading, in words without values, for reports.
    #[must_use]
    pub fn with_pushed(mut self, pushed: Vec<String>) -> Self {
        self.pushed = pushed.into();
        self
    }

    /// The same, able to take the keys of joins in.
    #[must_use]
    pub(super) fn with_bindable(mut self, bindable: Bindable) -> Self {
        self.bindable = Some(bindable);
        self
    }

    /// The same, waiting for those of its filters that a join fills, and taking in no others. `joins` are the filters of
    /// those joins that give the same without the rows which match none of their keys.
    #[must_use]
    pub fn awaiting(&self, joins: &[Arc<DynamicFilterPhysicalExpr>]) -> Self {
        let is_joins = |expr: &Arc<dyn PhysicalExpr>| {
            let id = expr
                .downcast_ref::<DynamicFilterPhysicalExpr>()
                .map(|filter| filter.inner().expression_id);
            joins.iter().any(|join| Some(join.inner().expression_id) == id)
        };
        let filters = self.filters.iter().map(|filter| RunFilter {
            is_awaited: is_joins(&filter.expr),
            ..filter.clone()
        });
        self.with_filters(filters.collect())
    }

    /// The same node for another run, with these filters.
    fn with_filters(&self, filters: Vec<RunFilter>) -> Self {
        Self {
            remote: self.remote.clone(),
            queries: self.queries.clone(),
            statistics: Arc::clone(&self.statistics),
            properties: Arc::clone(&self.properties),
            metrics: ExecutionPlanMetricsSet::new(),
            pushed: Arc::clone(&self.pushed),
            bindable: self.bindable.clone(),
            filters,
            decision: Arc::default(),
            own: Mutex::default(),
        }
    }

    /// What the statements do beyond reading, in words without values.
    #[must_use]
    pub fn pushed(&self) -> &[String] {
        &self.pushed
    }

    /// Whether keys of a join narrow the statements at run time.
    #[must_use]
    pub fn takes_keys(&self) -> bool {
        self.filters.iter().any(|filter| filter.is_awaited)
    }

    /// Whether some filter of the plan may narrow the statements at run time.
    #[must_use]
    pub fn has_filters(&self) -> bool {
        !self.filters.is_empty()
    }

    /// The statements, one a partition.
    #[must_use]
    pub fn queries(&self) -> &[Arc<RemoteQuery>] {
        &self.queries
    }

    /// The source.
    #[must_use]
    pub fn remote(&self) -> &Remote {
        &self.remote
    }

    fn snapshot(&self, context: &Arc<TaskContext>, scope: Option<&QueryScope>) -> Result<Arc<QuerySnapshot>> {
        if let Some(scope) = scope {
            let shared = scope.share(self.remote.0.id(), QuerySnapshot::default);
            return shared.ok_or_else(|| {
                DataFusionError::from(Error::Internal {
                    doing: "sharing a snapshot",
                    cause: "the source's place in the scope is taken".into(),
                })
            });
        }
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((run, snapshot)) = own.as_ref()
            && run.upgrade().is_some_and(|run| Arc::ptr_eq(&run, context))
        {
            return Ok(Arc::clone(snapshot));
        }
        let snapshot = Arc::new(QuerySnapshot::default());
        *own = Some((Arc::downgrade(context), Arc::clone(&snapshot)));
        Ok(snapshot)
    }
}

impl DisplayAs for RemoteExec {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RemoteExec: source={}, partitions={}",
            self.remote.source_name(),
            self.queries.len()
        )?;
        if self.takes_keys() {
            f.write_str(", keys=join")?;
        }
        match self.queries.first() {
            Some(query) => write!(f, ", transfer={:?}, sql={}", query.transfer, query.sql),
            None => Ok(()),
        }
    }
}

impl ExecutionPlan for RemoteExec {
    fn name(&self) -> &str {
        "RemoteExec"
    }

    fn properties(&self) -> &Arc<PlanProperties> {
        &self.properties
    }

    fn children(&self) -> Vec<&Arc<dyn ExecutionPlan>> {
        Vec::new()
    }

    fn with_new_children(
        self: Arc<Self>,
        children: Vec<Arc<dyn ExecutionPlan>>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match children.is_empty() {
            true => Ok(self),
            false => Err(DataFusionError::Internal("a remote scan has no input".to_owned())),
        }
    }

    /// Drops what an earlier run has filled: its keys are not those of the next.
    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(self.with_filters(Vec::new())))
    }

    fn handle_child_pushdown_result(
        &self,
        phase: FilterPushdownPhase,
        child_pushdown_result: ChildPushdownResult,
        _: &ConfigOptions,
    ) -> Result<FilterPushdownPropagation<Arc<dyn ExecutionPlan>>> {
        let filters = child_pushdown_result.parent_filters.iter();
        let dynamic: Vec<RunFilter> = filters
            .filter(|parent| parent.filter.is::<DynamicFilterPhysicalExpr>())
            .map(|parent| RunFilter {
                expr: Arc::clone(&parent.filter),
                is_awaited: false,
            })
            .collect();
        let refused = FilterPushdownPropagation::all_unsupported(child_pushdown_result);
        let is_late = matches!(phase, FilterPushdownPhase::Post);
        if dynamic.is_empty() || !is_late || self.bindable.is_none() {
            return Ok(refused);
        }
        let mut filters = self.filters.clone();
        filters.extend(dynamic);
        Ok(refused.with_updated_node(Arc::new(self.with_filters(filters))))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let query = self.queries.get(partition).ok_or_else(|| {
            DataFusionError::Internal(format!("a remote scan has no partition {partition}"))
        })?;
        let scope = context.session_config().get_extension::<QueryScope>();
        let snapshot = self.snapshot(&context, scope.as_deref())?;
        snapshot.register();
        let deadline = scope.as_ref().and_then(|scope| scope.deadline());
        let config = self.remote.0.config();
        // A filter of which nobody has said what fills it may hide rows that somebody looks for.
        let bindable = self.bindable.clone().filter(|_| self.takes_keys());
        let binding = bindable.map(|bindable| Binding {
            bindable,
            filters: self
                .filters
                .iter()
                .filter(|filter| filter.is_awaited)
                .cloned()
                .collect(),
            decision: Arc::clone(&self.decision),
            wait: Duration::from_millis(config.bind_wait_ms),
            keys_max: config.bind_keys_max,
            deadline,
            partition,
        });
        let surroundings = Surroundings {
            binding,
            keys: MetricBuilder::new(&self.metrics).counter("keys", partition),
            waited: MetricBuilder::new(&self.metrics).subset_time("waited", partition),
            pool: self.remote.0.clone(),
            snapshot,
            deadline,
            scope,
            rows_max: context.session_config().batch_size(),
            memory: MemoryConsumer::new("RemoteExec").register(context.memory_pool()),
            metrics: BaselineMetrics::new(&self.metrics, partition),
            bytes_read: MetricBuilder::new(&self.metrics).counter("bytes_read", partition),
        };
        let rows = stream(Arc::clone(query), surroundings);
        Ok(Box::pin(RecordBatchStreamAdapter::new(
            SchemaRef::clone(&query.schema),
            rows,
        )))
    }

    fn metrics(&self) -> Option<MetricsSet> {
        Some(self.metrics.clone_inner())
    }

    fn partition_statistics(&self, partition: Option<usize>) -> Result<Arc<Statistics>> {
        match partition {
            None => Ok(Arc::clone(&self.statistics)),
            Some(_) if self.queries.len() == 1 => Ok(Arc::clone(&self.statistics)),
            Some(_) => Ok(Arc::new(Statistics::new_unknown(&self.schema()))),
        }
    }
}
