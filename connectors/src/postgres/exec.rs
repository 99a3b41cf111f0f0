//! Remote statements as a leaf of the engine's plan, one statement a partition.
//!
//! Invariants:
//! - All partitions, and all other scans of the same query, read one snapshot; see [`super::snapshot`].
//! - The node takes no filter at run time: it answers as the engine's default does, which keeps every filter above it.
//! - EXPLAIN shows the statement without its values.

use super::pool::Pool;
use super::read::{RemoteQuery, Surroundings, stream};
use super::snapshot::QuerySnapshot;
use crate::{Error, QueryScope};
use arrow::datatypes::SchemaRef;
use datafusion::common::Statistics;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::memory_pool::MemoryConsumer;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::EquivalenceProperties;
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType};
use datafusion::physical_plan::metrics::{
    BaselineMetrics, ExecutionPlanMetricsSet, MetricBuilder, MetricsSet,
};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{DisplayAs, DisplayFormatType, ExecutionPlan, Partitioning, PlanProperties};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

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
            own: Mutex::default(),
        })
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

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let query = self.queries.get(partition).ok_or_else(|| {
            DataFusionError::Internal(format!("a remote scan has no partition {partition}"))
        })?;
        let scope = context.session_config().get_extension::<QueryScope>();
        let snapshot = self.snapshot(&context, scope.as_deref())?;
        snapshot.register();
        let surroundings = Surroundings {
            pool: self.remote.0.clone(),
            snapshot,
            deadline: scope.and_then(|scope| scope.deadline()),
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
