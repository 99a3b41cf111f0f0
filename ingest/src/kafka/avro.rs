//! Avro records as JSON: a writer's schema, compiled once, turns the bytes of a record into the text that silver reads.
//!
//! Why not the reader of a library: it builds a value of its own first, has no bound on nesting, and takes what a length of a few bytes promises
//! for memory to set aside. Here nothing is set aside beyond what has come, and text and depth have bounds.
//!
//! Unions are the value itself. Decimals are exact numbers; bytes are base64; times are ISO 8601, instants with `Z`. NaN and infinities, which
//! JSON does not have, are texts.

use std::collections::BTreeMap;

use apache_avro::Schema;
use apache_avro::schema::Name;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::json::write::quoted;

/// The deepest nesting; silver refuses records long before.
const DEPTH_MAX: usize = 64;
/// The longest text that a record may become, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// The most digits of a decimal, far beyond those of any column.
const DECIMAL_BYTES_MAX: usize = 64;

/// What is wrong with a schema or a record, one lower-case phrase.
type Fault = String;

/// A compiled schema.
#[derive(Debug)]
pub(crate) struct Plan {
    root: Type,
    records: Vec<Vec<(String, Type)>>,
}

#[derive(Debug, Clone)]
enum Type {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    Text,
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    /// By its place in [`Plan::records`], since a record may hold itself.
    Record(usize),
    Enum(Vec<String>),
    Fixed(usize),
    /// Digits behind the point, and the length where it is fixed.
    Decimal(usize, Option<usize>),
    BigDecimal,
    Date,
    /// Units of a second.
    Time(i64),
    /// Units of a second, and whether it is an instant.
    Timestamp(i64, bool),
    Duration,
}

impl Plan {
    /// Compiles the last of `schemas`; the others are those that it refers to, each behind those that it refers to itself.
    ///
    /// # Errors
    /// A name that is nowhere, or a type that is not known.
    pub(crate) fn compile(schemas: &[Schema]) -> Result<Self, Fault> {
        let mut compiler = Compiler::default();
        let mut root = None;
        for schema in schemas {
            root = Some(compiler.compile(schema, &None, 0)?);
        }
        Ok(Self {
            root: root.ok_or("the schema is empty")?,
            records: compiler.records,
        })
    }

    /// The JSON of one record that fills `bytes`.
    ///
    /// # Errors
    /// What is wrong with the bytes, and where.
    pub(crate) fn json(&self, bytes: &[u8]) -> Result<String, Fault> {
        let mut reader = Reader {
            plan: self,
            bytes,
            at: 0,
            out: String::with_capacity(bytes.len() * 2),
        };
        let read = reader.value(&self.root, DEPTH_MAX);
        read.map_err(|fault| format!("{fault} at byte {}", reader.at))?;
        match bytes.len() - reader.at {
            0 => Ok(reader.out),
            left => Err(format!("{left} bytes are left behind the record")),
        }
    }
}

#[derive(Default)]
struct Compiler {
    named: BTreeMap<String, Type>,
    records: Vec<Vec<(String, Type)>>,
}

impl Compiler {
    fn compile(&mut self, schema: &Schema, space: &Option<String>, depth: usize) -> Result<Type, Fault> {
        if depth > DEPTH_MAX {
            return Err("the schema is nested too deeply".to_owned());
        }
        Ok(match schema {
            Schema::Null => Type::Null,
            Schema::Boolean => Type::Boolean,
            Schema::Int => Type::Int,
            Schema::Long => Type::Long,
            Schema::Float => Type::Float,
            Schema::Double => Type::Double,
            Schema::Bytes => Type::Bytes,
            Schema::String | Schema::Uuid => Type::Text,
            Schema::Array(array) => Type::Array(Box::new(self.compile(&array.items, space, depth + 1)?)),
            Schema::Map(map) => Type::Map(Box::new(self.compile(&map.types, space, depth + 1)?)),
            Schema::Union(union) => {
                let variants = union.variants().iter();
                let types: Result<Vec<Type>, Fault> = variants
                    .map(|variant| self.compile(variant, space, depth + 1))
                    .collect();
                Type::Union(types?)
            }
            Schema::Record(record) => {
                let name = qualified(&record.name, space);
                let place = self.records.len();
                self.records.push(Vec::new());
                self.define(&name, Type::Record(place));
                let inner = name.rsplit_once('.').map(|(space, _)| space.to_owned());
                let mut fields = Vec::with_capacity(record.fields.len());
                for field in &record.fields {
                    fields.push((
                        field.name.clone(),
                        self.compile(&field.schema, &inner, depth + 1)?,
                    ));
                }
                if let Some(slot) = self.records.get_mut(place) {
                    *slot = fields;
                }
                Type::Record(place)
            }
            Schema::Enum(symbols) => self.define(
                &qualified(&symbols.name, space),
                Type::Enum(symbols.symbols.clone()),
            ),
            Schema::Fixed(fixed) => self.define(&qualified(&fixed.name, space), Type::Fixed(fixed.size)),
            Schema::Decimal(decimal) => match decimal.inner.as_ref() {
                Schema::Fixed(fixed) => self.define(
                    &qualified(&fixed.name, space),
                    Type::Decimal(decimal.scale, Some(fixed.size)),
                ),
                _ => Type::Decimal(decimal.scale, None),
            },
            Schema::BigDecimal => Type::BigDecimal,
            Schema::Date => Type::Date,
            Schema::TimeMillis => Type::Time(1_000),
            Schema::TimeMicros => Type::Time(1_000_000),
            Schema::TimestampMillis => Type::Timestamp(1_000, true),
            Schema::TimestampMicros => Type::Timestamp(1_000_000, true),
            Schema::TimestampNanos => Type::Timestamp(1_000_000_000, true),
            Schema::LocalTimestampMillis => Type::Timestamp(1_000, false),
            Schema::LocalTimestampMicros => Type::Timestamp(1_000_000, false),
            Schema::LocalTimestampNanos => Type::Timestamp(1_000_000_000, false),
            Schema::Duration => Type::Duration,
            Schema::Ref { name } => {
                let name = qualified(name, space);
                let known = self.named.get(&name).cloned();
                known.ok_or_else(|| format!("the schema refers to {name}, which is nowhere"))?
            }
        })
    }

    fn define(&mut self, name: &str, made: Type) -> Type {
        self.named.insert(name.to_owned(), made.clone());
        made
    }
}

fn qualified(name: &Name, space: &Option<String>) -> String {
    name.fullname(space.clone())
}

struct Reader<'a> {
    plan: &'a Plan,
    bytes: &'a [u8],
    at: usize,
    out: String,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or("the record ends too early")?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let taken = self.take(N)?;
        <[u8; N]>::try_from(taken).map_err(|_| "the record ends too early".to_owned())
    }

    fn long(&mut self) -> Result<i64, Fault> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let [byte] = self.array::<1>()?;
            let part = u64::from(byte & 0x7f);
            // The tenth byte has room for one bit.
            if shift == 63 && part > 1 {
                break;
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()));
            }
        }
        Err("a number of more than 64 bits".to_owned())
    }

    fn int(&mut self) -> Result<i32, Fault> {
        let value = self.long()?;
        i32::try_from(value).map_err(|_| "an int of more than 32 bits".to_owned())
    }

    fn sized(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.long()?;
        let length = usize::try_from(length).map_err(|_| "a negative length".to_owned())?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'a str, Fault> {
        let bytes = self.sized()?;
        std::str::from_utf8(bytes).map_err(|_| "a string that is no UTF-8".to_owned())
    }

    fn value(&mut self, kind: &Type, depth_left: usize) -> Result<(), Fault> {
        if self.out.len() > TEXT_BYTES_MAX {
            return Err(format!(
                "the record becomes more than {TEXT_BYTES_MAX} bytes of JSON"
            ));
        }
        let depth_left = depth_left
            .checked_sub(1)
            .ok_or("the record is nested too deeply")?;
        match kind {
            Type::Null => self.out.push_str("null"),
            Type::Boolean => match self.array::<1>()? {
                [0] => self.out.push_str("false"),
                [1] => self.out.push_str("true"),
                _ => return Err("a boolean that is neither 0 nor 1".to_owned()),
            },
            Type::Int => {
                let value = self.int()?;
                self.print(value);
            }
            Type::Long => {
                let value = self.long()?;
                self.print(value);
            }
            Type::Float => {
                let value = f32::from_le_bytes(self.array()?);
                self.float(value.is_finite(), value);
            }
            Type::Double => {
                let value = f64::from_le_bytes(self.array()?);
                self.float(value.is_finite(), value);
            }
            Type::Bytes => {
                let bytes = self.sized()?;
                self.base64(bytes);
            }
            Type::Fixed(length) => {
                let bytes = self.take(*length)?;
                self.base64(bytes);
            }
            Type::Text => {
                let text = self.text()?;
                quoted(text, &mut self.out);
            }
            Type::Enum(symbols) => {
                let place = usize::try_from(self.long()?).ok();
                let symbol = place.and_then(|place| symbols.get(place));
                quoted(symbol.ok_or("an enum without such a symbol")?, &mut self.out);
            }
            Type::Union(types) => {
                let place = usize::try_from(self.long()?).ok();
                let chosen = place.and_then(|place| types.get(place));
                // A union is no level of its own in JSON.
                self.value(chosen.ok_or("a union without such a branch")?, depth_left + 1)?;
            }
            Type::Array(items) => self.blocks('[', ']', |reader| reader.value(items, depth_left))?,
            Type::Map(values) => self.blocks('{', '}', |reader| {
                let key = reader.text()?;
                quoted(key, &mut reader.out);
                reader.out.push(':');
                reader.value(values, depth_left)
            })?,
            Type::Record(place) => self.record(*place, depth_left)?,
            other => self.logical(other)?,
        }
        Ok(())
    }

    fn record(&mut self, place: usize, depth_left: usize) -> Result<(), Fault> {
        let plan = self.plan;
        let fields = plan.records.get(place).ok_or("a record without fields")?;
        self.out.push('{');
        for (index, (name, kind)) in fields.iter().enumerate() {
            if index > 0 {
                self.out.push(',');
            }
            quoted(name, &mut self.out);
            self.out.push(':');
            self.value(kind, depth_left)?;
        }
        self.out.push('}');
        Ok(())
    }

    /// The blocks of an array or a map.
    fn blocks(
        &mut self,
        open: char,
        close: char,
        mut item: impl FnMut(&mut Self) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        self.out.push(open);
        let mut first = true;
        loop {
            let mut count = self.long()?;
            if count == 0 {
                break;
            }
            if count < 0 {
                // The block's bytes follow, for those who skip it.
                self.long()?;
                count = count.checked_neg().ok_or("a block of too many items")?;
            }
            for _ in 0..count {
                if !std::mem::take(&mut first) {
                    self.out.push(',');
                }
                item(self)?;
            }
        }
        self.out.push(close);
        Ok(())
    }

    fn logical(&mut self, kind: &Type) -> Result<(), Fault> {
        match kind {
            Type::Decimal(scale, length) => {
                let bytes = match length {
                    Some(length) => self.take(*length)?,
                    None => self.sized()?,
                };
                self.decimal(bytes, *scale)?;
            }
            Type::BigDecimal => {
                let bytes = self.sized()?;
                let mut inner = Reader {
                    plan: self.plan,
                    bytes,
                    at: 0,
                    out: String::new(),
                };
                let (digits, scale) = (inner.sized()?, inner.long()?);
                let scale = usize::try_from(scale).ok().filter(|scale| *scale <= 1_000);
                self.decimal(digits, scale.ok_or("a decimal of too many digits")?)?;
            }
            Type::Date => {
                let days = self.int()?;
                let date = NaiveDate::from_epoch_days(days).ok_or("a date beyond the calendar")?;
                self.quote(&date);
            }
            Type::Time(unit) => {
                let value = if *unit == 1_000 {
                    i64::from(self.int()?)
                } else {
                    self.long()?
                };
                let seconds = u32::try_from(value.div_euclid(*unit)).ok();
                let nanos =
                    u32::try_from(value.rem_euclid(*unit) * (1_000_000_000 / unit)).unwrap_or_default();
                let time =
                    seconds.and_then(|seconds| NaiveTime::from_num_seconds_from_midnight_opt(seconds, nanos));
                self.quote(&time.ok_or("a time beyond the day")?);
            }
            Type::Timestamp(unit, instant) => {
                let value = self.long()?;
                let nanos =
                    u32::try_from(value.rem_euclid(*unit) * (1_000_000_000 / unit)).unwrap_or_default();
                let at = DateTime::from_timestamp(value.div_euclid(*unit), nanos);
                let at = at.ok_or("a timestamp beyond the calendar")?.naive_utc();
                let zone = if *instant { "Z" } else { "" };
                self.quote(&format!("{}{zone}", at.format("%Y-%m-%dT%H:%M:%S%.f")));
            }
            Type::Duration => {
                let months = u32::from_le_bytes(self.array()?);
                let days = u32::from_le_bytes(self.array()?);
                let millis = u32::from_le_bytes(self.array()?);
                self.print(format!(
                    "{{\"months\":{months},\"days\":{days},\"millis\":{millis}}}"
                ));
            }
            _ => return Err("a type without a reader".to_owned()),
        }
        Ok(())
    }

    /// A number from big-endian two's complement.
    fn decimal(&mut self, bytes: &[u8], scale: usize) -> Result<(), Fault> {
        if bytes.len() > DECIMAL_BYTES_MAX {
            return Err("a decimal of too many digits".to_owned());
        }
        let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
        let mut magnitude: Vec<u8> = bytes.to_vec();
        if negative {
            let mut carry = true;
            for byte in magnitude.iter_mut().rev() {
                let (sum, over) = (!*byte).overflowing_add(u8::from(carry));
                *byte = sum;
                carry = over;
            }
        }
        // Long division by ten, digit by digit.
        let mut digits = Vec::new();
        while magnitude.iter().any(|byte| *byte != 0) {
            let mut rest = 0_u16;
            for byte in &mut magnitude {
                let part = rest << 8 | u16::from(*byte);
                *byte = u8::try_from(part / 10).unwrap_or_default();
                rest = part % 10;
            }
            digits.push(char::from(b'0' + u8::try_from(rest).unwrap_or_default()));
        }
        while digits.len() <= scale {
            digits.push('0');
        }
        if negative {
            self.out.push('-');
        }
        for (left, digit) in (0..digits.len()).rev().zip(digits.iter().rev()) {
            self.out.push(*digit);
            if left == scale && scale > 0 {
                self.out.push('.');
            }
        }
        Ok(())
    }

    fn float(&mut self, finite: bool, value: impl std::fmt::Display) {
        if finite {
            self.print(value);
        } else {
            self.quote(&value);
        }
    }

    fn print(&mut self, value: impl std::fmt::Display) {
        self.out.push_str(&value.to_string());
    }

    fn quote(&mut self, value: &dyn std::fmt::Display) {
        self.out.push_str(&format!("\"{value}\""));
    }

    fn base64(&mut self, bytes: &[u8]) {
        self.out.push('"');
        STANDARD.encode_string(bytes, &mut self.out);
        self.out.push('"');
    }
}

#[cfg(test)]
mod tests;
