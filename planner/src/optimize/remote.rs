//! Rows of a source's own statement, in the place of the subtree that it stands for.

use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use async_trait::async_trait;
use connectors::postgres::{Composed, Statement};
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
    statement: Statement,
    pushed: Vec<String>,
    schema: DFSchemaRef,
}

impl RemoteRows {
    /// The node for a statement whose columns are those of `schema`; none when the source's types are others.
    pub(super) fn node(
        statement: Composed,
        pushed: Vec<String>,
        schema: &DFSchemaRef,
    ) -> Option<LogicalPlan> {
        let node = Self {
            statement: statement.query(Arc::clone(schema.inner()))?,
            pushed,
            schema: Arc::clone(schema),
        };
        Some(LogicalPlan::Extension(Extension { node: Arc::new(node) }))
    }
}

impl PartialEq for RemoteRows {
    fn eq(&self, other: &Self) -> bool {
        let (ours, theirs) = (&self.statement, &other.statement);
        ours.remote.is_same(&theirs.remote)
            && ours.query.sql == theirs.query.sql
            && self.schema == other.schema
    }
}

impl Eq for RemoteRows {}

impl Hash for RemoteRows {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.statement.query.sql.to_string().hash(state);
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
            self.statement.remote.source_name(),
            self.statement.query.sql
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
        if let Some(count) = rows.statement.rows.and_then(|rows| usize::try_from(rows).ok()) {
            statistics.num_rows = Precision::Inexact(count);
        }
        Ok(Some(Arc::new(
            rows.statement.exec(statistics, rows.pushed.clone())?,
        )))
    }
}
