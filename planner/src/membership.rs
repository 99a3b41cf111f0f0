//! `x IN (subquery)` where it is no condition by itself: beside an OR, below a NOT, in a CASE. The engine makes a mark of it
//! that is false where the answer is NULL (`x` is NULL, or a value of the subquery is), and `NOT false` shows rows that no
//! condition holds for. There it is written out:
//!
//! ```sql
//! CASE WHEN EXISTS (subquery with value = x) THEN TRUE
//!      WHEN x IS NULL AND EXISTS (subquery) THEN NULL
//!      WHEN EXISTS (subquery with value IS NULL) THEN NULL
//!      ELSE FALSE END
//! ```
//!
//! with only those branches that the columns' own NULLs need. A condition by itself is a semi or an anti join, which the
//! engine has right; and so is a plain IN beside AND and OR alone, where false and NULL show the same rows.

use std::sync::Arc;

use datafusion::common::tree_node::{Transformed, TreeNode as _, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema, ExprSchema as _, ScalarValue, plan_err};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::{Exists, InSubquery};
use datafusion::logical_expr::utils::{conjunction, split_conjunction_owned};
use datafusion::logical_expr::{
    BinaryExpr, Case, Expr, ExprSchemable as _, Filter, LogicalPlan, LogicalPlanBuilder, Operator, Subquery,
    lit,
};

/// Scans of a plan after this, which may have a subquery three times.
const SCANS_MAX: usize = 2_000;

/// The plan with memberships that know NULL.
///
/// # Errors
/// A plan error when it would read too many tables.
pub(crate) fn known(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let written = plan.transform_up_with_subqueries(|node| {
        let LogicalPlan::Filter(filter) = node else {
            return Ok(Transformed::no(node));
        };
        let schema = Arc::clone(filter.input.schema());
        let mut is_changed = false;
        let mut conditions = Vec::new();
        for condition in split_conjunction_owned(filter.predicate) {
            let written = alone(condition, &schema)?;
            is_changed |= written.transformed;
            conditions.push(written.data);
        }
        let predicate = conjunction(conditions).unwrap_or_else(|| lit(true));
        let filter = LogicalPlan::Filter(Filter::try_new(predicate, filter.input)?);
        Ok(Transformed::new(filter, is_changed, TreeNodeRecursion::Continue))
    })?;
    if written.transformed && scans(&written.data)? > SCANS_MAX {
        return plan_err!(
            "the statement reads more than {SCANS_MAX} tables once each NOT IN beside an OR is written out"
        );
    }
    Ok(written.data)
}

/// A condition by itself.
fn alone(condition: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    match condition {
        Expr::InSubquery(_) => Ok(Transformed::no(condition)),
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(membership) => Ok(Transformed::yes(Expr::InSubquery(InSubquery {
                negated: !membership.negated,
                ..membership
            }))),
            other => within(Expr::Not(Box::new(other)), schema, true),
        },
        other => within(other, schema, true),
    }
}

/// A part of a condition; `is_plain` where false and NULL are the same in it.
fn within(expr: Expr, schema: &DFSchema, is_plain: bool) -> EngineResult<Transformed<Expr>> {
    match expr {
        Expr::InSubquery(membership) if is_plain && !membership.negated => {
            Ok(Transformed::no(Expr::InSubquery(membership)))
        }
        Expr::InSubquery(membership) => written_out(membership, schema),
        Expr::BinaryExpr(BinaryExpr {
            left,
            op: op @ (Operator::And | Operator::Or),
            right,
        }) if is_plain => {
            let (left, right) = (within(*left, schema, true)?, within(*right, schema, true)?);
            let is_changed = left.transformed || right.transformed;
            let whole = Expr::BinaryExpr(BinaryExpr::new(Box::new(left.data), op, Box::new(right.data)));
            Ok(Transformed::new(whole, is_changed, TreeNodeRecursion::Continue))
        }
        other => other.map_children(|child| within(child, schema, false)),
    }
}

fn written_out(membership: InSubquery, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    let of = Arc::clone(&membership.subquery.subquery);
    let (relation, field) = of.schema().qualified_field(0);
    let value = Column::new(relation.cloned(), field.name());
    let is_value_nullable = field.is_nullable();
    let is_asked_nullable = membership.expr.nullable(schema)?;
    if !is_value_nullable && !is_asked_nullable {
        return Ok(Transformed::no(Expr::InSubquery(membership)));
    }
    let InSubquery {
        expr: asked,
        subquery,
        negated,
    } = membership;
    let exists = |condition: Option<Expr>| -> EngineResult<Expr> {
        let plan = LogicalPlanBuilder::from(Arc::clone(&of));
        let plan = match condition {
            Some(condition) => plan.filter(condition)?,
            None => plan,
        }
        .build()?;
        let mut outer = subquery.outer_ref_columns.clone();
        for column in plan.all_out_ref_exprs() {
            if !outer.contains(&column) {
                outer.push(column);
            }
        }
        Ok(Expr::Exists(Exists {
            subquery: Subquery {
                subquery: Arc::new(plan),
                outer_ref_columns: outer,
                spans: subquery.spans.clone(),
            },
            negated: false,
        }))
    };
    let null = || Box::new(Expr::Literal(ScalarValue::Boolean(None), None));
    let equal = Expr::Column(value.clone()).eq(seen_from_within(asked.as_ref().clone(), schema)?);
    let mut branches = vec![(Box::new(exists(Some(equal))?), Box::new(lit(true)))];
    if is_asked_nullable {
        branches.push((Box::new(asked.is_null().and(exists(None)?)), null()));
    }
    if is_value_nullable {
        branches.push((Box::new(exists(Some(Expr::Column(value).is_null()))?), null()));
    }
    let whole = Expr::Case(Case {
        expr: None,
        when_then_expr: branches,
        else_expr: Some(Box::new(lit(false))),
    });
    Ok(Transformed::yes(match negated {
        true => Expr::Not(Box::new(whole)),
        false => whole,
    }))
}

/// An expression of the outer query as a subquery of it calls it.
fn seen_from_within(expr: Expr, schema: &DFSchema) -> EngineResult<Expr> {
    let seen = expr.transform_up(|part| match part {
        Expr::Column(column) => {
            let field = schema.field_from_column(&column)?;
            Ok(Transformed::yes(Expr::OuterReferenceColumn(
                Arc::clone(field),
                column,
            )))
        }
        other => Ok(Transformed::no(other)),
    })?;
    Ok(seen.data)
}

fn scans(plan: &LogicalPlan) -> EngineResult<usize> {
    let mut count = 0;
    plan.apply_with_subqueries(|node| {
        count += usize::from(matches!(node, LogicalPlan::TableScan(_)));
        Ok(TreeNodeRecursion::Continue)
    })?;
    Ok(count)
}
