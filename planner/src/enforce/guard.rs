//! The permit. Whoever holds a [`GuardedPlan`] holds a plan that the policy step has passed; there is no other way to
//! get one, and nothing else can be run.

use std::collections::BTreeMap;

use datafusion::common::ParamValues;
use datafusion::logical_expr::{LogicalPlan, LogicalPlanBuilder};
use datafusion::scalar::ScalarValue;
use policies::TableName;

use crate::error::{Error, Result};

/// The tables that a plan reads, each with the fingerprint of the barrier before it; none where all of it is shown.
pub(crate) type Guards = BTreeMap<TableName, Option<String>>;

/// A plan with the policy's decisions inside.
#[derive(Clone, Debug)]
pub struct GuardedPlan {
    plan: LogicalPlan,
    tables: Guards,
}

impl GuardedPlan {
    /// Only the policy step calls this.
    pub(super) fn new(plan: LogicalPlan, tables: Guards) -> Self {
        Self { plan, tables }
    }

    /// The plan, to look at.
    pub fn plan(&self) -> &LogicalPlan {
        &self.plan
    }

    /// The tables that the decision allowed, with what guards them.
    pub(crate) fn tables(&self) -> &Guards {
        &self.tables
    }

    /// The same plan with values in place of its parameters. Values are literals, so no new table can come in.
    ///
    /// # Errors
    /// `Parameter` when a value is missing.
    pub fn bound(&self, values: Vec<ScalarValue>) -> Result<Self> {
        let given = values.len();
        let plan = self
            .plan
            .clone()
            .replace_params_with_values(&ParamValues::from(values))
            .map_err(|error| match Error::from(error) {
                Error::Invalid { message, .. } if message.contains("laceholder") => Error::Parameter {
                    position: given + 1,
                    problem: "has no value".to_owned(),
                },
                other => other,
            })?
            .recompute_schema()?;
        Ok(Self {
            plan,
            tables: self.tables.clone(),
        })
    }

    /// The same plan with at most `rows` rows.
    ///
    /// # Errors
    /// `Internal` when the engine cannot add a limit.
    pub fn limited(&self, rows: u64) -> Result<Self> {
        // A description of a plan has as many rows as it has, and stands at the top of its plan or nowhere.
        if matches!(self.plan, LogicalPlan::Explain(_) | LogicalPlan::Analyze(_)) {
            return Ok(self.clone());
        }
        let fetch = usize::try_from(rows).unwrap_or(usize::MAX);
        let plan = LogicalPlanBuilder::from(self.plan.clone())
            .limit(0, Some(fetch))?
            .build()?;
        Ok(Self {
            plan,
            tables: self.tables.clone(),
        })
    }
}
