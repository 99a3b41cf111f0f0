//! One node of a plan over the statements of its inputs: whether the source does it exactly, and how.
//!
//! What goes down, node by node, is here; by type and operator it is in the connector's matrix.

use connectors::postgres::{Aggregate, Composed, Key, Meeting, PostgresTable};
use connectors::without_values;
use datafusion::arrow::datatypes::DataType;
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::common::{Column, DFSchema, JoinType, NullEquality};
use datafusion::logical_expr::expr::{AggregateFunction, Cast};
use datafusion::logical_expr::utils::conjunction;
use datafusion::logical_expr::{Expr, FetchType, Join, LogicalPlan, SkipType, SortExpr, TableScan};

use super::stops::{operator, rule};
use crate::enforce::{Scanned, scanned};

/// A subtree as a statement.
#[derive(Clone)]
pub(super) struct Part {
    pub(super) statement: Composed,
    /// Whether the subtree gives an order that its statement does not.
    pub(super) is_ordered: bool,
    /// What the statement does, in words without values.
    pub(super) pushed: Vec<String>,
    /// The rules by which it came to be, each with its source.
    pub(super) used: Vec<(String, &'static str)>,
    /// The subtree itself.
    pub(super) plan: LogicalPlan,
}

/// The scan of a table of a source that runs statements.
pub(super) fn postgres(scan: &TableScan) -> Option<&PostgresTable> {
    let Scanned::Table(table) = scanned(scan) else {
        return None;
    };
    (table.source() as &dyn std::any::Any).downcast_ref::<PostgresTable>()
}

/// A scan as the start of a statement.
pub(super) fn scan(scan: &TableScan, plan: &LogicalPlan) -> Option<Part> {
    let statement = postgres(scan)?.composed(scan.projection.as_deref(), &scan.filters)?;
    let filters = scan.filters.iter();
    let mut pushed: Vec<String> = filters
        .map(|filter| format!("filter: {}", without_values(filter)))
        .collect();
    let statement = match scan.fetch {
        Some(rows) => {
            pushed.push("limit".to_owned());
            statement.first(&[], u64::try_from(rows).ok()?)?
        }
        None => statement,
    };
    Some(Part {
        statement,
        is_ordered: false,
        pushed,
        used: Vec::new(),
        plan: plan.clone(),
    })
}

/// The node above statements, as one statement. None when it has no exact one.
pub(super) fn composed(plan: &LogicalPlan, parts: &[Part]) -> Option<Part> {
    let mut pushed: Vec<String> = parts.iter().flat_map(|part| part.pushed.clone()).collect();
    let (statement, is_ordered) = match (plan, parts) {
        (LogicalPlan::SubqueryAlias(_), [input]) => (input.statement.clone(), input.is_ordered),
        (LogicalPlan::Projection(projection), [input]) => {
            let places: Option<Vec<usize>> = projection
                .expr
                .iter()
                .map(|expr| place(expr, projection.input.schema()))
                .collect();
            (input.statement.clone().project(&places?)?, input.is_ordered)
        }
        (LogicalPlan::Filter(filter), [input]) => {
            let predicate = by_place(&filter.predicate, filter.input.schema())?;
            (input.statement.clone().filter(&predicate)?, input.is_ordered)
        }
        (LogicalPlan::Join(join), [left, right]) => (joined(join, left, right)?, false),
        (LogicalPlan::Aggregate(aggregate), [input]) => (grouped(aggregate, input)?, false),
        (LogicalPlan::Sort(sort), [input]) => {
            let rows = u64::try_from(sort.fetch?).ok()?;
            let keys: Option<Vec<Key>> = sort
                .expr
                .iter()
                .map(|expr| key(expr, sort.input.schema()))
                .collect();
            (input.statement.clone().first(&keys?, rows)?, true)
        }
        (LogicalPlan::Limit(limit), [input]) => {
            let (Ok(SkipType::Literal(0)), Ok(FetchType::Literal(Some(rows)))) =
                (limit.get_skip_type(), limit.get_fetch_type())
            else {
                return None;
            };
            // Above an order, a limit without one could keep other rows.
            if input.is_ordered {
                return None;
            }
            (
                input.statement.clone().first(&[], u64::try_from(rows).ok()?)?,
                false,
            )
        }
        (LogicalPlan::Union(_), [first, rest @ ..]) if !rest.is_empty() => {
            let others = rest.iter().map(|part| part.statement.clone());
            (first.statement.clone().united(others)?, false)
        }
        _ => return None,
    };
    if !matches!(plan, LogicalPlan::SubqueryAlias(_) | LogicalPlan::Projection(_)) {
        pushed.push(operator(plan));
    }
    let mut used: Vec<_> = parts.iter().flat_map(|part| part.used.clone()).collect();
    used.extend(rule(plan).map(|rule| (statement.source_name().to_owned(), rule)));
    Some(Part {
        statement,
        is_ordered,
        pushed,
        used,
        plan: plan.clone(),
    })
}

fn grouped(aggregate: &datafusion::logical_expr::Aggregate, input: &Part) -> Option<Composed> {
    let schema = aggregate.input.schema();
    let groups: Option<Vec<usize>> = aggregate
        .group_expr
        .iter()
        .map(|expr| place(expr, schema))
        .collect();
    let groups = groups?;
    let types = aggregate.schema.fields().iter().skip(groups.len());
    let calls: Option<Vec<(Aggregate, DataType)>> = aggregate
        .aggr_expr
        .iter()
        .zip(types)
        .map(|(expr, field)| Some((call(expr, schema)?, field.data_type().clone())))
        .collect();
    input.statement.clone().aggregated(&groups, &calls?)
}

fn joined(join: &Join, left: &Part, right: &Part) -> Option<Composed> {
    if join.null_aware || join.null_equality != NullEquality::NullEqualsNothing {
        return None;
    }
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
    let (left, right) = (left.statement.clone(), right.statement.clone());
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
        ("avg", argument) => place(argument, schema).map(Aggregate::Avg),
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
