//! Finds the largest subtrees that one Postgres server can do, from the top down.
//!
//! What goes down, node by node, is in [`composed`]; by type and operator it is in the connector's matrix. A subtree that
//! is one scan alone stays a scan, which reads in several parts.

use std::sync::Arc;

use connectors::postgres::{Aggregate, Composed, Key, Meeting, PostgresTable};
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::expr::{AggregateFunction, Cast};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, FetchType, Join, LogicalPlan, SkipType, Sort, SortExpr, TableScan};

use super::remote::RemoteRows;
use crate::enforce::{Scanned, scanned};
use crate::error::Result;

/// A subtree as a statement.
struct Part {
    statement: Composed,
    /// Whether the subtree gives an order that its statement does not.
    is_ordered: bool,
}

/// `plan` with its largest subtrees of one server in the form of statements.
///
/// # Errors
/// What the engine says of a node that does not take its changed inputs back.
pub(crate) fn federated(plan: LogicalPlan) -> Result<LogicalPlan> {
    Ok(rewritten(plan)?)
}

fn rewritten(plan: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
    if let Some(rows) = whole(&plan) {
        return Ok(rows);
    }
    // The first rows of an order: the source finds them, the order is made of those few.
    if let LogicalPlan::Sort(sort) = &plan
        && let Some(part) = composed(&plan)
        && let Some(rows) = RemoteRows::node(part.statement, sort.input.schema())
    {
        let sort = Sort {
            input: Arc::new(rows),
            ..sort.clone()
        };
        return Ok(LogicalPlan::Sort(sort));
    }
    let changed = plan.map_children(|child| Ok(Transformed::yes(rewritten(child)?)))?;
    Ok(changed.data)
}

/// The whole of a plan as a statement, if that is more than a scan.
fn whole(plan: &LogicalPlan) -> Option<LogicalPlan> {
    let part = composed(plan)?;
    if part.is_ordered || part.statement.steps() == 0 {
        return None;
    }
    RemoteRows::node(part.statement, plan.schema())
}

/// The statement of a subtree. None when any node of it has no exact one, or its leaves are of several sources.
fn composed(plan: &LogicalPlan) -> Option<Part> {
    match plan {
        LogicalPlan::TableScan(scan) => unordered(table(scan)?),
        LogicalPlan::SubqueryAlias(alias) => composed(&alias.input),
        LogicalPlan::Projection(projection) => {
            let part = composed(&projection.input)?;
            let places: Option<Vec<usize>> = projection
                .expr
                .iter()
                .map(|expr| place(expr, projection.input.schema()))
                .collect();
            Some(Part {
                statement: part.statement.project(&places?)?,
                ..part
            })
        }
        LogicalPlan::Filter(filter) => {
            let part = composed(&filter.input)?;
            let predicate = by_place(&filter.predicate, filter.input.schema())?;
            Some(Part {
                statement: part.statement.filter(&predicate)?,
                ..part
            })
        }
        LogicalPlan::Join(join) => unordered(joined(join)?),
        LogicalPlan::Aggregate(aggregate) => {
            let input = aggregate.input.schema();
            let groups: Option<Vec<usize>> = aggregate
                .group_expr
                .iter()
                .map(|expr| place(expr, input))
                .collect();
            let groups = groups?;
            let types = aggregate.schema.fields().iter().skip(groups.len());
            let calls: Option<Vec<(Aggregate, DataType)>> = aggregate
                .aggr_expr
                .iter()
                .zip(types)
                .map(|(expr, field)| Some((call(expr, input)?, field.data_type().clone())))
                .collect();
            let statement = composed(&aggregate.input)?.statement;
            unordered(statement.aggregated(&groups, &calls?)?)
        }
        LogicalPlan::Sort(sort) => {
            let rows = u64::try_from(sort.fetch?).ok()?;
            let keys: Option<Vec<Key>> = sort
                .expr
                .iter()
                .map(|expr| key(expr, sort.input.schema()))
                .collect();
            Some(Part {
                statement: composed(&sort.input)?.statement.first(&keys?, rows)?,
                is_ordered: true,
            })
        }
        LogicalPlan::Limit(limit) => {
            let (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(Some(rows)))) =
                (limit.get_skip_type(), limit.get_fetch_type())
            else {
                return None;
            };
            let part = composed(&limit.input)?;
            // Above an order, a limit without one could keep other rows.
            if part.is_ordered {
                return None;
            }
            unordered(part.statement.first(&[], u64::try_from(rows).ok()?)?)
        }
        _ => None,
    }
}

fn unordered(statement: Composed) -> Option<Part> {
    Some(Part {
        statement,
        is_ordered: false,
    })
}

fn table(scan: &TableScan) -> Option<Composed> {
    let Scanned::Table(table) = scanned(scan) else {
        return None;
    };
    let table = (table.source() as &dyn std::any::Any).downcast_ref::<PostgresTable>()?;
    let statement = table.composed(scan.projection.as_deref(), &scan.filters)?;
    match scan.fetch {
        Some(rows) => statement.first(&[], u64::try_from(rows).ok()?),
        None => Some(statement),
    }
}

fn joined(join: &Join) -> Option<Composed> {
    if join.null_aware || join.null_equality != NullEquality::NullEqualsNothing {
        return None;
    }
    let (left, right) = (composed(&join.left)?.statement, composed(&join.right)?.statement);
    let meeting = match join.join_type {
        JoinType::Inner => Meeting::Inner,
        JoinType::Left => Meeting::Left,
        JoinType::Right => Meeting::Right,
        JoinType::Full => Meeting::Full,
        JoinType::LeftSemi | JoinType::RightSemi => Meeting::Semi,
        JoinType::LeftAnti | JoinType::RightAnti => Meeting::Anti,
        JoinType::LeftMark | JoinType::RightMark => return None,
    };
    let is_turned = matches!(join.join_type, JoinType::RightSemi | JoinType::RightAnti);
    let (first, second) = match is_turned {
        false => (join.left.schema(), join.right.schema()),
        true => (join.right.schema(), join.left.schema()),
    };
    let both = first.join(second).ok()?;
    let pairs = join.on.iter().map(|(left, right)| left.clone().eq(right.clone()));
    let on = match conjunction(pairs.chain(join.filter.clone())) {
        Some(on) => Some(by_place(&on, &both)?),
        None => None,
    };
    match is_turned {
        false => left.joined(right, meeting, on.as_ref()),
        true => right.joined(left, meeting, on.as_ref()),
    }
}

/// The place of the column that an expression is, under whatever name.
fn place(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Column(column) => schema.index_of_column(column).ok(),
        Expr::Alias(alias) => place(&alias.expr, schema),
        _ => None,
    }
}

fn key(expr: &SortExpr, schema: &DFSchema) -> Option<Key> {
    Some(Key {
        column: place(&expr.expr, schema)?,
        is_ascending: expr.asc,
        nulls_first: expr.nulls_first,
    })
}

fn call(expr: &Expr, schema: &DFSchema) -> Option<Aggregate> {
    let function = match expr {
        Expr::AggregateFunction(function) => function,
        Expr::Alias(alias) => return call(&alias.expr, schema),
        _ => return None,
    };
    let AggregateFunction { func, params } = function;
    let is_plain = !params.distinct
        && params.filter.is_none()
        && params.order_by.is_empty()
        && params.null_treatment.is_none();
    let [argument] = params.args.as_slice() else {
        return None;
    };
    if !is_plain {
        return None;
    }
    match (func.name(), argument) {
        ("count", Expr::Literal(value, _)) if !value.is_null() => Some(Aggregate::Rows),
        ("count", argument) => place(argument, schema).map(Aggregate::Count),
        ("min", argument) => place(argument, schema).map(Aggregate::Min),
        ("max", argument) => place(argument, schema).map(Aggregate::Max),
        // The engine widens integers before it adds them, the server while it does.
        ("sum", Expr::Cast(Cast { expr, field })) if *field.data_type() == DataType::Int64 => {
            place(expr, schema).map(Aggregate::Sum)
        }
        ("sum", argument) => place(argument, schema).map(Aggregate::Sum),
        _ => None,
    }
}

/// An expression whose columns are called by their places.
fn by_place(expr: &Expr, schema: &DFSchema) -> Option<Expr> {
    let mut is_known = true;
    let named = expr.clone().transform(|node| match &node {
        Expr::Column(column) => match schema.index_of_column(column) {
            Ok(place) => Ok(Transformed::yes(Expr::Column(Column::new_unqualified(
                Composed::column_name(place),
            )))),
            Err(_) => {
                is_known = false;
                Ok(Transformed::no(node))
            }
        },
        _ => Ok(Transformed::no(node)),
    });
    named.ok().filter(|_| is_known).map(|named| named.data)
}
