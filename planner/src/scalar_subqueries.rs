//! A subquery in the place of a value is NULL where it has no row. The engine says that it is never NULL where its column
//! never is (`Expr::ScalarSubquery` has the field of the subquery), and then an answer without a row fails against its own
//! schema. So such a column is called one that may be NULL.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef};
use datafusion::common::tree_node::{Transformed, TreeNode as _};
use datafusion::error::Result as EngineResult;
use datafusion::logical_expr::expr_rewriter::NamePreserver;
use datafusion::logical_expr::{
    ColumnarValue, Expr, LogicalPlan, LogicalPlanBuilder, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF,
    ScalarUDFImpl, Signature, Subquery, Volatility,
};

/// The plan with subqueries that may be NULL where they may have no row.
///
/// # Errors
/// What the engine says of the changed plan.
pub(crate) fn nullable(plan: LogicalPlan) -> EngineResult<LogicalPlan> {
    let mut is_changed = false;
    let changed = plan.transform_up_with_subqueries(|node| {
        let names = NamePreserver::new(&node);
        let node = node.map_expressions(|expr| {
            let name = names.save(&expr);
            let expr = expr.transform_up(opened)?;
            Ok(expr.update_data(|expr| name.restore(expr)))
        })?;
        is_changed |= node.transformed;
        match is_changed {
            // What stands above has the columns of what is below.
            true => node.map_data(LogicalPlan::recompute_schema),
            false => Ok(node),
        }
    })?;
    Ok(changed.data)
}

fn opened(expr: Expr) -> EngineResult<Transformed<Expr>> {
    let Expr::ScalarSubquery(Subquery {
        subquery,
        outer_ref_columns,
        spans,
    }) = expr
    else {
        return Ok(Transformed::no(expr));
    };
    let schema = Arc::clone(subquery.schema());
    let is_closed = schema.fields().first().is_some_and(|field| !field.is_nullable());
    let whole = |subquery| {
        Expr::ScalarSubquery(Subquery {
            subquery,
            outer_ref_columns,
            spans,
        })
    };
    if !is_closed || !may_be_empty(&subquery) {
        return Ok(Transformed::no(whole(subquery)));
    }
    let columns = schema.columns().into_iter().map(|column| {
        let name = column.name.clone();
        let relation = column.relation.clone();
        ScalarUDF::from(Nullable::default())
            .call(vec![Expr::Column(column)])
            .alias_qualified(relation, name)
    });
    let plan = LogicalPlanBuilder::from(subquery).project(columns)?.build()?;
    Ok(Transformed::yes(whole(Arc::new(plan))))
}

/// Whether a plan can have no row; one that groups nothing has one.
fn may_be_empty(plan: &LogicalPlan) -> bool {
    match plan {
        LogicalPlan::Projection(projection) => may_be_empty(&projection.input),
        LogicalPlan::SubqueryAlias(alias) => may_be_empty(&alias.input),
        LogicalPlan::Sort(sort) => may_be_empty(&sort.input),
        LogicalPlan::Aggregate(aggregate) => !aggregate.group_expr.is_empty(),
        LogicalPlan::EmptyRelation(empty) => !empty.produce_one_row,
        LogicalPlan::Values(values) => values.values.is_empty(),
        _ => true,
    }
}

/// Gives what it is given, and says that it may be NULL. No statement can call it: it is in no session.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Nullable(Signature);

impl Default for Nullable {
    fn default() -> Self {
        Self(Signature::any(1, Volatility::Immutable))
    }
}

impl ScalarUDFImpl for Nullable {
    fn name(&self) -> &str {
        "nullable"
    }

    fn signature(&self) -> &Signature {
        &self.0
    }

    fn return_type(&self, types: &[DataType]) -> EngineResult<DataType> {
        Ok(types.first().cloned().unwrap_or(DataType::Null))
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> EngineResult<FieldRef> {
        let of = args.arg_fields.first();
        let data_type = of.map_or(DataType::Null, |field| field.data_type().clone());
        Ok(Arc::new(Field::new(self.name(), data_type, true)))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> EngineResult<ColumnarValue> {
        match args.args.into_iter().next() {
            Some(value) => Ok(value),
            None => datafusion::common::internal_err!("nullable() without a value"),
        }
    }
}
