//! Arithmetic that refuses what its type cannot hold. The engine's own operators and sums go round at the end of an
//! integer, and a decimal may leave them with more digits than its type has; both are wrong answers that nobody notices.
//!
//! Operators are replaced once types are known (`operator.rs`), before any rule of the engine computes with literals, and
//! have a shorter way for short decimals (`decimal.rs`); `sum` and `avg` are replaced in the session (`total.rs`), `round` and `trunc` of
//! doubles too (`rounding.rs`). What the
//! engine checks by itself (division, casts, dates) is left to it, or replaced for the sake of a message that repeats no
//! value.
//!
//! Invariant: after [`checked`], no operator in a plan can make a value that its type cannot hold.

mod decimal;
mod extremes;
mod operator;
mod rounding;
mod total;

use datafusion::common::DFSchema;
use datafusion::common::config::ConfigOptions;
use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::error::Result;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Expr, LogicalPlan};
use datafusion::optimizer::AnalyzerRule;

/// Puts the exact forms of `sum`, `avg`, `round` and `trunc` in the place of the engine's own.
///
/// # Errors
/// When a session refuses a function.
pub(crate) fn bound(state: &mut SessionState) -> Result<()> {
    total::bound(state)?;
    extremes::bound(state)?;
    rounding::bound(state)
}

/// The rule that comes after types are coerced.
#[derive(Debug)]
pub(crate) struct CheckedArithmetic;

impl AnalyzerRule for CheckedArithmetic {
    fn analyze(&self, plan: LogicalPlan, _: &ConfigOptions) -> Result<LogicalPlan> {
        checked(plan)
    }

    fn name(&self) -> &'static str {
        "checked_arithmetic"
    }
}

/// The plan with every operator that may leave its type in its checked form. Names and types stay.
///
/// # Errors
/// What the engine says of an expression whose type it does not know.
pub(crate) fn checked(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(plan.transform_up_with_subqueries(replaced)?.data)
}

fn replaced(plan: LogicalPlan) -> Result<Transformed<LogicalPlan>> {
    let mut is_there = false;
    plan.apply_expressions(|expr| {
        expr.apply(|expr| {
            is_there |= operator::may_overflow(expr);
            Ok(match is_there {
                true => TreeNodeRecursion::Stop,
                false => TreeNodeRecursion::Continue,
            })
        })
    })?;
    if !is_there {
        return Ok(Transformed::no(plan));
    }
    let schema = inputs(&plan)?;
    let names = NamePreserver::new(&plan);
    plan.map_expressions(|expr| {
        let name = names.save(&expr);
        let changed = expr.transform_up(|expr| operator::checked(expr, &schema))?;
        Ok(changed.update_data(|expr: Expr| name.restore(expr)))
    })
}

/// All columns that the expressions of a node may name.
fn inputs(plan: &LogicalPlan) -> Result<DFSchema> {
    let mut schema = merge_schema(&plan.inputs());
    if let LogicalPlan::TableScan(scan) = plan {
        schema.merge(&DFSchema::try_from_qualified_schema(
            scan.table_name.clone(),
            &scan.source.schema(),
        )?);
    }
    Ok(schema)
}

#[cfg(test)]
mod tests;
