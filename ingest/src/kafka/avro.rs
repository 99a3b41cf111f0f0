//! Avro records as JSON: a writer's schema, compiled once, turns the bytes of a record into the text that silver reads.
//!
//! Why not the reader of a library: it builds a value of its own first, has no bound on nesting, and takes what a length of a few bytes promises
//! for memory to set aside. Here nothing is set aside beyond what has come, and text and depth have bounds.
//!
//! Unions are the value itself. Decimals are exact numbers; bytes are base64; times are ISO 8601, instants with `Z`. NaN and infinities, which
//! JSON does not have, are texts.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, NaiveDate, NaiveTime};

use crate::json::write::quoted;

mod plan;
pub(crate) use plan::Plan;
use plan::Type;

/// The deepest nesting; silver refuses records long before.
const DEPTH_MAX: usize = 64;
/// The longest text that a record may become, in bytes.
const TEXT_BYTES_MAX: usize = 16 << 20;
/// The most digits of a decimal, far beyond those of any column.
const DECIMAL_BYTES_MAX: usize = 64;

/// What is wrong with a schema or a record, one lower-case phrase.
type Fault = String;

impl Plan {
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
