//! The right side of `IS [NOT] DISTINCT FROM`. The parser takes all that follows for it, so that `a IS DISTINCT FROM b AND c`
//! would compare `a` with `b AND c` (sqlparser 0.62, `parse_infix`); in SQL it ends before an AND, OR or XOR. What the parser
//! has put below the comparison is put beside it here.

use std::mem;
use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, Expr, Statement, UnaryOperator, Value, VisitMut as _, VisitorMut,
};

/// Gives each comparison of a statement its own right side, and no more.
pub(super) fn untangle(statement: &mut Statement) {
    match statement.visit(&mut Untangle) {
        ControlFlow::Continue(()) | ControlFlow::Break(()) => {}
    }
}

struct Untangle;

impl VisitorMut for Untangle {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<()> {
        if is_tangled(expr) {
            let nothing = Expr::Value(Value::Null.into());
            *expr = Chain::of(mem::replace(expr, nothing)).expr();
        }
        ControlFlow::Continue(())
    }
}

/// Whether a comparison in the chain of AND, OR and XOR that begins here has more of the chain below it.
fn is_tangled(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryOp { left, op, right } if strength(op).is_some() => is_tangled(left) || is_tangled(right),
        Expr::UnaryOp {
            op: UnaryOperator::Not,
            expr,
        } => matches!(**expr, Expr::IsDistinctFrom(..) | Expr::IsNotDistinctFrom(..)) && is_tangled(expr),
        Expr::IsDistinctFrom(_, right) | Expr::IsNotDistinctFrom(_, right) => {
            matches!(&**right, Expr::BinaryOp { op, .. } if strength(op).is_some()) || is_tangled(right)
        }
        _ => false,
    }
}

/// How strongly an operator of the chain binds; none for other operators.
fn strength(op: &BinaryOperator) -> Option<u8> {
    match op {
        BinaryOperator::Or => Some(1),
        BinaryOperator::Xor => Some(2),
        BinaryOperator::And => Some(3),
        _ => None,
    }
}

/// A chain of conditions as it was written: the first, and the others each behind its operator.
struct Chain {
    first: Expr,
    rest: Vec<(BinaryOperator, Expr)>,
}

impl Chain {
    fn of(expr: Expr) -> Self {
        match expr {
            Expr::BinaryOp { left, op, right } if strength(&op).is_some() => {
                let mut chain = Self::of(*left);
                let Self { first, rest } = Self::of(*right);
                chain.rest.push((op, first));
                chain.rest.extend(rest);
                chain
            }
            Expr::IsDistinctFrom(left, right) => {
                Self::of(*right).with_first(|first| Expr::IsDistinctFrom(left, Box::new(first)))
            }
            Expr::IsNotDistinctFrom(left, right) => {
                Self::of(*right).with_first(|first| Expr::IsNotDistinctFrom(left, Box::new(first)))
            }
            Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr,
            } if is_tangled(&expr) => Self::of(*expr).with_first(|first| Expr::UnaryOp {
                op: UnaryOperator::Not,
                expr: Box::new(first),
            }),
            first => Self {
                first,
                rest: Vec::new(),
            },
        }
    }

    fn with_first(self, make: impl FnOnce(Expr) -> Expr) -> Self {
        Self {
            first: make(self.first),
            rest: self.rest,
        }
    }

    /// The chain as the operators bind, each to its left.
    fn expr(self) -> Expr {
        let mut done: Vec<Expr> = vec![self.first];
        let mut open: Vec<BinaryOperator> = Vec::new();
        for (op, next) in self.rest {
            close(&mut done, &mut open, strength(&op).unwrap_or(0));
            open.push(op);
            done.push(next);
        }
        close(&mut done, &mut open, 0);
        done.pop().unwrap_or(Expr::Value(Value::Null.into()))
    }
}

/// Joins what stands open and binds at least so strongly.
fn close(done: &mut Vec<Expr>, open: &mut Vec<BinaryOperator>, least: u8) {
    while open.last().is_some_and(|op| strength(op).unwrap_or(0) >= least) {
        if let (Some(op), Some(right), Some(left)) = (open.pop(), done.pop(), done.pop()) {
            done.push(Expr::BinaryOp {
                left: Box::new(left),
                op,
                right: Box::new(right),
            });
        }
    }
}
