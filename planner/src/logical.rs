//! A parsed statement to a logical plan, parameters included.

use std::ops::ControlFlow;
use std::sync::Arc;

use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;

use crate::comparisons::checked;
use crate::error::Result;
use crate::membership::known;
use crate::scalar_subqueries::nullable;

/// Plans a statement. A parameter of which nothing tells the type makes the engine fail; then every parameter is
/// declared as text and the statement is planned again, which is what a client would have to assume.
pub(crate) async fn logical(state: &SessionState, statement: ast::Statement) -> Result<LogicalPlan> {
    let plain = Statement::Statement(Box::new(statement.clone()));
    let error = match state.statement_to_plan(plain).await {
        Ok(plan) => return Ok(meant(plan)?),
        Err(error) => error,
    };
    let positions = parameter_count(&statement);
    if positions == 0 {
        return Err(error.into());
    }
    let prepare = ast::Statement::Prepare {
        name: ast::Ident::new("statement"),
        data_types: vec![ast::DataType::Varchar(None); positions],
        statement: Box::new(statement),
    };
    match state
        .statement_to_plan(Statement::Statement(Box::new(prepare)))
        .await
    {
        Ok(LogicalPlan::Statement(datafusion::logical_expr::Statement::Prepare(prepared))) => {
            Ok(meant(Arc::unwrap_or_clone(prepared.input))?)
        }
        _ => Err(error.into()),
    }
}

/// The plan as SQL means it, where the engine's reading is another one.
fn meant(plan: LogicalPlan) -> datafusion::error::Result<LogicalPlan> {
    nullable(known(checked(plan)?)?)
}

/// The highest position of a parameter in a statement.
fn parameter_count(statement: &ast::Statement) -> usize {
    let mut highest = 0;
    let outcome: ControlFlow<()> = ast::visit_expressions(statement, |expr| {
        if let ast::Expr::Value(value) = expr
            && let ast::Value::Placeholder(name) = &value.value
        {
            highest = highest.max(name.trim_start_matches('$').parse().unwrap_or(0));
        }
        ControlFlow::Continue(())
    });
    match outcome {
        ControlFlow::Continue(()) | ControlFlow::Break(()) => highest,
    }
}
