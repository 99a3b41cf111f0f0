//! What manifests say about the values of a column, as ranges of DataFusion scalars of the column's Arrow type.
//!
//! Invariants:
//! - A range always contains every value it speaks of; whatever is not certain is left open.
//! - Floats count only where there is surely no NaN, as DataFusion orders NaN above all numbers and bounds leave it out;
//!   a bound of zero covers both zeros, which DataFusion tells apart.
//! - UUIDs have no bounds: writers disagree on their order.

use arrow::datatypes::{DataType, TimeUnit};
use chrono::{Datelike, NaiveDate};
use datafusion::common::ScalarValue;
use iceberg::spec::{PrimitiveLiteral, PrimitiveType, Transform};

/// Days from the first day of the common era to 1970-01-01, as chrono counts them.
const EPOCH_DAYS: i64 = 719_163;

/// What is known of one column in one container (a file, or all files of a manifest).
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Range {
    /// No value is below this.
    pub(super) min: Option<ScalarValue>,
    /// No value is above this.
    pub(super) max: Option<ScalarValue>,
    /// How many values are NULL.
    pub(super) nulls: Option<u64>,
}

impl Range {
    /// The range that both ranges allow.
    pub(super) fn intersect(self, other: Self) -> Self {
        Self {
            min: tighter(self.min, other.min, std::cmp::Ordering::Less),
            max: tighter(self.max, other.max, std::cmp::Ordering::Greater),
            nulls: self.nulls.or(other.nulls),
        }
    }
}

/// The one of two bounds that excludes more; `looser` is how the looser one compares to the tighter one.
fn tighter(
    left: Option<ScalarValue>,
    right: Option<ScalarValue>,
    looser: std::cmp::Ordering,
) -> Option<ScalarValue> {
    match (left, right) {
        (Some(left), Some(right)) => Some(if left.partial_cmp(&right) == Some(looser) {
            right
        } else {
            left
        }),
        (left, right) => left.or(right),
    }
}

/// A lower or an upper bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Min,
    Max,
}

/// A bound as a scalar of the column's Arrow type; `None` where the type does not allow it.
pub(super) fn bound(
    value: &PrimitiveLiteral,
    of: &PrimitiveType,
    target: &DataType,
    side: Side,
) -> Option<ScalarValue> {
    match (value, of, target) {
        (PrimitiveLiteral::Boolean(v), _, DataType::Boolean) => Some(ScalarValue::Boolean(Some(*v))),
        (PrimitiveLiteral::Int(v), PrimitiveType::Int, DataType::Int32) => Some(ScalarValue::Int32(Some(*v))),
        (PrimitiveLiteral::Int(v), PrimitiveType::Int, DataType::Int64) => {
            Some(ScalarValue::Int64(Some(i64::from(*v))))
        }
        (PrimitiveLiteral::Int(v), PrimitiveType::Date, DataType::Date32) => {
            Some(ScalarValue::Date32(Some(*v)))
        }
        (PrimitiveLiteral::Long(v), PrimitiveType::Long, DataType::Int64) => {
            Some(ScalarValue::Int64(Some(*v)))
        }
        (PrimitiveLiteral::Long(v), _, _) => instant(*v, of, target),
        (PrimitiveLiteral::Float(v), _, DataType::Float32) => float32(v.0, side),
        (PrimitiveLiteral::Float(v), _, DataType::Float64) => float64(f64::from(v.0), side),
        (PrimitiveLiteral::Double(v), _, DataType::Float64) => float64(v.0, side),
        (PrimitiveLiteral::String(v), _, DataType::Utf8View) => Some(ScalarValue::Utf8View(Some(v.clone()))),
        (PrimitiveLiteral::String(v), _, DataType::Utf8) => Some(ScalarValue::Utf8(Some(v.clone()))),
        (PrimitiveLiteral::Binary(v), _, DataType::Binary) => Some(ScalarValue::Binary(Some(v.clone()))),
        (PrimitiveLiteral::Binary(v), _, DataType::BinaryView) => {
            Some(ScalarValue::BinaryView(Some(v.clone())))
        }
        (PrimitiveLiteral::Binary(v), PrimitiveType::Fixed(_), DataType::FixedSizeBinary(n))
            if usize::try_from(*n) == Ok(v.len()) =>
        {
            Some(ScalarValue::FixedSizeBinary(*n, Some(v.clone())))
        }
        (PrimitiveLiteral::Int128(v), PrimitiveType::Decimal { scale, .. }, DataType::Decimal128(p, s))
            if u32::try_from(*s) == Ok(*scale) =>
        {
            Some(ScalarValue::Decimal128(Some(*v), *p, *s))
        }
        _ => None,
    }
}

fn instant(value: i64, of: &PrimitiveType, target: &DataType) -> Option<ScalarValue> {
    match (of, target) {
        (PrimitiveType::Time, DataType::Time64(TimeUnit::Microsecond)) => {
            Some(ScalarValue::Time64Microsecond(Some(value)))
        }
        (PrimitiveType::Timestamp, DataType::Timestamp(TimeUnit::Microsecond, zone @ None))
        | (PrimitiveType::Timestamptz, DataType::Timestamp(TimeUnit::Microsecond, zone @ Some(_))) => {
            Some(ScalarValue::TimestampMicrosecond(Some(value), zone.clone()))
        }
        (PrimitiveType::TimestampNs, DataType::Timestamp(TimeUnit::Nanosecond, zone @ None))
        | (PrimitiveType::TimestamptzNs, DataType::Timestamp(TimeUnit::Nanosecond, zone @ Some(_))) => {
            Some(ScalarValue::TimestampNanosecond(Some(value), zone.clone()))
        }
        _ => None,
    }
}

fn float32(value: f32, side: Side) -> Option<ScalarValue> {
    match (value.is_nan(), value == 0.0, side) {
        (true, _, _) => None,
        (_, true, Side::Min) => Some(ScalarValue::Float32(Some(-0.0))),
        (_, true, Side::Max) => Some(ScalarValue::Float32(Some(0.0))),
        (_, false, _) => Some(ScalarValue::Float32(Some(value))),
    }
}

fn float64(value: f64, side: Side) -> Option<ScalarValue> {
    match (value.is_nan(), value == 0.0, side) {
        (true, _, _) => None,
        (_, true, Side::Min) => Some(ScalarValue::Float64(Some(-0.0))),
        (_, true, Side::Max) => Some(ScalarValue::Float64(Some(0.0))),
        (_, false, _) => Some(ScalarValue::Float64(Some(value))),
    }
}

/// One side of the values that a transform maps to `value` or, for the lower side, above it.
///
/// `of` is the type of `value`, which is the transform's result; `target` is the source column's Arrow type. Only
/// transforms that keep the order say anything; a bucket does not.
pub(super) fn preimage(
    transform: Transform,
    value: &PrimitiveLiteral,
    of: &PrimitiveType,
    target: &DataType,
    side: Side,
) -> Option<ScalarValue> {
    match transform {
        Transform::Identity => bound(value, of, target, side),
        Transform::Truncate(width) => truncated(value, of, target, side, width),
        Transform::Year | Transform::Month | Transform::Day | Transform::Hour => {
            let PrimitiveLiteral::Int(ordinal) = value else {
                return None;
            };
            period(transform, i64::from(*ordinal), target, side)
        }
        Transform::Bucket(_) | Transform::Void | Transform::Unknown => None,
    }
}

fn truncated(
    value: &PrimitiveLiteral,
    of: &PrimitiveType,
    target: &DataType,
    side: Side,
    width: u32,
) -> Option<ScalarValue> {
    let rest = i64::from(width).checked_sub(1)?;
    let reach = match (side, value) {
        (Side::Min, _) => value.clone(),
        (Side::Max, PrimitiveLiteral::Int(v)) => {
            PrimitiveLiteral::Int(v.saturating_add(i32::try_from(rest).ok()?))
        }
        (Side::Max, PrimitiveLiteral::Long(v)) => PrimitiveLiteral::Long(v.saturating_add(rest)),
        (Side::Max, PrimitiveLiteral::Int128(v)) => {
            PrimitiveLiteral::Int128(v.saturating_add(i128::from(rest)))
        }
        // A prefix bounds its strings from below only.
        (Side::Max, _) => return None,
    };
    bound(&reach, of, target, side)
}

/// The first or last instant of a period counted from 1970.
fn period(transform: Transform, ordinal: i64, target: &DataType, side: Side) -> Option<ScalarValue> {
    // Old writers rounded instants before 1970 towards it, so that such a value may lie one period earlier.
    let first = match side {
        Side::Min if ordinal <= 0 => ordinal - 1,
        Side::Min => ordinal,
        Side::Max => ordinal + 1,
    };
    if transform == Transform::Hour {
        return at(first.checked_mul(3_600_000_000)?, target, side);
    }
    let day = match transform {
        Transform::Year => day_of(1970 + first, 0)?,
        Transform::Month => day_of(1970 + first.div_euclid(12), first.rem_euclid(12))?,
        _ => first,
    };
    if *target == DataType::Date32 {
        let day = if side == Side::Max { day - 1 } else { day };
        return Some(ScalarValue::Date32(Some(i32::try_from(day).ok()?)));
    }
    at(day.checked_mul(86_400_000_000)?, target, side)
}

/// Days since 1970 of the first day of a month (from 0).
fn day_of(year: i64, month: i64) -> Option<i64> {
    let date = NaiveDate::from_ymd_opt(i32::try_from(year).ok()?, u32::try_from(month + 1).ok()?, 1)?;
    Some(i64::from(date.num_days_from_ce()) - EPOCH_DAYS)
}

/// The instant `micros` since 1970, or for an upper bound the one just before.
fn at(micros: i64, target: &DataType, side: Side) -> Option<ScalarValue> {
    let before = i64::from(side == Side::Max);
    match target {
        DataType::Timestamp(TimeUnit::Microsecond, zone) => Some(ScalarValue::TimestampMicrosecond(
            Some(micros.checked_sub(before)?),
            zone.clone(),
        )),
        DataType::Timestamp(TimeUnit::Nanosecond, zone) => {
            let nanos = micros.checked_mul(1_000)?.checked_sub(before)?;
            Some(ScalarValue::TimestampNanosecond(Some(nanos), zone.clone()))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
