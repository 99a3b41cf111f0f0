//! Expressions of policies as expressions of the engine.
//!
//! Invariants:
//! * What comes out has the types it must have and calls only what is total: whatever could fail on a value is refused
//!   here, before a row is read.
//! * Columns are found by the places that the caller gives, never by a name alone.

use std::collections::BTreeMap;

use arrow::datatypes::{DataType, Schema, TimeUnit};
use datafusion::common::tree_node::TreeNode as _;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::error::DataFusionError;
use datafusion::functions::expr_fn;
use datafusion::logical_expr::expr::{InList, Like};
use datafusion::logical_expr::{Case, Expr, ExprSchemable as _, Operator, TryCast, binary_expr, lit};
use datafusion::optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use policies::expression::{Comparison, Expression, Function, Literal, Members, Type};

/// Why a rule cannot be applied to a table. It is for the log of who runs the gateway; a caller sees that the table is
/// not there.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Unfit(pub(super) String);

impl From<DataFusionError> for Unfit {
    fn from(error: DataFusionError) -> Self {
        Self(error.strip_backtrace())
    }
}

/// The columns of one table, as policies call them.
#[derive(Debug)]
pub(super) struct Places<'a> {
    pub(super) schema: &'a Schema,
    /// Where a column lies that policies call so.
    pub(super) by_name: BTreeMap<String, usize>,
}

impl Places<'_> {
    fn data_type(&self, name: &str) -> Option<&DataType> {
        let place = self.by_name.get(name)?;
        self.schema.fields().get(*place).map(|field| field.data_type())
    }

    /// A condition over the table's columns.
    pub(super) fn condition(&self, expression: &Expression) -> Result<Expr, Unfit> {
        self.typed(expression, Type::Boolean)?;
        self.coerced(self.expr(expression, Some(&DataType::Boolean))?)
    }

    /// A value of the type `wanted` over the table's columns.
    pub(super) fn value(&self, expression: &Expression, wanted: &DataType) -> Result<Expr, Unfit> {
        let of = type_of(wanted).ok_or_else(|| Unfit(format!("no expression has the type {wanted}")))?;
        self.typed(expression, of)?;
        let value = self.coerced(self.expr(expression, Some(wanted))?)?;
        let schema = self.df_schema()?;
        match value.get_type(&schema)? == *wanted {
            true => Ok(value),
            // A wider number need not fit: then it is NULL.
            false => Ok(Expr::TryCast(TryCast::new(Box::new(value), wanted.clone()))),
        }
    }

    fn typed(&self, expression: &Expression, wanted: Type) -> Result<(), Unfit> {
        let column = |name: &str| self.data_type(name).and_then(type_of);
        let found = expression
            .type_of(&column)
            .map_err(|fault| Unfit(fault.to_string()))?;
        let is_number = |of| matches!(of, Type::Integer | Type::Float | Type::Decimal);
        match found == wanted || found == Type::Unknown || (found == Type::Number && is_number(wanted)) {
            true => Ok(()),
            false => Err(Unfit(format!(
                "the expression gives {} and not {}",
                found.name(),
                wanted.name()
            ))),
        }
    }

    fn df_schema(&self) -> Result<DFSchema, Unfit> {
        Ok(DFSchema::try_from(self.schema.clone())?)
    }

    fn coerced(&self, expr: Expr) -> Result<Expr, Unfit> {
        let schema = self.df_schema()?;
        Ok(expr.rewrite(&mut TypeCoercionRewriter::new(&schema))?.data)
    }

    /// The type that written values stand beside: that of the first part that is not one.
    fn beside(&self, parts: &[&Expression]) -> Result<Option<DataType>, Unfit> {
        for part in parts {
            if !matches!(part, Expression::Literal(_)) {
                let schema = self.df_schema()?;
                let expr = self.coerced(self.expr(part, None)?)?;
                return Ok(Some(expr.get_type(&schema)?));
            }
        }
        Ok(None)
    }

    fn expr(&self, expression: &Expression, wanted: Option<&DataType>) -> Result<Expr, Unfit> {
        let boolean = |part: &Expression| self.expr(part, Some(&DataType::Boolean));
        Ok(match expression {
            Expression::Literal(value) => lit(scalar(value, wanted)?),
            Expression::Column(name) => {
                let place = self.by_name.get(name);
                let field = place.and_then(|place| self.schema.fields().get(*place));
                let field = field.ok_or_else(|| Unfit(format!("there is no column '{name}'")))?;
                Expr::Column(Column::new_unqualified(field.name()))
            }
            Expression::Attribute(name) => return Err(Unfit(format!("attribute '{name}' is not filled in"))),
            Expression::Not(value) => Expr::Not(Box::new(boolean(value)?)),
            Expression::And(one, two) => binary_expr(boolean(one)?, Operator::And, boolean(two)?),
            Expression::Or(one, two) => binary_expr(boolean(one)?, Operator::Or, boolean(two)?),
            Expression::Compare(how, one, two) => {
                let beside = self.beside(&[one, two])?;
                let (one, two) = (self.expr(one, beside.as_ref())?, self.expr(two, beside.as_ref())?);
                binary_expr(one, operator(*how), two)
            }
            Expression::In { value, list, negated } => self.is_in(value, list, *negated)?,
            Expression::IsNull {
                value,
                negated: false,
            } => Expr::IsNull(Box::new(self.expr(value, None)?)),
            Expression::IsNull { value, negated: true } => Expr::IsNotNull(Box::new(self.expr(value, None)?)),
            Expression::Like {
                value,
                pattern,
                negated,
            } => {
                let value = self.expr(value, Some(&DataType::Utf8))?;
                Expr::Like(Like::new(
                    *negated,
                    Box::new(value),
                    Box::new(lit(pattern.as_str())),
                    None,
                    false,
                ))
            }
            Expression::Case { branches, otherwise } => self.case(branches, otherwise.as_deref(), wanted)?,
            Expression::Call(function, arguments) => self.call(*function, arguments, wanted)?,
            Expression::TryCast(value, to) => {
                let to =
                    data_type(*to).ok_or_else(|| Unfit(format!("no column has the type {}", to.name())))?;
                Expr::TryCast(TryCast::new(Box::new(self.expr(value, None)?), to))
            }
        })
    }

    fn is_in(&self, value: &Expression, list: &Members, negated: bool) -> Result<Expr, Unfit> {
        let Members::Values(values) = list else {
            return Err(Unfit("a list is not filled in".to_owned()));
        };
        if values.is_empty() {
            return Ok(lit(negated));
        }
        let beside = self.beside(&[value])?;
        let of_value = self.expr(value, None)?;
        let list: Result<Vec<Expr>, Unfit> = values
            .iter()
            .map(|value| Ok(lit(scalar(value, beside.as_ref())?)))
            .collect();
        Ok(Expr::InList(InList::new(Box::new(of_value), list?, negated)))
    }

    fn case(
        &self,
        branches: &[(Expression, Expression)],
        otherwise: Option<&Expression>,
        wanted: Option<&DataType>,
    ) -> Result<Expr, Unfit> {
        let results: Vec<&Expression> = branches
            .iter()
            .map(|(_, result)| result)
            .chain(otherwise)
            .collect();
        let beside = self.beside(&results)?;
        let beside = wanted.or(beside.as_ref());
        let mut whens = Vec::with_capacity(branches.len());
        for (condition, result) in branches {
            let condition = self.expr(condition, Some(&DataType::Boolean))?;
            whens.push((Box::new(condition), Box::new(self.expr(result, beside)?)));
        }
        let otherwise = otherwise.map(|result| self.expr(result, beside)).transpose()?;
        Ok(Expr::Case(Case::new(None, whens, otherwise.map(Box::new))))
    }

    fn call(
        &self,
        function: Function,
        arguments: &[Expression],
        wanted: Option<&DataType>,
    ) -> Result<Expr, Unfit> {
        let beside = match function {
            Function::Coalesce => {
                let parts: Vec<&Expression> = arguments.iter().collect();
                self.beside(&parts)?.or_else(|| wanted.cloned())
            }
            _ => Some(DataType::Utf8),
        };
        let mut values = Vec::with_capacity(arguments.len());
        for (index, argument) in arguments.iter().enumerate() {
            let of = match (function, index) {
                (Function::Substr, 1..) => Some(DataType::Int64),
                _ => beside.clone(),
            };
            values.push(self.expr(argument, of.as_ref())?);
        }
        let mut given = values.clone().into_iter();
        let mut next = || {
            given
                .next()
                .ok_or_else(|| Unfit("an argument is missing".to_owned()))
        };
        Ok(match function {
            Function::Lower => expr_fn::lower(next()?),
            Function::Upper => expr_fn::upper(next()?),
            Function::Substr => {
                let (text, start) = (next()?, next()?);
                match next() {
                    Ok(length) => expr_fn::substring(text, start, length),
                    Err(_) => expr_fn::substr(text, start),
                }
            }
            Function::Concat => expr_fn::concat(values),
            // The engine's own form is one that its optimizer has to rewrite, and no optimizer sees a policy.
            Function::Coalesce => first_known(values)?,
        })
    }
}

/// The first of the values that is not NULL; the last where all before it are.
fn first_known(mut values: Vec<Expr>) -> Result<Expr, Unfit> {
    let last = values
        .pop()
        .ok_or_else(|| Unfit("an argument is missing".to_owned()))?;
    if values.is_empty() {
        return Ok(last);
    }
    let known = |value: Expr| (Box::new(value.clone().is_not_null()), Box::new(value));
    Ok(Expr::Case(Case {
        expr: None,
        when_then_expr: values.into_iter().map(known).collect(),
        else_expr: Some(Box::new(last)),
    }))
}

fn operator(how: Comparison) -> Operator {
    match how {
        Comparison::Equal => Operator::Eq,
        Comparison::NotEqual => Operator::NotEq,
        Comparison::Less => Operator::Lt,
        Comparison::LessOrEqual => Operator::LtEq,
        Comparison::Greater => Operator::Gt,
        Comparison::GreaterOrEqual => Operator::GtEq,
    }
}

/// The type of a column in the language; none for types that it has no word for.
pub(super) fn type_of(data_type: &DataType) -> Option<Type> {
    Some(match data_type {
        DataType::Boolean => Type::Boolean,
        of if of.is_integer() => Type::Integer,
        of if of.is_floating() => Type::Float,
        of if of.is_decimal() => Type::Decimal,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => Type::Text,
        DataType::Date32 => Type::Date,
        DataType::Timestamp(_, _) => Type::Timestamp,
        _ => return None,
    })
}

fn data_type(of: Type) -> Option<DataType> {
    Some(match of {
        Type::Boolean => DataType::Boolean,
        Type::Integer => DataType::Int64,
        Type::Float => DataType::Float64,
        Type::Text => DataType::Utf8,
        Type::Date => DataType::Date32,
        Type::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
        Type::Decimal | Type::Number | Type::Unknown => return None,
    })
}

/// A written value as one of the type that it stands beside; one that the type cannot hold exactly is refused.
pub(super) fn scalar(value: &Literal, beside: Option<&DataType>) -> Result<ScalarValue, Unfit> {
    let read = |text: &str, of: &DataType| {
        ScalarValue::try_from_string(text.to_owned(), of)
            .ok()
            .filter(|scalar| !scalar.is_null())
            .ok_or_else(|| Unfit(format!("a value is none of the type {of}")))
    };
    match value {
        Literal::Null => Ok(ScalarValue::try_from(beside.unwrap_or(&DataType::Null))?),
        Literal::Boolean(value) => Ok(ScalarValue::Boolean(Some(*value))),
        Literal::Text(text) => match beside {
            Some(of @ (DataType::LargeUtf8 | DataType::Utf8View)) => read(text, of),
            _ => Ok(ScalarValue::Utf8(Some(text.clone()))),
        },
        Literal::Number(digits) => {
            let fraction = digits.split_once('.').map_or("", |(_, fraction)| fraction);
            let fraction = fraction.trim_end_matches('0').len();
            match beside {
                Some(of) if of.is_integer() && fraction == 0 => {
                    read(digits.split('.').next().unwrap_or_default(), of)
                }
                Some(of) if of.is_floating() => read(digits, of),
                Some(of) => match of {
                    DataType::Decimal32(_, scale)
                    | DataType::Decimal64(_, scale)
                    | DataType::Decimal128(_, scale)
                    | DataType::Decimal256(_, scale)
                        if i64::from(*scale) >= i64::try_from(fraction).unwrap_or(i64::MAX) =>
                    {
                        read(digits, of)
                    }
                    _ => Err(Unfit(format!("a number is none of the type {of}"))),
                },
                None if fraction == 0 => read(digits.split('.').next().unwrap_or_default(), &DataType::Int64),
                None => read(digits, &DataType::Float64),
            }
        }
        Literal::Date(day) => read(day, &DataType::Date32),
        Literal::Timestamp(time) => {
            let plain = read(time, &DataType::Timestamp(TimeUnit::Microsecond, None))?;
            let (Some(of @ DataType::Timestamp(_, zone)), ScalarValue::TimestampMicrosecond(micros, _)) =
                (beside, &plain)
            else {
                return Ok(plain);
            };
            Ok(ScalarValue::TimestampMicrosecond(*micros, zone.clone()).cast_to(of)?)
        }
    }
}
