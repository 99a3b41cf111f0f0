//! One typed value of a record: read from JSON by the contract, exact or refused.

use std::borrow::Cow;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanBuilder, Date32Builder, Decimal128Builder, Float64Builder, Int32Builder,
    Int64Builder, StringBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{
    Date32Type, Decimal128Type, Float64Type, Int32Type, Int64Type, TimestampMicrosecondType,
};
use chrono::{DateTime, NaiveDate, NaiveDateTime};
use std::sync::Arc;

use crate::json::{Json, canonical_number};
use crate::pipeline::document::Kind;

/// Digits of a decimal after its point.
const SCALE: usize = 9;
/// The largest decimal of 38 digits.
const DECIMAL_MAX: i128 = 10_i128.pow(38) - 1;

/// A value of a column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Cell {
    /// Nothing.
    Null,
    /// Text and JSON.
    Text(String),
    /// Int and bigint.
    Whole(i64),
    /// Double.
    Double(f64),
    /// Boolean.
    Bool(bool),
    /// Days since 1970.
    Date(i32),
    /// Microseconds since 1970.
    Timestamp(i64),
    /// A decimal in units of its last digit.
    Decimal(i128),
}

/// Why a value does not fit its column, one lower-case phrase.
pub(crate) type Misfit = Cow<'static, str>;

impl Cell {
    /// The value of `json` as `kind`. Texts are read as what they say where the type is another one: files and forms know only texts.
    pub(crate) fn read(json: &Json<'_>, kind: Kind) -> Result<Self, Misfit> {
        if matches!(json, Json::Null) {
            return Ok(Cell::Null);
        }
        match kind {
            Kind::Json => {
                let mut text = String::new();
                json.canonical(&mut text);
                Ok(Cell::Text(text))
            }
            Kind::Text => match json {
                Json::Text(text) => Ok(Cell::Text(text.as_ref().to_owned())),
                other => Err(format!("is {}, not a text", other.kind()).into()),
            },
            Kind::Boolean => match json {
                Json::Bool(value) => Ok(Cell::Bool(*value)),
                Json::Text(text) if text.eq_ignore_ascii_case("true") => Ok(Cell::Bool(true)),
                Json::Text(text) if text.eq_ignore_ascii_case("false") => Ok(Cell::Bool(false)),
                _ => Err("is not true or false".into()),
            },
            Kind::Int => whole(json).and_then(|value| {
                i32::try_from(value)
                    .map(|value| Cell::Whole(value.into()))
                    .map_err(|_| "does not fit 32 bits".into())
            }),
            Kind::Bigint => whole(json).map(Cell::Whole),
            Kind::Double => double(json),
            Kind::Decimal => decimal(json),
            Kind::Date => match json {
                Json::Text(text) => date(text),
                other => Err(format!("is {}, not a date", other.kind()).into()),
            },
            Kind::Timestamp => timestamp(json),
        }
    }

    /// A value of a silver table, to know again what was published.
    pub(crate) fn of(array: &dyn Array, row: usize, kind: Kind) -> Option<Self> {
        if array.is_null(row) {
            return Some(Cell::Null);
        }
        Some(match kind {
            Kind::Text | Kind::Json => Cell::Text(array.as_string_opt::<i32>()?.value(row).to_owned()),
            Kind::Int => Cell::Whole(array.as_primitive_opt::<Int32Type>()?.value(row).into()),
            Kind::Bigint => Cell::Whole(array.as_primitive_opt::<Int64Type>()?.value(row)),
            Kind::Double => Cell::Double(array.as_primitive_opt::<Float64Type>()?.value(row)),
            Kind::Boolean => Cell::Bool(array.as_boolean_opt()?.value(row)),
            Kind::Date => Cell::Date(array.as_primitive_opt::<Date32Type>()?.value(row)),
            Kind::Timestamp => {
                Cell::Timestamp(array.as_primitive_opt::<TimestampMicrosecondType>()?.value(row))
            }
            Kind::Decimal => Cell::Decimal(array.as_primitive_opt::<Decimal128Type>()?.value(row)),
        })
    }

    /// The value as a number, where it is one.
    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Cell::Whole(value) => Some(*value as f64),
            Cell::Double(value) => Some(*value),
            Cell::Decimal(value) => Some(*value as f64 / 10_f64.powi(SCALE as i32)),
            _ => None,
        }
    }

    /// Bytes that only equal values of one column share.
    pub(crate) fn key(&self, out: &mut Vec<u8>) {
        let (tag, bytes): (u8, Cow<'_, [u8]>) = match self {
            Cell::Null => (0, Cow::Borrowed(&[])),
            Cell::Text(text) => (1, Cow::Borrowed(text.as_bytes())),
            Cell::Whole(value) => (2, value.to_le_bytes().to_vec().into()),
            // Both zeros are one value.
            Cell::Double(value) => (3, (value + 0.0).to_bits().to_le_bytes().to_vec().into()),
            Cell::Bool(value) => (4, vec![u8::from(*value)].into()),
            Cell::Date(value) => (5, value.to_le_bytes().to_vec().into()),
            Cell::Timestamp(value) => (6, value.to_le_bytes().to_vec().into()),
            Cell::Decimal(value) => (7, value.to_le_bytes().to_vec().into()),
        };
        out.push(tag);
        out.extend_from_slice(&(bytes.len() as u64).to_le_bytes());
        out.extend_from_slice(&bytes);
    }
}

/// The values of one column as an Arrow array.
pub(crate) fn column<'a>(kind: Kind, cells: impl Iterator<Item = &'a Cell>) -> ArrayRef {
    macro_rules! build {
        ($builder:expr, $($pattern:pat => $value:expr),+) => {{
            let mut builder = $builder;
            for cell in cells {
                match cell {
                    $($pattern => builder.append_value($value),)+
                    _ => builder.append_null(),
                }
            }
            Arc::new(builder.finish())
        }};
    }
    match kind {
        Kind::Text | Kind::Json => build!(StringBuilder::new(), Cell::Text(text) => text),
        // In the bounds of 32 bits since it was read.
        Kind::Int => {
            build!(Int32Builder::new(), Cell::Whole(value) => i32::try_from(*value).unwrap_or_default())
        }
        Kind::Bigint => build!(Int64Builder::new(), Cell::Whole(value) => *value),
        Kind::Double => build!(Float64Builder::new(), Cell::Double(value) => *value),
        Kind::Boolean => build!(BooleanBuilder::new(), Cell::Bool(value) => *value),
        Kind::Date => build!(Date32Builder::new(), Cell::Date(value) => *value),
        Kind::Timestamp => {
            build!(TimestampMicrosecondBuilder::new().with_timezone("+00:00"), Cell::Timestamp(value) => *value)
        }
        Kind::Decimal => {
            let decimals = Decimal128Builder::new()
                .with_data_type(arrow::datatypes::DataType::Decimal128(38, SCALE as i8));
            build!(decimals, Cell::Decimal(value) => *value)
        }
    }
}

fn digits<'a>(json: &'a Json<'_>) -> Result<Cow<'a, str>, Misfit> {
    match json {
        Json::Number(text) => Ok(canonical_number(text)),
        Json::Text(text) => match Json::read(text.trim(), 1) {
            Ok(Json::Number(number)) => Ok(Cow::Owned(canonical_number(number).into_owned())),
            _ => Err("is a text that says no number".into()),
        },
        other => Err(format!("is {}, not a number", other.kind()).into()),
    }
}

fn whole(json: &Json<'_>) -> Result<i64, Misfit> {
    let text = digits(json)?;
    text.parse().map_err(|_| {
        if text.contains(['.', 'e']) && !text.contains("e+") {
            "is no whole number".into()
        } else {
            "does not fit 64 bits".into()
        }
    })
}

fn double(json: &Json<'_>) -> Result<Cell, Misfit> {
    let text = digits(json)?;
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(Cell::Double(value)),
        _ => Err("does not fit a double".into()),
    }
}

fn decimal(json: &Json<'_>) -> Result<Cell, Misfit> {
    let misfit = || Misfit::from("does not fit 38 digits with 9 after the point");
    let text = digits(json)?;
    let (negative, plain) = match text.strip_prefix('-') {
        Some(plain) => (true, plain),
        None => (false, text.as_ref()),
    };
    // Very large and very small numbers come with an exponent.
    let (mantissa, exponent) = match plain.split_once('e') {
        Some((mantissa, exponent)) => (mantissa, exponent.parse().map_err(|_| misfit())?),
        None => (plain, 0_i64),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let power = SCALE as i64 - fraction.len() as i64 + exponent;
    let factor = u32::try_from(power)
        .ok()
        .and_then(|power| 10_i128.checked_pow(power));
    let digits: Option<i128> = format!("{whole}{fraction}").parse().ok();
    let units = digits
        .zip(factor)
        .and_then(|(digits, factor)| digits.checked_mul(factor));
    let units = units.filter(|units| *units <= DECIMAL_MAX).ok_or_else(misfit)?;
    Ok(Cell::Decimal(if negative { -units } else { units }))
}

fn date(text: &str) -> Result<Cell, Misfit> {
    let day = NaiveDate::parse_from_str(text.trim(), "%Y-%m-%d").map_err(|_| Misfit::from("is no date"))?;
    let days = day.signed_duration_since(NaiveDate::default()).num_days();
    i32::try_from(days)
        .map(Cell::Date)
        .map_err(|_| "is no date".into())
}

/// The years that an Iceberg reader of any language can tell.
const YEARS: std::ops::RangeInclusive<i64> = -62_135_596_800..=253_402_300_799;

fn timestamp(json: &Json<'_>) -> Result<Cell, Misfit> {
    let micros = match json {
        Json::Text(text) => instant(text.trim()).ok_or_else(|| Misfit::from("is no timestamp"))?,
        Json::Number(text) => {
            let seconds: f64 = text.parse().map_err(|_| Misfit::from("is no timestamp"))?;
            if !(-1e11..1e12).contains(&seconds) {
                return Err("is no number of seconds since 1970".into());
            }
            // Exact to the microsecond for centuries around now.
            (seconds * 1e6).round() as i64
        }
        other => return Err(format!("is {}, not a timestamp", other.kind()).into()),
    };
    if !YEARS.contains(&micros.div_euclid(1_000_000)) {
        return Err("is outside of the years 1 to 9999".into());
    }
    Ok(Cell::Timestamp(micros))
}

/// An instant from RFC 3339 and its relatives; without an offset in UTC.
fn instant(text: &str) -> Option<i64> {
    if let Ok(instant) = DateTime::parse_from_rfc3339(text) {
        return Some(instant.timestamp_micros());
    }
    for pattern in [
        "%Y-%m-%dT%H:%M:%S%.f%#z",
        "%Y-%m-%d %H:%M:%S%.f%#z",
        "%Y-%m-%d %H:%M:%S%.f %#z",
    ] {
        if let Ok(instant) = DateTime::parse_from_str(text, pattern) {
            return Some(instant.timestamp_micros());
        }
    }
    for pattern in [
        "%Y-%m-%dT%H:%M:%S%.f",
        "%Y-%m-%d %H:%M:%S%.f",
        "%Y-%m-%dT%H:%M",
        "%Y-%m-%d %H:%M",
    ] {
        if let Ok(instant) = NaiveDateTime::parse_from_str(text, pattern) {
            return Some(instant.and_utc().timestamp_micros());
        }
    }
    let day = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
    Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_micros())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str, kind: Kind) -> Result<Cell, String> {
        Cell::read(&Json::read(json, 8).unwrap(), kind).map_err(Misfit::into_owned)
    }

    #[test]
    fn values_are_exact_or_refused() {
        let good = [
            ("\"a\"", Kind::Text, Cell::Text("a".into())),
            ("9223372036854775807", Kind::Bigint, Cell::Whole(i64::MAX)),
            ("1.0", Kind::Bigint, Cell::Whole(1)),
            ("1e3", Kind::Int, Cell::Whole(1000)),
            ("\" 42 \"", Kind::Int, Cell::Whole(42)),
            ("0.1", Kind::Double, Cell::Double(0.1)),
            ("\"True\"", Kind::Boolean, Cell::Bool(true)),
            ("\"2026-02-28\"", Kind::Date, Cell::Date(20_512)),
            ("0.1", Kind::Decimal, Cell::Decimal(100_000_000)),
            ("0.00000001", Kind::Decimal, Cell::Decimal(10)),
            (
                "-12345678901234567890123456789.123456789",
                Kind::Decimal,
                Cell::Decimal(-12_345_678_901_234_567_890_123_456_789_123_456_789),
            ),
            (
                "{\"b\":1,\"a\":[]}",
                Kind::Json,
                Cell::Text("{\"a\":[],\"b\":1}".into()),
            ),
            ("null", Kind::Int, Cell::Null),
        ];
        for (json, kind, expected) in good {
            assert_eq!(read(json, kind), Ok(expected), "{json}");
        }
        let bad = [
            ("1", Kind::Text),
            ("9223372036854775808", Kind::Bigint),
            ("1.5", Kind::Bigint),
            ("2147483648", Kind::Int),
            ("1e400", Kind::Double),
            ("\"NaN\"", Kind::Double),
            ("\"\"", Kind::Double),
            ("1", Kind::Boolean),
            ("\"2026-02-30\"", Kind::Date),
            ("0.0000000001", Kind::Decimal),
            ("1e38", Kind::Decimal),
            ("[]", Kind::Int),
        ];
        for (json, kind) in bad {
            assert!(read(json, kind).is_err(), "{json} {kind:?}");
        }
    }

    #[test]
    fn an_instant_is_read_in_every_usual_spelling() {
        for text in [
            "\"2026-01-02T03:04:05Z\"",
            "\"2026-01-02T04:04:05+01:00\"",
            "\"2026-01-02 03:04:05\"",
            "\"2026-01-02T03:04:05.000000\"",
            "\"2026-01-02 03:04:05+00\"",
            "1767323045",
            "1767323045.0",
        ] {
            assert_eq!(
                read(text, Kind::Timestamp),
                Ok(Cell::Timestamp(1_767_323_045_000_000)),
                "{text}"
            );
        }
        for text in [
            "\"yesterday\"",
            "\"2026-13-01T00:00:00Z\"",
            "true",
            "1767323045000",
            "1e300",
        ] {
            assert!(read(text, Kind::Timestamp).is_err(), "{text}");
        }
    }

    #[test]
    fn a_value_read_back_has_the_key_that_it_was_written_with() {
        let cells = [
            (Kind::Text, Cell::Text("a".into())),
            (Kind::Int, Cell::Whole(-7)),
            (Kind::Bigint, Cell::Whole(1 << 40)),
            (Kind::Double, Cell::Double(-0.0)),
            (Kind::Boolean, Cell::Bool(true)),
            (Kind::Date, Cell::Date(-1)),
            (Kind::Timestamp, Cell::Timestamp(-1)),
            (Kind::Decimal, Cell::Decimal(-5)),
        ];
        for (kind, cell) in cells {
            for cell in [cell, Cell::Null] {
                let array = column(kind, std::iter::once(&cell));
                let (mut one, mut other) = (Vec::new(), Vec::new());
                cell.key(&mut one);
                Cell::of(array.as_ref(), 0, kind).unwrap().key(&mut other);
                assert_eq!(one, other, "{cell:?}");
            }
        }
    }
}
