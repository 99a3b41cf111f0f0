//! A JSON value as one value of an Arrow type.
//!
//! Invariant: the value that comes out is the value that was written. Where a type cannot hold it exactly (a fraction
//! in an integer, a digit too many in a decimal or a timestamp), it is refused and never rounded. The one exception is
//! a number for a floating-point column, which is the nearest one as everywhere.

mod decimal;
mod time;

pub(super) use decimal::is_shortened;

use std::sync::Arc;

use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BinaryArray, BooleanArray, Decimal128Array, Decimal256Array,
    FixedSizeBinaryArray, Float64Array, Int64Array, LargeBinaryArray, LargeStringArray, PrimitiveArray,
    StringArray, UInt64Array, new_null_array,
};
use arrow::datatypes::{
    DataType, Date32Type, Date64Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde_json::Value;

/// The whole numbers that a double holds one by one end here.
const DOUBLE_WHOLE_MAX: f64 = 9_007_199_254_740_992.0;

const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// `value` as an array of one value of `data_type`, a plain type.
///
/// # Errors
/// What is wrong, as a sentence without a subject: `"x" is not a DATE`.
pub(super) fn typed(value: &Value, data_type: &DataType) -> Result<ArrayRef, String> {
    if value.is_null() {
        return Ok(new_null_array(data_type, 1));
    }
    let no = || {
        format!(
            "{} is not a value of type {}",
            shown(value),
            planner::type_name(data_type)
        )
    };
    let made: ArrayRef = match data_type {
        DataType::Boolean => Arc::new(BooleanArray::from(vec![value.as_bool().ok_or_else(no)?])),
        DataType::Int8 => integer::<Int8Type>(value).ok_or_else(no)?,
        DataType::Int16 => integer::<Int16Type>(value).ok_or_else(no)?,
        DataType::Int32 => integer::<Int32Type>(value).ok_or_else(no)?,
        DataType::Int64 => integer::<Int64Type>(value).ok_or_else(no)?,
        DataType::UInt8 => integer::<UInt8Type>(value).ok_or_else(no)?,
        DataType::UInt16 => integer::<UInt16Type>(value).ok_or_else(no)?,
        DataType::UInt32 => integer::<UInt32Type>(value).ok_or_else(no)?,
        DataType::UInt64 => integer::<UInt64Type>(value).ok_or_else(no)?,
        DataType::Float32 => single(value).ok_or_else(no)?,
        DataType::Float64 => primitive::<Float64Type>(double(value).ok_or_else(no)?),
        DataType::Decimal128(precision, scale) => {
            let unscaled = decimal::unscaled(value, *precision, *scale)?;
            let unscaled = unscaled.to_i128().ok_or_else(no)?;
            let array = Decimal128Array::from(vec![unscaled]).with_precision_and_scale(*precision, *scale);
            Arc::new(array.map_err(|_| no())?)
        }
        DataType::Decimal256(precision, scale) => {
            let unscaled = decimal::unscaled(value, *precision, *scale)?;
            let array = Decimal256Array::from(vec![unscaled]).with_precision_and_scale(*precision, *scale);
            Arc::new(array.map_err(|_| no())?)
        }
        DataType::Utf8 => Arc::new(StringArray::from(vec![value.as_str().ok_or_else(no)?])),
        DataType::LargeUtf8 => Arc::new(LargeStringArray::from(vec![value.as_str().ok_or_else(no)?])),
        DataType::Binary => Arc::new(BinaryArray::from(vec![bytes(value)?.as_slice()])),
        DataType::LargeBinary => Arc::new(LargeBinaryArray::from(vec![bytes(value)?.as_slice()])),
        DataType::FixedSizeBinary(size) => fixed(&bytes(value)?, *size)?,
        DataType::Date32 => primitive::<Date32Type>(time::date(value)?),
        DataType::Date64 => primitive::<Date64Type>(i64::from(time::date(value)?) * 86_400_000),
        DataType::Time32(unit) => time::seconds_of_day(value, *unit)?,
        DataType::Time64(unit) => time::nanoseconds_of_day(value, *unit)?,
        DataType::Timestamp(unit, zone) => time::timestamp(value, *unit, zone.as_ref())?,
        other => {
            return Err(format!(
                "a value of type {} cannot be given here",
                planner::type_name(other)
            ));
        }
    };
    Ok(made)
}

/// `value` as JSON itself types it, for a place that takes any type; none for an array or an object.
pub(super) fn natural(value: &Value) -> Option<ArrayRef> {
    Some(match value {
        Value::Null => new_null_array(&DataType::Utf8, 1),
        Value::Bool(flag) => Arc::new(BooleanArray::from(vec![*flag])),
        Value::String(text) => Arc::new(StringArray::from(vec![text.as_str()])),
        Value::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(number), ..) => Arc::new(Int64Array::from(vec![number])),
            (_, Some(number), _) => Arc::new(UInt64Array::from(vec![number])),
            (.., number) => Arc::new(Float64Array::from(vec![number?])),
        },
        Value::Array(_) | Value::Object(_) => return None,
    })
}

/// A value in a message, cut when it is long.
pub(super) fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(48) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

fn primitive<T: ArrowPrimitiveType>(value: T::Native) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::from_iter_values([value]))
}

fn integer<T: ArrowPrimitiveType>(value: &Value) -> Option<ArrayRef>
where
    T::Native: TryFrom<i128>,
{
    Some(primitive::<T>(T::Native::try_from(whole(value)?).ok()?))
}

/// A whole number from a number or from a text of digits. A number that JSON reads as a double counts only below 2^53,
/// because above that it may not be the number that was written.
fn whole(value: &Value) -> Option<i128> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(number), _) => Some(number.into()),
            (_, Some(number)) => Some(number.into()),
            _ => number
                .as_f64()
                .filter(|number| number.fract() == 0.0 && number.abs() < DOUBLE_WHOLE_MAX)
                .map(|n| n as i128),
        },
        _ => None,
    }
}

fn double(value: &Value) -> Option<f64> {
    match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => match text.as_str() {
            "NaN" => Some(f64::NAN),
            "Infinity" => Some(f64::INFINITY),
            "-Infinity" => Some(f64::NEG_INFINITY),
            other => other.parse().ok().filter(|number: &f64| number.is_finite()),
        },
        _ => None,
    }
}

fn single(value: &Value) -> Option<ArrayRef> {
    let double = double(value)?;
    let single = double as f32;
    (single.is_finite() == double.is_finite()).then(|| primitive::<Float32Type>(single))
}

fn bytes(value: &Value) -> Result<Vec<u8>, String> {
    let text = value
        .as_str()
        .ok_or_else(|| format!("{} is not a text of base64", shown(value)))?;
    BASE64
        .decode(text)
        .map_err(|_| format!("{} is not base64", shown(value)))
}

fn fixed(bytes: &[u8], size: i32) -> Result<ArrayRef, String> {
    let wrong = || format!("the value has {} bytes and not {size}", bytes.len());
    if usize::try_from(size).ok() != Some(bytes.len()) {
        return Err(wrong());
    }
    let array = FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes)).map_err(|_| wrong())?;
    Ok(Arc::new(array))
}

#[cfg(test)]
mod tests;
