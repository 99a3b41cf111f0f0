//! Rows of a source's own statement, in the place of the subtree that it stands for.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use connectors::postgres::{Composed, Remote, RemoteExec, RemoteQuery};
use datafusion::common::stats::Precision;
use datafusion::common::{DFSchemaRef, Statistics};
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::{
    Expr, Extension, LogicalPlan, UserDefinedLogicalNode, UserDefinedLogicalNodeCore,
};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_planner::{ExtensionPlanner, PhysicalPlanner};

/// A leaf of a plan. It has no expressions and no inputs, so no rule can move anything into it or out of it.
#[derive(Clone, Debug)]
pub(super) struct RemoteRows {
    remote: Remote,
    query: Arc<RemoteQuery>,
    rows: Option<u64>,
    schema: DFSchemaRef,
}

impl RemoteRows {
    /// The node for a statement whose columns are those of `schema`; none when the source's types are others.
    pub(super) fn node(statement: Composed, schema: &DFSchemaRef) -> Option<LogicalPlan> {
        let (remote, query, rows) = statement.query(Arc::clone(schema.inner()))?;
        let node = Self {
            remote,
            query: Arc::new(query),
            rows,
            schema: Arc::clone(schema),
        };
        Some(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }
}

impl PartialEq for RemoteRows {
    fn eq(&self, other: &Self) -> bool {
        self.remote.is_same(&other.remote) && self.query.sql == other.query.sql && self.schema == other.schema
    }
}

impl Eq for RemoteRows {}

impl Hash for RemoteRows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.query.sql.to_string().hash(state);
        self.schema.hash(state);
    }
}

/// Statements have no order among each other.
impl PartialOrd for RemoteRows {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        (self == other).then_some(Ordering::Equal)
    }
}

impl UserDefinedLogicalNodeCore for RemoteRows {
    fn name(&self) -> &str {
        "RemoteRows"
    }

    fn inputs(&self) -> Vec<&LogicalPlan> {
        Vec::new()
    }

    fn schema(&self) -> &DFSchemaRef {
        &self.schema
    }

    fn expressions(&self) -> Vec<Expr> {
        Vec::new()
    }

    fn fmt_for_explain(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "RemoteRows: source={}, sql={}",
            self.remote.source_name(),
            self.query.sql
        )
    }

    fn with_exprs_and_inputs(&self, exprs: Vec<Expr>, inputs: Vec<LogicalPlan>) -> Result<Self> {
        match exprs.is_empty() && inputs.is_empty() {
            true => Ok(self.clone()),
            false => Err(DataFusionError::Internal(
                "a remote statement has no inputs".to_owned(),
            )),
        }
    }
}

/// Makes the operator of a [`RemoteRows`].
#[derive(Debug)]
pub(crate) struct RemotePlanner;

#[async_trait]
impl ExtensionPlanner for RemotePlanner {
    async fn plan_extension(
        &self,
        _planner: &dyn PhysicalPlanner,
        node: &dyn UserDefinedLogicalNode,
        _logical_inputs: &[&LogicalPlan],
        _physical_inputs: &[Arc<dyn ExecutionPlan>],
        _session_state: &SessionState,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(rows) = node.as_any().downcast_ref::<RemoteRows>() else {
            return Ok(None);
        };
        let mut statistics = Statistics::new_unknown(rows.schema.inner());
        if let Some(count) = rows.rows.and_then(|rows| usize::try_from(rows).ok()) {
            statistics.num_rows = Precision::Inexact(count);
        }
        let query = rows.query.as_ref().clone();
        Ok(Some(Arc::new(RemoteExec::new(
            rows.remote.clone(),
            vec![query],
            statistics,
        )?)))
    }
}
