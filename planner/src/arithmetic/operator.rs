//! One operator in its checked form: a function of two values, or of one.

use std::any::Any;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, Datum, PrimitiveArray};
use arrow::compute::kernels::numeric;
use arrow::datatypes::{
    DataType, Decimal32Type, Decimal64Type, Decimal128Type, Decimal256Type, DecimalType, Field, FieldRef,
};
use arrow::error::ArrowError;
use datafusion::common::tree_node::Transformed;
use datafusion::common::{DFSchema, internal_err};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    BinaryExpr, ColumnarValue, Expr, ExprSchemable as _, Operator, ReturnFieldArgs, ScalarFunctionArgs,
    ScalarUDF, ScalarUDFImpl, Signature, Volatility,
};
use datafusion::physical_expr_common::datum::apply;

use super::decimal;
use crate::error::Error;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Kind {
    Binary(Operator),
    Negate,
}

/// An operator over types that are known.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Operation {
    kind: Kind,
    /// Of the result. Kept, so that a long chain of operators need not be walked for it.
    data_type: DataType,
    signature: Signature,
}

/// Whether a node is one of the operators that this module looks at.
pub(super) fn may_overflow(expr: &Expr) -> bool {
    match expr {
        Expr::BinaryExpr(binary) => is_arithmetic(binary.op),
        Expr::Negative(_) => true,
        _ => false,
    }
}

/// The node in its checked form, if its types can be left. Operators over literals are computed at once.
///
/// # Errors
/// What the engine says of an operand whose type it does not know.
pub(super) fn checked(expr: Expr, schema: &DFSchema) -> Result<Transformed<Expr>> {
    let (operation, operands) = match expr {
        Expr::BinaryExpr(BinaryExpr { left, op, right }) if is_arithmetic(op) => {
            let (of_left, of_right) = (data_type(&left, schema)?, data_type(&right, schema)?);
            if !can_leave(op, &of_left, &of_right) {
                return Ok(Transformed::no(Expr::BinaryExpr(BinaryExpr { left, op, right })));
            }
            let result = BinaryTypeCoercer::new(&of_left, &op, &of_right).get_result_type()?;
            (Operation::new(Kind::Binary(op), result), vec![*left, *right])
        }
        Expr::Negative(inner) => {
            let result = data_type(&inner, schema)?;
            if !result.is_signed_integer() {
                return Ok(Transformed::no(Expr::Negative(inner)));
            }
            (Operation::new(Kind::Negate, result), vec![*inner])
        }
        other => return Ok(Transformed::no(other)),
    };
    let literals: Option<Vec<ColumnarValue>> = operands
        .iter()
        .map(|operand| match operand {
            Expr::Literal(value, _) => Some(ColumnarValue::Scalar(value.clone())),
            _ => None,
        })
        .collect();
    // A failure waits for its row: it may stand in a branch that is never taken.
    if let Some(literals) = literals
        && let Ok(ColumnarValue::Scalar(value)) = operation.compute(&literals)
    {
        return Ok(Transformed::yes(Expr::Literal(value, None)));
    }
    Ok(Transformed::yes(Expr::ScalarFunction(ScalarFunction::new_udf(
        ScalarUDF::new_from_impl(operation).into(),
        operands,
    ))))
}

fn is_arithmetic(op: Operator) -> bool {
    matches!(
        op,
        Operator::Plus | Operator::Minus | Operator::Multiply | Operator::Divide | Operator::Modulo
    )
}

fn data_type(expr: &Expr, schema: &DFSchema) -> Result<DataType> {
    if let Expr::ScalarFunction(call) = expr
        && let Some(operation) = (call.func.inner().as_ref() as &dyn Any).downcast_ref::<Operation>()
    {
        return Ok(operation.data_type.clone());
    }
    expr.get_type(schema)
}

/// Whether an operator over these types may make what its result type cannot hold.
fn can_leave(op: Operator, left: &DataType, right: &DataType) -> bool {
    use DataType::{Date32, Date64, Duration, Interval, Timestamp};
    use Operator::{Divide, Minus, Modulo, Multiply, Plus};
    if left.is_integer() && right.is_integer() {
        return op != Modulo;
    }
    if let (Some((p1, s1)), Some((p2, s2))) = (digits(left), digits(right)) {
        let most = most_digits(left);
        let scale = s1.max(s2);
        return match op {
            Plus | Minus => scale + (p1 - s1).max(p2 - s2) + 1 > most,
            Multiply => p1 + p2 > most,
            Divide => p1 - s1 + s2 + (s1 + 4).min(most) > most,
            Modulo => (p1 + scale - s1).max(p2 + scale - s2) > most,
            _ => true,
        };
    }
    let is_time = |data_type: &DataType| matches!(data_type, Date32 | Date64 | Timestamp(..));
    let is_span = |data_type: &DataType| matches!(data_type, Interval(_) | Duration(_));
    matches!(op, Plus | Minus)
        && ((is_time(left) && is_span(right))
            || (is_span(left) && is_time(right))
            || (is_span(left) && is_span(right))
            || matches!((left, right), (Timestamp(..), Timestamp(..))))
}

/// Precision and scale.
fn digits(data_type: &DataType) -> Option<(i16, i16)> {
    match data_type {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => Some((i16::from(*precision), i16::from(*scale))),
        _ => None,
    }
}

fn most_digits(data_type: &DataType) -> i16 {
    i16::from(match data_type {
        DataType::Decimal32(..) => Decimal32Type::MAX_PRECISION,
        DataType::Decimal64(..) => Decimal64Type::MAX_PRECISION,
        DataType::Decimal256(..) => Decimal256Type::MAX_PRECISION,
        _ => Decimal128Type::MAX_PRECISION,
    })
}

impl Operation {
    fn new(kind: Kind, data_type: DataType) -> Self {
        let operands = match kind {
            Kind::Binary(_) => 2,
            Kind::Negate => 1,
        };
        Self {
            kind,
            data_type,
            signature: Signature::any(operands, Volatility::Immutable),
        }
    }

    fn compute(&self, operands: &[ColumnarValue]) -> Result<ColumnarValue> {
        if let Some(products) = self.multiplied(operands) {
            return Ok(ColumnarValue::Array(products));
        }
        let outcome = match (self.kind, operands) {
            (Kind::Negate, [ColumnarValue::Scalar(value)]) => {
                value.arithmetic_negate().map(ColumnarValue::Scalar)
            }
            (Kind::Negate, [ColumnarValue::Array(array)]) => numeric::neg(array.as_ref())
                .map(ColumnarValue::Array)
                .map_err(Into::into),
            (Kind::Binary(op), [left, right]) => apply(left, right, kernel(op)),
            _ => return internal_err!("an operator with another number of operands"),
        };
        let value = match outcome {
            Err(error) if is_overflow(&error) => return Err(self.overflow()),
            outcome => outcome?,
        };
        match self.holds(&value)? {
            true => Ok(value),
            false => Err(self.overflow()),
        }
    }

    /// Products of short decimals, which need no check one by one.
    fn multiplied(&self, operands: &[ColumnarValue]) -> Option<ArrayRef> {
        let (
            Kind::Binary(Operator::Multiply),
            DataType::Decimal128(precision, scale),
            [ColumnarValue::Array(left), ColumnarValue::Array(right)],
        ) = (self.kind, &self.data_type, operands)
        else {
            return None;
        };
        let (left, right) = (
            left.as_primitive_opt::<Decimal128Type>()?,
            right.as_primitive_opt::<Decimal128Type>()?,
        );
        // More digits behind the point than a type has are the engine's to refuse.
        if left.scale().checked_add(right.scale()) != Some(*scale) {
            return None;
        }
        let products = decimal::multiplied(left, right, *precision)?;
        Some(Arc::new(products.with_data_type(self.data_type.clone())))
    }

    /// Whether the digits of decimals are as many as their type has.
    fn holds(&self, value: &ColumnarValue) -> Result<bool> {
        let array = match &self.data_type {
            DataType::Decimal32(..)
            | DataType::Decimal64(..)
            | DataType::Decimal128(..)
            | DataType::Decimal256(..) => value.to_array(1)?,
            _ => return Ok(true),
        };
        let array = array.as_ref();
        Ok(match &self.data_type {
            DataType::Decimal32(precision, _) => within::<Decimal32Type>(array.as_primitive(), *precision),
            DataType::Decimal64(precision, _) => within::<Decimal64Type>(array.as_primitive(), *precision),
            DataType::Decimal128(precision, _) => decimal::is_within(array.as_primitive(), *precision),
            DataType::Decimal256(precision, _) => within::<Decimal256Type>(array.as_primitive(), *precision),
            _ => true,
        })
    }

    fn overflow(&self) -> DataFusionError {
        let sign = match self.kind {
            Kind::Binary(op) => op.to_string(),
            Kind::Negate => "-".to_owned(),
        };
        Error::overflow(sign, &self.data_type)
    }
}

/// What computes an operator and refuses what its native type cannot hold.
type Kernel = fn(&dyn Datum, &dyn Datum) -> Result<ArrayRef, ArrowError>;

fn kernel(op: Operator) -> Kernel {
    match op {
        Operator::Minus => numeric::sub,
        Operator::Multiply => numeric::mul,
        Operator::Divide => numeric::div,
        Operator::Modulo => numeric::rem,
        _ => numeric::add,
    }
}

fn is_overflow(error: &DataFusionError) -> bool {
    match error.find_root() {
        DataFusionError::ArrowError(inner, _) => matches!(
            inner.as_ref(),
            // The second is what times say that leave the calendar.
            ArrowError::ArithmeticOverflow(_) | ArrowError::ComputeError(_)
        ),
        _ => false,
    }
}

fn within<T: DecimalType>(array: &PrimitiveArray<T>, precision: u8) -> bool {
    let fits = |value: T::Native| T::is_valid_decimal_precision(value, precision);
    match array.null_count() {
        0 => array.values().iter().all(|value| fits(*value)),
        _ => array.iter().flatten().all(fits),
    }
}

impl ScalarUDFImpl for Operation {
    fn name(&self) -> &str {
        match self.kind {
            Kind::Negate => "checked_negate",
            Kind::Binary(Operator::Minus) => "checked_subtract",
            Kind::Binary(Operator::Multiply) => "checked_multiply",
            Kind::Binary(Operator::Divide) => "checked_divide",
            Kind::Binary(Operator::Modulo) => "checked_modulo",
            Kind::Binary(_) => "checked_add",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _: &[DataType]) -> Result<DataType> {
        Ok(self.data_type.clone())
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        Ok(Arc::new(Field::new(
            self.name(),
            self.data_type.clone(),
            is_nullable,
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        self.compute(&args.args)
    }
}
