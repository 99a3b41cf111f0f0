//! Which predicates of a user may run below a barrier, before the policy has hidden a row.
//!
//! Only those that give no sign of a value but the row's own coming or going: comparisons of a plain column with a
//! literal of the very same type, and what AND, OR and NOT make of them. They cannot fail, whatever the value is. No
//! cast, no arithmetic, no function, no pattern, no second column.

use arrow::datatypes::{DataType, SchemaRef};
use datafusion::common::ScalarValue;
use datafusion::logical_expr::expr::InList;
use datafusion::logical_expr::{Between, BinaryExpr, Expr, Operator};

/// The deepest predicate that is looked at.
const DEPTH_MAX: usize = 64;

/// Whether `predicate` is leakproof over the columns of `schema` that `is_plain` says are shown as they are.
pub(super) fn is_leakproof(predicate: &Expr, schema: &SchemaRef, is_plain: &dyn Fn(usize) -> bool) -> bool {
    Columns { schema, is_plain }.allow(predicate, 0)
}

struct Columns<'a> {
    schema: &'a SchemaRef,
    is_plain: &'a dyn Fn(usize) -> bool,
}

impl Columns<'_> {
    fn allow(&self, expr: &Expr, depth: usize) -> bool {
        if depth > DEPTH_MAX {
            return false;
        }
        match expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And | Operator::Or,
                right,
            }) => self.allow(left, depth + 1) && self.allow(right, depth + 1),
            Expr::Not(inner) => self.allow(inner, depth + 1),
            Expr::IsNull(inner) | Expr::IsNotNull(inner) => self.column(inner).is_some(),
            Expr::Column(_) => self.column(expr) == Some(&DataType::Boolean),
            Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_comparison(*op) => {
                self.compares(left, right) || self.compares(right, left)
            }
            Expr::Between(Between { expr, low, high, .. }) => {
                self.compares(expr, low) && self.compares(expr, high)
            }
            Expr::InList(InList { expr, list, .. }) => list.iter().all(|value| self.compares(expr, value)),
            _ => false,
        }
    }

    /// Whether `column` is a plain column and `value` a literal of its type.
    fn compares(&self, column: &Expr, value: &Expr) -> bool {
        match (self.column(column), value) {
            (Some(of), Expr::Literal(value, _)) => !of.is_nested() && ScalarValue::data_type(value) == *of,
            _ => false,
        }
    }

    fn column(&self, expr: &Expr) -> Option<&DataType> {
        let Expr::Column(column) = expr else { return None };
        let (place, field) = self.schema.column_with_name(&column.name)?;
        (self.is_plain)(place).then(|| field.data_type())
    }
}

fn is_comparison(op: Operator) -> bool {
    matches!(
        op,
        Operator::Eq | Operator::NotEq | Operator::Lt | Operator::LtEq | Operator::Gt | Operator::GtEq
    )
}

#[cfg(test)]
mod tests;
