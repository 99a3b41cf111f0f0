//! Which table column a result column is, where it is one unchanged. Clients show it as the column's table.

use datafusion::logical_expr::{Expr, JoinType, LogicalPlan};

use crate::enforce::{Scanned, scanned};
use crate::request::Origin;

/// The origin of each column of `plan`.
pub(crate) fn origins(plan: &LogicalPlan) -> Vec<Option<Origin>> {
    (0..plan.schema().fields().len())
        .map(|index| origin(plan, index))
        .collect()
}

fn origin(plan: &LogicalPlan, index: usize) -> Option<Origin> {
    match plan {
        LogicalPlan::Projection(node) => {
            let column = match node.expr.get(index)? {
                Expr::Column(column) => column,
                Expr::Alias(alias) => match alias.expr.as_ref() {
                    Expr::Column(column) => column,
                    _ => return None,
                },
                _ => return None,
            };
            origin(&node.input, node.input.schema().maybe_index_of_column(column)?)
        }
        LogicalPlan::Filter(node) => origin(&node.input, index),
        LogicalPlan::Sort(node) => origin(&node.input, index),
        LogicalPlan::Limit(node) => origin(&node.input, index),
        LogicalPlan::SubqueryAlias(node) => origin(&node.input, index),
        LogicalPlan::Join(node)
            if matches!(
                node.join_type,
                JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full
            ) =>
        {
            let left = node.left.schema().fields().len();
            if index < left {
                origin(&node.left, index)
            } else {
                origin(&node.right, index - left)
            }
        }
        LogicalPlan::TableScan(scan) => match scanned(scan) {
            Scanned::Table(table) => Some(Origin {
                catalog: table.name.catalog.clone(),
                schema: table.name.schema.clone(),
                table: table.name.table.clone(),
                column: plan.schema().fields().get(index)?.name().clone(),
            }),
            _ => None,
        },
        _ => None,
    }
}
