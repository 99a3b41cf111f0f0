//! Comparisons that the engine would carry out in a way that nobody means: a number with a date as the days since 1970,
//! which PostgreSQL and the standard refuse, and times of day of two units, which it refuses although they compare.

use arrow::datatypes::{DataType, TimeUnit};
use datafusion::common::tree_node::{Transformed, TreeNode, TreeNodeRecursion};
use datafusion::common::{DFSchema, plan_err};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::planner::{ExprPlanner, PlannerResult, RawBinaryExpr};
use datafusion::logical_expr::utils::merge_schema;
use datafusion::logical_expr::{Between, BinaryExpr, Cast, Expr, ExprSchemable as _, LogicalPlan, Operator};
use datafusion::sql::sqlparser::ast::BinaryOperator;

/// What every time of day is compared as.
const TIME: DataType = DataType::Time64(TimeUnit::Nanosecond);

/// The plan with comparable times of day.
///
/// # Errors
/// A plan error for a comparison of a number with a date.
pub(crate) fn checked(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let compared = plan.transform_up_with_subqueries(|node| {
        let schema = merge_schema(&node.inputs());
        if let LogicalPlan::Join(join) = &node {
            for (one, other) in &join.on {
                if let (Ok(one), Ok(other)) = (one.get_type(&schema), other.get_type(&schema)) {
                    refuse(&one, &other)?;
                }
            }
        }
        let names = NamePreserver::new(&node);
        node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(|part| compare(part, &schema))?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })
    })?;
    Ok(compared.data)
}

/// Compares times of day of two units while a statement is read: the engine looks at the types of a comparison at once.
#[derive(Debug)]
pub(crate) struct Times;

impl ExprPlanner for Times {
    fn plan_binary_op(
        &self,
        raw: RawBinaryExpr,
        schema: &DFSchema,
    ) -> EngineResult<PlannerResult<RawBinaryExpr>> {
        let op = match raw.op {
            BinaryOperator::Eq => Operator::Eq,
            BinaryOperator::NotEq => Operator::NotEq,
            BinaryOperator::Lt => Operator::Lt,
            BinaryOperator::LtEq => Operator::LtEq,
            BinaryOperator::Gt => Operator::Gt,
            BinaryOperator::GtEq => Operator::GtEq,
            _ => return Ok(PlannerResult::Original(raw)),
        };
        match (raw.left.get_type(schema), raw.right.get_type(schema)) {
            (Ok(one), Ok(other)) if is_time(&one) && is_time(&other) && one != other => {
                let (left, right) = (as_time(Box::new(raw.left)), as_time(Box::new(raw.right)));
                Ok(PlannerResult::Planned(Expr::BinaryExpr(BinaryExpr {
                    left,
                    op,
                    right,
                })))
            }
            _ => Ok(PlannerResult::Original(raw)),
        }
    }
}

fn compare(expr: Expr, schema: &DFSchema) -> EngineResult<Transformed<Expr>> {
    // What has no type here is refused later, in the engine's words.
    let type_of = |expr: &Expr| expr.get_type(schema).unwrap_or(DataType::Null);
    match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if compares(op) => {
            let (one, other) = (type_of(&left), type_of(&right));
            refuse(&one, &other)?;
            Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })))
        }
        Expr::Between(Between {
            expr,
            negated,
            low,
            high,
        }) => {
            let types = [type_of(&expr), type_of(&low), type_of(&high)];
            refuse(&types[0], &types[1])?;
            refuse(&types[0], &types[2])?;
            let is_mixed = types.iter().all(is_time) && types.iter().any(|of| *of != types[0]);
            let [expr, low, high] = match is_mixed {
                true => [expr, low, high].map(as_time),
                false => [expr, low, high],
            };
            let whole = Expr::Between(Between {
                expr,
                negated,
                low,
                high,
            });
            Ok(Transformed::new(whole, is_mixed, TreeNodeRecursion::Continue))
        }
        Expr::InList(InList { expr, list, negated }) => {
            let of = type_of(&expr);
            let types: Vec<DataType> = list.iter().map(type_of).collect();
            types.iter().try_for_each(|other| refuse(&of, other))?;
            let is_mixed =
                is_time(&of) && types.iter().all(is_time) && types.iter().any(|other| *other != of);
            let (expr, list) = match is_mixed {
                true => (
                    as_time(expr),
                    list.into_iter().map(|item| *as_time(Box::new(item))).collect(),
                ),
                false => (expr, list),
            };
            let whole = Expr::InList(InList { expr, list, negated });
            Ok(Transformed::new(whole, is_mixed, TreeNodeRecursion::Continue))
        }
        other => Ok(Transformed::no(other)),
    }
}

fn compares(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq
            | Operator::NotEq
            | Operator::Lt
            | Operator::LtEq
            | Operator::Gt
            | Operator::GtEq
            | Operator::IsDistinctFrom
            | Operator::IsNotDistinctFrom
    )
}

/// Refuses to compare a number with a date, in the engine's words for other pairs.
fn refuse(one: &DataType, other: &DataType) -> EngineResult<()> {
    let is_date = |of: &DataType| matches!(of, DataType::Date32 | DataType::Date64);
    match (is_date(one) && other.is_numeric()) || (one.is_numeric() && is_date(other)) {
        true => plan_err!("Cannot infer common argument type for comparison operation {one} = {other}"),
        false => Ok(()),
    }
}

fn is_time(of: &DataType) -> bool {
    matches!(of, DataType::Time32(_) | DataType::Time64(_))
}

fn as_time(expr: Box<Expr>) -> Box<Expr> {
    Box::new(Expr::Cast(Cast::new(expr, TIME)))
}
