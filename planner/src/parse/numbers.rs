//! Whole numbers that 64 bits do not hold. The engine would read `9223372036854775809` as an unsigned number or as the
//! nearest double, and compare it with another one as equal that is not: they are decimals, as they are written.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    CastKind, DataType, ExactNumberInfo, Expr, Statement, UnaryOperator, Value, ValueWithSpan, VisitMut as _,
    VisitorMut,
};

use crate::error::{Error, Result};

/// Digits of the widest decimal.
const DIGITS_MAX: usize = 38;

/// The digits of 2^63, which only a minus before them makes a BIGINT.
const SMALLEST: &str = "9223372036854775808";

/// Makes decimals of the whole numbers of a statement that no BIGINT holds.
///
/// # Errors
/// `Invalid` for a number of more than 38 digits, and for one that is beyond every double.
pub(super) fn exact(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Exact) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(problem) => Err(Error::invalid(problem)),
    }
}

struct Exact;

impl VisitorMut for Exact {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Expr::UnaryOp {
            op: UnaryOperator::Minus,
            expr: inner,
        } = expr
            && digits(inner).is_some_and(|digits| digits == SMALLEST)
        {
            *expr = cast(format!("-{SMALLEST}"), DataType::BigInt(None));
            return ControlFlow::Continue(());
        }
        let Expr::Value(ValueWithSpan {
            value: Value::Number(text, _),
            ..
        }) = expr
        else {
            return ControlFlow::Continue(());
        };
        if !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return match text.parse::<f64>() {
                Ok(number) if number.is_infinite() => {
                    ControlFlow::Break(format!("the number {text} is beyond a DOUBLE"))
                }
                _ => ControlFlow::Continue(()),
            };
        }
        if text.parse::<i64>().is_ok() {
            return ControlFlow::Continue(());
        }
        let digits = text.trim_start_matches('0').to_owned();
        if digits.len() > DIGITS_MAX {
            return ControlFlow::Break(format!(
                "a number has {} digits, and a DECIMAL has at most 38",
                digits.len()
            ));
        }
        let width = DataType::Decimal(ExactNumberInfo::PrecisionAndScale(DIGITS_MAX as u64, 0));
        *expr = cast(digits, width);
        ControlFlow::Continue(())
    }
}

/// The digits of a number as it is written.
fn digits(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::Value(ValueWithSpan {
            value: Value::Number(text, _),
            ..
        }) => Some(text.trim_start_matches('0')),
        _ => None,
    }
}

fn cast(text: String, data_type: DataType) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(Expr::Value(Value::SingleQuotedString(text).into())),
        data_type,
        array: false,
        format: None,
    }
}
