//! The operator of a barrier: a leaf of the plan that shows nothing of what is below it.
//!
//! It gives the engine's defaults for everything that could let something through: it takes no filter at run time, no
//! limit and no projection, knows no statistics, no order and no metrics.

use std::fmt;
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use datafusion::error::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_expr::{EquivalenceProperties, PhysicalExpr};
use datafusion::physical_plan::execution_plan::{Boundedness, EmissionType, reset_plan_states};
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::{
    DisplayAs, DisplayFormatType, ExecutionPlan, ExecutionPlanProperties as _, Partitioning, PlanProperties,
};
use futures::StreamExt as _;

use super::masks::Change;
use crate::error::Error;

/// The name under which it stands in plans.
pub(crate) const NAME: &str = "PolicyScan";

/// One column that comes out.
#[derive(Debug, Clone)]
pub(super) enum Output {
    /// A column of the input as it is.
    Plain(usize),
    /// A column of the input, changed.
    Changed(usize, Change),
    /// An expression over the input.
    Computed(Arc<dyn PhysicalExpr>),
}

/// Rows that the policy shows, masked.
#[derive(Debug)]
pub(super) struct PolicyScan {
    table: String,
    input: Arc<dyn ExecutionPlan>,
    outputs: Arc<Vec<Output>>,
    properties: Arc<PlanProperties>,
}

impl PolicyScan {
    pub(super) fn new(
        table: String,
        input: Arc<dyn ExecutionPlan>,
        outputs: Vec<Output>,
        schema: SchemaRef,
    ) -> Self {
        let properties = PlanProperties::new(
            EquivalenceProperties::new(schema),
            Partitioning::UnknownPartitioning(input.output_partitioning().partition_count()),
            EmissionType::Incremental,
            Boundedness::Bounded,
        );
        Self {
            table,
            input,
            outputs: Arc::new(outputs),
            properties: Arc::new(properties),
        }
    }
}

impl DisplayAs for PolicyScan {
    fn fmt_as(&self, _: DisplayFormatType, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let columns: Vec<&str> = self
            .properties
            .eq_properties
            .schema()
            .fields()
            .iter()
            .map(|field| field.name().as_str())
            .collect();
        write!(
            f,
            "{NAME}: table={}, columns=[{}]",
            self.table,
            columns.join(", ")
        )
    }
}

impl ExecutionPlan for PolicyScan {
    fn name(&self) -> &str {
        NAME
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
            false => Err(DataFusionError::Internal("a barrier shows no input".to_owned())),
        }
    }

    fn reset_state(self: Arc<Self>) -> Result<Arc<dyn ExecutionPlan>> {
        Ok(Arc::new(Self {
            table: self.table.clone(),
            input: reset_plan_states(Arc::clone(&self.input))?,
            outputs: Arc::clone(&self.outputs),
            properties: Arc::clone(&self.properties),
        }))
    }

    fn execute(&self, partition: usize, context: Arc<TaskContext>) -> Result<SendableRecordBatchStream> {
        let outputs = Arc::clone(&self.outputs);
        let schema = self.schema();
        let rows = self.input.execute(partition, context).map_err(opaque)?;
        let shown = Arc::clone(&schema);
        let masked = rows.map(move |batch| {
            let batch = batch.map_err(opaque)?;
            masked(&batch, &outputs, &shown).map_err(opaque)
        });
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, masked)))
    }
}

fn masked(batch: &RecordBatch, outputs: &[Output], schema: &SchemaRef) -> Result<RecordBatch> {
    let column = |place: usize| {
        let found = batch.columns().get(place).map(Arc::clone);
        found.ok_or_else(|| DataFusionError::Internal("a barrier misses a column".to_owned()))
    };
    let columns = outputs.iter().map(|output| match output {
        Output::Plain(place) => column(*place),
        Output::Changed(place, change) => Ok(change.apply(&column(*place)?)?),
        Output::Computed(value) => value.evaluate(batch)?.into_array(batch.num_rows()),
    });
    let columns = columns.collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(batch.num_rows()));
    Ok(RecordBatch::try_new_with_options(
        Arc::clone(schema),
        columns,
        &options,
    )?)
}

/// An error from below. One that comes of the source or of the machine goes on; one that comes of a value is a fault of
/// ours, for policies are total, and says nothing of the value.
fn opaque(error: DataFusionError) -> DataFusionError {
    let error = match Error::from(error) {
        Error::Evaluation { message } | Error::Invalid { message, .. } => {
            tracing::error!(message, "an expression of a policy has failed");
            Error::Internal {
                message: "a policy could not be applied".to_owned(),
            }
        }
        other => other,
    };
    DataFusionError::External(Box::new(error))
}
