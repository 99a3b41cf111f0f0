//! What masks do to the values of a column. Each is total: for every value of its type it gives one of the same type, or
//! NULL.

use std::sync::Arc;

use arrow::array::{Array as _, ArrayRef, AsArray as _, PrimitiveArray, StringArray, new_null_array};
use arrow::compute::cast;
use arrow::datatypes::{
    ArrowPrimitiveType, DataType, Date32Type, Decimal128Type, Int8Type, Int16Type, Int32Type, Int64Type,
    TimeUnit, TimestampMicrosecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::error::ArrowError;
use aws_lc_rs::hmac;
use chrono::{DateTime, Datelike as _, Days, NaiveDate, NaiveDateTime, NaiveTime, Timelike as _};
use datafusion::common::ScalarValue;
use policies::{Mask, MaskKey, Unit};

use super::conditions::{Unfit, scalar, type_of};

/// A mask made ready for one column.
#[derive(Debug, Clone)]
pub(super) enum Change {
    Null,
    Constant(ScalarValue),
    Partial { first: usize, last: usize, with: char },
    Hash(MaskKey),
    Bucket(u64),
    Truncate(Unit),
}

impl Change {
    /// The change that a mask makes to a column of this type; none for a custom mask, which is an expression.
    ///
    /// # Errors
    /// [`Unfit`] for a type that the mask has no meaning for.
    pub(super) fn of(mask: &Mask, data_type: &DataType) -> Result<Option<Self>, Unfit> {
        let is_text = matches!(
            data_type,
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        );
        let is_time = matches!(data_type, DataType::Date32 | DataType::Timestamp(_, _));
        let is_number =
            data_type.is_integer() || matches!(data_type, DataType::Decimal128(_, scale) if *scale >= 0);
        let (fits, change) = match mask {
            Mask::Custom(_) => return Ok(None),
            Mask::Null => (true, Self::Null),
            Mask::Constant(text) => (true, Self::Constant(constant(text, data_type)?)),
            Mask::Partial { first, last, with } => {
                let (first, last) = (*first as usize, *last as usize);
                (
                    is_text,
                    Self::Partial {
                        first,
                        last,
                        with: *with,
                    },
                )
            }
            Mask::Hash { key } => (is_text, Self::Hash(key.clone())),
            Mask::Bucket { width } => (is_number, Self::Bucket(*width)),
            Mask::Truncate { to } => (is_time, Self::Truncate(*to)),
        };
        match fits {
            true => Ok(Some(change)),
            false => Err(Unfit(format!("a mask means nothing for the type {data_type}"))),
        }
    }

    /// The changed values, of the same type and as many.
    pub(super) fn apply(&self, values: &ArrayRef) -> Result<ArrayRef, ArrowError> {
        match self {
            Self::Null => Ok(new_null_array(values.data_type(), values.len())),
            Self::Constant(value) => value
                .to_array_of_size(values.len())
                .map_err(|error| ArrowError::ExternalError(Box::new(error))),
            Self::Partial { first, last, with } => texts(values, |text| covered(text, *first, *last, *with)),
            Self::Hash(key) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, key.expose());
                texts(values, |text| {
                    let tag = hmac::sign(&key, text.as_bytes());
                    tag.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
                })
            }
            Self::Bucket(width) => bucketed(values, *width),
            Self::Truncate(to) => truncated(values, *to),
        }
    }
}

fn constant(text: &str, data_type: &DataType) -> Result<ScalarValue, Unfit> {
    use policies::expression::Literal;
    let literal = match data_type {
        DataType::Boolean if text == "true" => Literal::Boolean(true),
        DataType::Boolean if text == "false" => Literal::Boolean(false),
        DataType::Date32 => Literal::Date(text.to_owned()),
        DataType::Timestamp(_, _) => Literal::Timestamp(text.to_owned()),
        of if of.is_numeric() => Literal::Number(text.to_owned()),
        of if type_of(of).is_some() && *of != DataType::Boolean => Literal::Text(text.to_owned()),
        of => return Err(Unfit(format!("a constant means nothing for the type {of}"))),
    };
    scalar(&literal, Some(data_type))
}

/// Texts changed one by one; NULL stays NULL.
fn texts(values: &ArrayRef, change: impl Fn(&str) -> String) -> Result<ArrayRef, ArrowError> {
    let plain = cast(values, &DataType::Utf8)?;
    let changed: StringArray = plain
        .as_string::<i32>()
        .iter()
        .map(|text| text.map(&change))
        .collect();
    cast(&changed, values.data_type())
}

/// All but the first and the last characters covered. A text of which nothing would be covered is covered whole.
fn covered(text: &str, first: usize, last: usize, with: char) -> String {
    let length = text.chars().count();
    let is_short = length <= first.saturating_add(last);
    let hides = |place: usize| is_short || (place >= first && place < length - last);
    text.chars()
        .enumerate()
        .map(|(place, letter)| if hides(place) { with } else { letter })
        .collect()
}

/// The multiple of `width` below each number. Where the type has none, the smallest number of the type.
fn bucketed(values: &ArrayRef, width: u64) -> Result<ArrayRef, ArrowError> {
    fn each<T: ArrowPrimitiveType>(values: &ArrayRef, width: i128) -> ArrayRef
    where
        T::Native: Into<i128> + TryFrom<i128>,
    {
        let array: &PrimitiveArray<T> = values.as_primitive();
        let changed = array.unary_opt::<_, T>(|value| {
            let value: i128 = value.into();
            T::Native::try_from(value.checked_sub(value.rem_euclid(width))?).ok()
        });
        Arc::new(changed)
    }
    let whole = i128::from(width);
    Ok(match values.data_type() {
        DataType::Int8 => each::<Int8Type>(values, whole),
        DataType::Int16 => each::<Int16Type>(values, whole),
        DataType::Int32 => each::<Int32Type>(values, whole),
        DataType::Int64 => each::<Int64Type>(values, whole),
        DataType::UInt8 => each::<UInt8Type>(values, whole),
        DataType::UInt16 => each::<UInt16Type>(values, whole),
        DataType::UInt32 => each::<UInt32Type>(values, whole),
        DataType::UInt64 => each::<UInt64Type>(values, whole),
        DataType::Decimal128(precision, scale) => {
            let unit = 10_i128.checked_pow(u32::try_from(*scale).unwrap_or(0));
            let width = unit.and_then(|unit| unit.checked_mul(whole));
            let array = values.as_primitive::<Decimal128Type>();
            let bound = 10_i128.checked_pow(u32::from(*precision)).unwrap_or(i128::MAX);
            let changed = array.unary_opt::<_, Decimal128Type>(|value| {
                let changed = value.checked_sub(value.rem_euclid(width?))?;
                (changed > -bound).then_some(changed)
            });
            Arc::new(changed.with_precision_and_scale(*precision, *scale)?)
        }
        _ => new_null_array(values.data_type(), values.len()),
    })
}

fn truncated(values: &ArrayRef, to: Unit) -> Result<ArrayRef, ArrowError> {
    match values.data_type() {
        DataType::Date32 => {
            let days = values.as_primitive::<Date32Type>();
            let changed = days.unary_opt::<_, Date32Type>(|days| {
                let time = DateTime::from_timestamp(i64::from(days).checked_mul(86_400)?, 0)?.naive_utc();
                let start = start_of(time, to)?.and_utc().timestamp();
                i32::try_from(start.div_euclid(86_400)).ok()
            });
            Ok(Arc::new(changed))
        }
        DataType::Timestamp(_, zone) => {
            let micros = cast(values, &DataType::Timestamp(TimeUnit::Microsecond, zone.clone()))?;
            let micros = micros.as_primitive::<TimestampMicrosecondType>();
            let changed = micros.unary_opt::<_, TimestampMicrosecondType>(|micros| {
                let time = DateTime::from_timestamp_micros(micros)?.naive_utc();
                Some(start_of(time, to)?.and_utc().timestamp_micros())
            });
            cast(&changed.with_timezone_opt(zone.clone()), values.data_type())
        }
        _ => Ok(new_null_array(values.data_type(), values.len())),
    }
}

/// The start of the unit, in UTC.
fn start_of(time: NaiveDateTime, to: Unit) -> Option<NaiveDateTime> {
    let date = time.date();
    let month = |month| NaiveDate::from_ymd_opt(date.year(), month, 1);
    let date = match to {
        Unit::Year => month(1)?,
        Unit::Quarter => month((date.month0() / 3) * 3 + 1)?,
        Unit::Month => date.checked_sub_days(Days::new(u64::from(date.day0())))?,
        Unit::Day | Unit::Hour => date,
    };
    let hour = if to == Unit::Hour { time.hour() } else { 0 };
    Some(date.and_time(NaiveTime::from_hms_opt(hour, 0, 0)?))
}

#[cfg(test)]
mod tests;
