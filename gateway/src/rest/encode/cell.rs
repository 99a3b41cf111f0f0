//! One value as JSON. Arrow's own encoder writes most of them; this file says where ours differ:
//!
//! * bytes are base64 and not hexadecimal;
//! * NaN and the infinities are the strings `"NaN"`, `"Infinity"` and `"-Infinity"`, because a null would be a missing
//!   value, which they are not;
//! * decimals may be strings;
//! * a map whose keys are not texts is a list of `{"key": .., "value": ..}`.
//!
//! Dates, times, timestamps and durations are ISO 8601 texts, intervals words such as `1 mons 2 days`, integers numbers.

use std::io::Write;
use std::sync::Arc;

use arrow::array::{Array, ArrayAccessor, ArrowPrimitiveType, AsArray, MapArray, PrimitiveArray};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::{DataType, FieldRef, Float16Type, Float32Type, Float64Type};
use arrow::error::ArrowError;
use arrow::json::writer::{NullableEncoder, make_encoder};
use arrow::json::{Encoder, EncoderFactory, EncoderOptions};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::times;

/// The options that every encoder of ours takes.
pub(super) fn options(decimals_as_text: bool) -> EncoderOptions {
    EncoderOptions::default()
        .with_explicit_nulls(true)
        .with_encoder_factory(Arc::new(Cells { decimals_as_text }))
}

/// The encoders that differ, for a writer of another room.
pub(crate) fn cells() -> Arc<dyn EncoderFactory> {
    Arc::new(Cells {
        decimals_as_text: false,
    })
}

/// Makes the encoders that differ.
#[derive(Debug)]
struct Cells {
    decimals_as_text: bool,
}

impl EncoderFactory for Cells {
    fn make_default_encoder<'a>(
        &self,
        field: &'a FieldRef,
        array: &'a dyn Array,
        options: &'a EncoderOptions,
    ) -> Result<Option<NullableEncoder<'a>>, ArrowError> {
        let encoder: Box<dyn Encoder + 'a> = match array.data_type() {
            DataType::Date32
            | DataType::Date64
            | DataType::Time32(_)
            | DataType::Time64(_)
            | DataType::Timestamp(..)
            | DataType::Duration(_) => {
                times::check(array)?;
                return Ok(None);
            }
            DataType::Binary => Box::new(Base64(array.as_binary::<i32>())),
            DataType::LargeBinary => Box::new(Base64(array.as_binary::<i64>())),
            DataType::BinaryView => Box::new(Base64(array.as_binary_view())),
            DataType::FixedSizeBinary(_) => Box::new(Base64(array.as_fixed_size_binary())),
            DataType::Float16 => Box::new(Float(array.as_primitive::<Float16Type>())),
            DataType::Float32 => Box::new(Float(array.as_primitive::<Float32Type>())),
            DataType::Float64 => Box::new(Float(array.as_primitive::<Float64Type>())),
            DataType::Decimal128(..) | DataType::Decimal256(..) if self.decimals_as_text => {
                Box::new(Quoted(ArrayFormatter::try_new(array, &EXACT)?))
            }
            DataType::Map(..) if !has_text_keys(array.as_map()) => {
                Box::new(Pairs::new(field, array.as_map(), options)?)
            }
            _ => return Ok(None),
        };
        Ok(Some(NullableEncoder::new(encoder, array.nulls().cloned())))
    }
}

const EXACT: FormatOptions<'static> = FormatOptions::new();

fn has_text_keys(map: &MapArray) -> bool {
    matches!(map.keys().data_type(), DataType::Utf8 | DataType::LargeUtf8)
}

struct Base64<A>(A);

impl<'a, A: ArrayAccessor<Item = &'a [u8]>> Encoder for Base64<A> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(STANDARD.encode(self.0.value(row)).as_bytes());
        out.push(b'"');
    }
}

struct Float<'a, T: ArrowPrimitiveType>(&'a PrimitiveArray<T>);

/// A floating-point number as JSON, shortest form that reads back the same.
trait Shortest: Copy {
    fn write(self, out: &mut Vec<u8>);
}

impl Shortest for f64 {
    fn write(self, out: &mut Vec<u8>) {
        match named(self) {
            Some(name) => out.extend_from_slice(name),
            // Writing a number into a vector cannot fail.
            None => serde_json::to_writer(out, &self).unwrap_or_default(),
        }
    }
}

impl Shortest for f32 {
    fn write(self, out: &mut Vec<u8>) {
        match named(f64::from(self)) {
            Some(name) => out.extend_from_slice(name),
            None => serde_json::to_writer(out, &self).unwrap_or_default(),
        }
    }
}

fn named(number: f64) -> Option<&'static [u8]> {
    match number {
        number if number.is_nan() => Some(b"\"NaN\""),
        f64::INFINITY => Some(b"\"Infinity\""),
        f64::NEG_INFINITY => Some(b"\"-Infinity\""),
        _ => None,
    }
}

impl Encoder for Float<'_, Float64Type> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        self.0.value(row).write(out);
    }
}

impl Encoder for Float<'_, Float32Type> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        self.0.value(row).write(out);
    }
}

impl Encoder for Float<'_, Float16Type> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        self.0.value(row).to_f32().write(out);
    }
}

struct Quoted<'a>(ArrayFormatter<'a>);

impl Encoder for Quoted<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        // Writing into a vector cannot fail.
        write!(out, "\"{}\"", self.0.value(row)).unwrap_or_default();
    }
}

/// A map as a list of pairs.
struct Pairs<'a> {
    offsets: &'a OffsetBuffer<i32>,
    keys: NullableEncoder<'a>,
    values: NullableEncoder<'a>,
}

impl<'a> Pairs<'a> {
    fn new(field: &'a FieldRef, map: &'a MapArray, options: &'a EncoderOptions) -> Result<Self, ArrowError> {
        let (key, value) = match field.data_type() {
            DataType::Map(entries, _) => match entries.data_type() {
                DataType::Struct(fields) if fields.len() == 2 => (&fields[0], &fields[1]),
                _ => (field, field),
            },
            _ => (field, field),
        };
        Ok(Self {
            offsets: map.offsets(),
            keys: make_encoder(key, map.keys(), options)?,
            values: make_encoder(value, map.values(), options)?,
        })
    }
}

impl Encoder for Pairs<'_> {
    fn encode(&mut self, row: usize, out: &mut Vec<u8>) {
        // Offsets of Arrow are not negative.
        let place = |row: usize| usize::try_from(self.offsets[row]).unwrap_or_default();
        let (start, end) = (place(row), place(row + 1));
        out.push(b'[');
        for entry in start..end {
            if entry > start {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"key\":");
            self.keys.encode(entry, out);
            out.extend_from_slice(b",\"value\":");
            match self.values.is_null(entry) {
                true => out.extend_from_slice(b"null"),
                false => self.values.encode(entry, out),
            }
            out.push(b'}');
        }
        out.push(b']');
    }
}
