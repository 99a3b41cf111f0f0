//! `round` and `trunc` of doubles to a number of places. The engine's own go through `10 ^ places`, which is infinite
//! past 308: `round(1.5, 400)` is NaN there, and `round(100.0, 307)` infinite. A double has no more than 17 digits, so a
//! place beyond them leaves it as it is.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray as _, PrimitiveArray};
use arrow::compute::{binary, cast};
use arrow::datatypes::{ArrowPrimitiveType, DataType, FieldRef, Float32Type, Float64Type, Int64Type};
use datafusion::error::Result;
use datafusion::execution::FunctionRegistry as _;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::sort_properties::{ExprProperties, SortProperties};
use datafusion::logical_expr::{
    ColumnarValue, Documentation, ReturnFieldArgs, ScalarFunctionArgs, ScalarUDF, ScalarUDFImpl, Signature,
};
use datafusion::scalar::ScalarValue;

/// Puts the exact forms in the place of the engine's own.
pub(super) fn bound(state: &mut SessionState) -> Result<()> {
    for (name, to_whole) in [("round", f64::round as fn(f64) -> f64), ("trunc", f64::trunc)] {
        let inner = state.udf(name)?;
        state.register_udf(Arc::new(ScalarUDF::new_from_impl(Rounding { inner, to_whole })))?;
    }
    Ok(())
}

/// `round` or `trunc`.
#[derive(Debug)]
struct Rounding {
    /// The engine's own, for decimals and for whole numbers of places.
    inner: Arc<ScalarUDF>,
    /// The nearest whole number, or the next towards zero.
    to_whole: fn(f64) -> f64,
}

impl PartialEq for Rounding {
    fn eq(&self, other: &Self) -> bool {
        self.inner == other.inner
    }
}

impl Eq for Rounding {}

impl std::hash::Hash for Rounding {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.inner.hash(state);
    }
}

/// `value` cut to `places` digits after the point, or before it where negative.
fn cut(value: f64, places: i64, to_whole: fn(f64) -> f64) -> f64 {
    /// From here on every double is whole.
    const WHOLE: f64 = (1_u64 << 53) as f64;
    // No double has a digit beyond these places: the largest is below 10^309, the smallest has its last at 1,074.
    let places = places.clamp(-400, 1_100) as i32;
    let factor = 10_f64.powi(places.abs());
    if places < 0 {
        return match factor.is_finite() {
            true => to_whole(value / factor) * factor,
            false if value.is_nan() || value.is_infinite() => value,
            false => 0.0,
        };
    }
    let scaled = value * factor;
    match scaled.is_finite() && scaled.abs() < WHOLE {
        true => to_whole(scaled) / factor,
        false => value,
    }
}

impl Rounding {
    fn cut_all<T>(&self, values: &dyn Array, places: &PrimitiveArray<Int64Type>) -> Result<ArrayRef>
    where
        T: ArrowPrimitiveType<Native: Into<f64> + FromDouble>,
    {
        let values = values.as_primitive::<T>();
        let cut = binary::<_, _, _, T>(values, places, |value, places| {
            T::Native::from_double(cut(value.into(), places, self.to_whole))
        })?;
        Ok(Arc::new(cut))
    }
}

/// The nearest value of a type.
trait FromDouble {
    fn from_double(value: f64) -> Self;
}

impl FromDouble for f64 {
    fn from_double(value: f64) -> Self {
        value
    }
}

impl FromDouble for f32 {
    fn from_double(value: f64) -> Self {
        value as f32
    }
}

impl ScalarUDFImpl for Rounding {
    fn name(&self) -> &str {
        self.inner.name()
    }

    fn aliases(&self) -> &[String] {
        self.inner.aliases()
    }

    fn signature(&self) -> &Signature {
        self.inner.signature()
    }

    fn return_type(&self, types: &[DataType]) -> Result<DataType> {
        self.inner.return_type(types)
    }

    fn return_field_from_args(&self, args: ReturnFieldArgs<'_>) -> Result<FieldRef> {
        self.inner.return_field_from_args(args)
    }

    fn invoke_with_args(&self, args: ScalarFunctionArgs) -> Result<ColumnarValue> {
        let [value, places] = args.args.as_slice() else {
            return self.inner.invoke_with_args(args);
        };
        let of = value.data_type();
        if !matches!(of, DataType::Float32 | DataType::Float64) {
            return self.inner.invoke_with_args(args);
        }
        let is_scalar = [value, places]
            .iter()
            .all(|arg| matches!(arg, ColumnarValue::Scalar(_)));
        let rows = if is_scalar { 1 } else { args.number_rows };
        let values = value.to_array(rows)?;
        let places = cast(&places.to_array(rows)?, &DataType::Int64)?;
        let places = places.as_primitive::<Int64Type>();
        let cut = match of {
            DataType::Float32 => self.cut_all::<Float32Type>(&values, places)?,
            _ => self.cut_all::<Float64Type>(&values, places)?,
        };
        Ok(match is_scalar {
            true => ColumnarValue::Scalar(ScalarValue::try_from_array(&cut, 0)?),
            false => ColumnarValue::Array(cut),
        })
    }

    fn output_ordering(&self, input: &[ExprProperties]) -> Result<SortProperties> {
        self.inner.output_ordering(input)
    }

    fn documentation(&self) -> Option<&Documentation> {
        self.inner.documentation()
    }
}
