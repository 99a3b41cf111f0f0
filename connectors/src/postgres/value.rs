//! Values of the engine as values of a server, in the server's own text form.
//!
//! Invariants:
//! - A value goes over exactly or not at all; there is no rounding and no NULL.
//! - The text of a value means the same under every setting of the server.
//! - Values are never printed: not in `Debug`, not in logs of the driver.

use super::sql::Unwritable;
use bytes::{BufMut, BytesMut};
use chrono::{DateTime, Datelike, NaiveDate};
use datafusion::common::ScalarValue;
use std::error::Error as StdError;
use std::fmt;
use tokio_postgres::types::{Format, IsNull, ToSql, Type};

/// The types of a server in which a value can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ValueType {
    /// `bool`
    Bool,
    /// `int2`
    Int2,
    /// `int4`
    Int4,
    /// `int8`
    Int8,
    /// `numeric`
    Numeric,
    /// `text`
    Text,
    /// `date`
    Date,
    /// `timestamp`
    Timestamp,
    /// `timestamptz`
    Timestamptz,
    /// `uuid`
    Uuid,
}

impl ValueType {
    fn names(self) -> (&'static str, &'static str, Type, Type) {
        match self {
            Self::Bool => (
                "pg_catalog.bool",
                "pg_catalog.bool[]",
                Type::BOOL,
                Type::BOOL_ARRAY,
            ),
            Self::Int2 => (
                "pg_catalog.int2",
                "pg_catalog.int2[]",
                Type::INT2,
                Type::INT2_ARRAY,
            ),
            Self::Int4 => (
                "pg_catalog.int4",
                "pg_catalog.int4[]",
                Type::INT4,
                Type::INT4_ARRAY,
            ),
            Self::Int8 => (
                "pg_catalog.int8",
                "pg_catalog.int8[]",
                Type::INT8,
                Type::INT8_ARRAY,
            ),
            Self::Numeric => (
                "pg_catalog.numeric",
                "pg_catalog.numeric[]",
                Type::NUMERIC,
                Type::NUMERIC_ARRAY,
            ),
            Self::Text => (
                "pg_catalog.text",
                "pg_catalog.text[]",
                Type::TEXT,
                Type::TEXT_ARRAY,
            ),
            Self::Date => (
                "pg_catalog.date",
                "pg_catalog.date[]",
                Type::DATE,
                Type::DATE_ARRAY,
            ),
            Self::Timestamp => (
                "pg_catalog.timestamp",
                "pg_catalog.timestamp[]",
                Type::TIMESTAMP,
                Type::TIMESTAMP_ARRAY,
            ),
            Self::Timestamptz => (
                "pg_catalog.timestamptz",
                "pg_catalog.timestamptz[]",
                Type::TIMESTAMPTZ,
                Type::TIMESTAMPTZ_ARRAY,
            ),
            Self::Uuid => (
                "pg_catalog.uuid",
                "pg_catalog.uuid[]",
                Type::UUID,
                Type::UUID_ARRAY,
            ),
        }
    }
}

/// A value or an array of them, ready to be sent.
#[derive(Clone, PartialEq)]
pub(super) struct Bound {
    text: String,
    of: ValueType,
    is_array: bool,
}

impl Bound {
    pub(super) fn new(value: &ScalarValue, of: ValueType) -> Result<Self, Unwritable> {
        Ok(Self {
            text: text(value, of)?,
            of,
            is_array: false,
        })
    }

    pub(super) fn array(values: &[ScalarValue], of: ValueType) -> Result<Self, Unwritable> {
        let mut array = String::from("{");
        for value in values {
            if array.len() > 1 {
                array.push(',');
            }
            array.push('"');
            for character in text(value, of)?.chars() {
                if matches!(character, '"' | '\\') {
                    array.push('\\');
                }
                array.push(character);
            }
            array.push('"');
        }
        array.push('}');
        Ok(Self {
            text: array,
            of,
            is_array: true,
        })
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn type_name(&self) -> &'static str {
        let (one, many, _, _) = self.of.names();
        if self.is_array { many } else { one }
    }

    fn wire_type(&self) -> Type {
        let (_, _, one, many) = self.of.names();
        if self.is_array { many } else { one }
    }
}

impl fmt::Debug for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}(hidden)", self.type_name())
    }
}

impl ToSql for Bound {
    fn to_sql(&self, of: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        if *of != self.wire_type() {
            return Err(Box::new(Unwritable(
                "the server takes a parameter for another type",
            )));
        }
        out.put_slice(self.text.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    fn to_sql_checked(
        &self,
        of: &Type,
        out: &mut BytesMut,
    ) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        self.to_sql(of, out)
    }
}

const OTHER: Unwritable = Unwritable("a value of another type");
const RANGE: Unwritable = Unwritable("a value beyond what both sides write alike");

/// The text form of a value.
fn text(value: &ScalarValue, of: ValueType) -> Result<String, Unwritable> {
    use ScalarValue as S;
    match (of, value) {
        (ValueType::Bool, S::Boolean(Some(value))) => Ok(value.to_string()),
        (ValueType::Int2, S::Int16(Some(value))) => Ok(value.to_string()),
        (ValueType::Int4, S::Int32(Some(value))) => Ok(value.to_string()),
        (ValueType::Int8, S::Int64(Some(value))) => Ok(value.to_string()),
        (ValueType::Numeric, S::Decimal128(Some(value), _, scale)) => decimal(&value.to_string(), *scale),
        (ValueType::Numeric, S::Decimal256(Some(value), _, scale)) => decimal(&value.to_string(), *scale),
        (ValueType::Text, S::Utf8(Some(text)) | S::Utf8View(Some(text)) | S::LargeUtf8(Some(text))) => {
            match text.contains('\0') {
                true => Err(Unwritable("a text with a NUL")),
                false => Ok(text.clone()),
            }
        }
        (ValueType::Uuid, S::Utf8(Some(text)) | S::Utf8View(Some(text)) | S::LargeUtf8(Some(text))) => {
            match is_canonical_uuid(text) {
                true => Ok(text.clone()),
                false => Err(Unwritable("a text that no uuid is printed as")),
            }
        }
        (ValueType::Date, S::Date32(Some(days))) => {
            let date = NaiveDate::from_epoch_days(*days).filter(|date| is_plain(date.year()));
            Ok(date.ok_or(RANGE)?.format("%Y-%m-%d").to_string())
        }
        (ValueType::Timestamp, S::TimestampMicrosecond(Some(micros), None)) => timestamp(*micros),
        (ValueType::Timestamptz, S::TimestampMicrosecond(Some(micros), Some(_))) => {
            timestamp(*micros).map(|text| text + "+00")
        }
        _ => Err(OTHER),
    }
}

/// Years that every calendar writes with four digits.
fn is_plain(year: i32) -> bool {
    (1..=9999).contains(&year)
}

fn timestamp(micros: i64) -> Result<String, Unwritable> {
    let time = DateTime::from_timestamp_micros(micros).filter(|time| is_plain(time.year()));
    Ok(time.ok_or(RANGE)?.format("%Y-%m-%d %H:%M:%S%.6f").to_string())
}

/// `digits` with the point `scale` places from the right.
fn decimal(digits: &str, scale: i8) -> Result<String, Unwritable> {
    let scale = usize::try_from(scale).map_err(|_| RANGE)?;
    let (sign, digits) = match digits.strip_prefix('-') {
        Some(rest) => ("-", rest),
        None => ("", digits),
    };
    let padded = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = padded.split_at(padded.len() - scale);
    Ok(match part.is_empty() {
        true => format!("{sign}{whole}"),
        false => format!("{sign}{whole}.{part}"),
    })
}

/// Whether a text is one that the server prints for a uuid: lower case, with four hyphens.
pub(super) fn is_canonical_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(place, byte)| match place {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_written_exactly_or_not_at_all() {
        let ok = |value: ScalarValue, of| text(&value, of).unwrap();
        assert_eq!(
            ok(ScalarValue::Decimal128(Some(-5), 10, 3), ValueType::Numeric),
            "-0.005"
        );
        assert_eq!(
            ok(ScalarValue::Decimal128(Some(12345), 10, 2), ValueType::Numeric),
            "123.45"
        );
        assert_eq!(
            ok(ScalarValue::Decimal128(Some(7), 10, 0), ValueType::Numeric),
            "7"
        );
        assert_eq!(ok(ScalarValue::Date32(Some(-1)), ValueType::Date), "1969-12-31");
        let micros = ScalarValue::TimestampMicrosecond(Some(-1), None);
        assert_eq!(ok(micros, ValueType::Timestamp), "1969-12-31 23:59:59.999999");
        let micros = ScalarValue::TimestampMicrosecond(Some(0), Some("UTC".into()));
        assert_eq!(
            ok(micros, ValueType::Timestamptz),
            "1970-01-01 00:00:00.000000+00"
        );
        let bad = |value: ScalarValue, of| text(&value, of).unwrap_err();
        bad(ScalarValue::Int32(None), ValueType::Int4);
        bad(ScalarValue::Int32(Some(1)), ValueType::Int8);
        bad(ScalarValue::Float64(Some(1.0)), ValueType::Numeric);
        bad(ScalarValue::Date32(Some(i32::MAX)), ValueType::Date);
        bad(ScalarValue::Date32(Some(-800_000)), ValueType::Date);
        bad(ScalarValue::from("a\0b"), ValueType::Text);
        bad(
            ScalarValue::from("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
            ValueType::Uuid,
        );
        bad(
            ScalarValue::TimestampMicrosecond(Some(i64::MAX), None),
            ValueType::Timestamp,
        );
    }

    #[test]
    fn a_value_is_not_printed() {
        let bound = Bound::new(&ScalarValue::from("secret"), ValueType::Text).unwrap();
        assert!(!format!("{bound:?}").contains("secret"));
    }
}
