//! `||` and the operators of regular expressions, measured as functions are and computed by the engine's own expression.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::{DataType, Field, FieldRef, Schema};
use datafusion::error::Result;
use datafusion::logical_expr::binary::BinaryTypeCoercer;
use datafusion::logical_expr::expr::ScalarFunction;
use datafusion::logical_expr::{
    self, ColumnarValue, Expr, Operator, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl,
    Signature, Volatility,
};
use datafusion::physical_expr::PhysicalExpr;
use datafusion::physical_expr::expressions::{BinaryExpr, Column, Literal};

use super::check;
use super::measure::{self, Arguments, Measure};

/// The measure of an operator; none for one that makes little.
pub(super) fn measure(op: Operator) -> Option<Measure> {
    match op {
        Operator::StringConcat => Some(measure::joined),
        Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch => {
            Some(measure::searched)
        }
        _ => None,
    }
}

/// Whether an operator is a search whose pattern may take many steps for each letter of a text.
pub(super) fn is_heavy(binary: &logical_expr::BinaryExpr) -> bool {
    binary.op != Operator::StringConcat && measure(binary.op).is_some() && !measure::is_plain(&binary.right)
}

/// The operator as a call.
pub(super) fn call(binary: logical_expr::BinaryExpr, measure: Measure, bytes_max: u128) -> Expr {
    let logical_expr::BinaryExpr { left, op, right } = binary;
    let operator = MeasuredOperator {
        op,
        measure,
        bytes_max,
        signature: Signature::any(2, Volatility::Immutable),
    };
    Expr::ScalarFunction(ScalarFunction::new_udf(
        Arc::new(ScalarUDF::new_from_impl(operator)),
        vec![*left, *right],
    ))
}

/// An operator whose calls are measured first.
#[derive(Debug)]
struct MeasuredOperator {
    op: Operator,
    measure: Measure,
    bytes_max: u128,
    signature: Signature,
}

impl PartialEq for MeasuredOperator {
    fn eq(&self, other: &Self) -> bool {
        self.op == other.op && self.bytes_max == other.bytes_max
    }
}

impl Eq for MeasuredOperator {}

impl Hash for MeasuredOperator {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.op.hash(state);
        self.bytes_max.hash(state);
    }
}

impl ScalarUDFImpl for MeasuredOperator {
    fn name(&self) -> &str {
        match self.op {
            Operator::StringConcat => "||",
            Operator::RegexMatch => "~",
            Operator::RegexIMatch => "~*",
            Operator::RegexNotMatch => "!~",
            _ => "!~*",
        }
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        BinaryTypeCoercer::new(&types[0], &self.op, &types[1]).get_result_type()
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        let is_nullable = args.arg_fields.iter().any(|field| field.is_nullable());
        let types = [
            args.arg_fields[0].data_type().clone(),
            args.arg_fields[1].data_type().clone(),
        ];
        Ok(Arc::new(Field::new(
            self.name(),
            self.return_type(&types)?,
            is_nullable,
        )))
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let measured = Arguments::of(&args.args, args.number_rows)?;
        check(self.name(), (self.measure)(&measured), self.bytes_max)?;
        let (mut fields, mut columns, mut operands) = (Vec::new(), Vec::new(), Vec::new());
        for (value, field) in args.args.into_iter().zip(&args.arg_fields) {
            operands.push(match value {
                ColumnarValue::Scalar(value) => Arc::new(Literal::new(value)) as Arc<dyn PhysicalExpr>,
                ColumnarValue::Array(array) => {
                    let place = columns.len();
                    fields.push(Field::new(place.to_string(), array.data_type().clone(), true));
                    columns.push(array);
                    Arc::new(Column::new(field.name(), place))
                }
            });
        }
        let options = RecordBatchOptions::new().with_row_count(Some(args.number_rows));
        let batch = RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), columns, &options)?;
        let [left, right] = operands.try_into().map_err(|_| {
            datafusion::error::DataFusionError::Internal("an operator of two operands has others".to_owned())
        })?;
        BinaryExpr::new(left, self.op, right).evaluate(&batch)
    }
}
