//! `x IN (subquery)` and the NULLs in it. The engine (DataFusion 54) makes a join of it that knows some of them: beside an OR,
//! below a NOT or in a CASE it is a mark that is false where the answer is NULL, and `NOT false` shows rows for which no
//! condition holds; and a NOT IN by itself is wrong where an outer join has made `x` NULL, and where the subquery looks at
//! the row and has none for it, and refused where it does so by two columns. So a NOT IN by itself becomes
//!
//! ```sql
//! NOT EXISTS (subquery with value = x) AND (x IS NOT NULL OR NOT EXISTS (subquery))
//!   AND NOT EXISTS (subquery with value IS NULL)
//! ```
//!
//! and a membership within a condition
//!
//! ```sql
//! CASE WHEN EXISTS (subquery with value = x) THEN TRUE
//!      WHEN x IS NULL AND EXISTS (subquery) THEN NULL
//!      WHEN EXISTS (subquery with value IS NULL) THEN NULL
//!      ELSE FALSE END
//! ```
//!
//! each with only those parts that the columns' own NULLs need. An IN by itself, or beside AND and OR alone, is left: there
//! false and NULL show the same rows.

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
    let membership = match condition {
        Expr::InSubquery(membership) => membership,
        Expr::Not(inner) => match *inner {
            Expr::InSubquery(membership) => InSubquery {
                negated: !membership.negated,
                ..membership
            },
            other => return within(Expr::Not(Box::new(other)), schema, true),
        },
        other => return within(other, schema, true),
    };
    if !membership.negated {
        return Ok(Transformed::yes(Expr::InSubquery(membership)));
    }
    let conditions = Asked::of(&membership, schema)?.no_member();
    Ok(Transformed::yes(
        conjunction(conditions).unwrap_or_else(|| lit(true)),
    ))
}

/// A part of a condition; `is_plain` where false and NULL are the same in it.
fn within(expr: Expr, schema: &DFSchema, is_plain: bool) -> EngineResult<Transformed<Expr>> {
    match expr {
        Expr::InSubquery(membership) if is_plain && !membership.negated => {
            Ok(Transformed::no(Expr::InSubquery(membership)))
        }
        Expr::InSubquery(membership) => {
            let asked = Asked::of(&membership, schema)?;
            Ok(Transformed::yes(match membership.negated {
                true => Expr::Not(Box::new(asked.member())),
                false => asked.member(),
            }))
        }
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

/// What a membership asks of its subquery; none of the two where no NULL can come in.
struct Asked {
    /// Whether there is an equal value.
    equal: Expr,
    /// Whether NULL is asked for, and there is any value to compare it with.
    of_null: Option<(Expr, Expr)>,
    /// Whether a value is NULL.
    null: Option<Expr>,
}

impl Asked {
    fn of(membership: &InSubquery, schema: &DFSchema) -> EngineResult<Self> {
        let InSubquery {
            expr: asked,
            subquery,
            ..
        } = membership;
        let (relation, field) = subquery.subquery.schema().qualified_field(0);
        let value = Expr::Column(Column::new(relation.cloned(), field.name()));
        let (is_value_nullable, is_asked_nullable) = (field.is_nullable(), asked.nullable(schema)?);
        let equal = value
            .clone()
            .eq(seen_from_within(asked.as_ref().clone(), schema)?);
        Ok(Self {
            equal: exists(subquery, Some(equal))?,
            of_null: match is_asked_nullable {
                true => Some((asked.as_ref().clone().is_null(), exists(subquery, None)?)),
                false => None,
            },
            null: match is_value_nullable {
                true => Some(exists(subquery, Some(value.is_null()))?),
                false => None,
            },
        })
    }

    /// Whether nothing is a member, as conditions that are each true or false.
    fn no_member(self) -> Vec<Expr> {
        let not = |expr: Expr| Expr::Not(Box::new(expr));
        let mut conditions = vec![not(self.equal)];
        conditions.extend(self.of_null.map(|(is_null, any)| not(is_null).or(not(any))));
        conditions.extend(self.null.map(not));
        conditions
    }

    /// The membership, which may be NULL.
    fn member(self) -> Expr {
        if self.of_null.is_none() && self.null.is_none() {
            return self.equal;
        }
        let null = || Box::new(Expr::Literal(ScalarValue::Boolean(None), None));
        let mut branches = vec![(Box::new(self.equal), Box::new(lit(true)))];
        branches.extend(
            self.of_null
                .map(|(is_null, any)| (Box::new(is_null.and(any)), null())),
        );
        branches.extend(self.null.map(|is_null| (Box::new(is_null), null())));
        Expr::Case(Case {
            expr: None,
            when_then_expr: branches,
            else_expr: Some(Box::new(lit(false))),
        })
    }
}

/// Whether the subquery has a row, of those for which the condition holds.
fn exists(subquery: &Subquery, condition: Option<Expr>) -> EngineResult<Expr> {
    let plan = LogicalPlanBuilder::from(Arc::clone(&subquery.subquery));
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
