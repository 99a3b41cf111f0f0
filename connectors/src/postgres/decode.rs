//! Values in the server's binary form into Arrow columns.
//!
//! A column takes the bytes of one field after the other, from `COPY` or from a bound query alike, and appends them to
//! its builder; there is no value in between.
//!
//! Invariants:
//! - A column is made for a pair of Arrow type and server type; a pair that is not known to be the same values is
//!   refused before the first row.
//! - A field of another length or shape than its type has is an error, never a guess.
//! - A value that the Arrow type cannot hold is an error or NULL, as the config says; never a neighbour of the value.

mod inet;
mod nested;
mod numeric;
mod text;

use super::config::Unrepresentable;
use arrow::array::{
    ArrayRef, BinaryBuilder, BinaryViewBuilder, BooleanBuilder, Date32Builder, Decimal128Builder,
    Decimal256Builder, Float32Builder, Float64Builder, Int16Builder, Int32Builder, Int64Builder,
    IntervalMonthDayNanoBuilder, Time64MicrosecondBuilder, TimestampMicrosecondBuilder,
};
use arrow::datatypes::{DataType, IntervalMonthDayNano, IntervalUnit, TimeUnit};
use nested::{ListColumn, StructColumn, VectorColumn};
use std::fmt;
use std::sync::Arc;
use text::TextColumn;
use tokio_postgres::types::{Kind, Type};

/// Days from the engine's epoch to the server's, 2000-01-01.
const EPOCH_DAYS: i32 = 10_957;
/// The same in microseconds.
const EPOCH_MICROS: i64 = 946_684_800_000_000;
const DAY_MICROS: i64 = 86_400_000_000;

/// What is wrong with a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Bad {
    /// Its bytes are none of its type.
    Shape(&'static str),
    /// It is a value that the Arrow type cannot hold.
    Value(&'static str),
}

impl fmt::Display for Bad {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Shape(what) | Self::Value(what) => f.write_str(what),
        }
    }
}

impl std::error::Error for Bad {}

/// A pair of types that are not the same values.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mismatch {
    pub(super) arrow: DataType,
    pub(super) server: String,
}

/// One column under construction.
#[derive(Debug)]
pub(super) struct Column {
    builder: Builder,
    policy: Unrepresentable,
}

#[derive(Debug)]
enum Builder {
    Bool(BooleanBuilder),
    Int16(Int16Builder),
    Int32(Int32Builder),
    Int64(Int64Builder),
    Float32(Float32Builder),
    Float64(Float64Builder),
    Decimal128(Decimal128Builder, u8, i8),
    Decimal256(Decimal256Builder, u8, i8),
    Text(TextColumn),
    Bytes(BinaryBuilder),
    BytesView(BinaryViewBuilder),
    Date(Date32Builder),
    Time(Time64MicrosecondBuilder),
    Timestamp(TimestampMicrosecondBuilder),
    Interval(IntervalMonthDayNanoBuilder),
    List(Box<ListColumn>),
    Struct(StructColumn),
    Vector(VectorColumn),
}

impl Column {
    /// A column of `arrow` for fields of `server`.
    ///
    /// # Errors
    /// [`Mismatch`] when they are not the same values.
    pub(super) fn new(arrow: &DataType, server: &Type, policy: Unrepresentable) -> Result<Self, Mismatch> {
        let mismatch = || Mismatch {
            arrow: arrow.clone(),
            server: server.name().to_owned(),
        };
        if let Kind::Domain(inner) = server.kind() {
            return Self::new(arrow, inner, policy);
        }
        let builder = match arrow {
            DataType::List(item) => match server.kind() {
                Kind::Array(element) => {
                    Builder::List(Box::new(ListColumn::new(Arc::clone(item), element, policy)?))
                }
                _ => Builder::Vector(VectorColumn::new(Arc::clone(item), server).ok_or_else(mismatch)?),
            },
            DataType::Struct(fields) => match server.kind() {
                Kind::Composite(attributes) => {
                    Builder::Struct(StructColumn::new(fields, attributes, policy).ok_or_else(mismatch)??)
                }
                _ => return Err(mismatch()),
            },
            _ => scalar(arrow, server).ok_or_else(mismatch)?,
        };
        Ok(Self { builder, policy })
    }

    /// Appends a field; `None` is NULL.
    ///
    /// # Errors
    /// [`Bad`]; the column is then of no use any more.
    pub(super) fn push(&mut self, raw: Option<&[u8]>) -> Result<(), Bad> {
        let Some(raw) = raw else {
            self.push_null();
            return Ok(());
        };
        match (self.builder.push(raw), self.policy) {
            (Err(Bad::Value(_)), Unrepresentable::Null) => {
                self.push_null();
                Ok(())
            }
            (result, _) => result,
        }
    }

    fn push_null(&mut self) {
        match &mut self.builder {
            Builder::Bool(b) => b.append_null(),
            Builder::Int16(b) => b.append_null(),
            Builder::Int32(b) => b.append_null(),
            Builder::Int64(b) => b.append_null(),
            Builder::Float32(b) => b.append_null(),
            Builder::Float64(b) => b.append_null(),
            Builder::Decimal128(b, _, _) => b.append_null(),
            Builder::Decimal256(b, _, _) => b.append_null(),
            Builder::Text(b) => b.push_null(),
            Builder::Bytes(b) => b.append_null(),
            Builder::BytesView(b) => b.append_null(),
            Builder::Date(b) => b.append_null(),
            Builder::Time(b) => b.append_null(),
            Builder::Timestamp(b) => b.append_null(),
            Builder::Interval(b) => b.append_null(),
            Builder::List(b) => b.push_null(),
            Builder::Struct(b) => b.push_null(),
            Builder::Vector(b) => b.push_null(),
        }
    }

    /// The fields so far as an array; the column is empty again.
    pub(super) fn finish(&mut self) -> ArrayRef {
        match &mut self.builder {
            Builder::Bool(b) => Arc::new(b.finish()),
            Builder::Int16(b) => Arc::new(b.finish()),
            Builder::Int32(b) => Arc::new(b.finish()),
            Builder::Int64(b) => Arc::new(b.finish()),
            Builder::Float32(b) => Arc::new(b.finish()),
            Builder::Float64(b) => Arc::new(b.finish()),
            Builder::Decimal128(b, _, _) => Arc::new(b.finish()),
            Builder::Decimal256(b, _, _) => Arc::new(b.finish()),
            Builder::Text(b) => b.finish(),
            Builder::Bytes(b) => Arc::new(b.finish()),
            Builder::BytesView(b) => Arc::new(b.finish()),
            Builder::Date(b) => Arc::new(b.finish()),
            Builder::Time(b) => Arc::new(b.finish()),
            Builder::Timestamp(b) => Arc::new(b.finish()),
            Builder::Interval(b) => Arc::new(b.finish()),
            Builder::List(b) => b.finish(),
            Builder::Struct(b) => b.finish(),
            Builder::Vector(b) => b.finish(),
        }
    }
}

/// The builder of a type without parts; `None` for a pair that is not the same values.
fn scalar(arrow: &DataType, server: &Type) -> Option<Builder> {
    let builder = match (arrow, server) {
        (DataType::Boolean, &Type::BOOL) => Builder::Bool(BooleanBuilder::new()),
        (DataType::Int16, &Type::INT2) => Builder::Int16(Int16Builder::new()),
        (DataType::Int32, &Type::INT4) => Builder::Int32(Int32Builder::new()),
        (DataType::Int64, &Type::INT8) => Builder::Int64(Int64Builder::new()),
        (DataType::Float32, &Type::FLOAT4) => Builder::Float32(Float32Builder::new()),
        (DataType::Float64, &Type::FLOAT8) => Builder::Float64(Float64Builder::new()),
        (DataType::Decimal128(precision, scale), &Type::NUMERIC) => {
            let typed = Decimal128Builder::new().with_data_type(arrow.clone());
            Builder::Decimal128(typed, *precision, *scale)
        }
        (DataType::Decimal256(precision, scale), &Type::NUMERIC) => {
            let typed = Decimal256Builder::new().with_data_type(arrow.clone());
            Builder::Decimal256(typed, *precision, *scale)
        }
        (DataType::Utf8 | DataType::Utf8View, _) => Builder::Text(TextColumn::new(arrow, server)?),
        (DataType::Binary, &Type::BYTEA) => Builder::Bytes(BinaryBuilder::new()),
        (DataType::BinaryView, &Type::BYTEA) => Builder::BytesView(BinaryViewBuilder::new()),
        (DataType::Date32, &Type::DATE) => Builder::Date(Date32Builder::new()),
        (DataType::Time64(TimeUnit::Microsecond), &Type::TIME) => {
            Builder::Time(Time64MicrosecondBuilder::new())
        }
        (DataType::Timestamp(TimeUnit::Microsecond, None), &Type::TIMESTAMP)
        | (DataType::Timestamp(TimeUnit::Microsecond, Some(_)), &Type::TIMESTAMPTZ) => {
            Builder::Timestamp(TimestampMicrosecondBuilder::new().with_data_type(arrow.clone()))
        }
        (DataType::Interval(IntervalUnit::MonthDayNano), &Type::INTERVAL) => {
            Builder::Interval(IntervalMonthDayNanoBuilder::new())
        }
        _ => return None,
    };
    Some(builder)
}

impl Builder {
    fn push(&mut self, raw: &[u8]) -> Result<(), Bad> {
        match self {
            Self::Bool(b) => b.append_value(match fixed::<1>(raw)? {
                [0] => false,
                [1] => true,
                _ => return Err(Bad::Shape("a bool that is neither 0 nor 1")),
            }),
            Self::Int16(b) => b.append_value(i16::from_be_bytes(fixed(raw)?)),
            Self::Int32(b) => b.append_value(i32::from_be_bytes(fixed(raw)?)),
            Self::Int64(b) => b.append_value(i64::from_be_bytes(fixed(raw)?)),
            Self::Float32(b) => b.append_value(f32::from_be_bytes(fixed(raw)?)),
            Self::Float64(b) => b.append_value(f64::from_be_bytes(fixed(raw)?)),
            Self::Decimal128(b, precision, scale) => {
                b.append_value(numeric::unscaled(raw, *precision, *scale)?);
            }
            Self::Decimal256(b, precision, scale) => {
                b.append_value(numeric::unscaled(raw, *precision, *scale)?);
            }
            Self::Text(b) => b.push(raw)?,
            Self::Bytes(b) => b.append_value(raw),
            Self::BytesView(b) => b.append_value(raw),
            Self::Date(b) => b.append_value(date(i32::from_be_bytes(fixed(raw)?))?),
            Self::Time(b) => b.append_value(time(i64::from_be_bytes(fixed(raw)?))?),
            Self::Timestamp(b) => b.append_value(timestamp(i64::from_be_bytes(fixed(raw)?))?),
            Self::Interval(b) => b.append_value(interval(fixed(raw)?)?),
            Self::List(b) => b.push(raw)?,
            Self::Struct(b) => b.push(raw)?,
            Self::Vector(b) => b.push(raw)?,
        }
        Ok(())
    }
}

fn date(days: i32) -> Result<i32, Bad> {
    if days == i32::MAX || days == i32::MIN {
        return Err(Bad::Value("an infinite date"));
    }
    let shifted = days.checked_add(EPOCH_DAYS);
    shifted.ok_or(Bad::Value("a date beyond those of Arrow"))
}

fn time(micros: i64) -> Result<i64, Bad> {
    match micros {
        0..DAY_MICROS => Ok(micros),
        DAY_MICROS => Err(Bad::Value("the time 24:00:00")),
        _ => Err(Bad::Shape("a time outside of the day")),
    }
}

fn timestamp(micros: i64) -> Result<i64, Bad> {
    if micros == i64::MAX || micros == i64::MIN {
        return Err(Bad::Value("an infinite timestamp"));
    }
    let shifted = micros.checked_add(EPOCH_MICROS);
    shifted.ok_or(Bad::Value("a timestamp beyond those of Arrow"))
}

fn interval(raw: [u8; 16]) -> Result<IntervalMonthDayNano, Bad> {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = raw;
    let micros = i64::from_be_bytes([a, b, c, d, e, f, g, h]);
    let days = i32::from_be_bytes([i, j, k, l]);
    let months = i32::from_be_bytes([m, n, o, p]);
    let is = |micros_of: i64, of: i32| micros == micros_of && days == of && months == of;
    if is(i64::MAX, i32::MAX) || is(i64::MIN, i32::MIN) {
        return Err(Bad::Value("an infinite interval"));
    }
    let nanos = micros.checked_mul(1_000);
    let nanos = nanos.ok_or(Bad::Value(
        "an interval of more hours than Arrow counts nanoseconds",
    ))?;
    Ok(IntervalMonthDayNano::new(months, days, nanos))
}

/// The bytes of a field of fixed length.
fn fixed<const N: usize>(raw: &[u8]) -> Result<[u8; N], Bad> {
    raw.try_into()
        .map_err(|_| Bad::Shape("a field of another length than its type's"))
}

/// Takes `N` bytes from the front.
fn take<const N: usize>(raw: &mut &[u8]) -> Result<[u8; N], Bad> {
    let (front, rest) = raw
        .split_first_chunk::<N>()
        .ok_or(Bad::Shape("a field that ends early"))?;
    *raw = rest;
    Ok(*front)
}

/// Takes a part with its length in front; `None` is NULL.
fn take_part<'a>(raw: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Bad> {
    let length = i32::from_be_bytes(take(raw)?);
    if length == -1 {
        return Ok(None);
    }
    let length = usize::try_from(length).map_err(|_| Bad::Shape("a part of negative length"))?;
    let (part, rest) = raw
        .split_at_checked(length)
        .ok_or(Bad::Shape("a part that ends early"))?;
    *raw = rest;
    Ok(Some(part))
}

/// Nothing may be left of a field.
fn end(raw: &[u8]) -> Result<(), Bad> {
    match raw.is_empty() {
        true => Ok(()),
        false => Err(Bad::Shape("a field with more than its type has")),
    }
}

#[cfg(test)]
mod tests;
