//! The engine's own handing down of filters between operators, where it is safe. It finds a filter's columns in the operator
//! below by their names (`FilterRemapper::try_remap`, DataFusion 54), and in a plan that joins a table with itself, or two
//! tables with columns of one name, a filter on one of them comes down as a filter on the other, and rows are pruned that
//! belong to the answer. Such a plan goes without: what its filters choose has gone to the scans before, by name and table.

use std::collections::HashSet;
use std::sync::Arc;

use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::ExecutionPlan;

type Rule = Arc<dyn PhysicalOptimizerRule + Send + Sync>;

/// The engine's rules, those that hand filters down only where names are unambiguous.
pub(crate) fn rules() -> Vec<Rule> {
    let guarded = |rule: Rule| -> Rule {
        match rule.name().starts_with("FilterPushdown") {
            true => Arc::new(Unambiguous(rule)),
            false => rule,
        }
    };
    PhysicalOptimizer::new().rules.into_iter().map(guarded).collect()
}

#[derive(Debug)]
struct Unambiguous(Rule);

impl PhysicalOptimizerRule for Unambiguous {
    fn optimize(
        &self,
        plan: Arc<dyn ExecutionPlan>,
        config: &ConfigOptions,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        match has_namesakes(&plan)? {
            true => Ok(plan),
            false => self.0.optimize(plan, config),
        }
    }

    fn name(&self) -> &str {
        self.0.name()
    }

    fn schema_check(&self) -> bool {
        self.0.schema_check()
    }
}

/// Whether an operator gives two columns of one name.
fn has_namesakes(plan: &Arc<dyn ExecutionPlan>) -> Result<bool> {
    let mut found = false;
    plan.apply(|operator| {
        let schema = operator.schema();
        let mut names = HashSet::with_capacity(schema.fields().len());
        found = !schema.fields().iter().all(|field| names.insert(field.name()));
        Ok(match found {
            true => TreeNodeRecursion::Stop,
            false => TreeNodeRecursion::Continue,
        })
    })?;
    Ok(found)
}
