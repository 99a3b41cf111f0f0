//! Values of Iceberg's metadata as scalars of the engine, and in a printed form that loses nothing.

use arrow::datatypes::DataType;
use datafusion::common::ScalarValue;
use iceberg::spec::{PrimitiveLiteral, PrimitiveType};
use serde_json::{Value, json};
use std::sync::Arc;

/// A value of a primitive type as a scalar of the Arrow type that a column of that type has; `None` when it is none.
pub(super) fn scalar(value: &PrimitiveLiteral, of: &PrimitiveType, target: &DataType) -> Option<ScalarValue> {
    let utc = || Some(Arc::from("UTC"));
    let scalar = match (value, of) {
        (PrimitiveLiteral::Boolean(v), PrimitiveType::Boolean) => ScalarValue::Boolean(Some(*v)),
        (PrimitiveLiteral::Int(v), PrimitiveType::Int) => ScalarValue::Int32(Some(*v)),
        (PrimitiveLiteral::Int(v), PrimitiveType::Date) => ScalarValue::Date32(Some(*v)),
        (PrimitiveLiteral::Int(v), PrimitiveType::Long) => ScalarValue::Int64(Some(i64::from(*v))),
        (PrimitiveLiteral::Long(v), PrimitiveType::Long) => ScalarValue::Int64(Some(*v)),
        (PrimitiveLiteral::Long(v), PrimitiveType::Time) => ScalarValue::Time64Microsecond(Some(*v)),
        (PrimitiveLiteral::Long(v), PrimitiveType::Timestamp) => {
            ScalarValue::TimestampMicrosecond(Some(*v), None)
        }
        (PrimitiveLiteral::Long(v), PrimitiveType::Timestamptz) => {
            ScalarValue::TimestampMicrosecond(Some(*v), utc())
        }
        (PrimitiveLiteral::Long(v), PrimitiveType::TimestampNs) => {
            ScalarValue::TimestampNanosecond(Some(*v), None)
        }
        (PrimitiveLiteral::Long(v), PrimitiveType::TimestamptzNs) => {
            ScalarValue::TimestampNanosecond(Some(*v), utc())
        }
        (PrimitiveLiteral::Float(v), PrimitiveType::Float) => ScalarValue::Float32(Some(v.0)),
        (PrimitiveLiteral::Float(v), PrimitiveType::Double) => ScalarValue::Float64(Some(f64::from(v.0))),
        (PrimitiveLiteral::Double(v), PrimitiveType::Double) => ScalarValue::Float64(Some(v.0)),
        (PrimitiveLiteral::String(v), PrimitiveType::String) => ScalarValue::Utf8(Some(v.clone())),
        (PrimitiveLiteral::Binary(v), PrimitiveType::Binary) => ScalarValue::Binary(Some(v.clone())),
        (PrimitiveLiteral::Binary(v), PrimitiveType::Fixed(size)) if u64::try_from(v.len()) == Ok(*size) => {
            ScalarValue::FixedSizeBinary(i32::try_from(*size).ok()?, Some(v.clone()))
        }
        (PrimitiveLiteral::UInt128(v), PrimitiveType::Uuid) => {
            ScalarValue::FixedSizeBinary(16, Some(v.to_be_bytes().to_vec()))
        }
        (PrimitiveLiteral::Int128(v), PrimitiveType::Decimal { precision, scale }) => {
            let (precision, scale) = (u8::try_from(*precision).ok()?, i8::try_from(*scale).ok()?);
            ScalarValue::Decimal128(Some(*v), precision, scale)
        }
        _ => return None,
    };
    if scalar.data_type() == *target {
        return Some(scalar);
    }
    scalar.cast_to(target).ok().filter(|cast| !cast.is_null())
}

/// The printed form.
pub(super) fn print(value: &PrimitiveLiteral) -> Value {
    match value {
        PrimitiveLiteral::Boolean(v) => json!({ "boolean": v }),
        PrimitiveLiteral::Int(v) => json!({ "int": v }),
        PrimitiveLiteral::Long(v) => json!({ "long": v }),
        PrimitiveLiteral::Float(v) => json!({ "float": v.0.to_bits() }),
        PrimitiveLiteral::Double(v) => json!({ "double": v.0.to_bits() }),
        PrimitiveLiteral::String(v) => json!({ "string": v }),
        PrimitiveLiteral::Binary(v) => json!({ "binary": v }),
        PrimitiveLiteral::Int128(v) => json!({ "int128": v.to_string() }),
        PrimitiveLiteral::UInt128(v) => json!({ "uint128": v.to_string() }),
        PrimitiveLiteral::AboveMax | PrimitiveLiteral::BelowMin => Value::Null,
    }
}

/// A value from its printed form.
pub(super) fn parse(printed: &Value) -> Option<PrimitiveLiteral> {
    let (kind, value) = printed.as_object()?.iter().next()?;
    let bits32 = || value.as_u64().and_then(|bits| u32::try_from(bits).ok());
    Some(match kind.as_str() {
        "boolean" => PrimitiveLiteral::Boolean(value.as_bool()?),
        "int" => PrimitiveLiteral::Int(i32::try_from(value.as_i64()?).ok()?),
        "long" => PrimitiveLiteral::Long(value.as_i64()?),
        "float" => PrimitiveLiteral::Float(f32::from_bits(bits32()?).into()),
        "double" => PrimitiveLiteral::Double(f64::from_bits(value.as_u64()?).into()),
        "string" => PrimitiveLiteral::String(value.as_str()?.to_owned()),
        "binary" => PrimitiveLiteral::Binary(serde_json::from_value(value.clone()).ok()?),
        "int128" => PrimitiveLiteral::Int128(value.as_str()?.parse().ok()?),
        "uint128" => PrimitiveLiteral::UInt128(value.as_str()?.parse().ok()?),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_printed_form_loses_nothing() {
        for value in [
            PrimitiveLiteral::Boolean(true),
            PrimitiveLiteral::Int(-7),
            PrimitiveLiteral::Long(i64::MIN),
            PrimitiveLiteral::Float((-0.0_f32).into()),
            PrimitiveLiteral::Double(f64::INFINITY.into()),
            PrimitiveLiteral::String("é\"\\".into()),
            PrimitiveLiteral::Binary(vec![0, 255]),
            PrimitiveLiteral::Int128(i128::MIN),
            PrimitiveLiteral::UInt128(u128::MAX),
        ] {
            let text = print(&value).to_string();
            assert_eq!(parse(&serde_json::from_str(&text).unwrap()), Some(value));
        }
    }

    #[test]
    fn a_value_of_another_type_is_none() {
        let text = PrimitiveLiteral::String("x".into());
        assert_eq!(scalar(&text, &PrimitiveType::Int, &DataType::Int32), None);
        let uuid = PrimitiveLiteral::UInt128(1);
        let bytes = scalar(&uuid, &PrimitiveType::Uuid, &DataType::FixedSizeBinary(16)).unwrap();
        let wanted = ScalarValue::FixedSizeBinary(16, Some([&[0; 15][..], &[1]].concat()));
        assert_eq!(bytes, wanted);
    }
}
