//! Functions that most engines have under another name or reading than this one: `mod(a, b)` is `a % b`, `sign(x)` is
//! `signum(x)`, a cast to VARCHAR(n) keeps n characters, the two numbers of `atan2` are doubles also where they are written as whole numbers. A format of times in
//! the manner of Oracle and Postgres would come back letter by letter, and is refused.

use std::ops::ControlFlow;

use datafusion::sql::sqlparser::ast::{
    BinaryOperator, CastKind, CharacterLength, DataType, ExactNumberInfo, Expr, Function, FunctionArg,
    FunctionArgExpr, FunctionArgumentList, FunctionArguments, Ident, ObjectName, Statement, Value,
    VisitMut as _, VisitorMut,
};

use crate::error::{Error, Result};

/// Puts the names and readings of this engine in the place of others.
///
/// # Errors
/// `Invalid` for a format of times without a `%`.
pub(super) fn known(statement: &mut Statement) -> Result<()> {
    match statement.visit(&mut Known) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(problem) => Err(Error::invalid(problem)),
    }
}

/// What is said of the others.
const QUANTIFIED: &str =
    "ANY and ALL of a subquery stand behind = ANY and <> ALL only; compare with its min() or max()";

struct Known;

impl VisitorMut for Known {
    type Break = String;

    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<String> {
        if let Expr::Cast { data_type, .. } = expr
            && let Some(length) = taken_length(data_type)
        {
            let length = Expr::Value(Value::Number(length.to_string(), false).into());
            *expr = call("left", vec![expr.clone(), length]);
            return ControlFlow::Continue(());
        }
        quantified(expr)?;
        let Expr::Function(function) = expr else {
            return ControlFlow::Continue(());
        };
        let Some(name) = bare(&function.name) else {
            return ControlFlow::Continue(());
        };
        match (name.as_str(), plain_arguments(function).as_deref()) {
            ("mod", Some([one, other])) => {
                *expr = Expr::Nested(Box::new(Expr::BinaryOp {
                    left: Box::new(Expr::Nested(Box::new(one.clone()))),
                    op: BinaryOperator::Modulo,
                    right: Box::new(Expr::Nested(Box::new(other.clone()))),
                }));
            }
            ("sign", Some([_])) => function.name = ObjectName::from(vec![Ident::new("signum")]),
            ("variance", _) => function.name = ObjectName::from(vec![Ident::new("var_samp")]),
            ("atan2", Some([one, other])) => {
                let arguments = [double(one.clone()), double(other.clone())];
                if let FunctionArguments::List(list) = &mut function.args {
                    list.args = arguments
                        .map(|argument| FunctionArg::Unnamed(FunctionArgExpr::Expr(argument)))
                        .into();
                }
            }
            ("to_char" | "date_format", Some([_, Expr::Value(format)])) => {
                if let Value::SingleQuotedString(text) = &format.value
                    && !text.contains('%')
                {
                    return ControlFlow::Break(format!(
                        "the format '{text}' of {name} names no part of a time; formats are those of strftime, such as '%Y-%m-%d %H:%M'"
                    ));
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}

/// `= ANY` of a subquery as IN, and `<> ALL` as NOT IN. With other operators the engine takes the column of the subquery for
/// the one outside where both have one name.
fn quantified(expr: &mut Expr) -> ControlFlow<String> {
    let (asked, subquery, negated) = match expr {
        Expr::AnyOp {
            left,
            compare_op,
            right,
            ..
        } if matches!(**right, Expr::Subquery(_)) => match compare_op {
            BinaryOperator::Eq => (left, right, false),
            _ => return ControlFlow::Break(QUANTIFIED.to_owned()),
        },
        Expr::AllOp {
            left,
            compare_op,
            right,
        } if matches!(**right, Expr::Subquery(_)) => match compare_op {
            BinaryOperator::NotEq => (left, right, true),
            _ => return ControlFlow::Break(QUANTIFIED.to_owned()),
        },
        _ => return ControlFlow::Continue(()),
    };
    if let Expr::Subquery(query) = &**subquery {
        *expr = Expr::InSubquery {
            expr: asked.clone(),
            subquery: query.clone(),
            negated,
        };
    }
    ControlFlow::Continue(())
}

/// The length of a text type, which is taken out of it.
fn taken_length(data_type: &mut DataType) -> Option<u64> {
    let (DataType::Character(length)
    | DataType::Char(length)
    | DataType::CharacterVarying(length)
    | DataType::CharVarying(length)
    | DataType::Varchar(length)
    | DataType::Nvarchar(length)) = data_type
    else {
        return None;
    };
    match length.take() {
        Some(CharacterLength::IntegerLength { length, .. }) => Some(length),
        Some(CharacterLength::Max) | None => None,
    }
}

/// A call of a function.
pub(super) fn call(name: &str, arguments: Vec<Expr>) -> Expr {
    let argument = |expr| FunctionArg::Unnamed(FunctionArgExpr::Expr(expr));
    Expr::Function(Function {
        name: ObjectName::from(vec![Ident::new(name)]),
        uses_odbc_syntax: false,
        parameters: FunctionArguments::None,
        args: FunctionArguments::List(FunctionArgumentList {
            duplicate_treatment: None,
            args: arguments.into_iter().map(argument).collect(),
            clauses: Vec::new(),
        }),
        filter: None,
        null_treatment: None,
        over: None,
        within_group: Vec::new(),
    })
}

/// A name of one part, in small letters where it is not quoted.
fn bare(name: &ObjectName) -> Option<String> {
    match name.0.as_slice() {
        [part] => part.as_ident().map(|ident| match ident.quote_style {
            None => ident.value.to_lowercase(),
            Some(_) => ident.value.clone(),
        }),
        _ => None,
    }
}

/// The arguments of a plain call: without names, clauses, OVER and FILTER.
fn plain_arguments(function: &Function) -> Option<Vec<Expr>> {
    let FunctionArguments::List(list) = &function.args else {
        return None;
    };
    let is_plain = list.clauses.is_empty()
        && list.duplicate_treatment.is_none()
        && function.over.is_none()
        && function.filter.is_none()
        && function.within_group.is_empty();
    let argument = |argument: &FunctionArg| match argument {
        FunctionArg::Unnamed(FunctionArgExpr::Expr(expr)) => Some(expr.clone()),
        _ => None,
    };
    list.args
        .iter()
        .map(argument)
        .collect::<Option<Vec<_>>>()
        .filter(|_| is_plain)
}

fn double(expr: Expr) -> Expr {
    Expr::Cast {
        kind: CastKind::Cast,
        expr: Box::new(expr),
        data_type: DataType::Double(ExactNumberInfo::None),
        array: false,
        format: None,
    }
}
